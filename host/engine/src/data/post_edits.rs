//! Whether there are post-edits where a component needs them, and whether any are given that nobody reads: known from the config,
//! before a corpus is read.

use kiwi_core::config::{DataSection, Document, RunConfig};
use kiwi_core::diagnostic::Diagnostic;
use kiwi_core::error_code::Code;

use super::open::sections;
use crate::system::Reason;

/// The complaints about corpora of `data` without post-edits, which `reason` needs.
pub(crate) fn missing(data: &DataSection, reason: &Reason) -> Vec<Diagnostic> {
    sections(data)
        .into_iter()
        .filter(|(_, corpora)| corpora.post_edit.is_none())
        .map(|(section, _)| {
            let path = format!("{section}.pe");
            let or =
                reason.changeable().map(|option| format!("; or set {option} to false")).unwrap_or_default();
            Diagnostic::error(
                Code::PostEdits,
                format!("{} needs post-edits, and {path} is missing", reason.who()),
            )
            .at(path)
            .found("no such key")
            .expected("a path, or a list of one or more paths")
            .help(format!("add the key \"pe\" with the corrected translations, line by line{or}"))
        })
        .collect()
}

/// The warnings about post-edits of a config, where no component needs them.
pub(crate) fn unread(config: &RunConfig, document: &Document) -> Vec<Diagnostic> {
    let help = match config.system.load {
        // A loaded system brings its head with it.
        Some(_) => "remove the key",
        None => {
            "remove the key; or have the head train on them: `TLMOutputs` does with fine_tune set to true"
        }
    };
    sections(&config.data)
        .into_iter()
        .filter(|(_, corpora)| corpora.post_edit.is_some())
        .map(|(section, _)| {
            let older = format!("{section}.post_edit");
            let path = if document.has(&older) { older } else { format!("{section}.pe") };
            let warning = Diagnostic::warning(
                Code::NoEffect,
                "the post-edits are not read: no part of the system needs them",
            )
            .at(path)
            .help(help);
            document.place(warning)
        })
        .collect()
}
