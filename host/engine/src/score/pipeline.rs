//! Reading, computing and writing side by side: a thread reads, [`super::workers`] compute, and the caller's thread puts windows back
//! into the order of the corpus and hands them to the [`Sink`]. So many windows are on their way at a time, so that memory has a bound.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use kiwi_core::config::Precision;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_text::{Notes, PairReader, Vocabularies, Window};

use super::batches::Batches;
use super::figures::Figures;
use super::pace::Pace;
use super::sink::Sink;
use super::workers::{Computed, Job, Worker};
use crate::data::{invalid, too_long};
use crate::report::Report;
use crate::signals;
use crate::system::System;

/// Windows on their way, and one more for every so many workers.
const WINDOWS: usize = 3;
const WORKERS_OF_A_WINDOW: usize = 8;

/// How long a signal may wait while nothing happens.
const LOOK_FOR_SIGNALS: Duration = Duration::from_millis(100);

/// How long threads are waited for whose work nobody wants any more.
const PATIENCE: Duration = Duration::from_secs(10);

/// What threads say to the one that writes.
pub(super) enum Said {
    /// A window was read, whose pairs come in so many batches.
    Window(Arc<Window>, usize),
    Computed(Computed),
    /// All was read; what is odd in it.
    Read(Notes),
    /// A worker has nothing more to do; what went wrong when it freed its system.
    Ended(Vec<Diagnostic>),
    Failed(Failure),
}

