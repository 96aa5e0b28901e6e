//! Options of every sort and of none: each built-in component reads or refuses them, and never breaks.

use kiwi_plugin_api::abi::host::ComponentHandle;
use kiwi_tests::built::component;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

const COMPONENTS: [(&str, &str, &str); 5] = [
    ("encoders", "encoder", "PredictorEncoder"),
    ("heads", "head", "TLMOutputs"),
    ("optimizers", "optimizer", "adam"),
    ("optimizers", "optimizer", "sgd"),
    ("metrics", "metric", "PERP"),
];

fn scalar(random: &mut ChaCha8Rng) -> Value {
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(-1),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(0.5),
        json!(2.0),
        json!(-1e300),
        json!(""),
        json!("8"),
        json!("ein Wort"),
        json!([]),
        json!({}),
    ];
    values.choose(random).expect("there are some").clone()
}

/// An object of these keys and of others, up to `depth` deep.
fn object(random: &mut ChaCha8Rng, keys: &[String], depth: usize) -> Value {
    let mut members = Map::new();
    for _ in 0..random.random_range(0..5) {
        let key = match keys.choose(random) {
            Some(key) if random.random_range(0..4) > 0 => key.clone(),
            _ => ["", "a.b", "x", "Größe", "[0]"].choose(random).expect("there are some").to_string(),
        };
        let value = match random.random_range(0..4) {
            0 if depth > 0 => object(random, keys, depth - 1),
            1 => Value::Array((0..random.random_range(0..3)).map(|_| scalar(random)).collect()),
            _ => scalar(random),
        };
        members.insert(key, value);
    }
    Value::Object(members)
}

/// Every key in a JSON Schema, at any depth.
fn keys(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get("properties") {
                found.extend(properties.keys().cloned());
            }
            members.values().for_each(|member| keys(member, found));
        }
        Value::Array(elements) => elements.iter().for_each(|element| keys(element, found)),
        _ => {}
    }
}

fn needs(handle: &ComponentHandle, kind: &str, config: &Value) {
    match kind {
        "encoder" => drop(handle.encoder_needs(config).unwrap()),
        "head" => drop(handle.head_needs(config).unwrap()),
        _ => {}
    }
}

#[test]
fn any_options_are_read_or_refused() {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    for (plugin, kind, class) in COMPONENTS {
        let handle = component(plugin, kind, class);
        let mut known = Vec::new();
        keys(&handle.schema().unwrap(), &mut known);
        let (mut read, mut refused) = (0, 0);
        for _ in 0..400 {
            let options = if random.random_range(0..20) == 0 {
                scalar(&mut random)
            } else {
                object(&mut random, &known, 2)
            };
            let report = handle.check(&options).unwrap_or_else(|error| panic!("{class}: {options}: {error}"));
            for problem in &report.errors {
                let said = format!("{class}: {options}: {problem:?}");
                assert!(!problem.message.is_empty() && !problem.message.contains("panic"), "{said}");
                assert!(
                    problem.help.is_some() || problem.expected.is_some(),
                    "what to do is missing: {said}"
                );
            }
            match (report.config, report.errors.is_empty()) {
                (Some(config), true) => {
                    read += 1;
                    needs(&handle, kind, &config);
                    // What was filled in means the same when it is read again.
                    let again = handle.check(&config).unwrap();
                    assert_eq!((again.config, again.errors), (Some(config), vec![]), "{class}: {options}");
                }
                (_, false) => refused += 1,
                (None, true) => panic!("{class}: {options} is neither read nor refused"),
            }
        }
        assert!(read > 0 && refused > 50, "{class}: {read} were read and {refused} refused");
    }
}
