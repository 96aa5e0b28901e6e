//! Sending while a run is under way, on a thread of its own that nobody waits for before the run has ended.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use kiwi_core::tracking_uri::ServerUri;

use super::sender::{Files, Sender};
use super::{Error, Settings};
use crate::limit::Limit;

/// The pause after the first failure; each further one is twice as long.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);
/// How long the end of a run waits for what is not sent yet.
pub(crate) const AT_THE_END: Duration = Duration::from_secs(10);

/// The thread that sends, as the run sees it.
#[derive(Debug)]
pub(crate) struct Background {
    server: String,
    directory: PathBuf,
    /// At most one notice is under way: it means "all that is recorded".
    notices: SyncSender<()>,
    shared: Arc<Shared>,
    ended: Receiver<()>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Nothing more will be recorded.
    closing: AtomicBool,
    /// Nobody waits any more.
    abandoned: AtomicBool,
    warnings: Mutex<Vec<String>>,
}

impl Shared {
    fn warn(&self, warnings: impl IntoIterator<Item = String>) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).extend(warnings);
    }
}

impl Background {
    /// Starts the thread. Nothing is sent before the first notice.
    pub(crate) fn start(
        directory: &Path,
        server: &ServerUri,
        settings: &Settings,
        always_log_artifacts: bool,
    ) -> std::io::Result<Self> {
        let (notices, noticed) = sync_channel(1);
        let (end, ended) = sync_channel(1);
        let shared = Arc::new(Shared::default());
        let sender = Sender::new(directory, server, settings, Files::WhenEnded, always_log_artifacts);
        let thread = Thread { sender, shared: Arc::clone(&shared), told: false, limit: Limit::default() };
        thread::Builder::new().name("mlflow".to_owned()).spawn(move || {
            if thread.run(&noticed) {
                let _ = end.send(());
            }
        })?;
        Ok(Self {
            server: server.address.clone(),
            directory: directory.to_path_buf(),
            notices,
            shared,
            ended,
        })
    }

    /// Says that something was recorded. Never waits: if a notice is under way it is enough.
    pub(crate) fn notify(&self) {
        let _ = self.notices.try_send(());
    }

    /// What went wrong since the last call.
    pub(crate) fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until all is sent, but not longer than `patience`; what remains is told how to send.
    pub(crate) fn close(self, patience: Duration) -> Vec<String> {
        self.shared.closing.store(true, Ordering::SeqCst);
        self.notify();
        let sent = self.ended.recv_timeout(patience).is_ok();
        self.shared.abandoned.store(true, Ordering::SeqCst);
        let mut warnings = self.warnings();
        if !sent {
            warnings.push(format!(
                "not all of the run is at the MLflow server {} yet: `kiwi-host mlflow sync {} {}` sends the rest",
                self.server,
                self.directory.display(),
                self.server
            ));
        }
        warnings
    }
}

/// The thread, as it sees itself.
struct Thread {
    sender: Sender,
    shared: Arc<Shared>,
    /// Whether a failure was told, so that its end is told too.
    told: bool,
    limit: Limit,
}

impl Thread {
    /// Sends until the run has ended; whether all was sent.
    fn run(mut self, noticed: &Receiver<()>) -> bool {
        let mut pause = SHORTEST;
        let mut again: Option<Instant> = None;
        loop {
            let heard = match again {
                None => noticed.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(again) => noticed.recv_timeout(again.saturating_duration_since(Instant::now())),
            };
            // Read before the pass: what is recorded after it is noticed once more.
            let closing = self.shared.closing.load(Ordering::SeqCst);
            if self.shared.abandoned.load(Ordering::SeqCst) || heard == Err(RecvTimeoutError::Disconnected) {
                return false;
            }
            if !closing && again.is_some_and(|again| Instant::now() < again) {
                continue;
            }
            match self.sender.pass() {
                Ok(_) => {
                    self.note_success();
                    (again, pause) = (None, SHORTEST);
                    if closing {
                        return true;
                    }
                }
                Err(error) => {
                    self.note_failure(&error);
                    again = Some(Instant::now() + if closing { SHORTEST } else { pause });
                    pause = (pause * 2).min(LONGEST);
                }
            }
            self.shared.warn(self.sender.take_warnings());
        }
    }

    fn note_success(&mut self) {
        let warnings = self.sender.take_warnings();
        self.shared.warn(warnings);
        let sent = self.sender.take_sent();
        if std::mem::take(&mut self.told) {
            let server = self.sender.server();
            self.shared.warn([format!(
                "the MLflow server {server} is reachable again, {} values were sent",
                sent.values
            )]);
        }
    }

    fn note_failure(&mut self, error: &Error) {
        if self.limit.may_speak() {
            self.told = true;
            self.shared.warn([format!(
                "{error}; the run goes on, what it records is sent as soon as that is possible"
            )]);
        }
    }
}
