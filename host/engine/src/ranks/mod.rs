//! The processes that train one system together. Each computes on its share of the pairs of every batch; what is summed, and every
//! decision, is the same on all of them, as if one process had seen all pairs. Alone, nothing of it costs anything.
//!
//! All ranks call the functions that say so, in the same order.

mod gpus;
mod gradients;

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::place::{Launcher, Place};
use kiwi_distributed::{GiveUp, Group, GroupError, How, Listener, Loss, Pace, Watch};
use kiwi_text::BatchPlan;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::{Device, Tensor};

use crate::signals;
use crate::training::failed;
use gradients::Reduction;

pub(crate) use gradients::Traffic;

/// How long the others are waited for where they are there and do not come.
const TIME_LIMIT: Duration = Duration::from_secs(1800);
/// How long they may take to come to be watched, once all have met.
const TIME_TO_COME: Duration = Duration::from_secs(60);
/// How long a rank may take to notice by itself that another one is gone: its connections end, as a rule.
const TIME_TO_NOTICE: Duration = Duration::from_secs(1);
/// How long it waits to learn which one is gone, and why.
const TIME_TO_LEARN: Duration = Duration::from_secs(15);
/// How long it may take to end in order then.
const TIME_TO_END: Duration = Duration::from_secs(15);

/// This process among those that train together; or alone.
pub(crate) struct Ranks {
    group: Option<Group>,
    /// Where what is summed is brought to.
    sums_on: Device,
    watch: Option<Watch>,
    reduction: Reduction,
    /// The signal that all have agreed to end by.
    interrupted: Option<&'static str>,
    /// Whether another rank is not there any more, so that what fails here is a consequence.
    lost: bool,
}

/// What all ranks together have of an optimizer step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Step {
    /// Whether any parameter has a gradient.
    pub(crate) has_gradients: bool,
    /// The target words of its batches.
    pub(crate) words: u64,
    /// How many items its losses are means over, where they are means.
    pub(crate) items: Option<f64>,
}

impl Ranks {
    /// A process of its own.
    pub(crate) fn alone() -> Self {
        Self {
            group: None,
            sums_on: Device::Cpu,
            watch: None,
            reduction: Reduction::default(),
            interrupted: None,
            lost: false,
        }
    }

    /// Waits for the others of the run.
    ///
    /// # Errors
    /// When they do not come.
    pub(crate) fn meet(place: &Place) -> Result<Self, Failure> {
        let group = Group::meet(place, TIME_LIMIT).map_err(|error| not_met(&error))?;
        let mut ranks = Self { group: Some(group), ..Self::alone() };
        if place.ranks > 1 {
            let watch = ranks.begin_to_watch(place)?;
            ranks.watch = Some(watch);
        }
        Ok(ranks)
    }

    /// From now on each rank learns within seconds that another one is gone, and nobody waits for it.
    fn begin_to_watch(&mut self, place: &Place) -> Result<Watch, Failure> {
        let listener = match place.is_first() {
            true => Some(Listener::bind(self.watched_at(place)).map_err(|error| not_met(&error))?),
            false => None,
        };
        let Some(port) = self.first_says(listener.as_ref().map(Listener::port))? else {
            return Err(misunderstood(&"rank 0 named no port"));
        };
        let give_up = self.group.as_ref().map(Group::give_up);
        let (rank, ranks) = (place.rank, place.ranks);
        let lost = move |loss: &Loss| {
            // A process that waits for the lost rank fails by this, tells why and ends.
            give_up.iter().for_each(GiveUp::now);
            std::thread::sleep(TIME_TO_END);
            let _ = writeln!(io::stderr(), "error[E0607]: rank {rank} of {ranks} ends at once: {loss}");
            signal_hook::low_level::exit(ExitCode::RunFailed.number());
        };
        let (token, pace) = (place.name.as_bytes(), Pace { grace: TIME_TO_NOTICE, ..Pace::default() });
        let watch = match listener {
            Some(listener) => Watch::first(listener, ranks, token, pace, TIME_TO_COME, lost),
            None => Watch::join(&place.host, port, rank, token, pace, TIME_TO_COME, lost),
        };
        watch.map_err(|error| not_met(&error))
    }

