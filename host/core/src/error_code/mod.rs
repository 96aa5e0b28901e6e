//! Error codes: a number for each kind of trouble that a complaint can be about, and a page to read on each. This is the one
//! table of them: messages show the code, `kiwi-host explain` prints the page, `docs/errors.md` is made of all pages.
//!
//! A number is never given another meaning and never used again. The letter before it says how grave the complaint at hand is:
//! `E` for an error, `W` for a warning; some kinds are either, by what the command was asked.

mod page;
mod pages;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use page::{Example, Page, list, markdown};
use pages::{command_line, config, corpora, exchange, machine, plugins, run, systems};

use crate::diagnostic::Severity;

/// Makes the codes of their table: variant, number, page.
macro_rules! codes {
    ($($variant:ident = $number:literal, $page:path;)*) => {
        /// A kind of trouble.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "u16", try_from = "u16")]
        pub enum Code {
            $(#[doc = concat!("See the page of number ", $number, ".")] $variant,)*
        }

        impl Code {
            /// All codes, by number.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The number, from 101: the hundred says what it is about.
            #[must_use]
            pub const fn number(self) -> u16 {
                match self {
                    $(Self::$variant => $number,)*
                }
            }

            /// What there is to read about it.
            #[must_use]
            pub const fn page(self) -> &'static Page {
                match self {
                    $(Self::$variant => &$page,)*
                }
            }
        }
    };
}

