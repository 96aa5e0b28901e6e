//! What consumes the events of a run: the log (a file in the run's directory and lines on standard error), the progress bar, and
//! the record with all who are told of it ([`kiwi_tracking`]).

mod lines;
mod log_file;
mod plugin_log;
mod progress;
mod tracked;

use std::path::{Path, PathBuf};

use kiwi_core::diagnostic::{Diagnostic, Failure, Severity};
use kiwi_core::error_code::Code;
use kiwi_core::request::{Common, Verbosity};
use kiwi_tracking::record::{Event as Recorded, Message, Started};
use kiwi_tracking::{Options, Tracking};

use crate::outlet::Outlet;
use crate::training::{Consumer, Event};
use log_file::LogFile;
use plugin_log::PluginLog;
use progress::Progress;

pub(crate) use lines::number;

/// Sends each event to all that listen.
pub(crate) struct Report<'a> {
    outlet: &'a Outlet,
    verbosity: Verbosity,
    log: LogFile,
    progress: Progress,
    plugins: PluginLog,
    /// Whether another rank says the same.
    muted: bool,
    /// The warnings so far, where somebody wants them together.
    warned: Option<Vec<Diagnostic>>,
    /// Who else is told, once the run has a directory.
    tracking: Option<(PathBuf, Tracking)>,
}

impl<'a> Report<'a> {
    /// A report of this verbosity; the log is kept in memory until [`Report::attach`].
    pub(crate) fn new(outlet: &'a Outlet, common: &Common, verbosity: Verbosity) -> Self {
        let bar = common.interactive && verbosity != Verbosity::Quiet;
        Self {
            outlet,
            verbosity,
            log: LogFile::default(),
            progress: Progress::new(bar),
            plugins: PluginLog::install(),
            muted: false,
            warned: None,
            tracking: None,
        }
    }

    /// Remembers warnings from now on, for [`Report::warned`].
    pub(crate) fn remember_warnings(&mut self) {
        self.warned = Some(Vec::new());
    }

    /// The warnings that were remembered.
    pub(crate) fn warned(&self) -> &[Diagnostic] {
        self.warned.as_deref().unwrap_or_default()
    }

    /// Says and writes nothing, where another rank does.
    pub(crate) fn mute(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// Writes the log to `output.log` in `directory` from now on, what was said before first; to disk at least every
    /// `save_interval` optimizer steps that have an entry, and after each validation.
    pub(crate) fn attach(&mut self, directory: &Path, save_interval: u64) {
        if let Err(error) = self.log.attach(&directory.join("output.log"), save_interval) {
            self.outlet
                .diagnostics(vec![Diagnostic::warning(Code::NoLog, format!("no log is written: {error}"))]);
        }
    }

    /// Records what happens from now on, and tells those that the options name.
    pub(crate) fn track(&mut self, options: Options, started: Started) {
        let directory = options.directory.clone();
        let mut tracking = Tracking::start(options);
        tracking.record(Recorded::Started(started));
        self.tracking = Some((directory, tracking));
        self.tell_of_tracking();
    }

    /// Ends the record. Waits a little for those who are told of it.
    pub(crate) fn close(&mut self) {
        self.log.flush();
        if let Some((_, tracking)) = self.tracking.take() {
            for warning in tracking.close() {
                self.handle(&Event::Warning(Diagnostic::warning(Code::TrackingWarns, warning)));
            }
        }
        self.log.flush();
    }

    fn flush_tracking(&mut self) {
        if let Some((_, tracking)) = &mut self.tracking {
            tracking.flush();
        }
    }

    /// Passes on what went wrong with those who are told of the run.
    fn tell_of_tracking(&mut self) {
        let warnings = self.tracking.as_mut().map(|(_, tracking)| tracking.warnings()).unwrap_or_default();
        for warning in warnings {
            self.handle(&Event::Warning(Diagnostic::warning(Code::TrackingWarns, warning)));
        }
    }

    /// Says something worth knowing.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.receive(&Event::Note(text.into()));
    }