    /// The address at which rank 0 is watched: any of its own, or that of a machine alone.
    fn watched_at(&self, place: &Place) -> IpAddr {
        let alone = place.host.parse::<IpAddr>().ok().filter(IpAddr::is_loopback);
        let any = match place.host.parse::<IpAddr>() {
            Ok(IpAddr::V6(_)) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        alone.unwrap_or(any)
    }

    /// Ends as all do, with nothing wrong.
    pub(crate) fn leave(&mut self) {
        self.leave_gpus();
        if let Some(watch) = self.watch.take() {
            watch.leave();
        }
    }

    /// What is to be said of a failure: that it follows from another rank's, or on which rank it is. The others are told.
    pub(crate) fn fail(&mut self, mut failure: Failure) -> Failure {
        let Some(watch) = self.watch.take() else { return failure };
        let (rank, ranks) = (self.rank(), self.count());
        if !self.lost {
            let text = failure.diagnostics.first().map(|one| one.message.clone());
            let text = text.unwrap_or_else(|| "it does not say why".to_owned());
            let same = Loss { rank: 0, how: How::Failed(text.clone()) };
            if rank > 0 && watch.loss(TIME_TO_NOTICE) == Some(same) {
                // What is wrong on all of them one says.
                failure.diagnostics.clear();
                return failure;
            }
            watch.failed(&text);
            if rank > 0 {
                let note = format!("on rank {rank} of {ranks}");
                failure.diagnostics.iter_mut().for_each(|one| one.notes.push(note.clone()));
            }
            return failure;
        }
        let Some(loss) = watch.loss(TIME_TO_LEARN) else { return failure };
        let mut error = Diagnostic::error(Code::RankLost, loss.to_string())
            .note(format!("rank {rank} of {ranks} ends for that"));
        error = match loss.how {
            How::Failed(_) => error.help("look at what that rank has said"),
            How::Ended => error.help(
                "look at what its machine says: the kernel's log tells whether memory ran out, the scheduler's why it ended a job",
            ),
            How::Silent(_) => error.help("see whether its machine is up and can be reached"),
        };
        Failure::new(ExitCode::RunFailed, error)
    }

    /// Where it is among those that a launcher started.
    pub(crate) fn place(&self) -> Option<&Place> {
        self.group.as_ref().map(Group::place)
    }

    /// Who started this process as one of a group.
    pub(crate) fn launcher(&self) -> Option<Launcher> {
        self.place().map(|place| place.launcher)
    }

    /// Whether a launcher started this process as one of a group, be it the only one.
    pub(crate) fn is_group(&self) -> bool {
        self.group.is_some()
    }

    /// Its number, from 0.
    pub(crate) fn rank(&self) -> u32 {
        self.place().map_or(0, |place| place.rank)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        self.place().map_or(1, |place| place.ranks)
    }

    /// Whether it is the one that writes and tells for all.
    pub(crate) fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// This rank's share of each batch: shares are of like length, rank 0 always has one, and a row is the same rank's in every batch.
    pub(crate) fn share(&self, plan: &Arc<BatchPlan>) -> Arc<BatchPlan> {
        match self.count() {
            1 => Arc::clone(plan),
            count => Arc::new(plan.share(self.rank() as usize, count as usize)),
        }
    }

    /// What each rank says, in their order, on all of them. Called by all.
    ///
    /// # Errors
    /// When another rank is gone.
    pub(crate) fn exchange<T: Serialize + DeserializeOwned>(&mut self, mine: T) -> Result<Vec<T>, Failure> {
        if self.group.is_none() {
            return Ok(vec![mine]);
        }
        let text = serde_json::to_vec(&mine).map_err(|error| misunderstood(&error))?;
        let texts = self.together(|group| group.exchange(&text))?;
        let parsed = texts.iter().map(|text| serde_json::from_slice(text));
        parsed.collect::<Result<_, _>>().map_err(|error| misunderstood(&error))
    }

    /// What rank 0 says, on all. Called by all; what the others give does not count.
    ///
    /// # Errors
    /// When another rank is gone.
    pub(crate) fn first_says<T: Serialize + DeserializeOwned>(&mut self, mine: T) -> Result<T, Failure> {
        if self.group.is_none() {
            return Ok(mine);
        }
        let said = self.exchange(self.is_first().then_some(mine))?;
        said.into_iter().next().flatten().ok_or_else(|| misunderstood(&"rank 0 said nothing"))
    }

    /// Whether it is so on any rank. Called by all.
    ///
    /// # Errors
    /// When another rank is gone.
    pub(crate) fn any(&mut self, here: bool) -> Result<bool, Failure> {
        if self.group.is_none() {
            return Ok(here);
        }
        let flag = Tensor::from_slice(&[u8::from(here)]);
        self.together(|group| group.largest(&[&flag]))?;
        Ok(flag.f_int64_value(&[0]).map_err(|error| failed(error.into()))? > 0)
    }

    /// Has rank 0 do something before all others do. Called by all.
    ///
    /// # Errors
    /// When it fails, or another rank is gone.
    pub(crate) fn first_before_others<T>(
        &mut self,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.in_two_parts(self.is_first(), work)
    }

    /// Has one rank of each machine do something before all others do, for what it leaves on the machine. Called by all.
    ///
    /// # Errors
    /// When it fails, or another rank is gone.
    pub(crate) fn one_of_each_machine_before_others<T>(
        &mut self,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let earlier = self.place().is_none_or(|place| place.local_rank == 0);
        self.in_two_parts(earlier, work)
    }

    fn in_two_parts<T>(
        &mut self,
        earlier: bool,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if earlier {
            let done = work()?;
            self.wait_for_all()?;
            return Ok(done);
        }
        self.wait_for_all()?;
        work()
    }

    /// Waits until all ranks are here. Called by all.
    ///
    /// # Errors
    /// When another rank is gone.
    pub(crate) fn wait_for_all(&mut self) -> Result<(), Failure> {
        if self.group.is_none() { Ok(()) } else { self.together(Group::wait_for_all) }
    }

    /// Gives all ranks the values that these parameters have on rank 0. Called by all.
    ///
    /// # Errors
    /// When another rank is gone.
    pub(crate) fn take_over_from_first(&mut self, parameters: &[Tensor]) -> Result<(), Failure> {
        if self.count() == 1 {
            return Ok(());
        }
        for parameter in parameters {
            let copy = || parameter.f_detach()?.f_to(self.sums_on)?.f_contiguous();
            let copied = copy().map_err(|error| failed(error.into()))?;
            self.together(|group| group.copy_from(0, &[&copied]))?;
            if copied.data_ptr() != parameter.data_ptr() {
                tch::no_grad(|| parameter.shallow_clone().f_copy_(&copied).map(drop))
                    .map_err(|error| failed(error.into()))?;
            }
        }
        Ok(())
    }

    /// The signal that asks the run to end, if all know of one.
    pub(crate) fn interruption(&self) -> Option<&'static str> {
        if self.group.is_none() { signals::received() } else { self.interrupted }
    }

