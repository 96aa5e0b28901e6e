//! The thread that watches: it goes over all connections again and again, and waits for none.
//!
//! A thousand of them cost rank 0 about two hundredths of a core.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::door::Door;
use super::frames::Frame;
use super::line::{Condition, Line};
use super::state::{First, Shared, Wish};
use super::{How, Loss, Pace};

/// The time between two rounds: a tenth of a beat, but not more.
const ROUND: Duration = Duration::from_millis(100);
/// The same while others come or go, which is soon over.
const SHORT_ROUND: Duration = Duration::from_millis(10);
/// The same with short beats.
const SHORTEST_ROUND: Duration = Duration::from_millis(1);
/// How long the others have to hear what this rank said last.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What is said of a rank that sends what is no frame.
const NONSENSE: &str = "it sends what cannot be understood";

/// The other end of a connection.
#[derive(Debug)]
pub(super) struct Peer {
    rank: u32,
    line: Line,
    /// For how long nothing was heard of it.
    unheard: Duration,
}

impl Peer {
    pub(super) fn new(rank: u32, line: Line) -> Self {
        Self { rank, line, unheard: Duration::ZERO }
    }

    /// What it tells rank `own`, which has been running for the time `ran` since it last asked; and whether there may be more.
    ///
    /// All that has come is read before anything is said of the silence or the end.
    fn hear(&mut self, own: u32, ran: Duration, silence: Duration) -> (Option<Loss>, bool) {
        let (count, condition) = self.line.take_in();
        self.unheard = if count > 0 { Duration::ZERO } else { self.unheard.saturating_add(ran) };
        let lost = |how| Loss { rank: self.rank, how };
        let mut told = None;
        loop {
            match self.line.next_frame() {
                Ok(None) => break,
                Ok(Some(Frame::Beat)) => {}
                Ok(Some(Frame::Goodbye)) => return (told, false),
                Ok(Some(Frame::Loss(loss))) if may_tell(self.rank, own, &loss) => {
                    told.get_or_insert(loss);
                }
                Ok(Some(Frame::Loss(_))) | Err(_) => {
                    return (told.or(Some(lost(How::Failed(NONSENSE.to_owned())))), false);
                }
            }
        }
        // In whole milliseconds, as it is sent: all say the same.
        let silent = || lost(How::Silent(Duration::from_millis(self.unheard.as_millis() as u64)));
        match condition {
            Condition::Ended => (told.or_else(|| Some(lost(How::Ended))), false),
            Condition::Cut => (told.or_else(|| Some(silent())), false),
            // The connection stays: should it wake, it learns that it was given up.
            Condition::Open if self.unheard >= silence => (told.or_else(|| Some(silent())), true),
            Condition::Open => (told, true),
        }
    }
}

/// Whether rank `peer` may say this to rank `own`: rank 0 tells of all, others of themselves, and that rank 0 does not answer them.
fn may_tell(peer: u32, own: u32, loss: &Loss) -> bool {
    match loss.how {
        How::Failed(_) => peer == 0 || loss.rank == peer,
        How::Silent(_) => peer == 0 || loss.rank == own,
        How::Ended => peer == 0,
    }
}

#[derive(Debug)]
pub(super) struct Watcher {
    rank: u32,
    pace: Pace,
    peers: Vec<Peer>,
    /// Rank 0's, while not all have come.
    door: Option<Door>,
    shared: Arc<Shared>,
}

