//! Values given as `--set PATH=VALUE`, put into the document before it is checked, so that they are checked like the file's.

use std::path::Path;
use std::sync::Arc;

use super::document::{self, Document, Member, Node, Place, Value};
use super::path::{self, Step};
use super::syntax::{self, MAXIMUM_DEPTH};
use crate::diagnostic::Diagnostic;

/// Replaces or creates the value at `path`. The text is JSON, or else a string as it stands.
pub(super) fn apply(document: &mut Document, path: &str, text: &str, complaints: &mut Vec<Diagnostic>) {
    let steps = match path::parse(path) {
        Some(steps) if !steps.is_empty() && steps.len() < MAXIMUM_DEPTH => steps,
        _ => {
            complaints.push(
                Diagnostic::error(format!("`--set {}={}` has no valid path", syntax::shorten(path), syntax::shorten(text)))
                    .found(format!("`{}`", syntax::shorten(path)))
                    .expected("a path such as trainer.epochs or data.train.input.source[0]"),
            );
            return;
        }
    };
    let place = Place::Override(Arc::from(path));
    let mut value = syntax::parse(text, steps.len(), &|_| place.clone())
        .unwrap_or_else(|_| Node { value: Value::String(text.to_owned()), place: place.clone() });
    let file = document.file().to_owned();
    document::remove_repeated_keys(&file, &mut value, path, complaints);
    if let Err(complaint) = put(&file, document.root_mut(), &steps, value, &place) {
        complaints.push(complaint);
    }
}

fn put(file: &Path, root: &mut Node, steps: &[Step], value: Node, place: &Place) -> Result<(), Diagnostic> {
    let mut node = root;
    for (done, step) in steps.iter().enumerate() {
        let found = node.describe();
        let where_it_stands = node.place.clone();
        let refuse = |expected: &str| {
            let parent = path::display(&steps[..done]);
            let wanted = path::display(&steps[..=done]);
            let subject = if parent.is_empty() { "the config" } else { &parent };
            let complaint = Diagnostic::error(format!("cannot set `{wanted}`: {subject} is not {expected}"))
                .at(&*parent)
                .found(&*found)
                .expected(expected)
                .help(format!("set {subject} as a whole"));
            let complaint = document::at_place(file, complaint, place);
            // The file's place of what stands in the way, if it has one.
            match &where_it_stands {
                Place::File(_) => document::at_place(file, complaint, &where_it_stands),
                Place::Override(_) => complaint,
            }
        };
        node = match (step, &mut node.value) {
            (Step::Key(key), Value::Object(members)) => child(members, key, place),
            (Step::Key(_), _) => return Err(refuse("an object")),
            (Step::Index(index), Value::Array(elements)) => {
                let count = elements.len();
                match elements.get_mut(*index) {
                    Some(element) => element,
                    None => return Err(refuse(&format!("an array of more than {count}"))),
                }
            }
            (Step::Index(_), _) => return Err(refuse("an array")),
        };
    }
    *node = value;
    Ok(())
}

/// The value under `key`, made an empty object if it is not there.
fn child<'n>(members: &'n mut Vec<Member>, key: &str, place: &Place) -> &'n mut Node {
    let index = members.iter().position(|member| member.key == key).unwrap_or_else(|| {
        members.push(Member {
            key: key.to_owned(),
            key_place: place.clone(),
            value: Node { value: Value::Object(Vec::new()), place: place.clone() },
        });
        members.len() - 1
    });
    &mut members[index].value
}