    /// The same; a group learns here which signals came to its ranks. Called by all.
    ///
    /// # Errors
    /// When another rank is gone.
    pub(crate) fn look_for_signals(&mut self) -> Result<Option<&'static str>, Failure> {
        if self.group.is_none() {
            return Ok(signals::received());
        }
        let came = signals::NAMES.map(|name| u8::from(signals::received() == Some(name)));
        let came = Tensor::from_slice(&came);
        self.together(|group| group.largest(&[&came]))?;
        let came = Vec::<u8>::try_from(&came).map_err(|error| failed(error.into()))?;
        self.agree_on_signals(came.iter().map(|count| *count > 0));
        Ok(self.interrupted)
    }

    fn agree_on_signals(&mut self, came: impl Iterator<Item = bool>) {
        let came = signals::NAMES.into_iter().zip(came).find(|(_, came)| *came).map(|(name, _)| name);
        self.interrupted = self.interrupted.or(came);
    }

    /// Sums the gradients of an optimizer step over all ranks, with its target words and with the items that its losses are means
    /// over; and learns which signals came. Called by all.
    ///
    /// # Errors
    /// When another rank is gone.
    pub(crate) fn sum_step(
        &mut self,
        parameters: &[Tensor],
        words: u64,
        items: Option<f64>,
    ) -> Result<Step, Failure> {
        if self.group.is_none() {
            let has_gradients = gradients::any(parameters).map_err(failed)?;
            return Ok(Step { has_gradients, words, items });
        }
        let came = signals::NAMES.map(|name| signals::received() == Some(name));
        let mut reduction = std::mem::take(&mut self.reduction);
        let facts = gradients::Facts { words, items, came };
        let summed = reduction.sum(self, parameters, facts);
        self.reduction = reduction;
        let (has_gradients, facts) = summed?;
        self.agree_on_signals(facts.came.into_iter());
        Ok(Step { has_gradients, words: facts.words, items: facts.items })
    }

    /// What the sums of gradients came to so far, in bytes.
    pub(crate) fn traffic(&self) -> Traffic {
        self.reduction.traffic()
    }

    /// Has the group do something.
    fn together<T>(&mut self, work: impl FnOnce(&mut Group) -> Result<T, GroupError>) -> Result<T, Failure> {
        let Some(group) = &mut self.group else {
            return Err(misunderstood(&"a process alone has nobody to ask"));
        };
        work(group).map_err(|error| {
            self.lost = true;
            let error = Diagnostic::error(Code::RankLost, error.to_string())
                .help("look at what the other ranks have said");
            Failure::new(ExitCode::RunFailed, error)
        })
    }
}

fn not_met(error: &dyn std::fmt::Display) -> Failure {
    let error = Diagnostic::error(Code::RanksNotMet, error.to_string())
        .help("see that all ranks are started, and that each reaches the host and port where they meet");
    Failure::new(ExitCode::Invalid, error)
}

fn misunderstood(error: &dyn std::fmt::Display) -> Failure {
    let message = format!("what the ranks say to one another cannot be understood: {error}");
    Failure::new(
        ExitCode::RunFailed,
        Diagnostic::error(Code::RanksDiffer, message)
            .help("install one version of kiwi-host on all machines"),
    )
}
