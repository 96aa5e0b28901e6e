//! The values of each trial. Drawn values depend on the sweep's seed, the parameters and the trial's number alone, and are
//! written out here, so that no library's version changes them.

use kiwi_core::config::sweep::{Method, Parameter, Space, Sweep};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// A trial is drawn anew so often at most if it is one that there is already. Where that is not enough the combinations that are
/// left are gone through.
const TRIES: usize = 1000;

/// The values of a trial, in the order of the parameters.
pub type Values = Vec<Value>;

/// The values of all trials, in the order of their numbers.
#[must_use]
pub fn trials(sweep: &Sweep) -> Vec<Values> {
    match sweep.method {
        Method::Grid => grid(&sweep.parameters),
        Method::Random { trials, seed } | Method::SuccessiveHalving { trials, seed, .. } => {
            random(&sweep.parameters, trials, seed)
        }
    }
}

/// Every combination; the last parameter changes from one to the next.
fn grid(parameters: &[Parameter]) -> Vec<Values> {
    let combinations = parameters.iter().map(|parameter| parameter.space.count().unwrap_or(0)).product();
    (0..combinations).map(|place| combination(parameters, place)).collect()
}

/// The combination at a place of the grid.
fn combination(parameters: &[Parameter], mut place: u64) -> Values {
    let mut values: Values = Vec::with_capacity(parameters.len());
    for parameter in parameters.iter().rev() {
        let count = parameter.space.count().unwrap_or(1).max(1);
        values.push(nth(&parameter.space, place % count));
        place /= count;
    }
    values.reverse();
    values
}

/// The value at a place of a space that can be counted.
fn nth(space: &Space, place: u64) -> Value {
    match space {
        Space::Values(values) => {
            usize::try_from(place).ok().and_then(|place| values.get(place)).cloned().unwrap_or_default()
        }
        Space::Integers { low, step, .. } => {
            // Within the bounds, so that nothing overflows.
            low.wrapping_add_unsigned(place.wrapping_mul(step.unsigned_abs())).into()
        }
        Space::Uniform { low, .. } | Space::LogUniform { low, .. } => (*low).into(),
    }
}

fn random(parameters: &[Parameter], trials: usize, seed: u64) -> Vec<Values> {
    let countable = parameters.iter().all(|parameter| parameter.space.count().is_some());
    let mut drawn: Vec<Values> = Vec::with_capacity(trials);
    for number in 0..trials {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(number as u64);
        let mut draw = || -> Values {
            parameters.iter().map(|parameter| value(&parameter.space, &mut random)).collect()
        };
        let mut values = draw();
        let mut tries = 1;
        while drawn.contains(&values) && tries < TRIES {
            values = draw();
            tries += 1;
        }
        if countable && drawn.contains(&values) {
            let missing =
                (0..).map(|place| combination(parameters, place)).find(|values| !drawn.contains(values));
            values = missing.unwrap_or(values);
        }
        drawn.push(values);
    }
    drawn
}

fn value(space: &Space, random: &mut ChaCha8Rng) -> Value {
    match space {
        Space::Uniform { low, high } => {
            let share = share(random);
            rounded(low * (1.0 - share) + high * share, *low, *high).into()
        }
        Space::LogUniform { low, high } => {
            let share = share(random);
            rounded((low.ln() * (1.0 - share) + high.ln() * share).exp(), *low, *high).into()
        }
        countable => {
            let count = countable.count().unwrap_or(1);
            let place = (u128::from(random.next_u64()) * u128::from(count)) >> 64;
            nth(countable, u64::try_from(place).unwrap_or(0))
        }
    }
}

/// A number in [0, 1), of 53 bits.
fn share(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// The number with five digits: nobody needs more, and tables are read by people.
fn rounded(number: f64, low: f64, high: f64) -> f64 {
    let rounded = format!("{number:.4e}").parse().unwrap_or(number);
    rounded.clamp(low, high)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parameter(path: &str, space: Space) -> Parameter {
        Parameter { path: path.to_owned(), space, place: String::new() }
    }

    fn text(values: &Values) -> String {
        Value::from(values.clone()).to_string()
    }

    #[test]
    fn a_grid_has_each_combination_once() {
        let parameters = [
            parameter("a", Space::Values(vec![json!("x"), json!({"y": 1})])),
            parameter("b", Space::Integers { low: -2, high: 3, step: 2 }),
        ];
        let trials: Vec<_> = grid(&parameters).iter().map(text).collect();
        let expected = [
            r#"["x",-2]"#,
            r#"["x",0]"#,
            r#"["x",2]"#,
            r#"[{"y":1},-2]"#,
            r#"[{"y":1},0]"#,
            r#"[{"y":1},2]"#,
        ];
        assert_eq!(trials, expected);
    }

    #[test]
    fn draws_are_what_they_always_were() {
        let parameters = [
            parameter("rate", Space::LogUniform { low: 1e-4, high: 1e-1 }),
            parameter("dropout", Space::Uniform { low: 0.0, high: 0.5 }),
            parameter("size", Space::Integers { low: 16, high: 64, step: 16 }),
        ];
        let trials: Vec<_> = random(&parameters, 3, 7).iter().map(text).collect();
        assert_eq!(trials, RECORDED);
        // More trials leave those before as they are; another seed does not.
        assert_eq!(random(&parameters, 9, 7)[..3], random(&parameters, 3, 7)[..]);
        assert_ne!(random(&parameters, 3, 8), random(&parameters, 3, 7));
    }

    const RECORDED: [&str; 3] =
        ["[0.00029743,0.083995,48]", "[0.094695,0.0045257,48]", "[0.00079503,0.18877,16]"];

    #[test]
    fn no_two_trials_are_the_same_down_to_the_last_combination() {
        let parameters = [
            parameter("a", Space::Values((0..5).map(Value::from).collect())),
            parameter("b", Space::Integers { low: 1, high: 6, step: 1 }),
        ];
        let trials: BTreeSet<_> = random(&parameters, 30, 3).iter().map(text).collect();
        assert_eq!(trials.len(), 30);
    }

    #[test]
    fn a_logarithmic_space_is_drawn_from_evenly_in_its_decades() {
        let parameters = [parameter("rate", Space::LogUniform { low: 1e-4, high: 1.0 })];
        let mut decades = [0; 4];
        for values in random(&parameters, 2000, 1) {
            let decade = -values[0].as_f64().unwrap().log10().floor() as usize;
            decades[decade - 1] += 1;
        }
        assert!(decades.iter().all(|count| (430..570).contains(count)), "{decades:?}");
    }

    proptest! {
        #[test]
        fn draws_lie_within_their_bounds(seed in any::<u64>(), low in -1e6..1e6, length in 1e-6..1e6) {
            let high = low + length;
            prop_assume!(low < high);
            let logarithmic = Space::LogUniform { low: length, high: length * 10.0 };
            let parameters = [
                parameter("a", Space::Uniform { low, high }),
                parameter("b", logarithmic),
                parameter("c", Space::Integers { low: i64::MIN, high: i64::MAX, step: 3 }),
            ];
            for values in random(&parameters, 20, seed) {
                prop_assert!((low..=high).contains(&values[0].as_f64().unwrap()));
                prop_assert!((length..=length * 10.0).contains(&values[1].as_f64().unwrap()));
                prop_assert!(values[2].as_i64().is_some());
            }
        }
    }
}
