//! What goes with each size of a model: which corpora it is for, and what of tokens, types, steps and learning rate suits it.

use super::Device;
use super::choices::count;
use crate::arguments::SizeArgument;

/// The name of a size as it is typed.
pub(super) const fn name(size: SizeArgument) -> &'static str {
    match size {
        SizeArgument::Small => "small",
        SizeArgument::Base => "base",
        SizeArgument::Large => "large",
    }
}

/// The size that is asked for, else what suits corpus and device; and why.
pub(super) fn size(asked: Option<SizeArgument>, pairs: usize, device: &Device) -> (SizeArgument, String) {
    if let Some(size) = asked {
        return (size, "as asked for".to_owned());
    }
    let pairs_told = count(pairs as u64, "pair");
    match (device.cuda, pairs) {
        (_, ..50_000) => {
            (SizeArgument::Small, format!("{pairs_told} are few: a larger model would learn them by heart"))
        }
        (false, _) => (
            SizeArgument::Small,
            "on a CPU a larger model takes days; --size base if you have them".to_owned(),
        ),
        (true, ..3_000_000) => (SizeArgument::Base, format!("{pairs_told}, on a GPU")),
        (true, _) => (SizeArgument::Large, format!("{pairs_told}, on a GPU")),
    }
}

/// Most tokens in a batch.
pub(super) const fn budget(size: SizeArgument, cuda: bool) -> u64 {
    match (cuda, size) {
        (false, SizeArgument::Small) => 2_048,
        (false, _) => 4_096,
        (true, SizeArgument::Small | SizeArgument::Base) => 16_384,
        (true, SizeArgument::Large) => 24_576,
    }
}

/// Most types of a side.
pub(super) const fn largest_vocabulary(size: SizeArgument) -> usize {
    match size {
        SizeArgument::Small => 20_000,
        SizeArgument::Base => 40_000,
        SizeArgument::Large => 60_000,
    }
}

/// Optimizer steps that suit a model.
pub(super) const fn wanted_steps(size: SizeArgument) -> u64 {
    match size {
        SizeArgument::Small => 10_000,
        SizeArgument::Base => 40_000,
        SizeArgument::Large => 100_000,
    }
}

/// The learning rate, at its peak where it has one.
pub(super) const fn learning_rate(size: SizeArgument) -> f64 {
    match size {
        SizeArgument::Small => 0.002,
        SizeArgument::Base => 0.001,
        SizeArgument::Large => 0.0005,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_follows_from_corpus_and_device() {
        let device = |cuda| Device { cuda, why: String::new(), warning: None };
        let chosen = |asked, pairs, cuda| size(asked, pairs, &device(cuda)).0;
        assert_eq!(chosen(None, 100, true), SizeArgument::Small);
        assert_eq!(chosen(None, 1_000_000, false), SizeArgument::Small);
        assert_eq!(chosen(None, 1_000_000, true), SizeArgument::Base);
        assert_eq!(chosen(None, 9_000_000, true), SizeArgument::Large);
        assert_eq!(chosen(Some(SizeArgument::Large), 1, false), SizeArgument::Large);
    }
}
