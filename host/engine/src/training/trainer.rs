//! The loop: epochs of batches, steps of the optimizer, validations. [`super::step`] is what happens to a batch, [`super::saving`]
//! what is written and gone on from, [`super::ending`] how a run ends.

use std::time::{Duration, Instant};

use kiwi_core::config::RunConfig;
use kiwi_core::diagnostic::Failure;
use kiwi_text::BatchStream;
use tch::Tensor;

use super::early_stopping::Progress;
use super::events::{Consumer, Event, Outcome, StopReason, TrainingValues};
use super::groups::Accumulation;
use super::items::Items;
use super::losses::UnreadLosses;
use super::pass::{self, Mode, is_interruption};
use super::saving::Saving;
use super::skips::Skips;
use super::state::Position;
use super::sums::Sums;
use super::validation::Interval;
use super::window::{Clock, Window, per_second};
use crate::data::{TrainingBatches, TrainingData, ValidationData, invalid};
use crate::machine;
use crate::optimizers::Optimizers;
use crate::ranks::Ranks;
use crate::signals;
use crate::system::{System, running};

/// Batches of validation that are tried before training, so that what would fail there fails at once.
const SANITY_BATCHES: usize = 5;

/// A training run, ready to begin.
pub(crate) struct Trainer<'a> {
    pub(super) config: &'a RunConfig,
    /// The processes that train together.
    pub(super) ranks: &'a mut Ranks,
    pub(super) system: System,
    pub(super) optimizers: Optimizers,
    pub(super) parameters: Vec<Tensor>,
    pub(super) train: TrainingBatches,
    pub(super) valid: Vec<ValidationData>,
    pub(super) test: Vec<ValidationData>,
    pub(super) saving: Saving,
    pub(super) progress: Progress,
    /// Who is told; nobody before the run begins.
    pub(super) consumer: Option<&'a mut dyn Consumer>,
    pub(super) mode: Mode,
    pub(super) position: Position,
    /// The loss of batches whose gradients are not computed yet.
    pub(super) pending: Option<Tensor>,
    /// What the losses of an unfinished optimizer step are means over.
    pub(super) items: Items,
    /// Target words of the batches of an unfinished optimizer step, of this rank's shares.
    pub(super) words: u64,
    /// Whether an optimizer step is unfinished.
    pub(super) within_step: bool,
    /// A resume point is to be saved where the optimizer step ends.
    pub(super) resume_owed: bool,
    /// The sums of the window of all ranks together, as they were where a resume point was saved last.
    pub(super) total_at: Option<(Position, Sums)>,
    /// Losses that may still turn out not to be finite.
    pub(super) unread: UnreadLosses,
    pub(super) skips: Skips,
    /// Steps that were skipped, as far as the log knows.
    pub(super) told_skipped: u64,
    /// Since the log's last entry.
    pub(super) window: Window,
    /// Since the epoch's beginning.
    pub(super) whole: Window,
    pub(super) clock: Clock,
    pub(super) started: Instant,
    /// Time of training before a resumed run goes on.
    pub(super) before: Duration,
}

impl<'a> Trainer<'a> {
    /// Puts a run together.
    pub(crate) fn new(
        config: &'a RunConfig,
        ranks: &'a mut Ranks,
        system: System,
        optimizers: Optimizers,
        data: TrainingData,
        saving: Saving,
    ) -> Self {
        let ordering = system.metrics.main_ordering();
        let parameters = system.trainable();
        Self {
            progress: Progress::new(ordering, config.trainer.checkpoint.early_stop_patience),
            mode: Mode::of(config),
            parameters,
            system,
            optimizers,
            train: data.train,
            valid: data.valid,
            test: data.test,
            saving,
            consumer: None,
            config,
            ranks,
            position: Position::default(),
            pending: None,
            items: Items::default(),
            words: 0,
            within_step: false,
            resume_owed: false,
            total_at: None,
            unread: UnreadLosses::default(),
            skips: Skips::default(),
            told_skipped: 0,
            window: Window::default(),
            whole: Window::default(),
            clock: Clock::default(),
            started: Instant::now(),
            before: Duration::ZERO,
        }
    }

    /// Trains until the epochs are done, the config says to stop, or a signal comes, and tells `consumer`.
    ///
    /// # Errors
    /// When a component fails, the loss is not finite, or what is to be kept cannot be written.
    pub(crate) fn fit(mut self, consumer: &'a mut dyn Consumer) -> Result<Outcome, Failure> {
        self.consumer = Some(consumer);
        self.started = Instant::now();
        signals::watch();
        self.announce();
        let reason = match self.sanity_check()? {
            Some(stop) => stop,
            None => self.train()?,
        };
        self.end(reason)
    }

