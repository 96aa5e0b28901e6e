//! A process's place among those that train together, as the launcher that started it says.

pub mod nodes;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::diagnostic::{Diagnostic, Failure};
use crate::error_code::Code;
use crate::exit_code::ExitCode;

/// Set by the program for the processes that it starts itself, to its own process number.
pub const LAUNCHED: &str = "KIWI_LAUNCHED";
/// The socket on which the first of those listens, opened by who started it: a number of a file descriptor.
pub const LISTENING: &str = "KIWI_LISTEN_FD";

/// Who started the processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launcher {
    /// `torchrun`, or whatever sets `RANK`, `WORLD_SIZE`, `MASTER_ADDR` and `MASTER_PORT` as it does.
    Torchrun,
    /// `srun` of SLURM.
    Slurm,
    /// The program itself, for a run that asks for several processes.
    Own,
}

impl fmt::Display for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Torchrun => "torchrun",
            Self::Slurm => "srun",
            Self::Own => "kiwi-host",
        })
    }
}

/// Where a process is among those of its run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// Its number among all, from 0.
    pub rank: u32,
    /// How many there are.
    pub ranks: u32,
    /// Its number on its own machine, from 0: that of its GPU.
    pub local_rank: u32,
    /// How many are on its own machine, where the launcher says so.
    pub local_ranks: Option<u32>,
    /// The machine where they meet.
    pub host: String,
    /// The port there.
    pub port: u16,
    /// Whether somebody else listens there already, as torchrun does: else rank 0 does.
    pub somebody_listens: bool,
    /// The socket on which it listens for them, opened before it was started; rank 0 only.
    pub listening: Option<i32>,
    /// How often the launcher has started the run anew.
    pub restarts: u64,
    /// What tells this run, and its restart by the launcher, apart from others that meet at the same place.
    pub name: String,
    /// Who started it.
    pub launcher: Launcher,
}

/// Variables of a launcher that say nothing of use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// One is missing.
    #[error("{launcher} sets {given}, but {missing} is not set")]
    Missing {
        /// Who sets it.
        launcher: Launcher,
        /// The one that is set.
        given: &'static str,
        /// The one that is missing.
        missing: &'static str,
    },
    /// One is not what it should be.
    #[error("{name} is `{found}`, expected {expected}")]
    Wrong {
        /// Its name.
        name: &'static str,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
}

/// Ports that runs under SLURM meet at, unless `MASTER_PORT` says which: above those of services, below those that systems hand out.
const SLURM_PORTS: std::ops::Range<u64> = 15_000..32_000;

impl PlaceError {
    /// The complaint, with what to do.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let error =
            Diagnostic::error(Code::Launcher, format!("the variables of a launcher cannot be used: {self}"))
                .help("start it by torchrun or srun, which set them, or unset them");
        Failure::new(ExitCode::Invalid, error)
    }
}

impl Place {
    /// What the launcher says, by the values that `variable` gives; `None` where there is none.
    ///
    /// Under `srun` the processes meet on the first node of the step, at a port that the job's number gives, unless `MASTER_ADDR`
    /// and `MASTER_PORT` say otherwise.
    ///
    /// # Errors
    /// When a variable is missing or wrong.
    pub fn of_launcher(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, PlaceError> {
        let variables = Variables(&variable);
        if variables.text("RANK").is_some() || variables.text("WORLD_SIZE").is_some() {
            return variables.of_torchrun().map(Some);
        }
        // A batch script has the job's variables, too, but only what `srun` starts is one of a step's tasks.
        if variables.text("SLURM_STEP_NUM_TASKS").is_some() && variables.text("SLURM_PROCID").is_some() {
            return variables.of_slurm().map(Some);
        }
        Ok(None)
    }

    /// Whether it is the one that writes and tells for all.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.rank == 0
    }

    /// Whether the launcher says how many processes there are: all do, but `srun` with a single task, which may be a shell that
    /// somebody types in.
    #[must_use]
    pub fn is_of_several(&self) -> bool {
        self.ranks > 1 || self.launcher != Launcher::Slurm
    }
}

struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    fn text(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>, PlaceError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(PlaceError::Wrong { name, found: text, expected: "an integer".to_owned() }),
        }
    }

    /// A number in `range`, which is there because `given` is.
    fn required(
        &self,
        launcher: Launcher,
        given: &'static str,
        name: &'static str,
        range: std::ops::Range<u64>,
    ) -> Result<u32, PlaceError> {
        let number = self.number(name)?.ok_or(PlaceError::Missing { launcher, given, missing: name })?;
        within(name, number, range)
    }

    /// Rank and number of ranks, those of all and those of the machine.
    fn ranks(
        &self,
        launcher: Launcher,
        names: [&'static str; 4],
    ) -> Result<(u32, u32, u32, Option<u32>), PlaceError> {
        let [rank, ranks, local_rank, local_ranks] = names;
        let count = self.required(launcher, rank, ranks, 1..1 << 20)?;
        let number = self.required(launcher, ranks, rank, 0..u64::from(count))?;
        let locals = self.number(local_ranks)?;
        let locals = locals.map(|locals| within(local_ranks, locals, 1..u64::from(count) + 1)).transpose()?;
        let local = match self.number(local_rank)? {
            Some(local) => within(local_rank, local, 0..u64::from(locals.unwrap_or(count)))?,
            None => 0,
        };
        Ok((number, count, local, locals))
    }

    fn port(&self) -> Result<Option<u16>, PlaceError> {
        let Some(port) = self.number("MASTER_PORT")? else { return Ok(None) };
        within("MASTER_PORT", port, 1..1 << 16).map(|port| u16::try_from(port).ok())
    }

    /// Where `torchrun` puts a process, or the program itself, which sets the same variables.
    fn of_torchrun(&self) -> Result<Place, PlaceError> {
        let own = self.text(LAUNCHED).is_some();
        let launcher = if own { Launcher::Own } else { Launcher::Torchrun };
        let names = ["RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"];
        let (rank, ranks, local_rank, local_ranks) = self.ranks(launcher, names)?;
        let missing = |missing| PlaceError::Missing { launcher, given: "RANK", missing };
        let run = self.text("TORCHELASTIC_RUN_ID").unwrap_or_else(|| "none".to_owned());
        let restarts = self.number("TORCHELASTIC_RESTART_COUNT")?.unwrap_or(0);
        Ok(Place {
            rank,
            ranks,
            local_rank,
            local_ranks,
            host: self.text("MASTER_ADDR").ok_or(missing("MASTER_ADDR"))?,
            port: self.port()?.ok_or(missing("MASTER_PORT"))?,
            somebody_listens: self.text("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|value| value == "True"),
            listening: if own && rank == 0 { self.listening()? } else { None },
            restarts,
            name: format!("kiwi-host/{run}/{restarts}"),
            launcher,
        })
    }

    fn of_slurm(&self) -> Result<Place, PlaceError> {
        let launcher = Launcher::Slurm;
        let names = ["SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_NTASKS_PER_NODE"];
        let (rank, ranks, local_rank, local_ranks) = self.ranks(launcher, names)?;
        let missing = |missing| PlaceError::Missing { launcher, given: "SLURM_PROCID", missing };
        let job = self.number("SLURM_JOB_ID")?.ok_or(missing("SLURM_JOB_ID"))?;
        let step = self.number("SLURM_STEP_ID")?.unwrap_or(0);
        let host = match self.text("MASTER_ADDR") {
            Some(host) => host,
            None => {
                let name = "SLURM_STEP_NODELIST";
                let list = self.text(name).ok_or(missing(name))?;
                nodes::first(&list).ok_or_else(|| PlaceError::Wrong {
                    name,
                    found: list,
                    expected: "a list of nodes such as gpu[01-03]".to_owned(),
                })?
            }
        };
        let ports = SLURM_PORTS.end - SLURM_PORTS.start;
        // The steps of a job may run at once.
        let chosen = SLURM_PORTS.start + (job.wrapping_mul(31).wrapping_add(step)) % ports;
        let port = self.port()?.or(u16::try_from(chosen).ok()).ok_or(missing("MASTER_PORT"))?;
        let restarts = self.number("SLURM_RESTART_COUNT")?.unwrap_or(0);
        Ok(Place {
            rank,
            ranks,
            local_rank,
            local_ranks,
            host,
            port,
            somebody_listens: false,
            listening: None,
            restarts,
            name: format!("kiwi-host/{job}.{step}/{restarts}"),
            launcher,
        })
    }

    fn listening(&self) -> Result<Option<i32>, PlaceError> {
        let Some(number) = self.number(LISTENING)? else { return Ok(None) };
        // The first three are standard input, output and error.
        within(LISTENING, number, 3..1 << 31).map(|number| i32::try_from(number).ok())
    }
}

fn within(name: &'static str, number: u64, range: std::ops::Range<u64>) -> Result<u32, PlaceError> {
    match u32::try_from(number) {
        Ok(small) if range.contains(&number) => Ok(small),
        _ => Err(PlaceError::Wrong {
            name,
            found: number.to_string(),
            expected: format!("a number from {} to {}", range.start, range.end - 1),
        }),
    }
}
