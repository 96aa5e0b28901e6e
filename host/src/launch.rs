//! A run in several processes on this machine: the program starts itself as often as there are devices, says to each which it is by
//! the variables that `torchrun` sets, watches all of them, and ends with one exit code. Which device a process takes is said in
//! [`kiwi_core::config::Gpus`]; how they find each other and train together is the engine's.

mod command;
mod ends;
mod gpus;
pub(crate) mod processes;

use std::env;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::thread;
use std::time::Duration;

use kiwi_core::config::Gpus;
use kiwi_core::device::{AskedDevice, DeviceChoice};
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::place::{LAUNCHED, Launcher, Place};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, getpid, getppid, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

use crate::{print, signals};
pub(crate) use command::Arguments;
use command::{Meeting, command};
use ends::{Outcome, outcome};
pub(crate) use gpus::count as count_gpus;
use processes::{Patience, Processes};

/// How many processes are started at most: so that a number that is wrong by far does not fill a machine with them.
pub(crate) const MOST: i64 = 1024;

/// How often a process looks whether the one that started it is still there.
const LOOK_FOR_PARENT: Duration = Duration::from_millis(50);

/// The place of this process among those that train together, if a launcher started it.
///
/// # Errors
/// When the launcher's variables say nothing of use.
pub(crate) fn place() -> Result<Option<Place>, Failure> {
    Place::of_launcher(|name| env::var(name).ok()).map_err(|error| error.failure())
}

/// Has a process that the program started itself end when the program does, however that ends.
///
/// # Errors
/// When it has ended already.
pub(crate) fn stay_with_parent() -> Result<(), Failure> {
    let Some(parent) = env::var(LAUNCHED).ok().filter(|parent| !parent.is_empty()) else { return Ok(()) };
    let refuse = |found: String| {
        let error = Diagnostic::error(
            Code::Launcher,
            format!("{LAUNCHED} does not name the process that started this one"),
        )
        .found(found)
        .expected("the number of a kiwi-host that is still there and has started this process")
        .help("unset it: kiwi-host sets it for processes that it starts itself, and nobody else does");
        Failure::new(ExitCode::Invalid, error)
    };
    let here = getppid().map_or(0, Pid::as_raw_pid);
    if parent.parse() != Ok(here) {
        return Err(refuse(format!("{parent}, in a child of {here}")));
    }
    let watch = move || {
        while getppid().map_or(0, Pid::as_raw_pid) == here {
            thread::sleep(LOOK_FOR_PARENT);
        }
        // The state is saved as after any other SIGTERM. Not by `PR_SET_PDEATHSIG`: of a parent with several threads that is sent for each
        // thread that the child belongs to in turn, and a second SIGTERM has a run end without saving.
        let _ = kill_process(getpid(), Signal::TERM);
    };
    let started = thread::Builder::new().name("parent".to_owned()).spawn(watch);
    started.map(drop).map_err(|error| {
        let error =
            Diagnostic::error(Code::MachineLimits, format!("no thread to watch the parent with: {error}"));
        Failure::new(ExitCode::RunFailed, error)
    })
}

/// Sees that `--nproc` is not asked for where a launcher says how many processes there are.
///
/// # Errors
/// When it is.
pub(crate) fn refuse_within_launcher(asked: Option<usize>, place: Option<&Place>) -> Result<(), Failure> {
    match (asked, place.filter(|place| place.is_of_several())) {
        (Some(asked), Some(Place { rank, ranks, launcher, .. })) => {
            let option = match launcher {
                Launcher::Torchrun => "torchrun's --nproc-per-node",
                Launcher::Slurm => "srun's --ntasks-per-node",
                Launcher::Own => "the --nproc of the kiwi-host that started this one",
            };
            let error = Diagnostic::error(
                Code::Processes,
                format!("--nproc starts processes, and {launcher} does so already"),
            )
            .found(format!("--nproc {asked} in rank {rank} of {ranks}, started by {launcher}"))
            .expected("one of the two to start them")
            .help(format!("leave out --nproc, and say by {option} how many there are"));
            Err(Failure::new(ExitCode::Invalid, error))
        }
        _ => Ok(()),
    }
}

/// How many processes a run takes that no launcher started: as many as `--nproc` asks for, else as GPUs are asked for, out of
/// those that are there (`None` where that cannot be known).
///
/// # Errors
/// When the two differ, or when it is out of the question.
pub(crate) fn how_many(
    gpus: &Gpus,
    asked: Option<usize>,
    there: Option<usize>,
) -> Result<usize, Box<Diagnostic>> {
    if let Some(asked) = asked {
        gpus.fit(asked, Launcher::Own)?;
    }
    let of_gpus = match gpus {
        Gpus::All => there.unwrap_or(1).max(1),
        other => other.processes().unwrap_or(1),
    };
    let processes = asked.unwrap_or(of_gpus);
    if i64::try_from(processes).is_ok_and(|processes| processes <= MOST) {
        return Ok(processes);
    }
    let error = Diagnostic::error(Code::Processes, "trainer.gpus asks for more GPUs than a machine has")
        .at("trainer.gpus")
        .found(format!("{processes} GPUs"))
        .expected(format!("{MOST} at most"))
        .help("ask for those that are there: `nvidia-smi` shows them");
    Err(error.into())
}

