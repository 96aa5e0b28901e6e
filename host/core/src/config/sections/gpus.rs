//! `trainer.gpus`: which GPUs a run asks for, and which of them one of its processes takes.

use serde::ser::{Serialize, Serializer};

use crate::device::DeviceChoice;
use crate::diagnostic::Diagnostic;
use crate::error_code::Code;
use crate::place::{Launcher, Place};

/// `trainer.gpus`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gpus {
    /// None, so the CPU: `0`.
    Cpu,
    /// One, which is the first: `1`. Among several processes one each.
    One,
    /// The first so many, at least two, a process each: `N`.
    First(usize),
    /// All that there are, a process each: `-1`.
    All,
    /// Those of these numbers, counted from 0 and all different, a process each: `[N, …]`.
    Listed(Vec<usize>),
}

impl Gpus {
    /// How many processes it asks for, where it says so: a number of GPUs is one of processes. What asks for the CPU, for one
    /// GPU or for all of them goes with any number.
    #[must_use]
    pub fn processes(&self) -> Option<usize> {
        match self {
            Self::Cpu | Self::One | Self::All => None,
            Self::First(count) => Some(*count),
            Self::Listed(numbers) => Some(numbers.len()),
        }
    }

    /// The device of a process that is alone, or of the first of its machine.
    #[must_use]
    pub fn first_device(&self) -> DeviceChoice {
        match self {
            Self::Cpu => DeviceChoice::Cpu,
            Self::One | Self::First(_) | Self::All => DeviceChoice::Gpu(0),
            Self::Listed(numbers) => DeviceChoice::Gpu(numbers.first().copied().unwrap_or(0)),
        }
    }

    /// The device of the process of this number on its machine; `None` where it has none for it.
    #[must_use]
    pub fn device_of(&self, local_rank: usize) -> Option<DeviceChoice> {
        match self {
            Self::Cpu => Some(DeviceChoice::Cpu),
            Self::One | Self::All => Some(DeviceChoice::Gpu(local_rank)),
            Self::First(count) => (local_rank < *count).then_some(DeviceChoice::Gpu(local_rank)),
            Self::Listed(numbers) => numbers.get(local_rank).copied().map(DeviceChoice::Gpu),
        }
    }

    /// Sees that it has a GPU for each of so many processes of a machine, and no more.
    ///
    /// # Errors
    /// When the numbers differ.
    pub fn fit(&self, processes: usize, launcher: Launcher) -> Result<(), Box<Diagnostic>> {
        match self.processes() {
            Some(gpus) if gpus != processes => {
                let found = format!("{}, {}", counted(gpus, "GPU"), counted_processes(processes));
                let help = help(gpus, Some(processes), launcher);
                Err(refusal(gpus, launcher).found(found).help(help).into())
            }
            _ => Ok(()),
        }
    }

    /// The device of the process at this place among several.
    ///
    /// # Errors
    /// When it asks for more GPUs, or for fewer, than there are processes on the machine.
    pub fn device_at(&self, place: &Place) -> Result<DeviceChoice, Box<Diagnostic>> {
        let launcher = place.launcher;
        if let Some(processes) = place.local_ranks {
            self.fit(large(processes), launcher)?;
        }
        let local_rank = large(place.local_rank);
        self.device_of(local_rank).ok_or_else(|| {
            let gpus = self.processes().unwrap_or_default();
            let found = format!("{}, and a process of local rank {local_rank}", counted(gpus, "GPU"));
            refusal(gpus, launcher).found(found).help(help(gpus, None, launcher)).into()
        })
    }
}

impl Serialize for Gpus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Cpu => serializer.serialize_i64(0),
            Self::One => serializer.serialize_i64(1),
            Self::First(count) => count.serialize(serializer),
            Self::All => serializer.serialize_i64(-1),
            Self::Listed(numbers) => numbers.serialize(serializer),
        }
    }
}

fn refusal(gpus: usize, launcher: Launcher) -> Diagnostic {
    let asked = counted(gpus, "GPU");
    Diagnostic::error(
        Code::Processes,
        format!(
            "trainer.gpus asks for {asked}, and {launcher} starts another number of processes on this machine"
        ),
    )
    .at("trainer.gpus")
    .expected("as many processes as GPUs, one for each")
}

