//! Why ranks cannot watch each other.

use std::io;
use std::time::Duration;

use super::Loss;

/// How many ranks an error names.
const NAMED: usize = 8;

/// Why rank 0 does not let a rank in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The tokens differ.
    #[error("it belongs to another run")]
    OtherRun,
    /// The programs differ.
    #[error("it is of another version of the program")]
    OtherVersion,
    /// The rank is 0, or not below the number of ranks.
    #[error("its run has no such rank")]
    NoSuchRank,
    /// Another process of this rank is there, or was.
    #[error("a process of this rank has come before")]
    CameBefore,
}

/// Why ranks cannot watch each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// Not all ranks came to rank 0.
    #[error("{} not come within {}", list(.ranks), seconds(*.patience))]
    Missing {
        /// Those that did not, in order.
        ranks: Vec<u32>,
        /// How long rank 0 waited.
        patience: Duration,
    },
    /// One was lost before all had come.
    #[error("{0}")]
    Lost(Loss),
    /// Rank 0 does not answer.
    #[error("cannot reach rank 0 at {host}:{port}: {message}")]
    Unreachable {
        /// Where it should be.
        host: String,
        /// The port there.
        port: u16,
        /// Why not.
        message: String,
    },
    /// Rank 0 does not let this rank in.
    #[error("rank 0 at {host}:{port} refuses rank {rank}: {why}")]
    Refused {
        /// Where it is.
        host: String,
        /// The port there.
        port: u16,
        /// Who came.
        rank: u32,
        /// Why not.
        why: Refusal,
    },
    /// The system does not give what is needed.
    #[error("cannot watch the other ranks: {0}")]
    System(String),
}

impl From<io::Error> for WatchError {
    fn from(error: io::Error) -> Self {
        Self::System(error.to_string())
    }
}

/// `10 s`, or `0.5 s` where it is short.
pub(super) fn seconds(time: Duration) -> String {
    let time = time.as_secs_f64();
    if time < 2.0 && time.fract() != 0.0 { format!("{time:.1} s") } else { format!("{time:.0} s") }
}

/// `rank 3 has`, `ranks 1, 2 and 5 have`.
pub(super) fn list(ranks: &[u32]) -> String {
    let mut names: Vec<_> = ranks.iter().take(NAMED).map(u32::to_string).collect();
    if ranks.len() > NAMED {
        names.push(format!("{} others", ranks.len() - NAMED));
    }
    match names.split_last() {
        Some((last, [])) => format!("rank {last} has"),
        Some((last, rest)) => format!("ranks {} and {last} have", rest.join(", ")),
        None => "no ranks have".to_owned(),
    }
}
