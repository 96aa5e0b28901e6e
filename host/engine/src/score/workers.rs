//! The threads that compute: each has a system of its own, all of which read the same parameters, and takes batches as it gets done
//! with them. On a GPU there is one, which begins a batch before it reads the figures of the last.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender};
use kiwi_core::config::Precision;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_plugin_api::HeadOutput;
use kiwi_plugin_api::torch_ext::{guard, set_cuda_device};
use kiwi_text::{Batch, Window};
use tch::Device;

use super::Said;
use super::figures::{self, Figures};
use crate::system::{System, running};
use crate::torch::{autocast, to_tensors};
use crate::training::failed;

/// Pairs of a window to be computed together.
pub(super) struct Job {
    pub(super) window: Arc<Window>,
    pub(super) pairs: Vec<u32>,
}

/// What a worker gives back.
pub(super) struct Computed {
    /// The first pair of the window.
    pub(super) window: u64,
    /// Pairs, counted within the window, with their figures.
    pub(super) pairs: Vec<(u32, Figures)>,
}

/// A thread that computes.
pub(super) struct Worker {
    pub(super) system: System,
    pub(super) precision: Precision,
    /// Threads of libtorch's for each operation.
    pub(super) threads: usize,
    pub(super) jobs: Receiver<Job>,
    pub(super) said: Sender<Said>,
    /// Set when nobody wants the rest.
    pub(super) stop: Arc<AtomicBool>,
}

impl Worker {
    /// Starts it. It ends when there are no more jobs, and then says so.
    ///
    /// # Errors
    /// When the operating system gives no more threads.
    pub(super) fn start(self) -> std::io::Result<()> {
        thread::Builder::new().name("scores".to_owned()).spawn(move || {
            let said = self.said.clone();
            let end = guard(|| self.work()).unwrap_or_else(|caught| {
                let error = Diagnostic::error(
                    Code::Internal,
                    "a thread that computes failed in a way that it should not",
                );
                Err(Failure::new(ExitCode::RunFailed, error.note(caught.to_string())))
            });
            // Without a listener there is nobody to tell.
            let _ = said.send(match end {
                Ok(warnings) => Said::Ended(warnings),
                Err(failure) => Said::Failed(failure),
            });
        })?;
        Ok(())
    }

    fn work(mut self) -> Result<Vec<Diagnostic>, Failure> {
        tch::set_num_threads(i32::try_from(self.threads).unwrap_or(i32::MAX));
        if let Device::Cuda(index) = self.system.device() {
            set_cuda_device(index).map_err(|error| failed(error.into()))?;
        }
        let _no_grad = tch::no_grad_guard();
        let ahead = self.system.device() != Device::Cpu;
        let mut begun: Option<(Job, Batch, HeadOutput)> = None;
        while let Ok(job) = self.jobs.recv() {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let batch = Batch::new(job.window.corpus(), &job.pairs);
            let output = self.forward(&batch)?;
            let last = begun.replace((job, batch, output));
            let done = if ahead { last } else { begun.take() };
            if !self.tell(done)? {
                break;
            }
        }
        self.tell(begun)?;
        Ok(self.system.close())
    }

    fn forward(&mut self, batch: &Batch) -> Result<HeadOutput, Failure> {
        let (system, precision) = (&mut self.system, self.precision);
        system.reset_state(false).map_err(|error| running(&error))?;
        let tensors = to_tensors(batch, system.device()).map_err(failed)?;
        let _precision = autocast(precision, system.device()).map_err(failed)?;
        system.forward(&tensors, false).map_err(|error| running(&error))
    }

    /// Reads the figures of a batch and hands them over; whether somebody wants more.
    fn tell(&self, done: Option<(Job, Batch, HeadOutput)>) -> Result<bool, Failure> {
        let Some((job, batch, output)) = done else { return Ok(true) };
        let figures = figures::of_batch(&batch, &output)?;
        let pairs = job.pairs.into_iter().zip(figures).collect();
        Ok(self.said.send(Said::Computed(Computed { window: job.window.first(), pairs })).is_ok())
    }
}