/// How it ended, if well.
pub(super) enum End {
    /// All pairs are done; what is worth knowing.
    Done(Vec<Diagnostic>),
    /// By a signal.
    Interrupted(&'static str),
}

/// How pairs are scored.
pub(super) struct Pipeline {
    pub(super) batches: Batches,
    pub(super) precision: Precision,
    /// Threads of each worker.
    pub(super) threads: usize,
    /// Whether pairs that are too long are left out; else they are an error.
    pub(super) tolerant: bool,
    pub(super) from: u64,
    pub(super) to: Option<u64>,
}

/// A window whose pairs are being computed.
struct Pending {
    window: Arc<Window>,
    batches: usize,
    figures: Vec<Option<Figures>>,
}

impl Pipeline {
    /// Scores all pairs.
    ///
    /// # Errors
    /// When the corpus is wrong, a component fails, or a file cannot be written.
    pub(super) fn run(
        self,
        reader: PairReader,
        vocabularies: Vocabularies,
        systems: Vec<System>,
        sink: &mut Sink<'_>,
        pace: &mut Pace,
        report: &mut Report<'_>,
    ) -> Result<End, Failure> {
        let workers = systems.len();
        let (say, said) = unbounded();
        let (give, jobs) = unbounded();
        let windows = WINDOWS + workers / WORKERS_OF_A_WINDOW;
        let (room, rooms) = bounded(windows);
        for _ in 0..windows {
            // There is room for as many.
            let _ = room.send(());
        }
        let stop = Arc::new(AtomicBool::new(false));
        let no_thread = |error: std::io::Error| {
            let error = Diagnostic::error(Code::MachineLimits, format!("no thread to score with: {error}"));
            Failure::new(ExitCode::RunFailed, error)
        };
        for system in systems {
            let worker = Worker {
                system,
                precision: self.precision,
                threads: self.threads,
                jobs: jobs.clone(),
                said: say.clone(),
                stop: Arc::clone(&stop),
            };
            worker.start().map_err(no_thread)?;
        }
        let expected = sink.digest();
        let reading = Reading { pipeline: self, say, give, rooms, is_begun: sink.is_begun() };
        thread::Builder::new()
            .name("pairs".to_owned())
            .spawn(move || reading.read(reader, &vocabularies, expected))
            .map_err(no_thread)?;
        drop(jobs);
        let result = collect(&said, &room, workers, sink, pace, report);
        if !matches!(result, Ok(End::Done(_))) {
            stop.store(true, Ordering::Relaxed);
            drop(room);
            wait_for_workers(&said, workers);
            // What was done before is not lost, and where nothing was, nothing is left.
            if result.is_err() {
                let _ = if sink.is_begun() { sink.save(pace) } else { sink.discard() };
            }
        }
        result
    }
}

/// Takes what the threads say until all is done.
fn collect(
    said: &Receiver<Said>,
    room: &Sender<()>,
    workers: usize,
    sink: &mut Sink<'_>,
    pace: &mut Pace,
    report: &mut Report<'_>,
) -> Result<End, Failure> {
    let mut pending: BTreeMap<u64, Pending> = BTreeMap::new();
    let (mut warnings, mut notes, mut ended) = (Vec::new(), None, 0);
    while notes.is_none() || !pending.is_empty() || ended < workers {
        if let Some(signal) = signals::received() {
            return Ok(End::Interrupted(signal));
        }
        match said.recv_timeout(LOOK_FOR_SIGNALS) {
            Err(RecvTimeoutError::Timeout) => {
                // A stream that gives nothing for a while is no reason to lose what it gave.
                sink.save_now_and_then()?;
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => {
                let error = Diagnostic::error(Code::Internal, "a thread of scoring ended before its time");
                let error =
                    error.help("this is a bug of kiwi-host: report it with the command and this message");
                return Err(Failure::new(ExitCode::RunFailed, error));
            }
            Ok(Said::Window(window, batches)) => {
                let figures = vec![None; window.pairs()];
                pending.insert(window.first(), Pending { window, batches, figures });
            }
            Ok(Said::Computed(Computed { window, pairs })) => {
                if let Some(pending) = pending.get_mut(&window) {
                    pending.batches -= 1;
                    for (pair, figures) in pairs {
                        pending.figures[pair as usize] = Some(figures);
                    }
                }
            }
            Ok(Said::Read(found)) => notes = Some(found),
            Ok(Said::Ended(found)) => {
                warnings.extend(found);
                ended += 1;
            }
            Ok(Said::Failed(failure)) => return Err(failure),
        }
        while let Some(first) = pending.first_entry().filter(|first| first.get().batches == 0) {
            let Pending { window, figures, .. } = first.remove();
            let words = sink.window(&window, &figures)?;
            pace.done(sink.next(), sink.from(), words, report);
            // A reader that is done needs no more room.
            let _ = room.try_send(());
        }
    }
    let odd =
        notes.iter().flat_map(Notes::messages).map(|message| Diagnostic::warning(Code::OddText, message));
    Ok(End::Done(odd.chain(warnings).collect()))
}

/// Waits a while for the workers to end, so that none computes while the process does.
fn wait_for_workers(said: &Receiver<Said>, workers: usize) {
    let (started, mut ended) = (Instant::now(), 0);
    while ended < workers && started.elapsed() < PATIENCE {
        match said.recv_timeout(LOOK_FOR_SIGNALS) {
            Ok(Said::Ended(_) | Said::Failed(_)) => ended += 1,
            Err(RecvTimeoutError::Disconnected) => break,
            _ => {}
        }
    }
}

/// The thread that reads.
struct Reading {
    pipeline: Pipeline,
    say: Sender<Said>,
    give: Sender<Job>,
    rooms: Receiver<()>,
    /// Whether something went out before this process began.
    is_begun: bool,
}

impl Reading {
    fn read(
        mut self,
        reader: PairReader,
        vocabularies: &Vocabularies,
        expected: Option<kiwi_text::ContentHash>,
    ) {
        let Pipeline { from, to, .. } = self.pipeline;
        let mut failure = None;
        let read = reader.read(vocabularies, from, to, expected, |window| match self.window(window) {
            Ok(go_on) => go_on,
            Err(found) => {
                failure = Some(found);
                false
            }
        });
        let said = match (failure, read) {
            (Some(failure), _) => Said::Failed(failure),
            (None, Ok(notes)) => Said::Read(notes),
            (None, Err(error)) => {
                let mut failure = invalid(&error);
                // Another text is refused before anything is done with it.
                if self.is_begun && !matches!(error, kiwi_text::Error::OtherText { .. }) {
                    failure.exit = ExitCode::RunFailed;
                }
                Said::Failed(failure)
            }
        };
        // Without a listener there is nobody to tell.
        let _ = self.say.send(said);
    }

    /// Hands the pairs of a window to the workers; whether more are wanted. Waits until there is room.
    fn window(&mut self, window: Window) -> Result<bool, Failure> {
        let Batches { limits, .. } = &self.pipeline.batches;
        let planned = self.pipeline.batches.plan(window.corpus());
        if planned.too_long > 0 && !self.pipeline.tolerant {
            let diagnostics = too_long(window.corpus(), limits);
            return Err(Failure { exit: ExitCode::Invalid, diagnostics });
        }
        let window = Arc::new(window);
        if self.rooms.recv().is_err()
            || self.say.send(Said::Window(Arc::clone(&window), planned.batches.len())).is_err()
        {
            return Ok(false);
        }
        self.is_begun = true;
        for pairs in planned.batches {
            let job = Job { window: Arc::clone(&window), pairs };
            if self.give.send(job).is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