    /// Shows that so many pairs are done, of so many if that is known, where there is a bar.
    pub(crate) fn pairs(&mut self, done: u64, of: Option<u64>, rate: &str) {
        self.tell_of_plugins();
        self.progress.pairs(done, of, rate);
    }

    /// Whether there is a bar.
    pub(crate) fn is_bar(&self) -> bool {
        self.progress.is_bar()
    }

    /// Takes the bar away.
    pub(crate) fn clear_bar(&mut self) {
        self.progress.clear();
    }

    /// Says what should be acted upon.
    pub(crate) fn warnings(&mut self, warnings: impl IntoIterator<Item = Diagnostic>) {
        for warning in warnings {
            self.receive(&Event::Warning(warning));
        }
    }

    /// Runs a command that has no events of its own, and passes on what plugins say meanwhile, whether or not it fails.
    pub(crate) fn until_done<T>(
        &mut self,
        command: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let result = command(self);
        self.tell_of_plugins();
        result
    }

    /// Writes why a run failed into its log.
    pub(crate) fn failed(&mut self, diagnostics: &[Diagnostic]) {
        // What plugins said on the way to the failure may explain it.
        self.tell_of_plugins();
        for diagnostic in diagnostics.iter().filter(|d| d.severity == Severity::Error) {
            self.log.write("ERROR", &lines::of_diagnostic(diagnostic));
        }
        if let (Some((_, tracking)), Some(first)) = (&mut self.tracking, diagnostics.first()) {
            tracking.record(Recorded::Failed(Message { message: lines::of_diagnostic(first) }));
        }
        self.progress.clear();
        self.log.flush();
    }

    fn handle(&mut self, event: &Event) {
        if self.muted {
            return;
        }
        self.progress.update(event);
        if let Some((directory, tracking)) = &mut self.tracking
            && let Some(event) = tracked::of_event(event, directory)
        {
            tracking.record(event);
        }
        match event {
            Event::Warning(diagnostic) => {
                self.log.write("WARNING", &lines::of_diagnostic(diagnostic));
                if let Some(warned) = &mut self.warned {
                    warned.push(diagnostic.clone());
                }
                self.progress.suspend(|| self.outlet.diagnostics(vec![diagnostic.clone()]));
            }
            event => {
                if let Some(line) = lines::of_event(event) {
                    self.log.write("INFO", &line.text);
                    let wanted = match self.verbosity {
                        Verbosity::Quiet => false,
                        Verbosity::Verbose => true,
                        // With a bar the regular entries are in the log file only: the bar shows them.
                        _ => !(line.regular && self.progress.is_bar()),
                    };
                    if wanted {
                        self.progress.print(&line.text);
                    }
                }
                match event {
                    Event::Logged(values) if self.log.step_logged(values.step) => self.flush_tracking(),
                    Event::ResumePoint | Event::ValidationStarted { .. } => {
                        self.log.flush();
                        self.flush_tracking();
                    }
                    Event::Validated { .. } | Event::Finished(_) | Event::Tested { .. } => self.log.flush(),
                    _ => {}
                }
            }
        }
    }

    /// Passes on what plugins have said since the last time.
    fn tell_of_plugins(&mut self) {
        for (level, text) in self.plugins.drain() {
            match level {
                kiwi_plugin_api::log::Level::Warning => {
                    self.handle(&Event::Warning(Diagnostic::warning(Code::PluginWarns, text)))
                }
                kiwi_plugin_api::log::Level::Info => self.handle(&Event::Note(text)),
                kiwi_plugin_api::log::Level::Debug if self.muted => {}
                kiwi_plugin_api::log::Level::Debug => {
                    self.log.write("DEBUG", &text);
                    if self.verbosity == Verbosity::Verbose {
                        self.progress.print(&text);
                    }
                }
            }
        }
    }
}

impl Consumer for Report<'_> {
    fn receive(&mut self, event: &Event) {
        self.tell_of_plugins();
        self.handle(event);
        if matches!(event, Event::Logged(_) | Event::Validated { .. }) {
            self.tell_of_tracking();
        }
    }
}
