//! How a run of the program ended, and what a user may expect of any end.

use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

/// Exit code and what was printed.
#[derive(Debug)]
pub struct Outcome {
    /// `None` if a signal ended the program.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    command: String,
}

impl Outcome {
    /// Runs a command to its end.
    ///
    /// # Panics
    /// When it cannot be started, is ended by a signal, prints what is not UTF-8, or shows its users a backtrace or a C++ stack.
    #[must_use]
    #[track_caller]
    pub fn of(command: &mut Command) -> Self {
        let outcome = Self::however_it_ends(command);
        assert!(outcome.code.is_some(), "ended by signal {:?}: {outcome}", outcome.signal);
        for never in ["stack backtrace", "RUST_BACKTRACE", "frame #", "Exception raised from", "thread '"] {
            assert!(!outcome.stderr.contains(never), "{never:?} is nothing for users: {outcome}");
        }
        outcome
    }

    /// Runs a command to its end, which may be a signal.
    ///
    /// # Panics
    /// When it cannot be started, or prints what is not UTF-8.
    #[must_use]
    #[track_caller]
    pub fn however_it_ends(command: &mut Command) -> Self {
        let output = command.output().expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self {
            code: output.status.code(),
            signal: output.status.signal(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            command: format!("{command:?}"),
        }
    }

    /// The same, if this signal ended it.
    ///
    /// # Panics
    /// When it ended otherwise.
    #[must_use]
    #[track_caller]
    pub fn ended_by(self, signal: i32) -> Self {
        assert_eq!(self.signal, Some(signal), "{self}");
        self
    }

    /// The same, if the exit code is this.
    ///
    /// # Panics
    /// When it is another.
    #[must_use]
    #[track_caller]
    pub fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// The same, if standard error holds all these.
    ///
    /// # Panics
    /// When one is missing.
    #[track_caller]
    pub fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} on standard error: {self}");
        }
        self
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = format!("{}\nexit code {:?}\n", self.command, self.code);
        for (name, output) in [("standard output", &self.stdout), ("standard error", &self.stderr)] {
            let _ = writeln!(text, "--- {name}\n{output}");
        }
        f.write_str(&text)
    }
}
