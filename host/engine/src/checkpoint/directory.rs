//! The directory of a run.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use kiwi_core::config::RunConfig;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::run_directory::{RUNS, is_run, named};
use serde::{Deserialize, Serialize};

use super::files;

/// Runs that are named where one to resume must be chosen.
const NAMED: usize = 5;

/// The directory of a run: `config.json`, `output.log`, `checkpoints/` and `resume/`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RunDirectory {
    path: PathBuf,
    /// 32 hexadecimal digits: the config's, or drawn.
    run_id: String,
}

impl RunDirectory {
    /// The directory of a new run: the one that the config names, else `runs/0/<run id>`; nothing is made yet.
    ///
    /// # Errors
    /// When it holds anything already.
    pub(crate) fn choose(config: &RunConfig) -> Result<Self, Failure> {
        let run_id = run_id(config);
        let path = config.run.output_dir.clone().unwrap_or_else(|| Path::new(RUNS).join(&run_id));
        let refuse = |problem: &str, help: &str| {
            Failure::new(
                ExitCode::Invalid,
                Diagnostic::error(Code::DirectoryTaken, format!("the directory of the run {problem}"))
                    .at("run.output_dir")
                    .found(path.display().to_string())
                    .expected("a directory that is empty or does not exist yet")
                    .help(help.to_owned()),
            )
        };
        match fs::read_dir(&path) {
            Ok(entries) => {
                if !entries.flatten().all(|entry| is_left_of_a_beginning(&entry.path())) {
                    let help = if is_run(&path) {
                        "go on with the run in it by --resume, choose another with --output-dir or run.output_dir, or move it away"
                    } else {
                        "choose another with --output-dir or run.output_dir, or move the old run away"
                    };
                    return Err(refuse("is in use already, and nothing in it is overwritten", help));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(refuse(&format!("cannot be used: {error}"), "choose another with --output-dir"));
            }
        }
        Ok(Self { path, run_id })
    }

    /// The directory of the run that the config asks to resume.
    ///
    /// # Errors
    /// When it names none, or none that a run has begun in.
    pub(crate) fn to_resume(config: &RunConfig) -> Result<Self, Failure> {
        let Some(path) = named(&config.run) else {
            let mut error =
                Diagnostic::error(Code::NothingToResume, "which run is to be resumed is not said")
                    .at("run.output_dir")
                    .expected("the directory of a run")
                    .help("name it with --output-dir or run.output_dir");
            let newest = newest_runs();
            match newest.first() {
                Some(first) => {
                    error = error.found("neither output_dir nor run_id").nearest(Some(first.clone()));
                    error.notes = newest.iter().map(|run| format!("there is {run}")).collect();
                }
                None => error = error.note(format!("no run was found in {RUNS} of the current directory")),
            }
            return Err(Failure::new(ExitCode::Invalid, error));
        };
        if is_run(&path) {
            return Ok(Self { path, run_id: run_id(config) });
        }
        let found = match fs::read_dir(&path).map(Iterator::count) {
            Ok(0) => "an empty directory".to_owned(),
            Ok(_) if path.join("config.json").exists() => {
                "a directory whose config.json is none of a run".to_owned()
            }
            Ok(_) => "a directory without a config.json".to_owned(),
            Err(error) => error.to_string(),
        };
        Err(Failure::new(
            ExitCode::Invalid,
            Diagnostic::error(Code::NothingToResume, "there is nothing to resume")
                .at("run.output_dir")
                .found(format!("{}: {found}", path.display()))
                .expected("the directory of a run, with its config.json and its resume points in resume/")
                .help("name the directory of the run with --output-dir, or leave out --resume (trainer.resume) to begin a new run"),
        ))
    }

    /// This directory.
    #[cfg(test)]
    pub(super) fn at(path: &str) -> Self {
        Self { path: PathBuf::from(path), run_id: String::new() }
    }

    /// Makes the directory and writes the config that is used into it. One that is there and says something else is kept beside it.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn create(&self, config: &RunConfig) -> Result<(), Failure> {
        let refuse = |path: &Path, error: &dyn std::fmt::Display| {
            Failure::new(
                ExitCode::Invalid,
                Diagnostic::error(
                    Code::DirectoryUnwritable,
                    format!("cannot write {}: {error}", path.display()),
                )
                .at("run.output_dir")
                .help("choose a directory that can be written with --output-dir or run.output_dir"),
            )
        };
        for folder in [self.checkpoints(), self.resume_points()] {
            fs::create_dir_all(&folder).map_err(|error| refuse(&folder, &error))?;
        }
        let file = self.path.join("config.json");
        // Whether to resume is said by who goes on, not by the run.
        let mut config = config.clone();
        config.trainer.resume = false;
        let text = config.to_json().map_err(|error| refuse(&file, &error))?;
        let before = fs::read_to_string(&file).ok().filter(|before| before.trim_end() != text);
        let mut places = (1..).map(|number: u32| self.path.join(format!("config.{number}.json")));
        if let Some((before, kept)) = before.zip(places.find(|kept| !kept.exists())) {
            files::write_text(&kept, before.trim_end()).map_err(|error| refuse(&kept, &error))?;
        }
        files::write_text(&file, &text).map_err(|error| refuse(&file, &error))?;
        // What an earlier part of the run came to is not what this one does.
        let _ = fs::remove_file(self.path.join("summary.json"));
        Ok(())
    }

