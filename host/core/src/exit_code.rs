//! The exit codes of `kiwi-host`: a public contract that scripts and schedulers rely on.

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum ExitCode {
    /// It did what was asked (early stopping included).
    Success = 0,
    /// The run failed after it had begun.
    RunFailed = 1,
    /// Something was wrong before the run began: usage, config, corpora, a saved system.
    Invalid = 2,
    /// A `class_name` that no plugin provides, or a plugin that does not load.
    Plugin = 3,
    /// Interrupted by a signal, with a resume point saved.
    InterruptedResumable = 75,
    /// Interrupted by a signal, with nothing saved to go on from.
    Interrupted = 130,
}

impl ExitCode {
    /// Each code with what it means, for help texts and documentation.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Success, "the command did what was asked"),
        (Self::RunFailed, "the run failed after it had begun"),
        (Self::Invalid, "usage, config, corpora or a saved system are wrong; nothing was begun"),
        (Self::Plugin, "a class_name that no plugin provides, or a plugin that does not load"),
        (Self::InterruptedResumable, "interrupted, with a resume point saved"),
        (Self::Interrupted, "interrupted, with nothing saved to go on from"),
    ];

    /// The number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// The code of this number.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.iter().map(|(code, _)| *code).find(|code| code.number() == number)
    }
}
