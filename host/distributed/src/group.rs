//! A group of processes: sums of tensors over all of them, copies of one's tensors for all, waiting for all, and texts of each for
//! all. By c10d with gloo, over TCP, on the CPU.

use std::time::Duration;

use kiwi_core::place::Place;
use tch::Tensor;

use crate::ffi::{Meeting, RawGroup};

/// What a group could not do: the others are not there, not there any more, or not at the same point.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rank {rank} of {ranks} cannot {doing}: {message}")]
pub struct GroupError {
    /// Who says so.
    pub rank: u32,
    /// How many there are.
    pub ranks: u32,
    /// What it was at.
    pub doing: String,
    /// Why not.
    pub message: String,
}

/// The processes of a run, which call the same functions in the same order.
///
/// When one of them ends, those that wait for it get an error within the group's time limit; as a rule at once, since its connections end.
pub struct Group {
    raw: RawGroup,
    place: Place,
    /// How many texts were exchanged, by which exchanges are told apart.
    exchanged: u64,
}

impl Group {
    /// Waits for all ranks of the run, each of which calls this.
    ///
    /// # Errors
    /// When they have not all come within `time_limit`, the meeting point cannot be reached, or its port is taken.
    pub fn meet(place: &Place, time_limit: Duration) -> Result<Self, GroupError> {
        let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let meeting = Meeting {
            host: &place.host,
            port: place.port,
            serves: place.is_first() && !place.somebody_listens,
            rank: number(place.rank),
            ranks: number(place.ranks),
            timeout: time_limit,
            name: &place.name,
        };
        let doing = || format!("meet the others at {}:{}", place.host, place.port);
        let raw = RawGroup::meet(&meeting).map_err(|message| error(place, doing(), &message))?;
        Ok(Self { raw, place: place.clone(), exchanged: 0 })
    }

    /// Where this process is.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Replaces each tensor by its sum over all ranks. They are of the same number, shapes and types on each, and on the CPU.
    ///
    /// # Errors
    /// When another rank is not there any more or does not come within the time limit.
    pub fn sum(&mut self, tensors: &[&Tensor]) -> Result<(), GroupError> {
        let done = self.raw.all_reduce(tensors);
        done.map_err(|message| error(&self.place, "sum tensors over all ranks".to_owned(), &message))
    }

    /// Replaces each tensor by that of rank `from`. As for [`Self::sum`].
    ///
    /// # Errors
    /// As for [`Self::sum`].
    pub fn copy_from(&mut self, from: u32, tensors: &[&Tensor]) -> Result<(), GroupError> {
        let done = self.raw.broadcast(tensors, i32::try_from(from).unwrap_or(i32::MAX));
        done.map_err(|message| error(&self.place, format!("take over tensors of rank {from}"), &message))
    }

    /// Waits until all ranks are here. Rank 0 learns which of them do not come.
    ///
    /// # Errors
    /// As for [`Self::sum`].
    pub fn wait_for_all(&mut self) -> Result<(), GroupError> {
        let done = self.raw.barrier();
        done.map_err(|message| error(&self.place, "wait for all ranks".to_owned(), &message))
    }

    /// The bytes that each rank gives, in the order of the ranks, on all of them. For what is short and said rarely.
    ///
    /// # Errors
    /// As for [`Self::sum`].
    pub fn exchange(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, GroupError> {
        self.exchanged += 1;
        let key = |rank: u32, number: u64| format!("exchange/{number}/{rank}");
        let (number, ranks) = (self.exchanged, self.place.ranks);
        let said = self.raw.set(&key(self.place.rank, number), bytes);
        said.map_err(|message| error(&self.place, "tell the other ranks".to_owned(), &message))?;
        (0..ranks)
            .map(|rank| {
                self.raw.get(&key(rank, number)).map_err(|message| {
                    error(&self.place, format!("learn what rank {rank} has to tell"), &message)
                })
            })
            .collect()
    }
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("place", &self.place).finish_non_exhaustive()
    }
}

/// The first line of what c10d says; what follows are places in its own code.
fn error(place: &Place, doing: String, message: &str) -> GroupError {
    let message = message.lines().next().unwrap_or_default().trim().to_owned();
    GroupError { rank: place.rank, ranks: place.ranks, doing, message }
}
