//! The configs that are shipped load without a word.

use super::*;

#[test]
fn the_example_is_small_and_complete() {
    let config = config_of(example(), &[]);
    assert_eq!(config.trainer.epochs, 5);
    assert_eq!(config.system.batch_size, BatchSize { train: Some(32), valid: Some(32) });
    assert_eq!(config.system.optimizers[0].learning_rate, 0.002);
    assert_eq!(config.data.train.source, [Path::new("train.src")]);
    assert_eq!(config.data.valid[0].files.target, [Path::new("valid.tgt")]);
    assert_eq!(config.system.model.unwrap().encoder.options["hidden_size"], 64);
}

#[test]
fn every_config_in_the_directory_of_configs_loads() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let mut count = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        // Of a sweep, whose file is another, tests of its own are made.
        if path.to_string_lossy().ends_with(".schema.json") || path.ends_with("sweep.json") {
            continue;
        }
        let loaded = load(&path, &[]).unwrap_or_else(|errors| panic!("{}: {errors:#?}", path.display()));
        assert_eq!(loaded.warnings, [], "{}", path.display());
        assert_eq!(loaded.document.file(), path);
        count += 1;
    }
    assert!(count >= 2);
}