codes! {
    UnknownKey = 101, config::UNKNOWN_KEY;
    InvalidValue = 102, config::INVALID_VALUE;
    MissingKey = 103, config::MISSING_KEY;
    ConfigSyntax = 104, config::CONFIG_SYNTAX;
    RepeatedKey = 105, config::REPEATED_KEY;
    ConfigUnreadable = 106, config::CONFIG_UNREADABLE;
    ConflictingKeys = 107, config::CONFLICTING_KEYS;
    NotSupported = 108, config::NOT_SUPPORTED;
    Override = 109, config::OVERRIDE;
    Assignment = 110, config::ASSIGNMENT;
    Schedule = 111, config::SCHEDULE;
    ComponentOption = 112, config::COMPONENT_OPTION;
    Metric = 113, config::METRIC;
    NoValidation = 114, config::NO_VALIDATION;
    NamedTwice = 115, config::NAMED_TWICE;
    CarriedState = 116, config::CARRIED_STATE;
    Precision = 117, config::PRECISION;
    Sweep = 118, config::SWEEP;
    IgnoredKey = 181, config::IGNORED_KEY;
    NoEffect = 182, config::NO_EFFECT;
    NothingKept = 183, config::NOTHING_KEPT;

    CorpusUnreadable = 201, corpora::CORPUS_UNREADABLE;
    NotText = 202, corpora::NOT_TEXT;
    LineCounts = 203, corpora::LINE_COUNTS;
    NoPairs = 204, corpora::NO_PAIRS;
    CorpusChanged = 205, corpora::CORPUS_CHANGED;
    TooLong = 206, corpora::TOO_LONG;
    PostEdits = 207, corpora::POST_EDITS;
    Vocabulary = 208, corpora::VOCABULARY;
    OddText = 281, corpora::ODD_TEXT;
    PairsLeftOut = 282, corpora::PAIRS_LEFT_OUT;
    Cache = 283, corpora::CACHE;

    NotRegistered = 301, plugins::NOT_REGISTERED;
    Ambiguous = 302, plugins::AMBIGUOUS;
    PluginRefused = 303, plugins::PLUGIN_REFUSED;
    PluginChanged = 304, plugins::PLUGIN_CHANGED;
    LockDiffers = 305, plugins::LOCK_DIFFERS;
    LockUnusable = 306, plugins::LOCK_UNUSABLE;
    PluginDirectory = 307, plugins::PLUGIN_DIRECTORY;
    ComponentFailed = 308, plugins::COMPONENT_FAILED;
    PartsDoNotFit = 309, plugins::PARTS_DO_NOT_FIT;
    NewPlugin = 310, plugins::NEW_PLUGIN;
    NoSuchPlugin = 311, plugins::NO_SUCH_PLUGIN;
    ProbeFailed = 312, plugins::PROBE_FAILED;
    PackagePlugin = 313, plugins::PACKAGE_PLUGIN;
    PluginWritable = 381, plugins::PLUGIN_WRITABLE;
    SchemaIncomplete = 382, plugins::SCHEMA_INCOMPLETE;
    PluginWarns = 383, plugins::PLUGIN_WARNS;

    SystemUnreadable = 401, systems::SYSTEM_UNREADABLE;
    NotASystem = 402, systems::NOT_A_SYSTEM;
    SystemNewer = 403, systems::SYSTEM_NEWER;
    TensorsDoNotFit = 404, systems::TENSORS_DO_NOT_FIT;
    OtherPlugins = 405, systems::OTHER_PLUGINS;
    SystemClass = 406, systems::SYSTEM_CLASS;
    CannotBeAsked = 407, systems::CANNOT_BE_ASKED;
    NothingToResume = 408, systems::NOTHING_TO_RESUME;
    ChangedSince = 409, systems::CHANGED_SINCE;
    OptimizerState = 410, systems::OPTIMIZER_STATE;
    ScoringJob = 411, systems::SCORING_JOB;
    ResumePointSkipped = 481, systems::RESUME_POINT_SKIPPED;
    OtherMachine = 482, systems::OTHER_MACHINE;

    NoLibtorch = 501, machine::NO_LIBTORCH;
    LibtorchUnusable = 502, machine::LIBTORCH_UNUSABLE;
    ProgramIncomplete = 503, machine::PROGRAM_INCOMPLETE;
    NoCuda = 504, machine::NO_CUDA;
    NoDriver = 505, machine::NO_DRIVER;
    NoGpu = 506, machine::NO_GPU;
    DeviceName = 507, machine::DEVICE_NAME;
    Processes = 508, machine::PROCESSES;
    Nccl = 509, machine::NCCL;
    MachineLimits = 510, machine::MACHINE_LIMITS;
    SlowSums = 581, machine::SLOW_SUMS;
    IdleProcesses = 582, machine::IDLE_PROCESSES;

    NotFinite = 601, run::NOT_FINITE;
    OutOfMemory = 602, run::OUT_OF_MEMORY;
    CannotSave = 603, run::CANNOT_SAVE;
    DirectoryTaken = 604, run::DIRECTORY_TAKEN;
    DirectoryUnwritable = 605, run::DIRECTORY_UNWRITABLE;
    TorchFailed = 606, run::TORCH_FAILED;
    RankLost = 607, run::RANK_LOST;
    RanksNotMet = 608, run::RANKS_NOT_MET;
    RanksDiffer = 609, run::RANKS_DIFFER;
    Launcher = 610, run::LAUNCHER;
    Internal = 611, run::INTERNAL;
    Crashed = 612, run::CRASHED;
    TrialsFailed = 613, run::TRIALS_FAILED;
    BatchSkipped = 681, run::BATCH_SKIPPED;
    StartedAnew = 682, run::STARTED_ANEW;
    CutShort = 683, run::CUT_SHORT;
    NoLog = 684, run::NO_LOG;

    ImportUnreadable = 701, exchange::IMPORT_UNREADABLE;
    NotConvertible = 702, exchange::NOT_CONVERTIBLE;
    Yaml = 703, exchange::YAML;
    TrackingUri = 704, exchange::TRACKING_URI;
    TrackingServer = 705, exchange::TRACKING_SERVER;
    NotARun = 706, exchange::NOT_A_RUN;
    ConvertedWithChanges = 781, exchange::CONVERTED_WITH_CHANGES;
    TrackingWarns = 782, exchange::TRACKING_WARNS;

    FileExists = 801, command_line::FILE_EXISTS;
    FileUnwritable = 802, command_line::FILE_UNWRITABLE;
    Arguments = 803, command_line::ARGUMENTS;
    Output = 804, command_line::OUTPUT;
    NotUnicode = 805, command_line::NOT_UNICODE;
    UnknownCode = 806, command_line::UNKNOWN_CODE;
    NoQuestions = 807, command_line::NO_QUESTIONS;
    FileUnreadable = 808, command_line::FILE_UNREADABLE;
}

