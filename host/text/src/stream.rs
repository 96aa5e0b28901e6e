//! Batches made ready in the background while the loop computes. Their order and content are the plan's, however many
//! threads work.

use std::{
    panic,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::Receiver;

use crate::{Batch, BatchPlan, EncodedCorpus, Error, Result};

/// Batches that each thread keeps ready.
const LOOK_AHEAD: usize = 2;

/// The batches of a plan, from a given one on. Dropping it early stops its threads.
#[derive(Debug)]
pub struct BatchStream {
    corpus: Arc<EncodedCorpus>,
    plan: Arc<BatchPlan>,
    next: usize,
    /// Batch i comes from worker i modulo their number, each of which makes its batches in order; none: made by the caller.
    workers: Vec<Worker>,
    waited: Duration,
}

#[derive(Debug)]
struct Worker {
    batches: Receiver<Batch>,
    thread: JoinHandle<()>,
}

impl BatchStream {
    /// Starts making the batches of a plan, the first `skip` left out, in `workers` threads (0: in the calling thread, each
    /// when it is asked for).
    ///
    /// # Errors
    /// The operating system gives no more threads.
    pub fn new(
        corpus: Arc<EncodedCorpus>,
        plan: Arc<BatchPlan>,
        skip: usize,
        workers: usize,
    ) -> Result<Self> {
        let mut stream = Self { corpus, plan, next: skip, workers: Vec::new(), waited: Duration::ZERO };
        let left = stream.remaining();
        // The position of each worker's batches in the stream, so that `next` finds the worker by the batch's number.
        let count = workers.min(left);
        for number in 0..count {
            let worker = Worker::start(&stream, skip + number, count);
            let worker =
                worker.map_err(|cause| Error::NoThread { number: number + 1, workers: count, cause })?;
            stream.workers.push(worker);
        }
        // Batch `skip` is the first worker's: turn the list so that batch i is at i modulo `count`.
        if count > 0 {
            stream.workers.rotate_right(skip % count);
        }
        Ok(stream)
    }

    /// How many batches are still to come.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.plan.len().saturating_sub(self.next)
    }

    /// How long callers have waited for batches so far: with workers until one was ready, without while it was made.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.waited
    }

    fn stop(&mut self) {
        for worker in std::mem::take(&mut self.workers) {
            // Without a receiver the thread's next batch finds no taker, and it ends.
            drop(worker.batches);
            if let Err(cause) = worker.thread.join()
                && !thread::panicking()
            {
                panic::resume_unwind(cause);
            }
        }
    }
}

impl Worker {
    fn start(stream: &BatchStream, first: usize, step: usize) -> std::io::Result<Self> {
        let (sender, batches) = crossbeam_channel::bounded(LOOK_AHEAD);
        let (corpus, plan) = (Arc::clone(&stream.corpus), Arc::clone(&stream.plan));
        let thread = thread::Builder::new().name("batches".to_owned()).spawn(move || {
            let mut batch = first;
            while let Some(pairs) = plan.batch(batch)
                && sender.send(Batch::new(&corpus, pairs)).is_ok()
            {
                batch += step;
            }
        })?;
        Ok(Self { batches, thread })
    }
}

impl Iterator for BatchStream {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let started = Instant::now();
        let pairs = self.plan.batch(self.next)?;
        let batch = if self.workers.is_empty() {
            Some(Batch::new(&self.corpus, pairs))
        } else {
            self.workers[self.next % self.workers.len()].batches.recv().ok()
        };
        if batch.is_none() {
            // A thread ends before its last batch only by a panic, which goes on here.
            self.stop();
        }
        self.next += 1;
        self.waited += started.elapsed();
        batch
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining(), Some(self.remaining()))
    }
}

impl ExactSizeIterator for BatchStream {}

impl Drop for BatchStream {
    fn drop(&mut self) {
        self.stop();
    }
}