fn help(gpus: usize, processes: Option<usize>, launcher: Launcher) -> String {
    let option = match launcher {
        Launcher::Torchrun => "torchrun --nproc-per-node",
        Launcher::Slurm => "srun --ntasks-per-node",
        Launcher::Own => "--nproc",
    };
    let number = processes.filter(|&processes| processes > 1).map(|processes| format!("{processes}, or to "));
    let number = number.unwrap_or_default();
    format!(
        "set trainer.gpus to {number}1 or -1 for a GPU each; or start {}: {option} {gpus}",
        counted_processes(gpus)
    )
}

fn counted_processes(count: usize) -> String {
    if count == 1 { "1 process".to_owned() } else { format!("{count} processes") }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn large(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The place that torchrun gives the process of this number on its machine, out of so many on two machines.
    fn place(local_rank: u32, local_ranks: Option<u32>) -> Place {
        let variable = |name: &str| match name {
            "RANK" | "LOCAL_RANK" => Some(local_rank.to_string()),
            "WORLD_SIZE" => Some("8".to_owned()),
            "LOCAL_WORLD_SIZE" => local_ranks.map(|number| number.to_string()),
            "MASTER_ADDR" => Some("gpu7".to_owned()),
            "MASTER_PORT" => Some("29500".to_owned()),
            _ => None,
        };
        Place::of_launcher(variable).unwrap().unwrap()
    }

    #[test]
    fn each_of_several_processes_takes_a_device_of_its_own() {
        let listed = Gpus::Listed(vec![5, 2]);
        for (gpus, of_third, of_second) in [
            (Gpus::Cpu, Some(DeviceChoice::Cpu), DeviceChoice::Cpu),
            (Gpus::One, Some(DeviceChoice::Gpu(2)), DeviceChoice::Gpu(1)),
            (Gpus::All, Some(DeviceChoice::Gpu(2)), DeviceChoice::Gpu(1)),
            (Gpus::First(2), None, DeviceChoice::Gpu(1)),
            (listed.clone(), None, DeviceChoice::Gpu(2)),
        ] {
            assert_eq!(gpus.device_of(2), of_third, "{gpus:?}");
            assert_eq!(gpus.device_at(&place(1, Some(2))), Ok(of_second), "{gpus:?}");
            assert_eq!(gpus.device_at(&place(1, None)), Ok(of_second), "{gpus:?}");
            assert_eq!(gpus.device_at(&place(2, None)).ok(), of_third, "{gpus:?}");
        }
        assert_eq!(listed.first_device(), DeviceChoice::Gpu(5));
        assert_eq!(Gpus::First(3).first_device(), DeviceChoice::Gpu(0));
    }

    #[test]
    fn another_number_of_processes_is_refused_with_both_numbers() {
        let refused = Gpus::First(4).device_at(&place(1, Some(2))).unwrap_err();
        assert_eq!(
            refused.message,
            "trainer.gpus asks for 4 GPUs, and torchrun starts another number of processes on this machine"
        );
        assert_eq!(refused.path.as_deref(), Some("trainer.gpus"));
        assert_eq!(refused.found.as_deref(), Some("4 GPUs, 2 processes"));
        assert_eq!(
            refused.help.as_deref(),
            Some(
                "set trainer.gpus to 2, or to 1 or -1 for a GPU each; or start 4 processes: torchrun --nproc-per-node 4"
            )
        );
        let refused = Gpus::Listed(vec![3]).fit(2, Launcher::Own).unwrap_err();
        assert_eq!(refused.found.as_deref(), Some("1 GPU, 2 processes"));
        assert!(refused.help.unwrap().ends_with("or start 1 process: --nproc 1"));
        assert!(Gpus::Listed(vec![3]).fit(1, Launcher::Own).is_ok());
        let refused = Gpus::Listed(vec![3, 1]).device_at(&place(2, None)).unwrap_err();
        assert_eq!(refused.found.as_deref(), Some("2 GPUs, and a process of local rank 2"));
    }
}