/// What the codes of each hundred are about.
pub const GROUPS: [(u16, &str); 8] = [
    (1, "the config"),
    (2, "corpora and vocabularies"),
    (3, "plugins and class names"),
    (4, "saved systems and resumed runs"),
    (5, "libtorch, GPUs and the machine"),
    (6, "the run"),
    (7, "exchange with other programs, and records"),
    (8, "the command line and files"),
];

impl Code {
    /// The code as a message of this severity shows it, as `E0101`.
    #[must_use]
    pub fn label(self, severity: Severity) -> String {
        let letter = match severity {
            Severity::Error => 'E',
            Severity::Warning => 'W',
        };
        format!("{letter}{:04}", self.number())
    }

    /// The code a typed text means: `E0101`, in either case, with either letter or none.
    ///
    /// # Errors
    /// There is no such code; up to three that are near to it are told.
    pub fn find(text: &str) -> Result<Self, Vec<Self>> {
        let typed = text.trim().trim_start_matches(['[', 'e', 'E', 'w', 'W']).trim_end_matches(']');
        // `0101`, and not `+101`.
        let digits = (!typed.is_empty() && typed.bytes().all(|byte| byte.is_ascii_digit())).then_some(typed);
        let number: Option<u32> = digits.and_then(|digits| digits.parse().ok());
        if let Some(found) = number.and_then(|number| u16::try_from(number).ok()?.try_into().ok()) {
            return Ok(found);
        }
        let Some(number) = number else {
            let asked = text.trim().to_lowercase();
            let similar = |code: &Self| {
                let title = code.page().title.to_lowercase();
                (!asked.is_empty() && title.contains(&asked)).then_some(*code)
            };
            return Err(Self::ALL.iter().filter_map(similar).take(3).collect());
        };
        let mut near = Self::ALL.to_vec();
        near.sort_by_key(|code| u32::from(code.number()).abs_diff(number));
        near.truncate(3);
        near.sort_unstable();
        Err(near)
    }
}

/// The code with the letter that it usually has.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label(self.page().kind))
    }
}

impl From<Code> for u16 {
    fn from(code: Code) -> Self {
        code.number()
    }
}

impl TryFrom<u16> for Code {
    type Error = String;

    fn try_from(number: u16) -> Result<Self, Self::Error> {
        let found = Self::ALL.iter().find(|code| code.number() == number);
        found.copied().ok_or_else(|| format!("there is no error code of number {number}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_and_lie_in_a_group() {
        assert!(Code::ALL.is_sorted_by_key(|code| code.number()));
        for (a, b) in Code::ALL.iter().zip(&Code::ALL[1..]) {
            assert_ne!(a.number(), b.number());
            assert_ne!(a.page().title, b.page().title);
        }
        for code in Code::ALL {
            assert!(GROUPS.iter().any(|(hundred, _)| *hundred == code.number() / 100), "{code}");
            // Warnings alone are at the end of their hundred.
            assert_eq!(code.number() % 100 > 80, code.page().kind == Severity::Warning, "{code}");
        }
    }

    #[test]
    fn a_code_is_found_as_it_may_be_typed() {
        for typed in ["E0101", "e0101", "0101", "101", "W0101", "[E0101]", " E0101 "] {
            assert_eq!(Code::find(typed), Ok(Code::UnknownKey), "{typed:?}");
        }
        assert_eq!(Code::find("E0100"), Err(vec![Code::UnknownKey, Code::InvalidValue, Code::MissingKey]));
        assert_eq!(Code::find("E99999999999999"), Err(vec![]));
        assert_eq!(Code::find(""), Err(vec![]));
        assert_eq!(Code::find("JSON"), Err(vec![Code::ConfigSyntax, Code::SchemaIncomplete]));
        assert!(Code::find("+101").is_err());
    }

    #[test]
    fn the_letter_is_that_of_the_complaint() {
        assert_eq!(Code::LockDiffers.label(Severity::Warning), "W0305");
        assert_eq!(Code::LockDiffers.to_string(), "E0305");
        assert_eq!(Code::IgnoredKey.to_string(), "W0181");
        let number = serde_json::to_string(&Code::LockDiffers).unwrap();
        assert_eq!(number, "305");
        assert_eq!(serde_json::from_str::<Code>(&number).unwrap(), Code::LockDiffers);
        assert!(serde_json::from_str::<Code>("7").is_err());
    }
}
