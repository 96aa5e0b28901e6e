//! Why a system cannot be imported or exported.

use std::path::{Path, PathBuf};

use kiwi_core::diagnostic::Diagnostic;
use kiwi_core::error_code::Code;
use kiwi_core::saved_system;

use crate::{openkiwi, torch_file};

/// An error with a file that is imported, exported or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is none of `torch.save`'s, or damaged.
    #[error("{} cannot be imported: {cause}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        cause: torch_file::Error,
    },
    /// What the file holds is no system that could be imported.
    #[error("{} cannot be imported: {cause}", file.display())]
    System {
        /// The file.
        file: PathBuf,
        /// Why.
        cause: openkiwi::Error,
    },
    /// A saved system that OpenKiwi has no counterpart of.
    #[error("{} cannot be exported: {cause}", file.display())]
    Export {
        /// The file.
        file: PathBuf,
        /// Why.
        cause: openkiwi::Error,
    },
    /// A saved system that cannot be read or written.
    #[error(transparent)]
    Saved(#[from] saved_system::Error),
    /// A file that is there already.
    #[error("{} exists already, and nothing is overwritten", file.display())]
    Exists {
        /// The file.
        file: PathBuf,
    },
    /// A file that cannot be written.
    #[error("{} cannot be written: {cause}", file.display())]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
}

impl Error {
    fn code(&self) -> Code {
        match self {
            Self::File { .. } => Code::ImportUnreadable,
            Self::System { .. } | Self::Export { .. } => Code::NotConvertible,
            Self::Saved(error) => error.code(),
            Self::Exists { .. } => Code::FileExists,
            Self::Unwritable { .. } => Code::FileUnwritable,
        }
    }

    /// The complaint, with what to do.
    #[must_use]
    pub fn diagnostic(&self) -> Diagnostic {
        let error = Diagnostic::error(self.code(), self.to_string());
        match self {
            Self::File { file, cause } => found_in(error, file).help(cause.help()),
            Self::System { file, cause } | Self::Export { file, cause } => {
                cause.complete(found_in(error, file))
            }
            Self::Saved(_) => error,
            Self::Exists { .. } => error.help("name another file with -o, or move that one away"),
            Self::Unwritable { .. } => {
                error.help("check that its folder exists, may be written to, and has room")
            }
        }
    }
}

fn found_in(error: Diagnostic, file: &Path) -> Diagnostic {
    error.found(file.display().to_string())
}
