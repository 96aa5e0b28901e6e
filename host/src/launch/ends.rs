//! How the processes of a run ended, and what the run comes to by that.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use kiwi_core::diagnostic::Diagnostic;
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use signal_hook::consts::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGSEGV};
use signal_hook::low_level;

/// How one process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Its number among all.
    pub(crate) rank: usize,
    /// Its exit code, or the signal that ended it.
    pub(crate) status: ExitStatus,
    /// Whether it was asked to end, or made to, since others had ended.
    pub(crate) stopped: bool,
    /// Whether the signal that ended it was one that the run was sent.
    pub(crate) by_request: bool,
}

impl Ended {
    /// Whether it was interrupted in good order.
    pub(crate) fn is_interrupted(&self) -> bool {
        let codes = [ExitCode::InterruptedResumable, ExitCode::Interrupted].map(ExitCode::number);
        self.by_request || self.status.code().is_some_and(|code| codes.contains(&code))
    }
}

/// What a run comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All processes ended well, or were interrupted: the exit code of the run.
    Ended(i32),
    /// A process failed and has said why: its exit code is that of the run.
    Failed {
        /// Its number.
        rank: usize,
        /// Its exit code.
        code: i32,
    },
    /// A process ended without a word.
    Lost(Box<Diagnostic>),
}

/// What a run comes to whose processes ended so, in this order.
pub(crate) fn outcome(ended: &[Ended], processes: usize) -> Outcome {
    let failed = |one: &&Ended| !one.status.success() && !one.is_interrupted();
    // Who was stopped did not begin with it.
    let first = ended.iter().filter(failed).find(|one| !one.stopped);
    if let Some(one) = first.or_else(|| ended.iter().find(failed)) {
        return match one.status.code() {
            Some(code) => Outcome::Failed { rank: one.rank, code },
            None => Outcome::Lost(lost(one, processes).into()),
        };
    }
    let resumable = ExitCode::InterruptedResumable;
    let code = if ended.iter().all(|one| one.status.success()) {
        ExitCode::Success
    } else if ended.iter().any(|one| one.status.code() == Some(resumable.number())) {
        resumable
    } else {
        ExitCode::Interrupted
    };
    Outcome::Ended(code.number())
}

/// The complaint about a process that a signal ended.
fn lost(one: &Ended, processes: usize) -> Diagnostic {
    let rank = one.rank;
    let number = one.status.signal().unwrap_or_default();
    let signal = name(number);
    if one.stopped {
        return Diagnostic::error(Code::RankLost, format!("rank {rank} of {processes} did not end with the others"))
            .found(format!("a process that went on until it was ended by {signal}"))
            .expected("all processes to end when one does")
            .help("what it was about to save is not there: --resume goes on from the last resume point, if there is one");
    }
    let help = match number {
        SIGKILL => {
            "so the kernel ends a process when memory runs out (`dmesg` shows it), and a scheduler one that takes more than the job \
             may: use smaller batches or fewer processes, or ask for more memory"
        }
        SIGSEGV | SIGABRT | SIGBUS | SIGILL | SIGFPE => {
            "it crashed, in libtorch or in a plugin: what it said last stands above; train in one process to see whether it does \
             so there, too"
        }
        _ => "somebody sent it that signal: look who ends processes on this machine",
    };
    Diagnostic::error(Code::RankLost, format!("rank {rank} of {processes} was ended by {signal}"))
        .expected("a process that ends by itself")
        .help(help)
}

/// What a signal is called.
fn name(signal: i32) -> String {
    low_level::signal_name(signal).map_or_else(|| format!("signal {signal}"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use signal_hook::consts::SIGTERM;

    use super::*;

    fn ended(status: i32) -> Ended {
        Ended { rank: 0, status: ExitStatus::from_raw(status), stopped: false, by_request: false }
    }

    fn code(code: i32) -> Ended {
        ended(code << 8)
    }

    fn of(ends: &[Ended]) -> Outcome {
        let ends: Vec<_> = ends.iter().enumerate().map(|(rank, one)| Ended { rank, ..*one }).collect();
        outcome(&ends, ends.len())
    }

    #[test]
    fn all_that_end_well_or_in_good_order_make_one_code() {
        assert_eq!(of(&[code(0), code(0)]), Outcome::Ended(0));
        assert_eq!(of(&[code(130), code(75), code(0)]), Outcome::Ended(75));
        assert_eq!(of(&[code(130), code(0)]), Outcome::Ended(130));
        assert_eq!(of(&[Ended { by_request: true, ..ended(SIGTERM) }, code(130)]), Outcome::Ended(130));
        assert_eq!(of(&[Ended { by_request: true, ..ended(SIGTERM) }, code(75)]), Outcome::Ended(75));
    }

    #[test]
    fn the_first_that_failed_says_the_code() {
        assert_eq!(of(&[code(0), code(3), code(2)]), Outcome::Failed { rank: 1, code: 3 });
        assert_eq!(of(&[code(75), code(130), code(1)]), Outcome::Failed { rank: 2, code: 1 });
        let stopped = Ended { stopped: true, ..code(1) };
        assert_eq!(of(&[stopped, code(101)]), Outcome::Failed { rank: 1, code: 101 });
        assert_eq!(of(&[Ended { stopped: true, ..code(75) }, code(2)]), Outcome::Failed { rank: 1, code: 2 });
    }

    #[test]
    fn one_that_a_signal_ended_is_told_with_what_to_do() {
        let told = |one: Ended| match of(&[code(0), one]) {
            Outcome::Lost(complaint) => (complaint.message, complaint.help.unwrap()),
            other => panic!("{other:?}"),
        };
        let (message, help) = told(ended(SIGKILL));
        assert_eq!(message, "rank 1 of 2 was ended by SIGKILL");
        assert!(help.contains("memory"), "{help}");
        let (message, help) = told(ended(SIGSEGV));
        assert!(message.ends_with("SIGSEGV") && help.contains("crashed"), "{message}: {help}");
        assert_eq!(told(ended(SIGTERM)).0, "rank 1 of 2 was ended by SIGTERM");
        let (message, _) = told(Ended { stopped: true, ..ended(SIGKILL) });
        assert_eq!(message, "rank 1 of 2 did not end with the others");
        // Whoever was only stopped did not begin with it.
        let first = [Ended { stopped: true, ..ended(SIGKILL) }, code(1)];
        assert_eq!(of(&first), Outcome::Failed { rank: 1, code: 1 });
        assert_eq!(name(77), "signal 77");
    }
}
