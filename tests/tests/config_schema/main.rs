//! The JSON Schema of configs against the program: what a stock validator accepts and what parse, fill, names and components accept
//! is the same, but for the rules that `kiwi_core::config::schema::unsaid` lists.

mod cases;
mod judges;

use std::sync::LazyLock;

use cases::{apply, bases, change, keys, places, pool, shipped};
use judges::{JUDGES, rule_of};
use kiwi_core::config;
use kiwi_tests::built;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

/// That schema and program agree about a config.
fn agree(config: &Value) -> Result<bool, String> {
    let refusals = JUDGES.refusals(config);
    let by_schema = JUDGES.accepts_by_schema(config);
    if refusals.is_empty() && !by_schema {
        let errors: Vec<_> = JUDGES
            .validator
            .iter_errors(config)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        return Err(format!("the schema refuses what the program accepts: {errors:#?}\n{config:#}"));
    }
    if by_schema {
        let rules: Vec<_> = refusals.iter().map(|refusal| rule_of(refusal, config)).collect();
        // A number that is read as none has further complaints follow, about keys that go with it.
        let follows = rules.contains(&Some("numbers"));
        for (refusal, rule) in refusals.iter().zip(&rules) {
            if rule.is_none() && !follows {
                let complaint = &refusal.complaint;
                return Err(format!(
                    "the schema accepts what the program refuses by no listed rule: {complaint:#?}\n{config:#}"
                ));
            }
        }
    }
    Ok(refusals.is_empty())
}

#[test]
fn the_schema_is_sound_and_says_so_by_the_draft_it_names() {
    assert_eq!(JUDGES.schema["$schema"], json!(config::schema::DRAFT));
    assert!(jsonschema::meta::is_valid(&JUDGES.schema));
}

/// With `KIWI_UPDATE_SNAPSHOTS=1` the file is written anew, to be read before it is committed.
#[test]
fn the_shipped_schema_is_the_one_of_the_built_in_plugins() {
    let file = built::root().join("configs/kiwi-host.schema.json");
    if std::env::var_os("KIWI_UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&file, format!("{:#}\n", JUDGES.schema)).unwrap();
    }
    let shipped: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert!(
        shipped == JUDGES.schema,
        "{} is not what `kiwi-host schema` prints: write it anew",
        file.display()
    );
}

#[test]
fn every_shipped_config_is_accepted_by_both() {
    for config in shipped() {
        assert_eq!(agree(&config), Ok(true));
        assert!(JUDGES.accepts_by_schema(&config));
    }
    let sound: Vec<bool> = bases().iter().map(|config| agree(config).unwrap()).collect();
    assert_eq!(sound.iter().filter(|sound| !**sound).count(), 1, "the system to load is not there");
}

/// Each place of the configs with all keys: what a random choice may miss.
#[test]
fn one_change_at_any_place() {
    const STRIDE: usize = 5;
    let (pool, mut accepted, mut total, mut wrong) = (pool(), 0, 0, Vec::new());
    let with_all_keys = bases().split_off(shipped().len());
    for base in with_all_keys {
        let mut all = Vec::new();
        places(&base, String::new(), &mut all);
        for (i, place) in all.iter().enumerate() {
            // Each value in turn: all of them at all places take minutes.
            for value in pool.iter().skip(i % STRIDE).step_by(STRIDE) {
                let mut config = base.clone();
                *config.pointer_mut(place).unwrap() = value.clone();
                total += 1;
                match agree(&config) {
                    Ok(sound) => accepted += usize::from(sound),
                    Err(error) => wrong.push(format!(
                        "{place} := {value}: {}",
                        error.split("\n{").next().unwrap_or_default()
                    )),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {total}:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
    assert!(accepted > 100 && accepted < total, "{accepted} of {total} are sound");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_changes_to_a_config(base in any::<Index>(), changes in prop::collection::vec(change(), 1..4)) {
        static BASES: LazyLock<Vec<Value>> = LazyLock::new(bases);
        static POOL: LazyLock<Vec<Value>> = LazyLock::new(pool);
        static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| {
            let mut found = Vec::new();
            keys(&JUDGES.schema, &mut found);
            found.sort();
            found.dedup();
            found
        });
        let mut config = base.get(&BASES).clone();
        for change in &changes {
            apply(&mut config, change, &KEYS, &POOL);
        }
        if let Err(error) = agree(&config) {
            prop_assert!(false, "{error}");
        }
    }
}
