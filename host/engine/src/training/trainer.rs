//! The loop: epochs of batches, steps of the optimizer, validations.

use std::path::Path;
use std::time::Instant;

use kiwi_core::config::RunConfig;
use kiwi_core::diagnostic::{Diagnostic, Failure, Severity};
use kiwi_core::exit_code::ExitCode;
use kiwi_core::saved_system::SavedSystem;
use kiwi_plugin_api::torch_ext::gradients;
use kiwi_text::{Batch, BatchStream};
use tch::Tensor;

use super::early_stopping::Progress;
use super::events::{Consumer, Event, Outcome, StopReason, TrainingValues};
use super::groups::Accumulation;
use super::losses::{Loss, Place, UnreadLosses, not_finite};
use super::pass::{self, Mode, failed};
use super::validation::Interval;
use super::window::{Clock, Window, per_second};
use crate::checkpoint::Keeper;
use crate::data::{TrainingBatches, TrainingData, ValidationData, counted, invalid};
use crate::memory;
use crate::optimizers::Optimizers;
use crate::system::{System, running};
use crate::torch::{Purpose, autocast, seed_for, to_tensors};

/// Batches of validation that are tried before training, so that what would fail there fails at once.
const SANITY_BATCHES: usize = 5;

/// A training run, ready to begin.
pub(crate) struct Trainer<'a> {
    config: &'a RunConfig,
    system: System,
    optimizers: Optimizers,
    parameters: Vec<Tensor>,
    train: TrainingBatches,
    valid: Vec<ValidationData>,
    test: Vec<ValidationData>,
    keeper: Keeper,
    progress: Progress,
    consumer: &'a mut dyn Consumer,
    mode: Mode,
    /// The loss of batches whose gradients are not computed yet.
    pending: Option<Tensor>,
    /// Losses that may still turn out not to be finite.
    unread: UnreadLosses,
    step: u64,
    /// Steps that were skipped, as far as the log knows.
    told_skipped: u64,
    /// Batches of the run that are done.
    batches: u64,
    clock: Clock,
}

