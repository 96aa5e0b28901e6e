//! The directory of a run.

use std::fs;
use std::path::{Path, PathBuf};

use kiwi_core::config::RunConfig;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::exit_code::ExitCode;

/// The directory of a run: `config.json`, `output.log` and `checkpoints/`.
#[derive(Debug, Clone)]
pub(crate) struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    /// The directory that the config names, else `runs/0/<run id>`; nothing is made yet.
    ///
    /// # Errors
    /// When it holds anything already.
    pub(crate) fn choose(config: &RunConfig) -> Result<Self, Failure> {
        let path = match &config.run.output_dir {
            Some(path) => path.clone(),
            None => {
                let id =
                    config.run.run_id.clone().unwrap_or_else(|| format!("{:032x}", rand::random::<u128>()));
                Path::new("runs").join("0").join(id)
            }
        };
        let refuse = |problem: &str, help: &str| {
            Failure::new(
                ExitCode::Invalid,
                Diagnostic::error(format!("the directory of the run {problem}"))
                    .at("run.output_dir")
                    .found(path.display().to_string())
                    .expected("a directory that is empty or does not exist yet")
                    .help(help.to_owned()),
            )
        };
        match fs::read_dir(&path) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(refuse(
                        "is in use already, and nothing in it is overwritten",
                        "choose another with --output-dir or run.output_dir, or move the old run away",
                    ));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(refuse(&format!("cannot be used: {error}"), "choose another with --output-dir"));
            }
        }
        Ok(Self { path })
    }

    /// Makes the directory and writes the config that is used into it.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn create(&self, config: &RunConfig) -> Result<(), Failure> {
        let refuse = |path: &Path, error: &dyn std::fmt::Display| {
            Failure::new(
                ExitCode::Invalid,
                Diagnostic::error(format!("cannot write {}: {error}", path.display()))
                    .at("run.output_dir")
                    .help("choose a directory that can be written with --output-dir or run.output_dir"),
            )
        };
        fs::create_dir_all(self.checkpoints()).map_err(|error| refuse(&self.path, &error))?;
        let file = self.path.join("config.json");
        let text = config.to_json().map_err(|error| refuse(&file, &error))?;
        super::save::write_text(&file, &text).map_err(|error| refuse(&file, &error))
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where systems are kept.
    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }
}
