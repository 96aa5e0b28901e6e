//! What happens to a training batch: forward, loss, gradients, and the step of the optimizer that some batches make.

use std::time::Instant;

use kiwi_core::config::OnTrouble;
use kiwi_core::diagnostic::Failure;
use kiwi_plugin_api::torch_ext::gradients;
use kiwi_text::Batch;

use super::events::Event;
use super::losses::{Figure, Loss, Place, Unusable, not_finite};
use super::memory_shortage;
use super::pass::failed;
use super::skips::{Reason, Verdict};
use super::trainer::Trainer;
use crate::system::running;
use crate::torch::{Purpose, autocast, seed_for, to_tensors};

impl Trainer<'_> {
    /// Whether gradients of the batches after `index` (from 0) do not reach back to it: that of an encoder that carries no state
    /// ends with each batch.
    pub(super) fn history_ends(&self, index: usize) -> bool {
        let steps = self.config.trainer.truncated_bptt_steps.unwrap_or(1);
        (index as u64 + 1).is_multiple_of(steps)
    }

    /// Forward and figures of one of `share` batches of a step; its target words. The loss waits for [`Self::backward`].
    pub(super) fn batch(&mut self, share: usize, batch: &Batch) -> Result<u64, Failure> {
        let purpose = Purpose::Training(self.position.batches);
        tch::manual_seed(seed_for(self.mode.seed, purpose, 0).cast_signed());
        self.position.batches += 1;
        let started = Instant::now();
        let done = self.forward(share, batch);
        self.clock.forward += started.elapsed();
        if let Err(failure) = done {
            self.out_of_memory_or(failure, batch)?;
        }
        Ok(batch.target.number_of_tokens.iter().map(|words| u64::from(words.unsigned_abs())).sum())
    }

    fn forward(&mut self, share: usize, batch: &Batch) -> Result<(), Failure> {
        let tensors = to_tensors(batch, self.system.device()).map_err(failed)?;
        let output = {
            let _precision = autocast(self.mode.precision, self.system.device()).map_err(failed)?;
            self.system.forward(&tensors, true).map_err(|error| running(&error))?
        };
        let mut loss = Loss::of(&output.loss)?;
        if self.config.trainer.on_nonfinite == OnTrouble::Skip {
            // Whether to use the batch is decided here and now.
            loss = loss.read()?;
        }
        let place = self.place(Figure::Loss, batch);
        if let Some(unusable) = self.unread.add(&loss, place)? {
            return self.not_finite(unusable);
        }
        let weighed = self.items.weigh(&output.loss, output.averaged_over.as_ref(), share).map_err(failed)?;
        self.pending = Some(match self.pending.take() {
            Some(pending) => pending.f_add(&weighed).map_err(|error| failed(error.into()))?,
            None => weighed,
        });
        for window in [&mut self.window, &mut self.whole] {
            self.system.metrics.add(&mut window.tally, &output).map_err(|error| running(&error))?;
            window.scalars.add(&output.scalars)?;
            window.losses.add(&loss)?;
            window.batches += 1;
        }
        Ok(())
    }

    /// Gradients of the losses since the last time, `batch` being the last of their batches.
    pub(super) fn backward(&mut self, batch: &Batch) -> Result<(), Failure> {
        if let Some(loss) = self.pending.take() {
            let started = Instant::now();
            let scaled = self.optimizers.scale(loss).map_err(failed);
            let done = scaled.and_then(|loss| self.system.backward(&loss));
            self.clock.backward += started.elapsed();
            if let Err(failure) = done {
                self.out_of_memory_or(failure, batch)?;
                // Some gradients have it and some have not: the step begins anew with the batches that follow.
                gradients::clear_gradients(&self.parameters).map_err(|error| failed(error.into()))?;
                self.items.clear();
            }
        }
        self.system.detach_state().map_err(|error| running(&error))
    }

    /// The step of the optimizer, whose last batch is `batch`. One that is skipped is a step all the same: schedules and the log go
    /// on.
    pub(super) fn optimizer_step(&mut self, batch: &Batch) -> Result<(), Failure> {
        let started = Instant::now();
        let done = self.update(batch);
        self.clock.optimizer += started.elapsed();
        done?;
        self.position.step += 1;
        Ok(())
    }

    fn update(&mut self, batch: &Batch) -> Result<(), Failure> {
        if !self.has_gradients()? {
            // All batches of the step were skipped.
            return Ok(());
        }
        let finite = self.optimizers.unscale(&self.parameters).map_err(failed)?;
        self.items.divide(&self.parameters).map_err(failed)?;
        if finite && self.gradients_are_usable(batch)? {
            self.optimizers.step(self.position.step).map_err(|error| running(&error))?;
            self.skips.used();
        }
        gradients::clear_gradients(&self.parameters).map_err(|error| failed(error.into()))
    }

    fn has_gradients(&self) -> Result<bool, Failure> {
        for parameter in &self.parameters {
            if gradients::gradient(parameter).map_err(|error| failed(error.into()))?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Scales gradients down that are too large, and says whether all are finite; that some are not may be found out later on
    /// another device.
    fn gradients_are_usable(&mut self, batch: &Batch) -> Result<bool, Failure> {
        let limit = self.config.trainer.gradient_max_norm;
        let norm = if limit > 0.0 {
            gradients::clip_grad_norm(&self.parameters, limit)
        } else {
            gradients::not_finite(&self.parameters)
        };
        let mut norm = Loss::of(&norm.map_err(|error| failed(error.into()))?)?;
        if self.config.trainer.on_nonfinite == OnTrouble::Skip {
            norm = norm.read()?;
        }
        let place = self.place(Figure::Gradient, batch);
        match self.unread.add(&norm, place)? {
            None => Ok(true),
            Some(unusable) => self.not_finite(unusable).map(|()| false),
        }
    }

    /// Sees to it that all losses and gradients so far are finite, where that is not known yet.
    pub(super) fn read_losses(&mut self) -> Result<(), Failure> {
        match self.unread.read()? {
            None => Ok(()),
            Some(unusable) => Err(not_finite(&unusable, &self.train.corpus())),
        }
    }

    fn place<'b>(&self, figure: Figure, batch: &'b Batch) -> impl FnOnce() -> Place + use<'b> {
        let (epoch, step) = (self.position.epoch, self.position.step);
        move || Place { figure, epoch, step, pairs: batch.pairs.clone() }
    }

    /// A batch whose loss or gradient is not finite: skipped, or the end.
    fn not_finite(&mut self, unusable: Unusable) -> Result<(), Failure> {
        let failure = not_finite(&unusable, &self.train.corpus());
        self.skip_or(Reason::NotFinite, self.config.trainer.on_nonfinite, failure)
    }

    /// A batch whose computation failed: if for want of memory, skipped or the end, with what it holds.
    fn out_of_memory_or(&mut self, failure: Failure, batch: &Batch) -> Result<(), Failure> {
        let Some(shortage) = memory_shortage::recognise(&failure) else { return Err(failure) };
        let failure = memory_shortage::complaint(&shortage, self.position, batch, &self.train.corpus());
        self.skip_or(Reason::OutOfMemory, self.config.trainer.on_oom, failure)
    }

    fn skip_or(&mut self, reason: Reason, choice: OnTrouble, mut failure: Failure) -> Result<(), Failure> {
        match self.skips.skip(reason, choice, self.position.batches) {
            Verdict::Stop => Err(failure),
            Verdict::TooMany(why) => {
                for diagnostic in &mut failure.diagnostics {
                    diagnostic.notes.push(why.clone());
                }
                Err(failure)
            }
            Verdict::Skip => {
                let all = self.skips.all();
                for diagnostic in failure.diagnostics {
                    let warning = kiwi_core::diagnostic::Diagnostic {
                        severity: kiwi_core::diagnostic::Severity::Warning,
                        message: format!("a batch is skipped, {all} so far: {}", diagnostic.message),
                        ..diagnostic
                    };
                    self.emit(Event::Warning(warning));
                }
                Ok(())
            }
        }
    }
}
