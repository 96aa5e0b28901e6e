//! What the cache did and what can be wrong with it, as data.

use std::{io, path::PathBuf};

/// Something that may have come from the cache.
#[derive(Debug)]
pub struct Cached<T> {
    /// What was asked for, the same as without a cache.
    pub value: T,
    /// How it came about.
    pub outcome: CacheOutcome,
}

/// What the cache did.
#[derive(Debug)]
pub enum CacheOutcome {
    /// The corpus is too small for it to matter.
    NotNeeded,
    /// It was there.
    Found {
        /// The file.
        file: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// It was made and is there now.
    Written {
        /// The file.
        file: PathBuf,
        /// Its size.
        bytes: u64,
        /// Why the file that was there before was not used.
        replaced: Option<CacheProblem>,
    },
    /// It was made and could not be kept.
    NotKept {
        /// The file.
        file: PathBuf,
        /// Why not.
        problem: CacheProblem,
    },
}

impl CacheOutcome {
    /// A complete sentence where something is worth a warning.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        match self {
            Self::NotNeeded | Self::Found { .. } | Self::Written { replaced: None, .. } => None,
            Self::Written { file, replaced: Some(problem), .. } => {
                Some(format!("{} could not be used ({problem}) and was made anew", file.display()))
            }
            Self::NotKept { file, problem } => Some(format!(
                "{} cannot be kept ({problem}): what it would hold is in memory instead, and the next run makes it again; \
                 free space, or choose another cache directory",
                file.display()
            )),
        }
    }
}

/// What can be wrong with a file of the cache.
#[derive(Debug, thiserror::Error)]
pub enum CacheProblem {
    /// It is shorter, or longer, than it says.
    #[error("it is not complete")]
    Truncated,
    /// It is something else.
    #[error("it is no file of this cache")]
    Foreign,
    /// It is of another version of this program.
    #[error("it has version {found} of its form, not {expected}")]
    Version {
        /// Its version.
        found: u64,
        /// The version that is read.
        expected: u64,
    },
    /// It was made of something else.
    #[error("it belongs to another corpus")]
    OtherContent,
    /// Its bytes are not those that were written.
    #[error("it is damaged")]
    Damaged,
    /// The operating system refuses.
    #[error("{0}")]
    System(#[from] io::Error),
}
