//! Who of a run's processes is lost, and why: each learns within seconds that another one failed, ended, was stopped or was cut off
//! from the network. Collective calls alone do not tell: they wait, or say only that some connection ended.
//!
//! Every rank has one TCP connection, to rank 0, over which each side sends a beat now and then. What rank 0 learns first it tells all
//! others, so that all name the same cause. One thread of the process ([`watcher`]) does all of that and never waits for a connection.

mod door;
mod error;
mod frames;
mod line;
mod state;
#[cfg(test)]
mod tests;
mod watcher;

use std::fmt;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use door::Door;
use error::seconds;
pub use error::{Refusal, WatchError};
use state::{First, Over, Shared, Wish};
use watcher::{Peer, Watcher};

/// How long [`Watch::failed`] takes at most.
const TELLING: Duration = Duration::from_secs(2);

/// How often ranks say that they are there, and when one counts as lost. The same on all ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The time between two beats.
    pub beat: Duration,
    /// A rank that nothing was heard of for so long is lost. Three beats if it is less. Only time counts in which the process that
    /// waits was running itself.
    pub silence: Duration,
    /// The time from the first loss until `lost` is called, in which the process may end by itself.
    pub grace: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { beat: Duration::from_secs(1), silence: Duration::from_secs(10), grace: Duration::from_secs(5) }
    }
}

impl Pace {
    /// The same, with what makes sense together.
    fn sane(self) -> Self {
        let beat = self.beat.max(Duration::from_millis(1));
        Self { beat, silence: self.silence.max(beat.saturating_mul(3)), grace: self.grace }
    }
}

/// How a rank was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// It failed, and said this.
    Failed(String),
    /// Its connection ended without a word.
    Ended,
    /// Nothing was heard of it for so long.
    Silent(Duration),
}

/// A rank that was lost. It may be the rank that asks: it was stopped for a while, and the others have given it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Which.
    pub rank: u32,
    /// How.
    pub how: How,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rank = self.rank;
        match &self.how {
            How::Failed(text) => write!(f, "rank {rank} failed: {text}"),
            How::Ended => {
                write!(f, "rank {rank} ended without a word (it was killed, or its machine went down)")
            }
            How::Silent(time) => {
                let time = seconds(*time);
                write!(
                    f,
                    "rank {rank} has not answered for {time} (it is stopped, or cut off from the network)"
                )
            }
        }
    }
}

/// Where the other ranks come to rank 0, before they know of it.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    port: u16,
}

