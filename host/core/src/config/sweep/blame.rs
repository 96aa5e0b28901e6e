//! What is wrong with the configs of trials, told with the parameter of the sweep file that is to blame.

use super::{Space, Sweep, overlap};
use crate::config::path;
use crate::diagnostic::Diagnostic;

/// A trial as it is named in messages.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    /// Its number.
    pub number: usize,
    /// Its values in the order of the parameters (path, and JSON).
    pub values: &'a [(String, String)],
}

impl Sweep {
    /// A complaint about the config of a trial with the place of the parameter in the sweep file, if one is to blame; else as it is.
    /// The second is whether one is.
    #[must_use]
    pub fn blame(&self, mut complaint: Diagnostic, trial: Trial<'_>) -> (Diagnostic, bool) {
        // So the reader of configs marks what was set from outside.
        let set = |note: &String| note.strip_prefix("set by --set ").map(str::to_owned);
        let path = complaint.notes.iter().find_map(set);
        let told = complaint.path.clone().unwrap_or_default();
        complaint.notes.retain(|note| set(note).is_none());
        let mut found = self.parameters.iter().zip(trial.values);
        // A key that is missing beside one that was set is not the fault of that one.
        let found = found
            .find(|(parameter, _)| path.as_ref() == Some(&parameter.path) && overlap(&parameter.path, &told));
        let Some((parameter, (_, value))) = found else {
            let inline = self.base.file() == self.document.file();
            complaint.path = complaint.path.map(|path| if inline { format!("config.{path}") } else { path });
            return (complaint, false);
        };
        if told != parameter.path {
            complaint.notes.push(format!("in the config: {told}"));
        }
        complaint.help = complaint.help.map(|help| {
            help.replace("leave out this --set", "remove the parameter")
                .replace("--set ", "")
                .replace("remove the key", "remove the parameter")
        });
        let place = match &parameter.space {
            Space::Values(values) => {
                let written = values.iter().map(ToString::to_string);
                let at = written.zip(0..).find_map(|(one, at)| (one == *value).then_some(at));
                let list = path::join(&parameter.place, "values");
                at.map_or(list.clone(), |at| path::element(&list, at))
            }
            Space::Uniform { .. } | Space::LogUniform { .. } | Space::Integers { .. } => {
                parameter.place.clone()
            }
        };
        // What is wrong with the path is so whatever the value.
        let of_path = ["unknown key", "cannot set"].iter().any(|start| complaint.message.starts_with(start));
        let place = if of_path { parameter.place.clone() } else { place };
        complaint.location = None;
        (self.place(complaint.at(place)), true)
    }
}