    fn train(&mut self) -> Result<StopReason, Failure> {
        if self.position.validation_due
            && let Some(stop) = self.validate()?
        {
            return Ok(stop);
        }
        if let Some(stop) = self.nothing_left() {
            return Ok(stop);
        }
        while self.position.epoch < self.config.trainer.epochs {
            self.emit(Event::EpochStarted { epoch: self.position.epoch, done: self.position.batch });
            if let Some(stop) = self.epoch()? {
                return Ok(stop);
            }
            if self.position.epoch + 1 == self.config.trainer.epochs {
                break;
            }
            self.position =
                Position { epoch: self.position.epoch + 1, batch: 0, epoch_ended: false, ..self.position };
        }
        Ok(StopReason::Epochs)
    }

    /// The rest of an epoch.
    fn epoch(&mut self) -> Result<Option<StopReason>, Failure> {
        let plan = self.train.plan(self.position.epoch).map_err(|error| invalid(&error))?;
        let count = if self.config.debug { 1 } else { plan.len() };
        let accumulation = Accumulation::new(count, self.config.trainer.gradient_accumulation_steps);
        let interval = Interval::new(self.config, count);
        let done = self.position.batch.min(count);
        let mut stream =
            BatchStream::new(self.train.corpus(), self.ranks.share(&plan), done, self.mode.workers)
                .map_err(|error| invalid(&error))?;
        for index in done..count {
            let started = Instant::now();
            let waited = stream.waited();
            let Some(batch) = stream.next() else { break };
            self.clock.waiting += stream.waited() - waited;

            if index == 0 || !self.mode.carry {
                self.system.reset_state(true).map_err(|error| running(&error))?;
            }
            self.batch(accumulation.size_at(index), &batch)?;
            let step_ended = accumulation.ends_at(index);
            if step_ended || self.history_ends(index) {
                self.backward(&batch)?;
            }
            // The words of a group's step are known at its end.
            let words = match step_ended {
                true => self.optimizer_step(&batch)?,
                false if self.ranks.is_group() => 0,
                false => std::mem::take(&mut self.words),
            };
            self.position.batch = index + 1;

            let log_due = step_ended && self.position.step.is_multiple_of(self.config.trainer.log_interval);
            let stop = self.step_limit(step_ended);
            self.position.validation_due = interval.due_after(index) || stop.is_some();
            let resume_due = step_ended && (self.resume_due() || self.resume_owed);
            if log_due || self.position.validation_due || resume_due {
                self.read_losses()?;
            }

            let time = started.elapsed();
            self.window.words += words;
            self.window.time += time;
            self.clock.words += words;
            self.clock.training += time;
            self.emit(Event::Batch { words });
            if log_due {
                self.tell(false);
                let window = self.take_window()?;
                let values = self.values(&window)?;
                self.whole.absorb(window)?;
                match values {
                    Some(values) => self.emit(Event::Logged(values)),
                    None => self.emit(Event::Note(format!(
                        "epoch {} step {}: all batches since the last entry were skipped",
                        self.position.epoch, self.position.step
                    ))),
                }
            }
            self.tell_of_saving();
            if let Some(signal) = self.ranks.interruption() {
                return Ok(Some(StopReason::Interrupted(signal)));
            }
            if self.position.validation_due
                && let Some(stop) = self.validate()?
            {
                return Ok(Some(stop));
            }
            if let Some(stop) = stop.or_else(|| self.stop_after_validation()) {
                return Ok(Some(stop));
            }
            if resume_due {
                self.save_resume_point()?;
            }
        }
        let rest = self.take_window()?;
        self.whole.absorb(rest)?;
        let whole = std::mem::take(&mut self.whole);
        if !self.position.epoch_ended {
            self.position.epoch_ended = true;
            if let Some(values) = self.values(&whole)? {
                self.emit(Event::EpochEnded(values));
            }
        }
        Ok(self.config.debug.then_some(StopReason::Debug))
    }