    /// Makes it this process's until the file that comes back is closed, so that no two train in it.
    ///
    /// # Errors
    /// When another process has it.
    pub(crate) fn lock(&self) -> Result<Option<File>, Failure> {
        let path = self.path.join(".lock");
        // Where no file can be locked, nothing is kept from anybody; why a directory cannot be made is told by who writes into it.
        let _ = fs::create_dir_all(&self.path);
        let Ok(file) = File::options().create(true).append(true).open(&path) else { return Ok(None) };
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(Failure::new(
                ExitCode::Invalid,
                Diagnostic::error(
                    Code::DirectoryTaken,
                    "another process is at work in the directory of the run",
                )
                .at("run.output_dir")
                .found(format!("{} is locked", path.display()))
                .help("wait until it has ended, or end it; a signal has it save a resume point"),
            )),
            _ => Ok(Some(file)),
        }
    }

    /// Removes what an interrupted run has left of files that it was writing; how many.
    pub(crate) fn remove_partial_files(&self) -> usize {
        let own = |name: &str| {
            name.starts_with(".optimizer") || ["config", "summary"].iter().any(|own| name.starts_with(own))
        };
        let any = |_: &str| true;
        files::remove_partial(&self.path, own)
            + files::remove_partial(&self.checkpoints(), any)
            + files::remove_partial(&self.resume_points(), any)
    }

    /// The id of a run that begins in it.
    pub(crate) fn run_id(&self) -> &str {
        &self.run_id
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where systems are kept.
    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// Where resume points are kept.
    pub(crate) fn resume_points(&self) -> PathBuf {
        self.path.join("resume")
    }
}

/// Whether this is all that a run leaves which is ended while it makes its directory: nothing that anybody could miss.
fn is_left_of_a_beginning(path: &Path) -> bool {
    match path.file_name().and_then(|name| name.to_str()) {
        Some(".lock" | "config.partial") => path.is_file(),
        Some("checkpoints" | "resume") => {
            fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
        }
        _ => false,
    }
}

fn run_id(config: &RunConfig) -> String {
    config.run.run_id.clone().unwrap_or_else(|| format!("{:032x}", rand::random::<u128>()))
}

/// Directories of runs that were begun last, newest first.
fn newest_runs() -> Vec<String> {
    let entries = fs::read_dir(RUNS).into_iter().flatten().flatten();
    let mut runs: Vec<_> = entries
        .filter_map(|entry| {
            let changed = entry.path().join("config.json").metadata().ok()?.modified().ok()?;
            is_run(&entry.path()).then_some(())?;
            Some((changed, entry.path().display().to_string()))
        })
        .collect();
    runs.sort_by(|a, b| b.cmp(a));
    runs.into_iter().take(NAMED).map(|(_, path)| path).collect()
}
