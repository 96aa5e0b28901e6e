//! A group of processes: sums of tensors over all of them, copies of one's tensors for all, waiting for all, and texts of each for
//! all. By c10d with gloo, over TCP, on the CPU; for tensors on a GPU, once it is asked for, with NCCL.

use std::sync::Arc;
use std::time::Duration;

use kiwi_core::place::Place;
use tch::{Device, Tensor};

use crate::address::reached_at;
use crate::ffi::{Meeting, RawGroup};
use crate::nccl::{Nccl, OnGpus};

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
/// When one of them ends, those that wait for it get an error within the group's time limit; as a rule at once, since its connections
/// end.
pub struct Group {
    // Before the other, of which it has something.
    on_gpus: Option<OnGpus>,
    raw: Arc<RawGroup>,
    place: Place,
    time_limit: Duration,
}

/// Ends the waiting of a [`Group`] for others, from another thread.
#[derive(Clone)]
pub struct GiveUp(Arc<RawGroup>);

impl GiveUp {
    /// Whatever the group waits for, or is asked to later, fails within a moment.
    pub fn now(&self) {
        // That over NCCL looks at the same.
        self.0.give_up();
    }
}

impl Group {
    /// Waits for all ranks of the run, each of which calls this. What they do together later fails as well when one of them is not
    /// there within `time_limit`.
    ///
    /// # Errors
    /// When they have not all come within `time_limit`, the meeting point cannot be reached, or its port is taken.
    pub fn meet(place: &Place, time_limit: Duration) -> Result<Self, GroupError> {
        let doing = || format!("meet the others at {}:{}", place.host, place.port);
        let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let reached_at = reached_at(place).map_err(|message| error(place, doing(), &message))?;
        let meeting = Meeting {
            host: &place.host,
            port: place.port,
            serves: place.is_first() && !place.somebody_listens,
            rank: number(place.rank),
            ranks: number(place.ranks),
            timeout: time_limit,
            name: &place.name,
            listening: place.listening,
            reached_at: &reached_at,
        };
        let raw = RawGroup::meet(&meeting).map_err(|message| error(place, doing(), &message))?;
        Ok(Self { on_gpus: None, raw: Arc::new(raw), place: place.clone(), time_limit })
    }

    /// Has tensors on this GPU go from one to another by NCCL from now on; what is on the CPU goes on as before. All ranks call this,
    /// each with a GPU of its own.
    ///
    /// # Errors
    /// When NCCL does not find its way from the GPU to those of the others.
    pub fn use_nccl(&mut self, nccl: Nccl, gpu: usize) -> Result<(), GroupError> {
        let joined = nccl.join(&self.raw, &self.place, gpu, self.time_limit);
        let doing = || format!("join the GPUs of all ranks with GPU {gpu}");
        self.on_gpus = Some(joined.map_err(|message| error(&self.place, doing(), &message))?);
        Ok(())
    }

    /// Whether tensors on a GPU can be summed and copied where they are.
    #[must_use]
    pub fn sums_on_device(&self) -> bool {
        self.on_gpus.is_some()
    }

    /// Where this process is.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What another thread ends this one's waiting by.
    #[must_use]
    pub fn give_up(&self) -> GiveUp {
        GiveUp(Arc::clone(&self.raw))
    }

    /// Replaces each tensor by its sum over all ranks, which is the same to the last bit on each. They are of the same number, shapes
    /// and types on each, contiguous, and all on the CPU or, where [`Self::sums_on_device`], all on the GPU.
    ///
    /// # Errors
    /// When another rank is not there any more or does not come within the time limit.
    pub fn sum(&mut self, tensors: &[&Tensor]) -> Result<(), GroupError> {
        let done = self.all_reduce(tensors, false);
        done.map_err(|message| error(&self.place, "sum tensors over all ranks".to_owned(), &message))
    }

    /// Replaces each element by the largest of all ranks. As for [`Self::sum`].
    ///
    /// # Errors
    /// As for [`Self::sum`].
    pub fn largest(&mut self, tensors: &[&Tensor]) -> Result<(), GroupError> {
        let done = self.all_reduce(tensors, true);
        done.map_err(|message| {
            error(&self.place, "find the largest numbers of all ranks".to_owned(), &message)
        })
    }

    /// Replaces each tensor by that of rank `from`. As for [`Self::sum`].
    ///
    /// # Errors
    /// As for [`Self::sum`].
    pub fn copy_from(&mut self, from: u32, tensors: &[&Tensor]) -> Result<(), GroupError> {
        let from_rank = i32::try_from(from).unwrap_or(i32::MAX);
        let done = match self.of_gpus(tensors) {
            Ok(Some(on_gpus)) => on_gpus.broadcast(tensors, from_rank),
            Ok(None) => self.raw.broadcast(tensors, from_rank),
            Err(message) => Err(message),
        };
        done.map_err(|message| error(&self.place, format!("take over tensors of rank {from}"), &message))
    }