    /// Validates, and saves what is to be kept of it; the reason to stop, if a signal came meanwhile: then the validation is still
    /// due.
    fn validate(&mut self) -> Result<Option<StopReason>, Failure> {
        let started = Instant::now();
        let limit = self.config.debug.then_some(1);
        let batches = self.valid.iter().map(|set| limit.unwrap_or(set.data.plan.len())).sum();
        self.emit(Event::ValidationStarted { batches });
        let (mut values, mut main) = (Vec::new(), None);
        for (index, set) in self.valid.iter().enumerate() {
            let consumer = &mut self.consumer;
            let found = pass::evaluate(&mut self.system, &set.data, limit, self.mode, self.ranks, |_, _| {
                if let Some(consumer) = consumer {
                    consumer.receive(&Event::ValidationBatch);
                }
                Ok(())
            });
            let found = match (found, self.ranks.interruption()) {
                (Err(failure), Some(signal)) if is_interruption(&failure) => {
                    self.clock.validation += started.elapsed();
                    return Ok(Some(StopReason::Interrupted(signal)));
                }
                (found, _) => found?,
            };
            if index == 0 {
                main = self.system.metrics.main_value(&found.values);
            }
            values.push((set.name_of("loss"), Some(found.loss)));
            values.extend(found.values.into_iter().map(|(name, value)| (set.name_of(&name), value)));
        }
        self.clock.validation += started.elapsed();
        self.position.validation_due = false;
        let improved = self.progress.observe(main);
        // Before the states are saved, which tell of it.
        let lowered = self.optimizers.validated(main);
        let Position { epoch, step, .. } = self.position;
        let slot = self.offer(main);
        let saved = slot.as_ref().map(|slot| slot.path.clone());
        self.emit(Event::Validated { epoch, step, values, improved, saved });
        for lowered in lowered {
            self.emit(Event::RateLowered { step, lowered });
        }
        self.save_validated(slot.as_ref())?;
        machine::give_back();
        Ok(None)
    }

    /// What would fail in a validation fails before training; its numbers are nobody's.
    fn sanity_check(&mut self) -> Result<Option<StopReason>, Failure> {
        if self.position != Position::default() {
            return Ok(None);
        }
        for set in &self.valid {
            let limit = Some(SANITY_BATCHES);
            let tried =
                pass::evaluate(&mut self.system, &set.data, limit, self.mode, self.ranks, |_, _| Ok(()));
            match (tried, self.ranks.interruption()) {
                (Err(failure), Some(signal)) if is_interruption(&failure) => {
                    return Ok(Some(StopReason::Interrupted(signal)));
                }
                (tried, _) => drop(tried?),
            }
        }
        Ok(None)
    }

    fn announce(&mut self) {
        let batches = if self.config.debug { 1 } else { self.train.batches() };
        self.emit(Event::Note(super::extent(self.config, batches, self.train.epochs_are_alike())));
        for line in self.optimizers.describe() {
            self.emit(Event::Note(line));
        }
        if self.config.trainer.resume {
            self.tell_of_going_on();
        }
        let main_metric = self.system.metrics.main_name();
        self.emit(Event::Started { epochs: self.config.trainer.epochs, batches, main_metric });
    }

    /// The window since the log's last entry, of all ranks together; a new one begins.
    fn take_window(&mut self) -> Result<Window, Failure> {
        std::mem::take(&mut self.window).total(self.ranks, self.system.device())
    }

    /// Values over the batches of a window; none of no batch.
    fn values(&mut self, window: &Window) -> Result<Option<TrainingValues>, Failure> {
        if window.batches == 0 {
            return Ok(None);
        }
        let mut values = self.system.metrics.values(&window.sums.tally).map_err(|error| running(&error))?;
        let main = self.system.metrics.main_value(&values);
        values.extend(window.sums.scalars.means()?);
        Ok(Some(TrainingValues {
            epoch: self.position.epoch,
            step: self.position.step,
            loss: window.sums.losses.total()? / window.batches as f64,
            main,
            values,
            learning_rates: self.optimizers.last_rates(),
            words_per_second: per_second(window.words, window.time),
        }))
    }

    fn step_limit(&self, step_ended: bool) -> Option<StopReason> {
        let limit = self.config.trainer.max_steps?;
        (step_ended && self.position.step >= limit).then_some(StopReason::MaxSteps)
    }

    /// Why there is nothing more to do where no validation is due.
    pub(super) fn stop_after_validation(&self) -> Option<StopReason> {
        let exhausted = self.progress.exhausted().then_some(StopReason::EarlyStopping);
        exhausted.or_else(|| self.step_limit(!self.position.validation_due))
    }

    pub(super) fn emit(&mut self, event: Event) {
        if let Some(consumer) = &mut self.consumer {
            consumer.receive(&event);
        }
    }
}
