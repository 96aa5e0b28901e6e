//! How a run ends: what it came to is on the disk and said before anything that could still fail.

use std::path::Path;
use std::time::Duration;

use kiwi_core::diagnostic::{Diagnostic, Failure, Severity};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::saved_system::SavedSystem;
use kiwi_tracking::number::Number;
use kiwi_tracking::record::Summary;

use super::events::{Event, Outcome, ResumeFrom, StopReason};
use super::pass::{self, is_interruption};
use super::trainer::Trainer;
use super::window::per_second;
use crate::data::counted;
use crate::machine;
use crate::ranks::Ranks;
use crate::signals;

/// How long the end of a run waits for a disk that cannot be written.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same where a signal ends it: who sends one seldom waits long.
const PATIENCE_AFTER_A_SIGNAL: Duration = Duration::from_secs(5);

impl Trainer<'_> {
    /// Ends the run.
    pub(super) fn end(mut self, reason: StopReason) -> Result<Outcome, Failure> {
        self.tell(true);
        if let StopReason::Interrupted(signal) = reason {
            return self.end_interrupted(signal);
        }
        self.save_at_the_end()?;
        if !self.ranks.is_first() {
            // What is left to do is the first rank's.
            self.ranks.wait_for_all()?;
            let outcome = Outcome { reason, summary: self.summary(reason) };
            signals::done();
            self.close();
            return Ok(outcome);
        }
        let mut written = self.saving.finish(PATIENCE, false);
        self.tell_of_saving();
        if written.is_ok() {
            // What was given up meanwhile is known by now.
            self.save_at_the_end_again()?;
            written = self.saving.finish(PATIENCE, false);
        }
        written.map_err(|problem| {
            let message = format!("training is done, but what is to be kept cannot be written: {problem}");
            Failure::new(
                ExitCode::RunFailed,
                Diagnostic::error(Code::CannotSave, message).help("make room or rights there"),
            )
        })?;
        self.ranks.wait_for_all()?;
        let outcome = Outcome { reason, summary: self.summary(reason) };
        self.saving
            .write_summary(&outcome.summary)
            .unwrap_or_else(|warning| self.emit(Event::Warning(warning)));
        self.emit(Event::Finished(outcome.clone()));
        let best = self.saving.best_file().filter(|file| file.is_file());
        if let Err(failure) = self.test(best.as_deref()) {
            // What was trained is there: a test that fails takes nothing from it.
            if is_interruption(&failure) {
                self.emit(Event::Warning(Diagnostic::warning(
                    Code::CutShort,
                    "a signal came: the system is not tested",
                )));
            }
            for diagnostic in failure.diagnostics {
                let message = format!("the system could not be tested: {}", diagnostic.message);
                self.emit(Event::Warning(Diagnostic { severity: Severity::Warning, message, ..diagnostic }));
            }
        }
        signals::done();
        self.close();
        Ok(outcome)
    }

    fn end_interrupted(mut self, signal: &'static str) -> Result<Outcome, Failure> {
        self.emit(Event::Note(format!("received {signal}: saving where the run is")));
        let read = self.read_losses();
        let saved = match self.ranks.any(read.is_err())? {
            false => self.save_resume_point(),
            true => read,
        };
        let written = self.saving.finish(PATIENCE_AFTER_A_SIGNAL, true);
        self.tell_of_saving();
        let here = saved.is_ok() && written.is_ok() && self.saving.is_saved_at(self.position);
        let resume = self.ranks.first_says(match (here, signals::is_resumable()) {
            (true, _) => ResumeFrom::Here,
            (false, true) => ResumeFrom::Before,
            (false, false) => ResumeFrom::Nowhere,
        })?;
        if resume != ResumeFrom::Nowhere {
            signals::resumable();
        }
        if let Err(failure) = saved {
            for diagnostic in failure.diagnostics {
                self.emit(Event::Warning(Diagnostic { severity: Severity::Warning, ..diagnostic }));
            }
        }
        if let Err(problem) = written {
            self.emit(Event::Warning(Diagnostic::warning(
                Code::CannotSave,
                format!("no resume point could be written: {problem}"),
            )));
        }
        let reason = StopReason::Interrupted(signal);
        let outcome = Outcome { reason, summary: self.summary(reason) };
        if self.ranks.is_first() {
            self.saving
                .write_summary(&outcome.summary)
                .unwrap_or_else(|warning| self.emit(Event::Warning(warning)));
        }
        self.emit(Event::Interrupted { signal, step: self.position.step, resume });
        self.close();
        Ok(outcome)
    }

    fn summary(&self, reason: StopReason) -> Summary {
        let total = self.before + self.started.elapsed();
        Summary {
            reason: reason.name().to_owned(),
            epochs: self.position.epoch + u64::from(self.position.batch > 0),
            steps: self.position.step,
            best: self.saving.best(),
            last: self.saving.last(),
            seconds: self.clock.seconds(total),
            words_per_second: Number(per_second(self.clock.words, self.clock.training)),
            peak_memory: machine::peak(),
            skipped: self
                .skips
                .by_reason()
                .into_iter()
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
        }
    }

    /// Tells how many steps were skipped, if there are new ones or the run is `over`, and what became of files.
    pub(super) fn tell(&mut self, over: bool) {
        self.tell_of_saving();
        let Some(scaler) = self.optimizers.scaler() else { return };
        let (skipped, scale) = (scaler.skipped(), scaler.state().scale);
        if skipped > self.told_skipped || over {
            self.told_skipped = skipped;
            self.emit(Event::Note(format!(
                "{skipped} of {} skipped so far, whose gradients were not finite in float16; the loss is scaled by {scale}",
                counted(self.position.step, "optimizer step")
            )));
        }
    }

    /// Tests the best system, or the last where none was kept.
    fn test(&mut self, best: Option<&Path>) -> Result<(), Failure> {
        if self.test.is_empty() {
            return Ok(());
        }
        if let Some(file) = best {
            let saved = SavedSystem::open(file).map_err(|error| {
                Failure::new(ExitCode::RunFailed, Diagnostic::error(error.code(), error.to_string()))
            })?;
            self.system.load(&saved)?;
        }
        let limit = self.config.debug.then_some(1);
        let mut values = Vec::new();
        for set in &self.test {
            // The other ranks have left: their part was over when all was on the disk.
            let mut alone = Ranks::alone();
            let found =
                pass::evaluate(&mut self.system, &set.data, limit, self.mode, &mut alone, |_, _| Ok(()))?;
            values.push((set.name_of("loss"), Some(found.loss)));
            values.extend(found.values.into_iter().map(|(name, value)| (set.name_of(&name), value)));
        }
        self.emit(Event::Tested { system: best.map(Path::to_owned), values });
        Ok(())
    }

    /// Frees the components. The run is done by then, so that one that fails at it is worth a warning only.
    fn close(self) {
        let Self { system, optimizers, mut consumer, .. } = self;
        for warning in optimizers.close().into_iter().chain(system.close()) {
            if let Some(consumer) = &mut consumer {
                consumer.receive(&Event::Warning(warning));
            }
        }
    }
}
