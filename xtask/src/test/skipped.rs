//! What tests left out: a test that cannot run on this machine passes and prints a line `skipped: REASON`.
//!
//! Such lines would be lost in the output of a green run, so they are counted and shown at its end.

use std::collections::BTreeMap;

const PREFIX: &str = "skipped: ";

/// Reasons for leaving something out, and how often each was given.
#[derive(Debug, Default)]
pub(super) struct Skipped {
    reasons: BTreeMap<String, usize>,
}

impl Skipped {
    /// Counts the line if it is one of those.
    pub(super) fn add_line(&mut self, line: &str) {
        if let Some(reason) = line.trim().strip_prefix(PREFIX) {
            self.note(reason.trim());
        }
    }

    /// Counts a reason.
    pub(super) fn note(&mut self, reason: &str) {
        *self.reasons.entry(reason.to_owned()).or_default() += 1;
    }

    /// The number and the reasons, as lines.
    pub(super) fn summary(&self) -> String {
        let total: usize = self.reasons.values().sum();
        let mut summary = format!("left out by tests that could not run here: {total}\n");
        for (reason, number) in &self.reasons {
            summary += &format!("{number:5}  {reason}\n");
        }
        summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_and_other_lines_are_not() {
        let mut skipped = Skipped::default();
        for line in ["skipped: no GPU", "  skipped: no GPU ", "skipped: no torchrun", "it skipped: this", ""]
        {
            skipped.add_line(line);
        }
        let expected = "left out by tests that could not run here: 3\n    2  no GPU\n    1  no torchrun\n";
        assert_eq!(skipped.summary(), expected);
    }
}
