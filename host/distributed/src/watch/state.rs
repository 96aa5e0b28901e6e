//! What the thread that watches and the process's others know in common.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Loss;

/// What happened first.
#[derive(Debug)]
pub(super) enum First {
    /// This rank said that it fails.
    Own,
    /// A rank was lost.
    Other(Loss),
}

/// How this rank is to end its watch.
#[derive(Debug)]
pub(super) enum Wish {
    /// Nothing is wrong.
    Goodbye,
    /// It fails, and says this.
    Failed(String),
    /// It says nothing.
    NoWord,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Never replaced by what comes later, which is as a rule a consequence.
    pub(super) first: Option<First>,
    /// When that became known.
    pub(super) known: Option<Instant>,
    /// The ranks that have not come to rank 0 yet. None elsewhere.
    pub(super) missing: BTreeSet<u32>,
    pub(super) wish: Option<Wish>,
    /// Whether nobody is interested any more.
    pub(super) left: bool,
    /// Whether nothing more will become known.
    pub(super) over: bool,
}

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    news: Condvar,
}

impl Shared {
    pub(super) fn new(missing: BTreeSet<u32>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { missing, ..State::default() }), news: Condvar::new() })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until there is something new, or for so long.
    pub(super) fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.news.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Wakes those that wait.
    pub(super) fn tell(&self) {
        self.news.notify_all();
    }

    /// The first thing that happened, unless there was one before. Whether there was none.
    pub(super) fn learn(&self, first: First) -> bool {
        let mut state = self.lock();
        if state.first.is_some() {
            return false;
        }
        state.first = Some(first);
        state.known = Some(Instant::now());
        self.tell();
        true
    }
}

/// Says that watching is over when it is dropped, however its thread ends.
#[derive(Debug)]
pub(super) struct Over(Arc<Shared>);

impl Over {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }
}

impl Drop for Over {
    fn drop(&mut self) {
        self.0.lock().over = true;
        self.0.tell();
    }
}
