//! What happens to a training batch: forward, loss, gradients, and the step of the optimizer that some batches make.

use std::time::Instant;

use kiwi_core::config::OnTrouble;
use kiwi_core::diagnostic::Failure;
use kiwi_core::exit_code::ExitCode;
use kiwi_plugin_api::HeadOutput;
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

/// A batch that cannot be used, and why.
struct Trouble {
    reason: Reason,
    failure: Failure,
}

impl Trainer<'_> {
    /// Whether gradients of the batches after `index` (from 0) do not reach back to it: that of an encoder that carries no state
    /// ends with each batch.
    pub(super) fn history_ends(&self, index: usize) -> bool {
        let steps = self.config.trainer.truncated_bptt_steps.unwrap_or(1);
        (index as u64 + 1).is_multiple_of(steps)
    }

    /// Forward and figures of one of `share` batches of a step, of which `batch` is this rank's share; its target words are counted.
    /// The loss waits for [`Self::backward`].
    pub(super) fn batch(&mut self, share: usize, batch: &Batch) -> Result<(), Failure> {
        let purpose = Purpose::Training(self.position.batches);
        tch::manual_seed(seed_for(self.mode.seed, purpose, self.ranks.rank().into()).cast_signed());
        self.position.batches += 1;
        self.within_step = true;
        let started = Instant::now();
        let done = self.forward(share, batch);
        self.clock.forward += started.elapsed();
        done?;
        let words = batch.target.number_of_tokens.iter().map(|words| u64::from(words.unsigned_abs()));
        self.words += words.sum::<u64>();
        Ok(())
    }

    fn forward(&mut self, share: usize, batch: &Batch) -> Result<(), Failure> {
        let computed = if batch.pairs.is_empty() { Ok(None) } else { self.compute(batch)?.map(Some) };
        let (computed, trouble) = match computed {
            Ok(computed) => (computed, None),
            Err(trouble) => (None, Some(trouble)),
        };
        if let Some(trouble) = self.agree_on(trouble)? {
            return self.skip_or_end(trouble);
        }
        self.window.batches += 1;
        let Some((output, loss)) = computed else {
            self.window.sums.add_nothing();
            return Ok(());
        };
        let divided = self.ranks.is_group();
        let weighed = self.items.weigh(&output.loss, output.averaged_over.as_ref(), share, divided);
        let weighed = weighed.map_err(failed)?;
        self.pending = Some(match self.pending.take() {
            Some(pending) => pending.f_add(&weighed).map_err(|error| failed(error.into()))?,
            None => weighed,
        });
        self.window.sums.add(&mut self.system.metrics, &output, &loss, self.ranks)
    }

    /// Figures and loss of a batch, or why they cannot be used.
    fn compute(&mut self, batch: &Batch) -> Result<Result<(HeadOutput, Loss), Trouble>, Failure> {
        let output = match self.run_forward(batch) {
            Ok(output) => output,
            Err(failure) => return self.out_of_memory(failure, batch).map(Err),
        };
        let mut loss = Loss::of(&output.loss)?;
        if self.config.trainer.on_nonfinite == OnTrouble::Skip {
            // Whether to use the batch is decided here and now.
            loss = loss.read()?;
        }
        let place = self.place(Figure::Loss, batch);
        Ok(match self.unread.add(&loss, place)? {
            Some(unusable) => Err(self.not_finite(&unusable)),
            None => Ok((output, loss)),
        })
    }

    fn run_forward(&mut self, batch: &Batch) -> Result<HeadOutput, Failure> {
        let tensors = to_tensors(batch, self.system.device()).map_err(failed)?;
        let _precision = autocast(self.mode.precision, self.system.device()).map_err(failed)?;
        self.system.forward(&tensors, true).map_err(|error| running(&error))
    }

    /// Gradients of the losses since the last time, `batch` being the last of their batches.
    pub(super) fn backward(&mut self, batch: &Batch) -> Result<(), Failure> {
        let mut trouble = None;
        if let Some(loss) = self.pending.take() {
            let started = Instant::now();
            let scaled = self.optimizers.scale(loss).map_err(failed);
            let done = scaled.and_then(|loss| self.system.backward(&loss));
            self.clock.backward += started.elapsed();
            trouble = done.err().map(|failure| self.out_of_memory(failure, batch)).transpose()?;
        }
        if let Some(trouble) = self.agree_on(trouble)? {
            self.skip_or_end(trouble)?;
            // Some gradients have it and some have not: the step begins anew with the batches that follow.
            gradients::clear_gradients(&self.parameters).map_err(|error| failed(error.into()))?;
            self.items.clear();
        }
        self.system.detach_state().map_err(|error| running(&error))
    }

    /// The step of the optimizer, whose last batch is `batch`; its target words, of all ranks together. One that is skipped is a step
    /// all the same: schedules and the log go on.
    pub(super) fn optimizer_step(&mut self, batch: &Batch) -> Result<u64, Failure> {
        let started = Instant::now();
        let done = self.update(batch);
        self.clock.optimizer += started.elapsed();
        self.position.step += 1;
        self.within_step = false;
        done
    }

    fn update(&mut self, batch: &Batch) -> Result<u64, Failure> {
        let words = std::mem::take(&mut self.words);
        let items = if self.ranks.is_group() { self.items.count().map_err(failed)? } else { None };
        let step = self.ranks.sum_step(&self.parameters, words, items)?;
        if !step.has_gradients {
            // All batches of the step were skipped.
            return Ok(step.words);
        }
        if self.ranks.is_group() {
            self.items.replace(step.items, self.system.device()).map_err(failed)?;
        }
        let finite = self.optimizers.unscale(&self.parameters).map_err(failed)?;
        self.items.divide(&self.parameters).map_err(failed)?;
        if finite && self.gradients_are_usable(batch)? {
            self.optimizers.step(self.position.step).map_err(|error| running(&error))?;
            self.skips.used();
        }
        gradients::clear_gradients(&self.parameters).map_err(|error| failed(error.into()))?;
        Ok(step.words)
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
            Some(unusable) => self.skip_or_end(self.not_finite(&unusable)).map(|()| false),
        }
    }

    /// Sees to it that all losses and gradients so far are finite, where that is not known yet.
    pub(super) fn read_losses(&mut self) -> Result<(), Failure> {
        match self.unread.read()? {
            None => Ok(()),
            Some(unusable) => Err(self.not_finite(&unusable).failure),
        }
    }

    fn place<'b>(&self, figure: Figure, batch: &'b Batch) -> impl FnOnce() -> Place + use<'b> {
        let (epoch, step) = (self.position.epoch, self.position.step);
        move || Place { figure, epoch, step, pairs: batch.pairs.clone() }
    }

    fn not_finite(&self, unusable: &Unusable) -> Trouble {
        let skips = self.config.trainer.on_nonfinite == OnTrouble::Skip;
        Trouble { reason: Reason::NotFinite, failure: not_finite(unusable, &self.train.corpus(), skips) }
    }

    /// What a batch holds whose computation failed for want of memory.
    ///
    /// # Errors
    /// When it failed for another reason.
    fn out_of_memory(&self, failure: Failure, batch: &Batch) -> Result<Trouble, Failure> {
        let Some(shortage) = memory_shortage::recognise(&failure) else { return Err(failure) };
        let failure = memory_shortage::complaint(&shortage, self.position, batch, &self.train.corpus());
        Ok(Trouble { reason: Reason::OutOfMemory, failure })
    }

    fn choice(&self, reason: Reason) -> OnTrouble {
        match reason {
            Reason::NotFinite => self.config.trainer.on_nonfinite,
            Reason::OutOfMemory => self.config.trainer.on_oom,
        }
    }

    /// Where batches may be skipped, the trouble that any rank has with its share: all skip the batch, or none. Elsewhere a rank with
    /// trouble ends the run, of which the others learn by that.
    fn agree_on(&mut self, trouble: Option<Trouble>) -> Result<Option<Trouble>, Failure> {
        let may_skip = [Reason::NotFinite, Reason::OutOfMemory]
            .into_iter()
            .any(|reason| self.choice(reason) == OnTrouble::Skip);
        let ends = trouble.as_ref().is_some_and(|trouble| self.choice(trouble.reason) == OnTrouble::Stop);
        if !self.ranks.is_group() || !may_skip || ends || !self.ranks.any(trouble.is_some())? {
            return Ok(trouble);
        }
        let told = trouble.map(|trouble| (trouble.reason, trouble.failure.diagnostics));
        let told = self.ranks.exchange(told)?;
        Ok(told.into_iter().enumerate().find_map(|(rank, told)| {
            let (reason, mut diagnostics) = told?;
            diagnostics.iter_mut().for_each(|one| one.notes.push(format!("on rank {rank}")));
            let failure = Failure { exit: ExitCode::RunFailed, diagnostics };
            Some(Trouble { reason, failure })
        }))
    }

    /// Skips what cannot be used, if the config says so and not too much was skipped; else the end.
    fn skip_or_end(&mut self, trouble: Trouble) -> Result<(), Failure> {
        let Trouble { reason, mut failure } = trouble;
        match self.skips.skip(reason, self.choice(reason), self.position.batches) {
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
                        code: kiwi_core::error_code::Code::BatchSkipped,
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