/// Sees that there is a GPU for each process.
///
/// # Errors
/// When there is none for one of them.
pub(crate) fn enough(gpus: &Gpus, processes: usize, there: usize) -> Result<(), Box<Diagnostic>> {
    let missing = (0..processes).find_map(|local_rank| match gpus.device_of(local_rank) {
        Some(DeviceChoice::Gpu(number)) if number >= there => Some(number),
        _ => None,
    });
    let Some(missing) = missing else { return Ok(()) };
    let (message, found) = match there {
        0 => ("there is no NVIDIA GPU on this machine".to_owned(), "0 GPUs".to_owned()),
        1 => (format!("there is no GPU of number {missing}"), "1 GPU, of number 0".to_owned()),
        _ => {
            let found = format!("{there} GPUs, of numbers 0 to {}", there - 1);
            (format!("there is no GPU of number {missing}"), found)
        }
    };
    let complaint = Diagnostic::error(Code::Processes, message)
        .found(found)
        .expected(format!("{processes} GPUs, one for each of {processes} processes"))
        .help("ask for those that are there: `nvidia-smi` shows them, CUDA_VISIBLE_DEVICES hides some and numbers the others anew");
    Err(AskedDevice::by_config(gpus.first_device()).refuse(complaint).into())
}

/// What is started, for people.
pub(crate) fn note(gpus: &Gpus, processes: usize, threads: Option<usize>) -> String {
    let numbers: Option<Vec<String>> = (0..processes)
        .map(|local_rank| match gpus.device_of(local_rank) {
            Some(DeviceChoice::Gpu(number)) => Some(number.to_string()),
            _ => None,
        })
        .collect();
    let device = match numbers {
        Some(numbers) => format!("one for each of the GPUs {}", numbers.join(", ")),
        None => "all on the CPU".to_owned(),
    };
    let threads = match threads {
        Some(threads) => format!("; each has --threads {threads}, unless --threads says otherwise"),
        None => String::new(),
    };
    format!("starting {processes} processes on this machine, {device}{threads}")
}

/// The run in so many processes of this program, which is waited for; its exit code.
///
/// # Errors
/// When they cannot be started, or one was ended from outside.
pub(crate) fn run(program: &Path, arguments: &Arguments, processes: usize) -> Result<i32, Failure> {
    let refuse = |what: &str, error: &io::Error| {
        let error = Diagnostic::error(Code::MachineLimits, format!("{what}: {error}"))
            .help("look at the limits of this machine (`ulimit -a`), or start fewer processes");
        Failure::new(ExitCode::RunFailed, error)
    };
    // Here, so that nobody else can take the port before the first process listens.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listener =
        listener.map_err(|error| refuse("no port can be opened for the processes to meet at", &error))?;
    let meeting = Meeting::at(&listener).map_err(|error| refuse("the port has no number", &error))?;
    let signals = processes::signals(&[SIGINT, SIGTERM, SIGUSR1])
        .map_err(|error| refuse("signals cannot be taken care of", &error))?;
    signals::leave_to_others();

    let mut running = Processes::new(signals, Patience::default());
    let mut listener = Some(listener);
    for rank in 0..processes {
        let mut command = command(program, arguments, &meeting, rank, processes);
        // The first has the socket from then on, and with it the others learn that it has ended.
        let started = match listener.take() {
            Some(listener) => start_with(&mut running, &mut command, &listener),
            None => running.start(&mut command),
        };
        if let Err(error) = started {
            running.stop();
            return Err(refuse(&format!("rank {rank} of {processes} cannot be started"), &error));
        }
    }
    match outcome(&running.wait(), processes) {
        Outcome::Ended(code) => Ok(code),
        Outcome::Failed { rank, code } => {
            let told = format!(
                "rank {rank} of {processes} failed first, with exit code {code}: what it said stands above"
            );
            print::lines(&[told]);
            Ok(code)
        }
        Outcome::Lost(complaint) => Err(Failure::new(ExitCode::RunFailed, *complaint)),
    }
}

