//! How ranks come to rank 0.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use super::error::seconds;
use super::frames::{self, ANSWER_SIZE, Unknown};
use super::line::{Condition, Line};
use super::watcher::Peer;
use super::{Refusal, WatchError};

/// Who has not greeted within this time is sent away.
const GREETING_TIME: Duration = Duration::from_secs(5);
/// A single attempt to connect may not take all the patience: a host may have several addresses.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);
/// Who has not greeted yet counts in this, beside as many as the run has ranks. More wait outside.
const STRANGERS: usize = 64;

/// Rank 0's side, open until all have come.
#[derive(Debug)]
pub(super) struct Door {
    listener: TcpListener,
    ranks: u32,
    token: Vec<u8>,
    strangers: Vec<Stranger>,
}

/// Somebody who has not greeted yet.
#[derive(Debug)]
struct Stranger {
    line: Line,
    since: Instant,
    /// Is only to read why.
    refused: bool,
}

/// What comes of a stranger.
enum Turn {
    Stays,
    Goes,
    Enters(u32),
}

impl Door {
    /// `listener` does not block.
    pub(super) fn new(listener: TcpListener, ranks: u32, token: &[u8]) -> Self {
        Self { listener, ranks, token: token.to_vec(), strangers: Vec::new() }
    }

    /// Those that have come since, who are not missing any more.
    pub(super) fn let_in(&mut self, now: Instant, missing: &mut BTreeSet<u32>) -> Vec<Peer> {
        let room = usize::try_from(self.ranks).unwrap_or(usize::MAX).saturating_add(STRANGERS);
        while self.strangers.len() < room {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    let line = Line::new(stream);
                    self.strangers.extend(line.map(|line| Stranger { line, since: now, refused: false }));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Nobody is there, or the system has no room for more now: the next round sees.
                Err(_) => break,
            }
        }
        let mut come = Vec::new();
        for mut stranger in std::mem::take(&mut self.strangers) {
            match stranger.turn(now, self.ranks, &self.token, missing) {
                Turn::Stays => self.strangers.push(stranger),
                Turn::Goes => {}
                Turn::Enters(rank) => come.push(Peer::new(rank, stranger.line)),
            }
        }
        come
    }
}

impl Stranger {
    fn turn(&mut self, now: Instant, ranks: u32, token: &[u8], missing: &mut BTreeSet<u32>) -> Turn {
        let (_, condition) = self.line.take_in();
        let gone = condition != Condition::Open || now.duration_since(self.since) >= GREETING_TIME;
        if self.refused {
            self.line.forget();
            self.line.shut();
            return if gone { Turn::Goes } else { Turn::Stays };
        }
        let refusal = match frames::read_greeting(self.line.input(), token) {
            Ok(None) if gone => return Turn::Goes,
            Ok(None) => return Turn::Stays,
            Ok(Some((rank, size))) if missing.remove(&rank) => {
                self.line.skip(size);
                self.line.send(&frames::answer(Ok(())));
                return Turn::Enters(rank);
            }
            Ok(Some((rank, _))) if (1..ranks).contains(&rank) => Refusal::CameBefore,
            Ok(Some(_)) => Refusal::NoSuchRank,
            Err(Unknown::Refused(refusal)) => refusal,
            Err(Unknown::Stray) => return Turn::Goes,
        };
        self.refused = true;
        self.line.send(&frames::answer(Err(refusal)));
        self.line.shut();
        if gone { Turn::Goes } else { Turn::Stays }
    }
}

/// Another rank's side: the connection to rank 0, once that has let this rank in.
pub(super) fn enter(
    host: &str,
    port: u16,
    rank: u32,
    token: &[u8],
    patience: Duration,
) -> Result<Line, WatchError> {
    let start = Instant::now();
    let left = || patience.saturating_sub(start.elapsed());
    let unreachable = |error: io::Error| {
        let message = match error.kind() {
            // What the system says of these is of use to nobody.
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                "it ended before it let this rank in".to_owned()
            }
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                format!("no answer within {}", seconds(patience))
            }
            _ => error.to_string(),
        };
        WatchError::Unreachable { host: host.to_owned(), port, message }
    };
    let mut stream = loop {
        match connect(host, port, left()) {
            Ok(stream) => break stream,
            Err(error) if left() <= PAUSE => return Err(unreachable(error)),
            Err(_) => thread::sleep(PAUSE),
        }
    };
    let answer = greet(&mut stream, &frames::greeting(rank, token), left).map_err(unreachable)?;
    match frames::read_answer(&answer) {
        Ok(Ok(())) => Line::new(stream).map_err(WatchError::from),
        Ok(Err(why)) => Err(WatchError::Refused { host: host.to_owned(), port, rank, why }),
        Err(_) => Err(unreachable(io::Error::other("somebody else answers there"))),
    }
}

fn connect(host: &str, port: u16, left: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the host has no address");
    for address in (host, port).to_socket_addrs()? {
        // The system takes no zero.
        match TcpStream::connect_timeout(&address, left.min(ATTEMPT).max(PAUSE)) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Greets, and waits for the answer: rank 0 may have other things to do before it looks at who has come.
fn greet(
    stream: &mut TcpStream,
    greeting: &[u8],
    left: impl Fn() -> Duration,
) -> io::Result<[u8; ANSWER_SIZE]> {
    let shortest = Duration::from_millis(1);
    stream.set_write_timeout(Some(left().max(shortest)))?;
    stream.write_all(greeting)?;
    let mut answer = [0; ANSWER_SIZE];
    let mut count = 0;
    while count < ANSWER_SIZE {
        // The time for all of it, not for each part.
        let left = left();
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left.max(shortest)))?;
        match stream.read(&mut answer[count..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(size) => count += size,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}