impl<'a> Trainer<'a> {
    /// Puts a run together.
    pub(crate) fn new(
        config: &'a RunConfig,
        system: System,
        optimizers: Optimizers,
        data: TrainingData,
        keeper: Keeper,
        consumer: &'a mut dyn Consumer,
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
            keeper,
            consumer,
            config,
            pending: None,
            unread: UnreadLosses::default(),
            step: 0,
            told_skipped: 0,
            batches: 0,
            clock: Clock::default(),
        }
    }

    /// Trains until the epochs are done, or the config says to stop.
    ///
    /// # Errors
    /// When a component fails, the loss is not finite, or a system cannot be saved.
    pub(crate) fn fit(mut self) -> Result<Outcome, Failure> {
        let started = Instant::now();
        self.announce();
        self.sanity_check()?;
        let mut reason = StopReason::Epochs;
        let mut epochs = 0;
        for epoch in 0..self.config.trainer.epochs {
            self.emit(Event::EpochStarted { epoch });
            let stop = self.epoch(epoch)?;
            epochs = epoch + 1;
            if let Some(stop) = stop {
                reason = stop;
                break;
            }
        }
        let outcome = Outcome {
            reason,
            epochs,
            steps: self.step,
            elapsed: started.elapsed(),
            words_per_second: per_second(self.clock.words, self.clock.training),
            data_wait: self.clock.waiting.as_secs_f64()
                / self.clock.training.as_secs_f64().max(f64::MIN_POSITIVE),
            peak_memory: memory::peak(),
            best: self.keeper.best(),
        };
        self.tell_skipped(true);
        self.emit(Event::Finished(outcome.clone()));
        if let Err(failure) = self.test(outcome.best.as_ref().map(|(file, _, _)| file.as_path())) {
            // What was trained is there: a test that fails takes nothing from it.
            for diagnostic in failure.diagnostics {
                let message = format!("the system could not be tested: {}", diagnostic.message);
                self.emit(Event::Warning(Diagnostic { severity: Severity::Warning, message, ..diagnostic }));
            }
        }
        self.close();
        Ok(outcome)
    }

    /// Tests the best system, or the last where none was kept.
    fn test(&mut self, best: Option<&Path>) -> Result<(), Failure> {
        if self.test.is_empty() {
            return Ok(());
        }
        if let Some(file) = best {
            let saved = SavedSystem::open(file)
                .map_err(|error| Failure::new(ExitCode::RunFailed, Diagnostic::error(error.to_string())))?;
            self.system.load(&saved)?;
        }
        let limit = self.config.debug.then_some(1);
        let mut values = Vec::new();
        for set in &self.test {
            let found = pass::evaluate(&mut self.system, &set.data, limit, self.mode, |_, _| Ok(()))?;
            values.push((set.name_of("loss"), Some(found.loss)));
            values.extend(found.values.into_iter().map(|(name, value)| (set.name_of(&name), value)));
        }
        self.emit(Event::Tested { system: best.map(Path::to_owned), values });
        Ok(())
    }

    /// Frees the components. The run is done by then, so that one that fails at it is worth a warning only.
    fn close(self) {
        let Self { system, optimizers, consumer, .. } = self;
        for warning in optimizers.close().into_iter().chain(system.close()) {
            consumer.receive(&Event::Warning(warning));
        }
    }

    fn epoch(&mut self, epoch: u64) -> Result<Option<StopReason>, Failure> {
        let plan = self.train.plan(epoch).map_err(|error| invalid(&error))?;
        let count = if self.config.debug { 1 } else { plan.len() };
        let accumulation = self.accumulation(count);
        let interval = Interval::new(self.config, count);
        let mut stream = BatchStream::new(self.train.corpus(), plan, 0, self.mode.workers)
            .map_err(|error| invalid(&error))?;
        let (mut window, mut whole) = (Window::default(), Window::default());
        for index in 0..count {
            let started = Instant::now();
            let waited = stream.waited();
            let Some(batch) = stream.next() else { break };
            self.clock.waiting += stream.waited() - waited;

            if index == 0 || !self.mode.carry {
                self.system.reset_state(true).map_err(|error| running(&error))?;
            }
            let share = accumulation.size_at(index);
            let words = self.batch(epoch, share, &batch, &mut window, &mut whole)?;
            let step_ended = accumulation.ends_at(index);
            if step_ended || self.history_ends(index) {
                self.backward()?;
            }
            if step_ended {
                self.optimizer_step()?;
            }

            let log_due = step_ended && self.step.is_multiple_of(self.config.trainer.log_interval);
            let stop = self.step_limit(step_ended);
            let validation_due = interval.due_after(index) || stop.is_some();
            if log_due || validation_due {
                self.read_losses()?;
            }

            let time = started.elapsed();
            for window in [&mut window, &mut whole] {
                window.words += words;
                window.time += time;
            }
            self.clock.words += words;
            self.clock.training += time;
            self.emit(Event::Batch { words });
            if log_due {
                self.tell_skipped(false);
                let values = self.values(epoch, std::mem::take(&mut window))?;
                self.emit(Event::Logged(values));
            }
            if validation_due {
                self.validate(epoch)?;
            }
            let stop = stop.or_else(|| self.progress.exhausted().then_some(StopReason::EarlyStopping));
            if stop.is_some() {
                return Ok(stop);
            }
        }
        let values = self.values(epoch, whole)?;
        self.emit(Event::EpochEnded(values));
        Ok(self.config.debug.then_some(StopReason::Debug))
    }

    /// Whether gradients of the batches after `index` (from 0) do not reach back to it: that of an encoder that carries no state
    /// ends with each batch.
    fn history_ends(&self, index: usize) -> bool {
        let steps = self.config.trainer.truncated_bptt_steps.unwrap_or(1);
        (index as u64 + 1).is_multiple_of(steps)
    }

    /// Gradients of the losses since the last time.
    fn backward(&mut self) -> Result<(), Failure> {
        if let Some(loss) = self.pending.take() {
            let loss = self.optimizers.scale(loss).map_err(failed)?;
            loss.f_backward().map_err(|error| failed(error.into()))?;
        }
        self.system.detach_state().map_err(|error| running(&error))
    }

    /// Forward and figures of one of `share` batches of a step; its target words. The loss waits for [`Self::backward`].
    fn batch(
        &mut self,
        epoch: u64,
        share: usize,
        batch: &Batch,
        window: &mut Window,
        whole: &mut Window,
    ) -> Result<u64, Failure> {
        let purpose = Purpose::Training(self.batches);
        tch::manual_seed(seed_for(self.mode.seed, purpose, 0).cast_signed());
        self.batches += 1;
        let tensors = to_tensors(batch, self.system.device()).map_err(failed)?;
        let output = {
            let _precision = autocast(self.mode.precision, self.system.device()).map_err(failed)?;
            self.system.forward(&tensors, true).map_err(|error| running(&error))?
        };
        let loss = Loss::of(&output.loss)?;
        let step = self.step;
        let place = || Place { epoch, step, pairs: batch.pairs.clone() };
        if let Some((loss, place)) = self.unread.add(&loss, place)? {
            return Err(not_finite(loss, &place, &self.train.corpus()));
        }
        let scaled =
            if share > 1 { output.loss.f_div_scalar(share as f64) } else { Ok(output.loss.shallow_clone()) };
        let pending = match self.pending.take() {
            Some(pending) => scaled.and_then(|loss| pending.f_add(&loss)),
            None => scaled,
        };
        self.pending = Some(pending.map_err(|error| failed(error.into()))?);
        for window in [window, whole] {
            self.system.metrics.add(&mut window.tally, &output).map_err(|error| running(&error))?;
            window.scalars.add(&output.scalars)?;
            window.losses.add(&loss)?;
            window.batches += 1;
        }
        Ok(batch.target.number_of_tokens.iter().map(|words| u64::from(words.unsigned_abs())).sum())
    }

    /// Sees to it that all losses so far are finite, where that is not known yet.
    fn read_losses(&mut self) -> Result<(), Failure> {
        match self.unread.read()? {
            None => Ok(()),
            Some((loss, place)) => Err(not_finite(loss, &place, &self.train.corpus())),
        }
    }

    fn optimizer_step(&mut self) -> Result<(), Failure> {
        // A step that is skipped is a step all the same: schedules and the log go on.
        if self.optimizers.unscale(&self.parameters).map_err(failed)? {
            let limit = self.config.trainer.gradient_max_norm;
            if limit > 0.0 {
                let _norm = gradients::clip_grad_norm(&self.parameters, limit)
                    .map_err(|error| failed(error.into()))?;
            }
            self.optimizers.step(self.step).map_err(|error| running(&error))?;
        }
        gradients::clear_gradients(&self.parameters).map_err(|error| failed(error.into()))?;
        self.step += 1;
        Ok(())
    }

    /// Tells how many steps were skipped, if there are new ones or the run is `over`.
    fn tell_skipped(&mut self, over: bool) {
        let Some(scaler) = self.optimizers.scaler() else { return };
        let (skipped, scale) = (scaler.skipped(), scaler.state().scale);
        if skipped > self.told_skipped || over {
            self.told_skipped = skipped;
            self.emit(Event::Note(format!(
                "{skipped} of {} skipped so far, whose gradients were not finite in float16; the loss is scaled by {scale}",
                counted(self.step, "optimizer step")
            )));
        }
    }

    fn validate(&mut self, epoch: u64) -> Result<(), Failure> {
        let limit = self.config.debug.then_some(1);
        let batches = self.valid.iter().map(|set| limit.unwrap_or(set.data.plan.len())).sum();
        self.emit(Event::ValidationStarted { batches });
        let (mut values, mut main) = (Vec::new(), None);
        for (index, set) in self.valid.iter().enumerate() {
            let consumer = &mut *self.consumer;
            let found = pass::evaluate(&mut self.system, &set.data, limit, self.mode, |_, _| {
                consumer.receive(&Event::ValidationBatch);
                Ok(())
            })?;
            if index == 0 {
                main = self.system.metrics.main_value(&found.values);
            }
            values.push((set.name_of("loss"), Some(found.loss)));
            values.extend(found.values.into_iter().map(|(name, value)| (set.name_of(&name), value)));
        }
        let improved = self.progress.observe(main);
        // Before the states are saved, which tell of it.
        let lowered = self.optimizers.validated(main);
        let saved = self.keeper.offer(&mut self.system, epoch, self.step, main)?;
        if let Some(file) = &saved
            && self.keeper.best().is_some_and(|(best, _, _)| best == *file)
        {
            self.optimizers.save(self.keeper.directory(), self.step)?;
        }
        self.emit(Event::Validated { epoch, step: self.step, values, improved, saved });
        for lowered in lowered {
            self.emit(Event::RateLowered(lowered));
        }
        Ok(())
    }

    /// What would fail in a validation fails before training; its numbers are nobody's.
    fn sanity_check(&mut self) -> Result<(), Failure> {
        for set in &self.valid {
            pass::evaluate(&mut self.system, &set.data, Some(SANITY_BATCHES), self.mode, |_, _| Ok(()))?;
        }
        Ok(())
    }

    fn announce(&mut self) {
        let batches = if self.config.debug { 1 } else { self.train.batches() };
        self.emit(Event::Note(super::extent(self.config, batches, self.train.epochs_are_alike())));
        for line in self.optimizers.describe() {
            self.emit(Event::Note(line));
        }
        let main_metric = self.system.metrics.main_name();
        self.emit(Event::Started { epochs: self.config.trainer.epochs, batches, main_metric });
    }

    fn values(&mut self, epoch: u64, window: Window) -> Result<TrainingValues, Failure> {
        let mut values = self.system.metrics.values(&window.tally).map_err(|error| running(&error))?;
        let main = self.system.metrics.main_value(&values);
        values.extend(window.scalars.means()?);
        Ok(TrainingValues {
            epoch,
            step: self.step,
            loss: window.losses.total()? / window.batches.max(1) as f64,
            main,
            values,
            learning_rates: self.optimizers.last_rates(),
            words_per_second: per_second(window.words, window.time),
        })
    }

    fn step_limit(&self, step_ended: bool) -> Option<StopReason> {
        let limit = self.config.trainer.max_steps?;
        (step_ended && self.step >= limit).then_some(StopReason::MaxSteps)
    }

    fn accumulation(&self, batches: usize) -> Accumulation {
        Accumulation::new(batches, self.config.trainer.gradient_accumulation_steps)
    }

    fn emit(&mut self, event: Event) {
        self.consumer.receive(&event);
    }
}