/// Starts a process that has this socket, which no other gets.
fn start_with(
    running: &mut Processes,
    command: &mut std::process::Command,
    listener: &TcpListener,
) -> io::Result<()> {
    fcntl_setfd(listener, FdFlags::empty())?;
    let started = running.start(command);
    fcntl_setfd(listener, FdFlags::CLOEXEC)?;
    started
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_processes_as_devices() {
        let listed = Gpus::Listed(vec![3, 1]);
        for (gpus, asked, there, expected) in [
            (Gpus::Cpu, None, Some(4), 1),
            (Gpus::Cpu, Some(3), Some(0), 3),
            (Gpus::One, None, Some(4), 1),
            (Gpus::One, None, Some(0), 1),
            (Gpus::One, Some(4), Some(4), 4),
            (Gpus::First(2), None, Some(4), 2),
            (Gpus::First(2), Some(2), None, 2),
            (Gpus::All, None, Some(0), 1),
            (Gpus::All, None, Some(1), 1),
            (Gpus::All, None, Some(4), 4),
            (Gpus::All, None, None, 1),
            (Gpus::All, Some(2), Some(4), 2),
            (Gpus::All, Some(1), Some(4), 1),
            (listed.clone(), None, Some(4), 2),
            (listed, Some(2), Some(4), 2),
            (Gpus::Listed(vec![9]), None, Some(1), 1),
        ] {
            assert_eq!(how_many(&gpus, asked, there), Ok(expected), "{gpus:?} {asked:?} {there:?}");
        }
    }

    #[test]
    fn there_is_a_gpu_for_each_process() {
        let message = |gpus, processes, there| enough(&gpus, processes, there).unwrap_err().message;
        assert_eq!(message(Gpus::First(3), 3, 2), "there is no GPU of number 2");
        assert_eq!(message(Gpus::One, 2, 1), "there is no GPU of number 1");
        assert_eq!(message(Gpus::Listed(vec![7, 0]), 2, 2), "there is no GPU of number 7");
        assert_eq!(enough(&Gpus::Listed(vec![1, 0]), 2, 2), Ok(()));
        assert_eq!(enough(&Gpus::Cpu, 9, 0), Ok(()));
        let none = enough(&Gpus::First(2), 2, 0).unwrap_err();
        assert_eq!(none.message, "there is no NVIDIA GPU on this machine");
        assert_eq!(none.path.as_deref(), Some("trainer.gpus"));
        assert_eq!(none.expected.as_deref(), Some("2 GPUs, one for each of 2 processes"));
        assert!(none.help.unwrap().ends_with("or set trainer.gpus to 0 to compute on the CPU"));
    }

    #[test]
    fn two_numbers_that_differ_are_refused() {
        let message = |gpus, asked| how_many(&gpus, Some(asked), None).unwrap_err().message;
        assert!(message(Gpus::First(2), 3).starts_with("trainer.gpus asks for 2 GPUs"));
        assert!(message(Gpus::Listed(vec![0]), 2).starts_with("trainer.gpus asks for 1 GPU,"));
        let many = how_many(&Gpus::First(usize::MAX), None, None).unwrap_err();
        assert_eq!(many.message, "trainer.gpus asks for more GPUs than a machine has");
    }

    #[test]
    fn what_is_started_is_said() {
        let gpus = "starting 2 processes on this machine, one for each of the GPUs 3, 1";
        assert_eq!(note(&Gpus::Listed(vec![3, 1]), 2, None), gpus);
        let cpu = "starting 2 processes on this machine, all on the CPU; each has --threads 4, unless --threads says otherwise";
        assert_eq!(note(&Gpus::Cpu, 2, Some(4)), cpu);
    }

    #[test]
    fn two_do_not_start_processes() {
        let place = |launcher: &'static str, ranks: &'static str| {
            let variable = move |name: &str| match (launcher, name) {
                ("torchrun" | "kiwi-host", "RANK") | ("srun", "SLURM_PROCID") => Some("0"),
                ("torchrun" | "kiwi-host", "WORLD_SIZE") | ("srun", "SLURM_STEP_NUM_TASKS") => Some(ranks),
                ("srun", "SLURM_JOB_ID") | ("kiwi-host", "KIWI_LAUNCHED") => Some("77"),
                (_, "MASTER_ADDR") => Some("gpu7"),
                (_, "MASTER_PORT") => Some("29500"),
                _ => None,
            };
            Place::of_launcher(|name| variable(name).map(str::to_owned)).unwrap()
        };
        for (launcher, ranks) in [("torchrun", "1"), ("torchrun", "2"), ("srun", "8"), ("kiwi-host", "2")] {
            let place = place(launcher, ranks);
            assert!(refuse_within_launcher(None, place.as_ref()).is_ok());
            let refused = refuse_within_launcher(Some(4), place.as_ref()).unwrap_err();
            let found = format!("--nproc 4 in rank 0 of {ranks}, started by {launcher}");
            assert_eq!(refused.diagnostics[0].found.as_ref(), Some(&found));
            assert_eq!(refused.exit, ExitCode::Invalid);
        }
        assert!(refuse_within_launcher(Some(4), None).is_ok());
        assert!(refuse_within_launcher(Some(4), place("srun", "1").as_ref()).is_ok(), "perhaps a shell");
    }
}