impl Listener {
    /// Listens at a free port of this address. Ranks that come before [`Watch::first`] is called wait for it.
    ///
    /// # Errors
    /// When this machine has no such address, or no port is free.
    pub fn bind(address: IpAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((address, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    /// The port, which the other ranks are to be told.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// A rank's watch over the others.
///
/// When it is dropped without [`Self::leave`], the connection ends without a goodbye: the others take this rank for lost.
pub struct Watch {
    shared: Arc<Shared>,
    /// Where the watching is done; `None` once it has ended.
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Rank 0's: waits until all other ranks have come. All give the same `token`, by which runs are told apart.
    ///
    /// `lost` is called in a thread of its own `pace.grace` after the first loss became known, at most once, and not after this watch
    /// was left or dropped. It is there for a process that waits for a lost rank and cannot end by itself.
    ///
    /// # Errors
    /// When they have not all come within `patience`, or one that had come was lost: those that did come learn of it. When no thread
    /// can be started.
    pub fn first(
        listener: Listener,
        ranks: u32,
        token: &[u8],
        pace: Pace,
        patience: Duration,
        lost: impl FnOnce(&Loss) + Send + 'static,
    ) -> Result<Self, WatchError> {
        let shared = Shared::new((1..ranks).collect());
        let door = Door::new(listener.listener, ranks, token);
        let watch = Self::start(Watcher::new(0, pace.sane(), Vec::new(), Some(door), shared), pace, lost)?;
        match watch.wait_for_all(patience) {
            Ok(()) => Ok(watch),
            Err(error) => {
                if matches!(error, WatchError::Missing { .. }) {
                    watch.failed(&error.to_string());
                }
                Err(error)
            }
        }
    }

    /// Another rank's: comes to rank 0, which listens at `port` of `host`. The rest is as for [`Self::first`].
    ///
    /// The time that the system takes to find the address of `host` may come on top of `patience`.
    ///
    /// # Errors
    /// When rank 0 is not there within `patience` or ends before it answers, or it refuses this rank. When no thread can be started.
    pub fn join(
        host: &str,
        port: u16,
        rank: u32,
        token: &[u8],
        pace: Pace,
        patience: Duration,
        lost: impl FnOnce(&Loss) + Send + 'static,
    ) -> Result<Self, WatchError> {
        let line = door::enter(host, port, rank, token, patience)?;
        let shared = Shared::new(std::collections::BTreeSet::new());
        Self::start(Watcher::new(rank, pace.sane(), vec![Peer::new(0, line)], None, shared), pace, lost)
    }

    fn start(
        watcher: Watcher,
        pace: Pace,
        lost: impl FnOnce(&Loss) + Send + 'static,
    ) -> Result<Self, WatchError> {
        let shared = watcher.shared();
        let over = Over::new(Arc::clone(&shared));
        let work = move || {
            let _over = over;
            watcher.run();
        };
        let thread = thread::Builder::new().name("watch".to_owned()).spawn(work)?;
        // From here on, an error drops the watch, which ends the thread.
        let watch = Self { shared, thread: Some(thread) };
        let shared = Arc::clone(&watch.shared);
        let caller = move || call(&shared, pace.grace, lost);
        thread::Builder::new().name("watch: lost".to_owned()).spawn(caller)?;
        Ok(watch)
    }

    fn wait_for_all(&self, patience: Duration) -> Result<(), WatchError> {
        let start = Instant::now();
        let mut state = self.shared.lock();
        loop {
            if let Some(First::Other(loss)) = &state.first {
                return Err(WatchError::Lost(loss.clone()));
            }
            if state.missing.is_empty() {
                return Ok(());
            }
            let left = patience.saturating_sub(start.elapsed());
            if left.is_zero() || state.over {
                return Err(WatchError::Missing { ranks: state.missing.iter().copied().collect(), patience });
            }
            state = self.shared.wait(state, left);
        }
    }

    /// Tells the others that this rank fails, and why. Returns when they have heard it, after two seconds at most.
    ///
    /// This rank does not watch the others any more then, nor they it. `lost` is not called for it, and a text is cut to 16 KiB.
    pub fn failed(&self, text: &str) {
        let start = Instant::now();
        let mut state = self.shared.lock();
        if state.wish.is_none() {
            state.wish = Some(Wish::Failed(frames::cut(text).to_owned()));
            self.shared.tell();
        }
        loop {
            let left = TELLING.saturating_sub(start.elapsed());
            if state.over || left.is_zero() {
                return;
            }
            state = self.shared.wait(state, left);
        }
    }

    /// The first rank that was lost, and how. Waits for at most `patience` if none is known yet.
    ///
    /// `None`, at once, also when there is nothing to wait for: this rank has failed itself, or the others have left and none was lost.
    #[must_use]
    pub fn loss(&self, patience: Duration) -> Option<Loss> {
        let start = Instant::now();
        let mut state = self.shared.lock();
        loop {
            match &state.first {
                Some(First::Other(loss)) => return Some(loss.clone()),
                Some(First::Own) => return None,
                None => {}
            }
            let left = patience.saturating_sub(start.elapsed());
            if state.over || left.is_zero() {
                return None;
            }
            state = self.shared.wait(state, left);
        }
    }

    /// This rank ends, and nothing is wrong: the others are told. Returns when they have heard it, after about a second at most.
    ///
    /// Once rank 0 has left, the others do not watch each other any more.
    pub fn leave(self) {
        self.end(Wish::Goodbye);
    }

    fn end(&self, wish: Wish) {
        let mut state = self.shared.lock();
        state.left = true;
        state.wish.get_or_insert(wish);
        self.shared.tell();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end(Wish::NoWord);
        if let Some(thread) = self.thread.take() {
            // Only a panic in it is an error, and then it has ended, too.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

/// Calls `lost` when it is time to.
fn call(shared: &Shared, grace: Duration, lost: impl FnOnce(&Loss)) {
    let mut state = shared.lock();
    loop {
        if state.left {
            return;
        }
        let left = match &state.first {
            Some(First::Own) => return,
            None if state.over => return,
            None => Duration::MAX,
            Some(First::Other(loss)) => {
                let past = state.known.map_or(Duration::MAX, |known| known.elapsed());
                if past >= grace {
                    let loss = loss.clone();
                    drop(state);
                    return lost(&loss);
                }
                grace.saturating_sub(past)
            }
        };
        state = shared.wait(state, left);
    }
}
