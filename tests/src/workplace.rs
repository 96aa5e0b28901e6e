//! A folder of its own for a test: a toy corpus, configs, and the program run there as a user would run it, with an environment of
//! nothing but a home and where libtorch lies.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::built;
use crate::outcome::Outcome;
use crate::toy_corpus::{ToyCorpus, text};
use crate::trained::Trained;

/// Pairs of the training corpus.
pub const TRAINING_PAIRS: usize = 120;
/// Pairs of the validation corpus.
pub const VALIDATION_PAIRS: usize = 40;

/// The folder.
pub struct Workplace {
    folder: TempDir,
    program: PathBuf,
    pub train: ToyCorpus,
    pub valid: ToyCorpus,
}

impl Default for Workplace {
    fn default() -> Self {
        Self::new()
    }
}

impl Workplace {
    /// A folder with `train.src`, `train.tgt`, `valid.src` and `valid.tgt`, where the built program is run.
    ///
    /// # Panics
    /// When files cannot be written.
    #[must_use]
    pub fn new() -> Self {
        let workplace = Self {
            folder: tempfile::tempdir().expect("a folder"),
            program: built::program(),
            train: ToyCorpus::generate(TRAINING_PAIRS, 1),
            valid: ToyCorpus::generate(VALIDATION_PAIRS, 2),
        };
        for (name, corpus) in [("train", &workplace.train), ("valid", &workplace.valid)] {
            workplace.write(&format!("{name}.src"), &text(&corpus.source));
            workplace.write(&format!("{name}.tgt"), &text(&corpus.target));
        }
        workplace
    }

    /// The same, with a copy of the program, the engine and these plugins in `bin`; what else was built is not there.
    ///
    /// # Panics
    /// When files cannot be copied.
    #[must_use]
    pub fn with_copied_program(plugins: &[&str]) -> Self {
        let mut workplace = Self::new();
        let built = built::folder();
        for name in ["kiwi-host".to_owned(), "libkiwi_engine.so".to_owned()]
            .into_iter()
            .chain(plugins.iter().map(|name| format!("libkiwi_{name}.so")))
        {
            workplace.copy(&built.join(&name), &format!("bin/{name}"));
        }
        workplace.program = workplace.at("bin/kiwi-host");
        workplace
    }

    /// A path in the folder.
    ///
    /// # Panics
    /// When the folder is gone.
    #[must_use]
    pub fn at(&self, name: &str) -> PathBuf {
        // As the program sees it, with symbolic links resolved.
        fs::canonicalize(self.folder.path()).expect("the folder is there").join(name)
    }

    /// Writes a file.
    ///
    /// # Panics
    /// When that is not possible.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.at(name);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder");
        fs::write(&path, text).expect("a file");
        path
    }

    /// Copies a file to `name`, in place of what is there.
    ///
    /// # Panics
    /// When that is not possible.
    pub fn copy(&self, from: &Path, name: &str) -> PathBuf {
        let path = self.at(name);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder");
        let _ = fs::remove_file(&path);
        fs::copy(from, &path).unwrap_or_else(|error| panic!("{} cannot be copied: {error}", from.display()));
        path
    }

    /// The program with these arguments, to be run in the folder.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.at("home"))
            .env("LIBTORCH", built::libtorch())
            .current_dir(self.folder.path());
        command
    }

    /// Runs a shell script in the folder in namespaces of its own, as `unshare FLAGS` makes them; `$PROGRAM` is the program.
    #[must_use]
    #[track_caller]
    pub fn run_unshared(&self, flags: &str, script: &str) -> Outcome {
        let mut command = Command::new("unshare");
        command
            .args([flags, "sh", "-c", script])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.at("home"))
            .env("LIBTORCH", built::libtorch())
            .env("PROGRAM", &self.program)
            .current_dir(self.folder.path());
        Outcome::of(&mut command)
    }

    /// Runs the program.
    #[must_use]
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(&mut self.command(arguments))
    }

    /// Trains by [`config`] with these values in place of its own, into the directory `output`.
    #[must_use]
    #[track_caller]
    pub fn try_train(&self, output: &str, changes: &[(&str, Value)]) -> Outcome {
        let config = format!("{output}.json");
        self.write(&config, &format!("{:#}\n", config_with(changes)));
        self.run(&["train", &config, "--output-dir", output, "--threads", "1"])
    }

    /// The same, and it goes well.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    #[track_caller]
    pub fn train(&self, output: &str, changes: &[(&str, Value)]) -> Trained {
        let outcome = self.try_train(output, changes).ends_with(0);
        Trained { outcome, directory: self.at(output) }
    }
}

/// A config for the toy corpus: the built-in components, small, 8 batches an epoch.
#[must_use]
pub fn config() -> Value {
    json!({
        "run": {"seed": 7},
        "trainer": {"epochs": 2, "log_interval": 1},
        "data": {
            "train": {"input": {"source": "train.src", "target": "train.tgt"}},
            "valid": {"input": {"source": "valid.src", "target": "valid.tgt"}},
        },
        "system": {
            "class_name": "Predictor",
            "model": {
                "encoder": {
                    "hidden_size": 16,
                    "rnn_layers": 1,
                    "out_embeddings_dim": 16,
                    "embeddings": {"source": {"dim": 16}, "target": {"dim": 16}},
                },
            },
            "optimizer": {"class_name": "adam", "learning_rate": 0.01},
            "batch_size": {"train": 15, "valid": 16},
            "num_data_workers": 1,
        },
    })
}

/// [`config`] with other values at these paths, such as `trainer.epochs`; null takes a key out.
#[must_use]
pub fn config_with(changes: &[(&str, Value)]) -> Value {
    let mut config = config();
    for (path, value) in changes {
        let mut at = &mut config;
        let mut keys: Vec<&str> = path.split('.').collect();
        let last = keys.pop().unwrap_or_default();
        for key in keys {
            at = &mut at[key];
        }
        if at.is_null() {
            *at = Value::Object(Map::new());
        }
        match at.as_object_mut() {
            Some(object) if value.is_null() => drop(object.remove(last)),
            Some(object) => drop(object.insert(last.to_owned(), value.clone())),
            None => panic!("{path} leads through what is no object"),
        }
    }
    config
}