impl Watcher {
    pub(super) fn new(
        rank: u32,
        pace: Pace,
        peers: Vec<Peer>,
        door: Option<Door>,
        shared: Arc<Shared>,
    ) -> Self {
        Self { rank, pace, peers, door, shared }
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Watches until this rank is to end, or there is nobody left.
    pub(super) fn run(mut self) {
        let mut last = Instant::now();
        let mut beaten: Option<Instant> = None;
        loop {
            let now = Instant::now();
            // While this process was stopped, nobody could be heard: that time is nobody's silence.
            let ran = now.duration_since(last).min(self.pace.beat);
            last = now;
            let somebody_came = self.let_in(now);
            self.hear(ran);
            let wish = self.shared.lock().wish.take();
            if let Some(wish) = wish {
                return self.end(&wish);
            }
            if self.peers.is_empty() && self.door.is_none() {
                return;
            }
            if beaten.is_none_or(|beaten| now.duration_since(beaten) >= self.pace.beat) {
                beaten = Some(now);
                self.beat();
            }
            let round = if self.door.is_some() { SHORT_ROUND } else { ROUND };
            let state = self.shared.lock();
            // While many come at once, no more are to wait outside than the system has room for.
            if state.wish.is_none() && !somebody_came {
                drop(self.shared.wait(state, round.min(self.pace.beat / 10).max(SHORTEST_ROUND)));
            }
        }
    }

    /// Whether any has come.
    fn let_in(&mut self, now: Instant) -> bool {
        let Some(door) = &mut self.door else { return false };
        let mut state = self.shared.lock();
        let mut come = door.let_in(now, &mut state.missing);
        let all = state.missing.is_empty();
        // Who comes late was not there when the others were told.
        if let Some(First::Other(loss)) = &state.first {
            let bytes = Frame::Loss(loss.clone()).bytes();
            come.iter_mut().for_each(|peer| peer.line.send(&bytes));
        }
        drop(state);
        let somebody_came = !come.is_empty();
        self.peers.extend(come);
        if all {
            self.door = None;
            self.shared.tell();
        }
        somebody_came
    }

    /// Hears all, and passes on what happened first.
    fn hear(&mut self, ran: Duration) {
        let (own, silence) = (self.rank, self.pace.silence);
        let mut told = Vec::new();
        self.peers.retain_mut(|peer| {
            let (loss, stays) = peer.hear(own, ran, silence);
            told.extend(loss);
            stays
        });
        // Of what comes in one round, a text says most: the others may have ended because of it.
        let with_text = told.iter().position(|loss| matches!(loss.how, How::Failed(_))).unwrap_or(0);
        let Some(loss) = told.into_iter().nth(with_text) else { return };
        // Others than rank 0 tell it only that it does not answer, which it may read when it wakes.
        let passes_on = own == 0 || loss.rank == 0 && matches!(loss.how, How::Silent(_));
        if self.shared.learn(First::Other(loss.clone())) && passes_on {
            self.send(&Frame::Loss(loss));
        }
    }

    fn send(&mut self, frame: &Frame) {
        let bytes = frame.bytes();
        self.peers.iter_mut().for_each(|peer| peer.line.send(&bytes));
    }

    /// Not to those that have not even taken the last one.
    fn beat(&mut self) {
        let bytes = Frame::Beat.bytes();
        for peer in &mut self.peers {
            if peer.line.flush() {
                peer.line.send(&bytes);
            }
        }
    }

    /// Says the last word, and waits a moment until all have heard it and closed their ends.
    fn end(mut self, wish: &Wish) {
        match wish {
            Wish::Goodbye => self.send(&Frame::Goodbye),
            Wish::Failed(text) => {
                self.shared.learn(First::Own);
                self.send(&Frame::Loss(Loss { rank: self.rank, how: How::Failed(text.clone()) }));
            }
            Wish::NoWord => {}
        }
        let start = Instant::now();
        loop {
            self.peers.retain_mut(|peer| {
                peer.line.shut();
                let (_, condition) = peer.line.take_in();
                peer.line.forget();
                condition == Condition::Open
            });
            if self.peers.is_empty() || start.elapsed() >= LAST_WORDS {
                return;
            }
            std::thread::sleep(SHORT_ROUND);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Write;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    /// A rank, and the other end of its connection.
    fn peer(rank: u32) -> (Peer, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Peer::new(rank, Line::new(listener.accept().unwrap().0).unwrap()), far)
    }

    #[test]
    fn of_what_is_heard_at_once_the_text_is_passed_on() {
        let ((one, ends), (two, mut fails), (three, mut listens)) = (peer(1), peer(2), peer(3));
        let shared = Shared::new(BTreeSet::new());
        let mut watcher = Watcher::new(0, Pace::default(), vec![one, two, three], None, Arc::clone(&shared));
        let said = Loss { rank: 2, how: How::Failed("no memory".to_owned()) };
        fails.write_all(&Frame::Loss(said.clone()).bytes()).unwrap();
        drop((ends, fails));
        // Until both have arrived.
        std::thread::sleep(Duration::from_millis(200));
        watcher.hear(Duration::ZERO);
        assert!(matches!(&shared.lock().first, Some(First::Other(loss)) if *loss == said));
        assert_eq!(watcher.peers.len(), 1);
        drop(watcher);
        let mut heard = Vec::new();
        std::io::Read::read_to_end(&mut listens, &mut heard).unwrap();
        assert_eq!(heard, Frame::Loss(said).bytes());
    }

    #[test]
    fn ranks_tell_only_of_themselves_and_rank_0_of_all() {
        let told = |peer, own, rank, how| may_tell(peer, own, &Loss { rank, how });
        let failed = || How::Failed(String::new());
        let silent = || How::Silent(Duration::ZERO);
        assert!(told(0, 1, 2, failed()) && told(0, 1, 1, silent()) && told(0, 1, 2, How::Ended));
        assert!(told(1, 0, 1, failed()) && told(1, 0, 0, silent()));
        assert!(!told(1, 0, 2, failed()) && !told(1, 0, 2, silent()) && !told(1, 0, 0, How::Ended));
    }
}
