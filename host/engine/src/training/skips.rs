//! Training batches that cannot be used: counted, told, and in the end too many.

use kiwi_core::config::OnTrouble;
use serde::{Deserialize, Serialize};

/// Batches in a row that may be skipped.
const IN_A_ROW: u64 = 10;
/// Of so many batches one may be skipped, once as many as make [`IN_A_ROW`] are done.
const ONE_IN: u64 = 20;

/// Why a batch cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reason {
    NotFinite,
    OutOfMemory,
}

/// How many batches were skipped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Skips {
    not_finite: u64,
    out_of_memory: u64,
    in_a_row: u64,
}

/// Whether to go on after a batch that cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The config says to stop.
    Stop,
    /// It is skipped.
    Skip,
    /// It would be skipped, but too many were: why they are too many.
    TooMany(String),
}

impl Skips {
    /// A batch was used.
    pub(super) fn used(&mut self) {
        self.in_a_row = 0;
    }

    /// A batch cannot be used, after `batches` of the run.
    pub(super) fn skip(&mut self, reason: Reason, choice: OnTrouble, batches: u64) -> Verdict {
        if choice == OnTrouble::Stop {
            return Verdict::Stop;
        }
        match reason {
            Reason::NotFinite => self.not_finite += 1,
            Reason::OutOfMemory => self.out_of_memory += 1,
        }
        self.in_a_row += 1;
        let all = self.not_finite + self.out_of_memory;
        if self.in_a_row > IN_A_ROW {
            Verdict::TooMany(format!("{} batches in a row were skipped, more than {IN_A_ROW}", self.in_a_row))
        } else if all > IN_A_ROW && all.saturating_mul(ONE_IN) > batches {
            Verdict::TooMany(format!("{all} of {batches} batches were skipped, more than one in {ONE_IN}"))
        } else {
            Verdict::Skip
        }
    }

    /// How many, by the names of the summary; reasons with none are left out.
    pub(super) fn by_reason(&self) -> Vec<(&'static str, u64)> {
        let all = [("not_finite", self.not_finite), ("out_of_memory", self.out_of_memory)];
        all.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// How many in all.
    pub(super) fn all(&self) -> u64 {
        self.not_finite + self.out_of_memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_skipped_and_many_are_too_many() {
        let mut skips = Skips::default();
        assert_eq!(skips.skip(Reason::NotFinite, OnTrouble::Stop, 5), Verdict::Stop);
        assert_eq!(skips.all(), 0);
        for batch in 1..=10 {
            assert_eq!(skips.skip(Reason::OutOfMemory, OnTrouble::Skip, batch), Verdict::Skip);
        }
        let mut in_a_row = skips.clone();
        assert!(matches!(in_a_row.skip(Reason::NotFinite, OnTrouble::Skip, 1000), Verdict::TooMany(_)));
        skips.used();
        assert_eq!(skips.clone().skip(Reason::NotFinite, OnTrouble::Skip, 1000), Verdict::Skip);
        let verdict = skips.skip(Reason::NotFinite, OnTrouble::Skip, 100);
        assert_eq!(
            verdict,
            Verdict::TooMany("11 of 100 batches were skipped, more than one in 20".to_owned())
        );
        assert_eq!(skips.by_reason(), [("not_finite", 1), ("out_of_memory", 10)]);
    }
}
