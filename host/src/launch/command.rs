//! The command of one process of a run: this program with the arguments that it was given, and who it is in its environment.

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::process::{self, Command};
use std::time::{SystemTime, UNIX_EPOCH};

use kiwi_core::place::{LAUNCHED, LISTENING};

/// The option that says how many processes there are, which those are not given.
const OPTION: &str = "--nproc";

/// Variables that a launcher around this program may have set, and that say nothing of the processes that it starts.
const OF_OTHERS: [&str; 5] = [
    "TORCHELASTIC_USE_AGENT_STORE",
    "TORCHELASTIC_RESTART_COUNT",
    "TORCHELASTIC_MAX_RESTARTS",
    "GROUP_RANK",
    "ROLE_RANK",
];

/// Where the processes of a run meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meeting {
    port: u16,
    /// The socket that listens there.
    listening: RawFd,
    /// What tells the run from all others.
    run: String,
}

impl Meeting {
    /// A meeting of processes at this socket.
    pub(super) fn at(listener: &TcpListener) -> io::Result<Self> {
        let port = listener.local_addr()?.port();
        // Process numbers come again, times do not.
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let run = format!("kiwi-host-{}-{time}", process::id());
        Ok(Self { port, listening: listener.as_raw_fd(), run })
    }
}

/// The arguments of each process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arguments(Vec<OsString>);

impl Arguments {
    /// Those that this program was given, its own name not among them, without `--nproc`, and with what is said to every process
    /// besides: how many threads it has, and that it goes on with a run.
    pub(crate) fn of(
        given: impl IntoIterator<Item = OsString>,
        threads: Option<usize>,
        resume: bool,
    ) -> Self {
        let mut arguments = Vec::new();
        // Before the command, where what is said after it goes before.
        if let Some(threads) = threads {
            arguments.extend(["--threads".into(), threads.to_string().into()]);
        }
        let mut given = given.into_iter();
        let mut rest = Vec::new();
        while let Some(argument) = given.next() {
            if argument == OPTION {
                // With its value.
                given.next();
            } else if argument == "--" {
                // What follows are no options.
                rest = [argument].into_iter().chain(given).collect();
                break;
            } else if !is_option_with_value(&argument) {
                arguments.push(argument);
            }
        }
        if resume {
            arguments.push("--resume".into());
        }
        arguments.append(&mut rest);
        Self(arguments)
    }
}

fn is_option_with_value(argument: &OsStr) -> bool {
    let value = argument.as_encoded_bytes().strip_prefix(OPTION.as_bytes());
    value.is_some_and(|value| value.starts_with(b"="))
}

/// The command of the process of this number.
pub(super) fn command(
    program: &Path,
    arguments: &Arguments,
    meeting: &Meeting,
    rank: usize,
    ranks: usize,
) -> Command {
    let mut command = Command::new(program);
    command.args(&arguments.0);
    for name in OF_OTHERS {
        command.env_remove(name);
    }
    let (rank_text, ranks) = (rank.to_string(), ranks.to_string());
    command
        .env("RANK", &rank_text)
        .env("WORLD_SIZE", &ranks)
        .env("LOCAL_RANK", &rank_text)
        .env("LOCAL_WORLD_SIZE", &ranks)
        .env("MASTER_ADDR", "127.0.0.1")
        .env("MASTER_PORT", meeting.port.to_string())
        .env("TORCHELASTIC_RUN_ID", &meeting.run)
        .env(LAUNCHED, process::id().to_string());
    match rank {
        0 => command.env(LISTENING, meeting.listening.to_string()),
        _ => command.env_remove(LISTENING),
    };
    command
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use kiwi_core::place::{Launcher, Place};

    use super::*;

    fn of(given: &[&str], threads: Option<usize>, resume: bool) -> Vec<String> {
        let Arguments(arguments) = Arguments::of(given.iter().map(OsString::from), threads, resume);
        arguments.into_iter().map(|argument| argument.into_string().unwrap()).collect()
    }

    #[test]
    fn arguments_are_handed_on_but_for_the_number_of_processes() {
        let given = ["-v", "train", "c.json", "--nproc", "4", "--set", "a=b"];
        assert_eq!(of(&given, None, false), ["-v", "train", "c.json", "--set", "a=b"]);
        let given = ["train", "--nproc=4", "c.json"];
        assert_eq!(of(&given, Some(2), true), ["--threads", "2", "train", "c.json", "--resume"]);
        let given = ["train", "--nproc", "2", "--", "--nproc"];
        assert_eq!(of(&given, None, true), ["train", "--resume", "--", "--nproc"]);
        assert_eq!(of(&["train", "--nprocs=3"], None, false), ["train", "--nprocs=3"]);
    }

    #[test]
    fn each_process_is_told_its_place() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let meeting = Meeting::at(&listener).unwrap();
        let arguments = Arguments::of([OsString::from("train")], None, false);
        let place = |rank| {
            let command = command(Path::new("kiwi-host"), &arguments, &meeting, rank, 3);
            let variable = |name: &str| {
                let (_, value) = command.get_envs().find(|(found, _)| *found == name)?;
                value?.to_str().map(str::to_owned)
            };
            assert!(command.get_envs().any(|one| one == (OsStr::new("TORCHELASTIC_RESTART_COUNT"), None)));
            Place::of_launcher(variable).unwrap().unwrap()
        };
        let (first, last) = (place(0), place(2));
        assert_eq!((first.rank, first.ranks, first.local_rank, first.local_ranks), (0, 3, 0, Some(3)));
        assert_eq!((last.rank, last.local_rank, last.launcher), (2, 2, Launcher::Own));
        assert_eq!(first.listening, Some(listener.as_raw_fd()));
        assert_eq!((last.listening, last.host.as_str()), (None, "127.0.0.1"));
        assert_eq!((first.port, &first.name), (listener.local_addr().unwrap().port(), &last.name));
        assert_ne!(Meeting::at(&listener).unwrap().run, meeting.run, "each run has a name of its own");
    }
}
