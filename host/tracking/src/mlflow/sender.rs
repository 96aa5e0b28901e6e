//! Sends what a run's directory holds and the server has not. It works by passes: each goes on where the cursor stands, and moves
//! it after every request, so that a pass may end anywhere.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use kiwi_core::tracking_uri::ServerUri;

use super::api::{METRICS, Metric, NewRun, PARAMETERS, RunInfo, State};
use super::artifacts::{Store, is_below};
use super::client::Client;
use super::cursor::{Cursor, Cursors, FILE, Lock, Version};
use super::recorded::{CONFIG, beginning, read_config, take_in};
use super::{Error, Settings, entries};
use crate::journal;
use crate::record::Started;

/// What a config says if it names no experiment.
const NO_EXPERIMENT: &str = "default";

/// What is sent of a run's directory once the run has ended, and the config before.
const ARTIFACTS: [&str; 3] = [CONFIG, "output.log", "summary.json"];

/// How much was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// Values of metrics.
    pub(super) values: u64,
    pub(super) parameters: u64,
    /// Files.
    pub(super) artifacts: u64,
}

/// Which files are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Files {
    /// Those of a run that has ended, once it has.
    WhenEnded,
    /// Those that there are.
    Now,
}

/// Sends one run to one server.
#[derive(Debug)]
pub(super) struct Sender {
    directory: PathBuf,
    client: Client,
    /// The experiment where the record names none of its own.
    experiment: Option<String>,
    files: Files,
    /// Whether the best system is among them.
    best: bool,
    /// Whether the server was seen to have the run.
    checked: bool,
    sent: Sent,
    refused: u64,
    first_refused: Option<String>,
    warned_of_store: bool,
    warnings: Vec<String>,
}

impl Sender {
    pub(super) fn new(
        directory: &Path,
        server: &ServerUri,
        settings: &Settings,
        files: Files,
        best: bool,
    ) -> Self {
        Self {
            directory: directory.to_path_buf(),
            client: Client::new(server, settings),
            experiment: settings.experiment.clone(),
            files,
            best,
            checked: false,
            sent: Sent::default(),
            refused: 0,
            first_refused: None,
            warned_of_store: false,
            warnings: Vec::new(),
        }
    }

    /// Address of the server.
    pub(super) fn server(&self) -> &str {
        &self.client.uri.address
    }

    /// What was sent since the last call.
    pub(super) fn take_sent(&mut self) -> Sent {
        std::mem::take(&mut self.sent)
    }

    /// What could not be sent and never will be, since the last call.
    pub(super) fn take_warnings(&mut self) -> Vec<String> {
        if let Some(first) = self.first_refused.take() {
            let number = std::mem::take(&mut self.refused);
            self.warnings.push(format!(
                "the MLflow server {} refused {number} of the run's parameters, values and files, which are passed over; the \
                 first: {first}",
                self.server()
            ));
        }
        std::mem::take(&mut self.warnings)
    }

    /// Sends all that is there and was not sent. `None` if the record has not begun.
    pub(super) fn pass(&mut self) -> Result<Option<Cursor>, Error> {
        let Some((started, since)) = beginning(&self.directory)? else { return Ok(None) };
        let _lock = Lock::take(&self.directory)?;
        let (mut cursors, damaged) = Cursors::load(&self.directory)?;
        if damaged {
            self.warnings.push(format!(
                "{} is damaged: the run is looked for at the MLflow server by its id, and sent from its beginning",
                self.directory.join(FILE).display()
            ));
        }
        let done = self.send(&mut cursors, &started, since);
        if done.is_err() {
            self.checked = false;
        }
        done?;
        Ok(Some(cursors.of(self.server()).clone()))
    }

    fn send(&mut self, cursors: &mut Cursors, started: &Started, since: i64) -> Result<(), Error> {
        self.find(cursors, started, since)?;
        self.parameters(cursors)?;
        self.values(cursors)?;
        self.state(cursors)?;
        // Last: a large file may take longer than the end of a run waits.
        self.artifacts(cursors)
    }

