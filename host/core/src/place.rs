//! A process's place among those that train together, as the launcher that started it says.

pub mod nodes;

use std::fmt;

/// Who started the processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launcher {
    /// `torchrun`, or whatever sets `RANK`, `WORLD_SIZE`, `MASTER_ADDR` and `MASTER_PORT` as it does.
    Torchrun,
    /// `srun` of SLURM.
    Slurm,
}

impl fmt::Display for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Torchrun => "torchrun",
            Self::Slurm => "srun",
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

    fn of_torchrun(&self) -> Result<Place, PlaceError> {
        let launcher = Launcher::Torchrun;
        let names = ["RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"];
        let (rank, ranks, local_rank, local_ranks) = self.ranks(launcher, names)?;
        let missing = |missing| PlaceError::Missing { launcher, given: "RANK", missing };
        let run = self.text("TORCHELASTIC_RUN_ID").unwrap_or_else(|| "none".to_owned());
        let restart = self.number("TORCHELASTIC_RESTART_COUNT")?.unwrap_or(0);
        Ok(Place {
            rank,
            ranks,
            local_rank,
            local_ranks,
            host: self.text("MASTER_ADDR").ok_or(missing("MASTER_ADDR"))?,
            port: self.port()?.ok_or(missing("MASTER_PORT"))?,
            somebody_listens: self.text("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|value| value == "True"),
            name: format!("kiwi-host/{run}/{restart}"),
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
        let name = format!("kiwi-host/{job}.{step}/{}", self.number("SLURM_RESTART_COUNT")?.unwrap_or(0));
        let somebody_listens = false;
        Ok(Place { rank, ranks, local_rank, local_ranks, host, port, somebody_listens, name, launcher })
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn place(variables: &[(&str, &str)]) -> Result<Option<Place>, PlaceError> {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        Place::of_launcher(|name| variables.get(name).map(|&value| value.to_owned()))
    }

    const TORCHRUN: [(&str, &str); 8] = [
        ("RANK", "3"),
        ("WORLD_SIZE", "4"),
        ("LOCAL_RANK", "1"),
        ("LOCAL_WORLD_SIZE", "2"),
        ("MASTER_ADDR", "gpu7"),
        ("MASTER_PORT", "29500"),
        ("TORCHELASTIC_RUN_ID", "night"),
        ("TORCHELASTIC_RESTART_COUNT", "2"),
    ];

    const SLURM: [(&str, &str); 7] = [
        ("SLURM_PROCID", "5"),
        ("SLURM_STEP_NUM_TASKS", "8"),
        ("SLURM_LOCALID", "1"),
        ("SLURM_NTASKS_PER_NODE", "4"),
        ("SLURM_JOB_ID", "9000001"),
        ("SLURM_STEP_ID", "0"),
        ("SLURM_STEP_NODELIST", "gpu[07-08]"),
    ];

    /// The same, but for one variable.
    fn but<'a>(variables: &[(&'a str, &'a str)], name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
        let others = variables.iter().copied().filter(|(other, _)| *other != name);
        others.chain([(name, value)]).collect()
    }

    #[test]
    fn without_a_launcher_there_is_no_place() {
        assert_eq!(place(&[]), Ok(None));
        assert_eq!(place(&[("MASTER_ADDR", "gpu7"), ("RANK", "")]), Ok(None));
        // A batch script that starts the program without `srun`.
        assert_eq!(place(&[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "8"), ("SLURM_JOB_ID", "3")]), Ok(None));
    }

    #[test]
    fn torchruns_variables_say_where_a_process_is() {
        let found = place(&TORCHRUN).unwrap().unwrap();
        assert_eq!((found.rank, found.ranks, found.local_rank, found.local_ranks), (3, 4, 1, Some(2)));
        assert_eq!(
            (found.host.as_str(), found.port, found.name.as_str()),
            ("gpu7", 29500, "kiwi-host/night/2")
        );
        assert!(!found.somebody_listens && !found.is_first());
        let agent = but(&TORCHRUN, "TORCHELASTIC_USE_AGENT_STORE", "True");
        assert!(place(&agent).unwrap().unwrap().somebody_listens);
    }

    #[test]
    fn sruns_variables_say_where_a_process_is() {
        let found = place(&SLURM).unwrap().unwrap();
        assert_eq!((found.rank, found.ranks, found.local_rank, found.local_ranks), (5, 8, 1, Some(4)));
        assert_eq!((found.host.as_str(), found.launcher), ("gpu07", Launcher::Slurm));
        assert!(SLURM_PORTS.contains(&u64::from(found.port)));
        // All of a step meet at one port, and two steps of a job do not.
        let other = place(&but(&SLURM, "SLURM_PROCID", "0")).unwrap().unwrap();
        assert_eq!((found.port, &found.name), (other.port, &other.name));
        let step = place(&but(&SLURM, "SLURM_STEP_ID", "1")).unwrap().unwrap();
        assert_ne!(found.port, step.port);
        let said = place(&but(&but(&SLURM, "MASTER_PORT", "4321"), "MASTER_ADDR", "login")).unwrap().unwrap();
        assert_eq!((said.port, said.host.as_str()), (4321, "login"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let message = |variables: &[(&str, &str)]| place(variables).unwrap_err().to_string();
        let missing = "torchrun sets RANK, but WORLD_SIZE is not set";
        assert_eq!(message(&[("RANK", "0")]), missing);
        assert_eq!(message(&[("WORLD_SIZE", "2")]), "torchrun sets WORLD_SIZE, but RANK is not set");
        assert_eq!(message(&TORCHRUN[..4]), "torchrun sets RANK, but MASTER_ADDR is not set");
        assert_eq!(message(&TORCHRUN[..5]), "torchrun sets RANK, but MASTER_PORT is not set");
        assert_eq!(message(&but(&TORCHRUN, "RANK", "4")), "RANK is `4`, expected a number from 0 to 3");
        assert_eq!(message(&but(&TORCHRUN, "RANK", "first")), "RANK is `first`, expected an integer");
        assert_eq!(message(&but(&TORCHRUN, "RANK", "-1")), "RANK is `-1`, expected an integer");
        let local = but(&TORCHRUN, "LOCAL_RANK", "3");
        assert_eq!(message(&local), "LOCAL_RANK is `3`, expected a number from 0 to 1");
        let port = "MASTER_PORT is `70000`, expected a number from 1 to 65535";
        assert_eq!(message(&but(&TORCHRUN, "MASTER_PORT", "70000")), port);
        assert_eq!(
            message(&but(&SLURM, "SLURM_STEP_NODELIST", "gpu[")),
            "SLURM_STEP_NODELIST is `gpu[`, expected a list of nodes such as gpu[01-03]"
        );
    }
}
