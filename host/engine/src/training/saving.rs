//! What training leaves on the disk while it goes on: the systems that are kept, and points to resume from; and going on from one.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use kiwi_core::config::RunConfig;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::saved_system::SystemHeader;
use kiwi_tracking::record::{Kept, Summary};

use super::events::{Event, StopReason};
use super::items::Items;
use super::pass::failed;
use super::state::{
    CARRIED, Position, TrainingState, copy_gradients, optimizer_states, restore_gradients, tensors_below,
};
use super::sums::Sums;
use super::trainer::Trainer;
use super::window::Window;
use crate::checkpoint::{
    CopiedTensors, Keeper, Notice, ResumePoint, Slot, Snapshot, Work, Writer, resume_point, write_text,
};
use crate::data::counted;
use crate::resume::Identity;
use crate::signals;
use crate::system::running;

/// What the names of the sums of metrics begin with in a resume point.
const WINDOW: &str = "window";
const WHOLE: &str = "epoch_window";

/// What is kept and who writes it.
pub(crate) struct Saving {
    keeper: Keeper,
    writer: Writer,
    /// What must not have changed when the run is resumed.
    identity: Identity,
    /// Optimizer steps between resume points; `None`: one after each validation.
    interval: Option<u64>,
    /// Where the last resume point was saved.
    saved_at: Option<Position>,
    /// Systems that the run left when it went on further than the point it was resumed from.
    left_over: Vec<PathBuf>,
}

impl Saving {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// When the operating system gives no more threads.
    pub(crate) fn start(keeper: Keeper, identity: Identity, config: &RunConfig) -> Result<Self, Failure> {
        let resume_points = keeper.directory().resume_points();
        let writer = Writer::start(resume_points).map_err(|error| {
            let message = format!("no thread to write files with: {error}");
            Failure::new(ExitCode::RunFailed, Diagnostic::error(Code::MachineLimits, message))
        })?;
        let interval = config.trainer.checkpoint.resume_interval;
        Ok(Self { keeper, writer, identity, interval, saved_at: None, left_over: Vec::new() })
    }

    /// The best system that is kept, if it is on the disk.
    pub(super) fn best(&self) -> Option<Kept> {
        self.keeper.best().filter(|kept| self.file(kept).is_file())
    }

    /// The last system that is kept, if it is on the disk.
    pub(super) fn last(&self) -> Option<Kept> {
        self.keeper.last().filter(|kept| self.file(kept).is_file())
    }

    fn file(&self, kept: &Kept) -> PathBuf {
        self.keeper.directory().path().join(&kept.file)
    }

    /// The file of the best system, written or about to be.
    pub(super) fn best_file(&self) -> Option<PathBuf> {
        self.keeper.best().map(|best| self.file(&best))
    }

    /// Waits until all is written; if something cannot be, for at most `patience`, and not if a signal comes that was not `expected`.
    ///
    /// # Errors
    /// Why something is not written.
    pub(super) fn finish(&self, patience: Duration, expected: bool) -> Result<(), String> {
        self.writer.flush(patience, || !expected && signals::received().is_some())
    }

    /// Whether a resume point was saved where training is.
    pub(super) fn is_saved_at(&self, position: Position) -> bool {
        self.saved_at == Some(position)
    }

    /// Writes `summary.json`.
    ///
    /// # Errors
    /// A warning, when it cannot be written.
    pub(super) fn write_summary(&self, summary: &Summary) -> Result<(), Diagnostic> {
        let path = self.keeper.directory().path().join("summary.json");
        let written = serde_json::to_string_pretty(summary)
            .map_err(std::io::Error::from)
            .and_then(|text| write_text(&path, &text));
        written.map_err(|error| {
            Diagnostic::warning(Code::NoLog, format!("cannot write {}: {error}", path.display()))
        })
    }
}