    fn cursor<'a>(&self, cursors: &'a mut Cursors) -> &'a mut Cursor {
        cursors.of(self.server())
    }

    /// Sees to it that the server has the run.
    fn find(&mut self, cursors: &mut Cursors, started: &Started, since: i64) -> Result<(), Error> {
        let cursor = self.cursor(cursors);
        if !cursor.run_id.is_empty() && !self.checked {
            match self.client.run(&cursor.run_id) {
                Ok(info) if info.is_deleted() => return Err(self.deleted(&info)),
                Ok(_) => self.checked = true,
                Err(error) if error.is_missing() => {
                    self.warnings.push(format!(
                        "the MLflow server {} no longer has the run {}: it is sent as a new one, from its beginning",
                        self.server(),
                        cursor.run_id
                    ));
                    *cursor = Cursor { server: cursor.server.clone(), ..Cursor::default() };
                }
                Err(error) => return Err(error),
            }
        }
        let cursor = self.cursor(cursors);
        if cursor.run_id.is_empty() {
            let own = self.experiment.as_deref().filter(|_| started.experiment == NO_EXPERIMENT);
            let experiment = self.client.experiment(own.unwrap_or(&started.experiment))?;
            // A request may have been answered without the answer having come.
            let info = match self.client.find_run(&experiment, &started.run_id)? {
                Some(info) => info,
                None => {
                    let name: String = started.run_id.chars().take(8).collect();
                    let new = NewRun {
                        experiment: &experiment,
                        run_id: &started.run_id,
                        name: &name,
                        started: since,
                    };
                    cursor.told = Some(State::Running);
                    self.client.create_run(&new)?
                }
            };
            cursor.experiment_id = experiment;
            cursor.run_id = info.run_id;
            cursor.artifact_uri = info.artifact_uri;
            self.checked = true;
            cursors.save(&self.directory)?;
        }
        Ok(())
    }

    fn parameters(&mut self, cursors: &mut Cursors) -> Result<(), Error> {
        let cursor = self.cursor(cursors);
        let Some(config) = read_config(&self.directory)? else { return Ok(()) };
        let mut parameters = entries::parameters(&config);
        parameters.retain(|one| cursor.parameters.get(&one.key) != Some(&one.value));
        let run = cursor.run_id.clone();
        for some in parameters.chunks(PARAMETERS) {
            let sent = self
                .accepted(&run, some, Client::log_parameters, |one| format!("the parameter {}", one.key))?;
            self.sent.parameters += sent;
            let dealt_with = some.iter().map(|one| (one.key.clone(), one.value.clone()));
            self.cursor(cursors).parameters.extend(dealt_with);
            cursors.save(&self.directory)?;
        }
        Ok(())
    }

    fn values(&mut self, cursors: &mut Cursors) -> Result<(), Error> {
        let path = self.directory.join(journal::FILE);
        let failed = |cause| Error::File { file: path.clone(), action: "read", cause };
        let file = File::open(&path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let cursor = self.cursor(cursors);
        if cursor.bytes > length {
            // Another record than was sent. What is sent again stands there once.
            (cursor.bytes, cursor.step) = (0, 0);
        }
        let run = cursor.run_id.clone();
        let mut reader = BufReader::new(file);
        reader.seek(SeekFrom::Start(cursor.bytes)).map_err(failed)?;
        let mut line = Vec::new();
        loop {
            let mut read = self.cursor(cursors).clone();
            let mut metrics = Vec::new();
            let mut at_end = false;
            while metrics.len() < METRICS && !at_end {
                line.clear();
                reader.read_until(b'\n', &mut line).map_err(failed)?;
                // What has no end yet is being written.
                at_end = line.last() != Some(&b'\n');
                if !at_end {
                    metrics.extend(take_in(&line, &mut read));
                }
            }
            for some in metrics.chunks(METRICS) {
                let what = |one: &Metric| format!("the value of {} at step {}", one.key, one.step);
                self.sent.values += self.accepted(&run, some, Client::log_metrics, what)?;
            }
            let cursor = self.cursor(cursors);
            if read.bytes != cursor.bytes {
                *cursor = read;
                cursors.save(&self.directory)?;
            }
            if at_end {
                return Ok(());
            }
        }
    }

    /// Sends items together, or where the server refuses some of them, those that it takes; how many these are.
    fn accepted<T>(
        &mut self,
        run: &str,
        items: &[T],
        send: fn(&Client, &str, &[T]) -> Result<(), Error>,
        name: impl Fn(&T) -> String + Copy,
    ) -> Result<u64, Error> {
        match send(&self.client, run, items) {
            Ok(()) => Ok(items.len() as u64),
            Err(error @ Error::Refused { .. }) => {
                if self.first_refused.is_none() {
                    // Everything would be refused, and none of it is the items' fault.
                    let info = self.client.run(run)?;
                    if info.is_deleted() {
                        return Err(self.deleted(&info));
                    }
                }
                if let [item] = items {
                    self.note_refused(name(item), &error);
                    return Ok(0);
                }
                let (first, second) = items.split_at(items.len() / 2);
                Ok(self.accepted(run, first, send, name)? + self.accepted(run, second, send, name)?)
            }
            Err(error) => Err(error),
        }
    }

    fn note_refused(&mut self, what: String, error: &Error) {
        self.refused += 1;
        self.first_refused.get_or_insert_with(|| format!("{what}: {error}"));
    }

    fn deleted(&self, info: &RunInfo) -> Error {
        Error::DeletedRun {
            server: self.server().to_owned(),
            id: info.run_id.clone(),
            cursor: self.directory.join(FILE),
        }
    }

    fn artifacts(&mut self, cursors: &mut Cursors) -> Result<(), Error> {
        let cursor = self.cursor(cursors).clone();
        let ended = cursor.state.is_some_and(|state| state != State::Running);
        let mut names = vec![CONFIG.to_owned()];
        if ended || self.files == Files::Now {
            names.extend(ARTIFACTS[1..].iter().map(|name| (*name).to_owned()));
            names.extend(cursor.best.clone().filter(|name| self.best && is_below(name)));
        }
        let store = Store::of(&cursor.artifact_uri, self.client.uri.is_local());
        for name in names {
            // What is not there was not made, or was removed again as a system that is no longer among the best.
            let Ok(metadata) = fs::metadata(self.directory.join(&name)) else { continue };
            let version = Version::of(&metadata);
            if !metadata.is_file() || cursor.artifacts.get(&name) == Some(&version) {
                continue;
            }
            match store.send(&self.client, &self.directory, &name) {
                Ok(true) => self.sent.artifacts += 1,
                Ok(false) => {
                    self.warn_of_store(&cursor.artifact_uri);
                    return Ok(());
                }
                Err(error @ (Error::Refused { .. } | Error::File { .. })) => {
                    self.note_refused(format!("the file {name}"), &error);
                }
                Err(error) => return Err(error),
            }
            self.cursor(cursors).artifacts.insert(name, version);
            cursors.save(&self.directory)?;
        }
        Ok(())
    }

    fn warn_of_store(&mut self, uri: &str) {
        if !std::mem::replace(&mut self.warned_of_store, true) {
            self.warnings.push(format!(
                "files of the run are not sent to MLflow: its server keeps files at `{uri}`, which only MLflow's Python clients \
                 reach; start the server with --serve-artifacts to have it take files itself"
            ));
        }
    }

    fn state(&mut self, cursors: &mut Cursors) -> Result<(), Error> {
        let cursor = self.cursor(cursors).clone();
        let Some(state) = cursor.state.filter(|_| cursor.state != cursor.told) else { return Ok(()) };
        match self.client.update_run(&cursor.run_id, state, cursor.ended) {
            Ok(()) => {}
            Err(error @ Error::Refused { .. }) => {
                self.note_refused(format!("the state {}", state.name()), &error)
            }
            Err(error) => return Err(error),
        }
        self.cursor(cursors).told = Some(state);
        cursors.save(&self.directory)
    }
}
