//! Seeds of libtorch's generator, a function of what is being computed alone: validation, workers and resuming cannot disturb
//! them, and there is no state to save.

/// What random numbers are drawn for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// Initial values of parameters.
    Initialization,
    /// A training batch, counted from the run's beginning.
    Training(u64),
    /// A validation batch.
    Validation(u64),
}

/// The seed for `purpose` in a run of `seed`, on `rank`.
pub(crate) fn seed_for(seed: u64, purpose: Purpose, rank: u64) -> u64 {
    let (phase, index) = match purpose {
        Purpose::Initialization => (0, 0),
        Purpose::Training(index) => (1, index),
        Purpose::Validation(index) => (2, index),
    };
    [phase, index, rank].into_iter().fold(mix(seed), |state, part| mix(state ^ part))
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014): every bit of the input changes half of the output's.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_purpose_has_a_seed_of_its_own() {
        let mut seen = HashSet::new();
        for seed in 0..4 {
            for rank in 0..4 {
                assert!(seen.insert(seed_for(seed, Purpose::Initialization, rank)));
                for index in 0..100 {
                    assert!(seen.insert(seed_for(seed, Purpose::Training(index), rank)));
                    assert!(seen.insert(seed_for(seed, Purpose::Validation(index), rank)));
                }
            }
        }
    }
}