impl Trainer<'_> {
    /// Whether a resume point is due after the optimizer step that was taken last.
    pub(super) fn resume_due(&self) -> bool {
        self.saving.interval.is_some_and(|interval| self.position.step.is_multiple_of(interval))
    }

    /// Where the system is to be kept after a validation with this value of the main metric, if it is.
    pub(super) fn offer(&mut self, main: Option<f64>) -> Option<Slot> {
        self.saving.keeper.offer(self.position.epoch, self.position.step, main)
    }

    /// Saves what is to be kept after a validation.
    pub(super) fn save_validated(&mut self, slot: Option<&Slot>) -> Result<(), Failure> {
        let resume = self.saving.interval.is_none();
        self.save(slot, resume)
    }

    /// Saves a resume point here, if the last is not of here.
    pub(super) fn save_resume_point(&mut self) -> Result<(), Failure> {
        self.save(None, true)
    }

    /// Saves a resume point where training ends, and lets go what no file names any more.
    pub(super) fn save_at_the_end(&mut self) -> Result<(), Failure> {
        self.save(None, true)?;
        self.let_go();
        Ok(())
    }

    /// The same once more on the rank that writes, where something was given up meanwhile.
    pub(super) fn save_at_the_end_again(&mut self) -> Result<(), Failure> {
        if self.saving.saved_at != Some(self.position) && self.can_be_resumed_here()? {
            self.write(None, true)?;
        }
        self.let_go();
        Ok(())
    }

    /// Removes what no file names any more.
    fn let_go(&mut self) {
        if !self.ranks.is_first() {
            return;
        }
        let mut remove = self.saving.keeper.take_dropped();
        let left_over = std::mem::take(&mut self.saving.left_over);
        let still = self.saving.keeper.left_over();
        remove.extend(left_over.into_iter().filter(|file| still.contains(file)));
        let texts = self.saving.keeper.index().into_iter().collect();
        self.saving.writer.submit(Work { remove, texts, ..Work::default() });
    }

    /// Copies what is to be written, and has it written, by the first rank. Called by all.
    fn save(&mut self, slot: Option<&Slot>, resume: bool) -> Result<(), Failure> {
        let mut resume =
            resume && self.saving.saved_at != Some(self.position) && self.can_be_resumed_here()?;
        if self.ranks.is_group() {
            // What was given up only the rank knows that writes.
            resume = self.ranks.first_says(resume)?;
            if resume && self.total_at.as_ref().is_none_or(|(at, _)| *at != self.position) {
                let sums = self.window.sums.copied_total(self.ranks, self.system.device())?;
                self.total_at = Some((self.position, sums));
            }
            if !self.ranks.is_first() {
                return Ok(());
            }
        }
        if slot.is_none() && !resume {
            return Ok(());
        }
        self.write(slot, resume)
    }

    fn write(&mut self, slot: Option<&Slot>, resume: bool) -> Result<(), Failure> {
        if resume {
            self.emit(Event::ResumePoint);
        }
        let started = Instant::now();
        let work = self.work(slot, resume);
        self.clock.saving += started.elapsed();
        self.saving.writer.submit(work?);
        Ok(())
    }

    /// Not where gradients will still reach back, nor with state that an encoder carries from batch to batch and cannot save: at an
    /// epoch's end there is none. In a group of ranks neither within an optimizer step, of whose gradients each rank has its own: then
    /// one is owed. Nor with carried state, of which each has that of its rows.
    fn can_be_resumed_here(&mut self) -> Result<bool, Failure> {
        if self.ranks.is_group() {
            self.resume_owed = self.within_step;
            if self.within_step || (self.ranks.count() > 1 && self.carries_now()) {
                return Ok(false);
            }
        }
        if !self.carries_now() {
            return Ok(true);
        }
        let saved = self.system.carried_state().map_err(|error| running(&error))?;
        Ok(saved.is_some() && self.pending.is_none())
    }

    /// Whether the next batch goes on with state of the last.
    fn carries_now(&self) -> bool {
        let between_epochs = self.position.batch == 0 || self.epoch_is_done();
        self.system.carries_state() && self.mode.carry && !between_epochs
    }

    fn epoch_is_done(&self) -> bool {
        let plan = self.train.plan(self.position.epoch);
        plan.is_ok_and(|plan| self.position.batch >= plan.len())
    }

    fn work(&mut self, slot: Option<&Slot>, resume: bool) -> Result<Work, Failure> {
        let mut work = Work::default();
        let parameters = self.system.parameters().iter();
        let parameters = CopiedTensors::of(parameters.map(|one| (one.name.as_str(), &one.tensor)));
        let parameters = parameters.map_err(|error| cannot_save(&error))?;
        let best = slot.is_some_and(|slot| slot.best);
        let states = if best || resume { Some(self.optimizers.states(self.position.step)?) } else { None };
        if let Some(slot) = slot {
            let header = self.system.header().map_err(|error| running(&error))?;
            let header = SystemHeader { training: Some(self.saving.keeper.training().clone()), ..header };
            work.systems.push((slot.path.clone(), Snapshot::new(header.to_metadata(), parameters.clone())));
            let (index, text) = self.saving.keeper.index().map_err(|error| cannot_save(&error))?;
            work.texts.insert(index, text);
        }
        work.best = self.saving.best_file();
        let directory = self.saving.keeper.directory();
        if let (true, Some(states)) = (best, &states) {
            work.states = states.files(directory.path()).map_err(|error| cannot_save(&error))?;
        }
        if let (true, Some(states)) = (resume, &states) {
            let path = resume_point::file(&directory.resume_points(), self.position.batches);
            let mut tensors = parameters;
            let state = self.state(states, &mut tensors)?;
            let snapshot = resume_point::snapshot(&self.saving.identity, &state, tensors);
            work.resume = Some((path, snapshot.map_err(|error| cannot_save(&error))?));
            work.remove = self.saving.keeper.take_dropped();
            self.saving.saved_at = Some(self.position);
        }
        Ok(work)
    }

    /// Where training is; the tensors of it are added to `tensors`.
    fn state(
        &mut self,
        states: &crate::optimizers::States,
        tensors: &mut CopiedTensors,
    ) -> Result<TrainingState, Failure> {
        let (encoder_extra, head_extra) = self.system.extras().map_err(|error| running(&error))?;
        let sparse_gradients =
            copy_gradients(self.system.parameters(), tensors).map_err(|error| cannot_save(&error))?;
        let carried = if self.carries_now() {
            self.system.carried_state().map_err(|error| running(&error))?.unwrap_or_default()
        } else {
            Vec::new()
        };
        let carried = CopiedTensors::of(carried.iter().map(|(name, tensor)| (name.as_str(), tensor)));
        tensors.extend(CARRIED, &carried.map_err(|error| cannot_save(&error))?);
        let items = self.items.saved().map_err(|error| cannot_save(&error))?;
        let total = match &self.total_at {
            Some((at, total)) if *at == self.position => total,
            _ => &self.window.sums,
        };
        Ok(TrainingState {
            position: self.position,
            carries: self.carries_now(),
            stopping: self.progress.seen(),
            decided: self.saving.keeper.decided().clone(),
            optimizers: states.to_resume(tensors),
            items,
            window: self.window.saved(total, WINDOW, tensors)?,
            whole: self.whole.saved(&self.whole.sums, WHOLE, tensors)?,
            clock: self.clock.clone(),
            skips: self.skips.clone(),
            told_skipped: self.told_skipped,
            elapsed: self.before + self.started.elapsed(),
            encoder_extra,
            head_extra,
            sparse_gradients,
        })
    }

    /// Goes on from a resume point.
    ///
    /// # Errors
    /// When something in it does not fit; then the run cannot be used any more.
    pub(crate) fn go_on(&mut self, point: ResumePoint<Identity, TrainingState>) -> Result<(), Failure> {
        let ResumePoint { state, archive, .. } = point;
        let device = self.system.device();
        self.system.go_on(&archive, state.encoder_extra.as_ref(), state.head_extra.as_ref())?;
        if state.carries {
            self.system.load_carried_state(&tensors_below(&archive, CARRIED, device)?)?;
        }
        let tensors = optimizer_states(&archive, state.optimizers())?;
        self.optimizers.go_on(state.optimizers, &tensors)?;
        restore_gradients(self.system.parameters(), &archive, &state.sparse_gradients, device)?;
        self.items = Items::restored(state.items, device).map_err(failed)?;
        self.window = Window::restored(state.window, WINDOW, &archive, device)?;
        self.whole = Window::restored(state.whole, WHOLE, &archive, device)?;
        if !self.ranks.is_first() {
            // The sums of all ranks are the first's.
            self.window.sums = Sums::default();
        }
        if self.saving.keeper.go_on(state.decided) {
            self.progress.go_on(state.stopping);
        }
        self.saving.left_over = self.saving.keeper.left_over();
        self.saving.saved_at = Some(state.position);
        self.position = state.position;
        self.clock = state.clock;
        self.skips = state.skips;
        self.told_skipped = state.told_skipped;
        self.before = state.elapsed;
        Ok(())
    }

    /// Has all ranks begin with the parameters of the first. Called by all.
    ///
    /// # Errors
    /// When a rank is gone.
    pub(crate) fn begin_alike(&mut self) -> Result<(), Failure> {
        let parameters: Vec<_> =
            self.system.parameters().iter().map(|one| one.tensor.shallow_clone()).collect();
        self.ranks.take_over_from_first(&parameters)
    }

    /// Begins anew a run that ended before its first resume point: what it left is not kept beyond what is decided again.
    pub(crate) fn begin_anew(&mut self) {
        self.saving.left_over = self.saving.keeper.left_over();
    }

    /// Tells where the run goes on.
    pub(super) fn tell_of_going_on(&mut self) {
        if self.saving.saved_at.is_none() {
            let note = "the run had no resume point yet, so that it begins anew".to_owned();
            return self.emit(Event::Note(note));
        }
        let Position { epoch, batch, step, .. } = self.position;
        let text = format!(
            "goes on after {}: epoch {epoch}, after {}",
            counted(step, "optimizer step"),
            counted(batch, "batch")
        );
        self.emit(Event::Note(text));
        let trainer = &self.config.trainer;
        let why = match self.nothing_left() {
            Some(StopReason::MaxSteps) => format!(
                "trainer.max_steps {} is reached, after {}; raise it to go on",
                trainer.max_steps.unwrap_or_default(),
                counted(step, "optimizer step")
            ),
            Some(StopReason::EarlyStopping) => format!(
                "the run stopped early, with early_stop_patience {}; raise it, or set it to 0, to go on",
                trainer.checkpoint.early_stop_patience
            ),
            Some(_) => format!("trainer.epochs {} is reached; raise it to go on", trainer.epochs),
            None => return,
        };
        self.emit(Event::Note(format!("nothing to do: {why}")));
    }

    /// Why there is nothing more to train.
    pub(super) fn nothing_left(&self) -> Option<StopReason> {
        if self.position.validation_due {
            return None;
        }
        let epochs = self.config.trainer.epochs;
        let epoch = self.position.epoch;
        let over = epoch >= epochs || (epoch + 1 == epochs && self.position.epoch_ended);
        self.stop_after_validation().or_else(|| over.then_some(StopReason::Epochs))
    }

    /// Tells what became of files that were to be written.
    pub(super) fn tell_of_saving(&mut self) {
        let mut given_up = false;
        for notice in self.saving.writer.notices() {
            let event = match notice {
                Notice::Failing(problem) => Event::Warning(
                    Diagnostic::warning(
                        Code::CannotSave,
                        format!("what is to be kept cannot be written: {problem}"),
                    )
                    .note("training goes on, and writing is tried again every few seconds")
                    .help("make room or rights there"),
                ),
                Notice::Written => Event::Note("what could not be written is written now".to_owned()),
                Notice::GivenUp(path) => {
                    self.saving.keeper.forget(&path);
                    given_up = true;
                    Event::Warning(Diagnostic::warning(
                        Code::CannotSave,
                        format!("{} is lost: it waited to be written, and newer ones came", path.display()),
                    ))
                }
            };
            self.emit(event);
        }
        if given_up && let Ok((index, text)) = self.saving.keeper.index() {
            // The next resume point no longer knows of it either.
            self.saving.saved_at = None;
            self.saving.writer.submit(Work { texts: [(index, text)].into(), ..Work::default() });
        }
    }
}

fn cannot_save(error: &impl std::fmt::Display) -> Failure {
    failed(kiwi_plugin_api::Error::new(format!("a copy to be saved cannot be made: {error}")))
}