    fn all_reduce(&self, tensors: &[&Tensor], largest: bool) -> Result<(), String> {
        match self.of_gpus(tensors)? {
            Some(on_gpus) => on_gpus.all_reduce(tensors, largest),
            None => self.raw.all_reduce(tensors, largest),
        }
    }

    /// What tensors go by that are on the GPU; `None` for those on the CPU.
    fn of_gpus(&self, tensors: &[&Tensor]) -> Result<Option<&OnGpus>, String> {
        let device = tensors.first().map_or(Device::Cpu, |tensor| tensor.device());
        if tensors.iter().any(|tensor| tensor.device() != device) {
            return Err("the tensors are on several devices".to_owned());
        }
        match (device, &self.on_gpus) {
            (Device::Cpu, _) => Ok(None),
            (Device::Cuda(gpu), Some(on_gpus)) if on_gpus.gpu() == gpu => Ok(Some(on_gpus)),
            (device, _) => Err(format!("it does not reach tensors on {device:?}")),
        }
    }

    /// Waits until all ranks are here.
    ///
    /// # Errors
    /// As for [`Self::sum`].
    pub fn wait_for_all(&mut self) -> Result<(), GroupError> {
        let here = Tensor::from_slice(&[1_u8]);
        let done = self.raw.all_reduce(&[&here], true);
        done.map_err(|message| error(&self.place, "wait for all ranks".to_owned(), &message))
    }

    /// The bytes that each rank gives, in the order of the ranks, on all of them. Each rank sends and receives those of all, about
    /// twice: it is for what is short.
    ///
    /// # Errors
    /// As for [`Self::sum`].
    pub fn exchange(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, GroupError> {
        let place = self.place.clone();
        let failed = |message: &str| error(&place, "exchange what each rank has to tell".to_owned(), message);
        let (rank, ranks) = (place.rank as usize, place.ranks as usize);
        let mut lengths = vec![0_i64; ranks];
        lengths[rank] = bytes.len() as i64;
        let all = Tensor::from_slice(&lengths);
        self.raw.all_reduce(&[&all], true).map_err(|message| failed(&message))?;
        let read = |error: tch::TchError| failed(&error.to_string());
        let lengths: Vec<i64> = Vec::try_from(&all).map_err(read)?;
        let lengths: Vec<usize> =
            lengths.into_iter().map(|length| usize::try_from(length).unwrap_or(0)).collect();
        // Each writes into its own part of a row of zeros.
        let total: usize = lengths.iter().sum();
        let before: usize = lengths[..rank].iter().sum();
        let mut row = vec![0_u8; total];
        row[before..before + bytes.len()].copy_from_slice(bytes);
        if total == 0 {
            return Ok(vec![Vec::new(); ranks]);
        }
        let all = Tensor::from_slice(&row);
        self.raw.all_reduce(&[&all], true).map_err(|message| failed(&message))?;
        let row: Vec<u8> = Vec::try_from(&all).map_err(read)?;
        let mut rest = row.as_slice();
        let mut parts = Vec::with_capacity(ranks);
        for length in lengths {
            let (part, others) =
                rest.split_at_checked(length).ok_or_else(|| failed("fewer bytes than were told"))?;
            parts.push(part.to_vec());
            rest = others;
        }
        Ok(parts)
    }
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("place", &self.place).finish_non_exhaustive()
    }
}

/// The first line of what c10d says, without the place in its own code that it may begin with; what follows are such places.
fn error(place: &Place, doing: String, message: &str) -> GroupError {
    let line = message.lines().next().unwrap_or_default().trim();
    let without_place = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    let message = match without_place {
        Some((code, rest)) if code.contains(".cc:") => rest,
        _ => line,
    };
    GroupError { rank: place.rank, ranks: place.ranks, doing, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_the_code_of_others_are_left_out() {
        let variable = |name: &str| {
            ["RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"]
                .contains(&name)
                .then(|| if name == "RANK" { "0" } else { "1" }.to_owned())
        };
        let place = Place::of_launcher(variable).unwrap().unwrap();
        let said = |message: &str| error(&place, "meet".to_owned(), message).message;
        assert_eq!(
            said("[/a/gloo/pair.cc:547] Connection closed by peer [::1]:3\nframe #1"),
            "Connection closed by peer [::1]:3"
        );
        assert_eq!(said("[127.0.0.1]:5 refused"), "[127.0.0.1]:5 refused");
        assert_eq!(said(" it was given up "), "it was given up");
    }
}
