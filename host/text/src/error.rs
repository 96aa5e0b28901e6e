//! Everything that can be wrong with corpora and vocabularies. Each message stands on its own: file, line, what was found,
//! what to do.

use std::{fmt, io, path::PathBuf};

use kiwi_core::error_code::Code;

use crate::field::{Field, Location};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A corpus file that is not there.
    #[error("{} does not exist{}", file.display(), missing_hint(*folder_missing, nearest.as_deref()))]
    Missing {
        /// The file that was asked for.
        file: PathBuf,
        /// The nearest name in its folder.
        nearest: Option<PathBuf>,
        /// Whether the folder itself is missing.
        folder_missing: bool,
    },
    /// A folder where a file was expected.
    #[error("{} is a folder: a corpus is a text file (or a list of text files), one sentence a line", file.display())]
    Directory {
        /// The folder.
        file: PathBuf,
    },
    /// A device where a file was expected.
    #[error(
        "{} is a device (a terminal, for instance): a corpus is a text file or a pipe that gives one, one sentence a line",
        file.display()
    )]
    Device {
        /// The device.
        file: PathBuf,
    },
    /// A symbolic link to nothing.
    #[error("{} is a symbolic link to {}, which does not exist; repair the link", file.display(), leads_to.display())]
    DanglingLink {
        /// The link.
        file: PathBuf,
        /// What it says.
        leads_to: PathBuf,
    },
    /// A file that the operating system does not let us read.
    #[error("{} cannot be read: {cause}; check its permissions and the device it lies on", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// A file in UTF-16 or UTF-32.
    #[error(
        "{} is {encoding} text (told by {evidence}): a corpus must be UTF-8; convert it with `iconv -f {encoding} -t UTF-8`",
        file.display()
    )]
    WideCharacters {
        /// The file.
        file: PathBuf,
        /// The encoding by its usual name.
        encoding: &'static str,
        /// What tells it.
        evidence: &'static str,
    },
    /// A file that is compressed.
    #[error("{} is compressed by gzip (told by its first bytes): unpack it first, as by `gunzip --keep`", file.display())]
    Compressed {
        /// The file.
        file: PathBuf,
    },
    /// A byte that is not part of UTF-8 text.
    #[error(
        "{}, line {line}: byte {byte_in_line} of the line (byte {byte_in_file} of the file) is 0x{byte:02X}, which is not UTF-8 \
         there: a corpus must be UTF-8; convert the file (`iconv -f LATIN1 -t UTF-8` if it is Latin-1) or repair the line",
        file.display()
    )]
    InvalidUtf8 {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Position in the line, from 1.
        byte_in_line: u64,
        /// Position in the file, from 1.
        byte_in_file: u64,
        /// The byte.
        byte: u8,
    },
    /// A line of which the words could not be counted in 31 bits.
    #[error(
        "{}, line {line}: the line is longer than {limit} bytes; a corpus has one sentence a line, each ended by LF or CR LF",
        file.display()
    )]
    LineTooLong {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The longest line that can be read, in bytes.
        limit: u64,
    },
    /// A pipe that gives more than can be kept.
    #[error(
        "{} gives more than {limit} bytes: what comes from a pipe is kept in memory, so write a corpus of this size to a file \
         and give that",
        file.display()
    )]
    PipeTooLong {
        /// The pipe.
        file: PathBuf,
        /// The most bytes that are kept.
        limit: u64,
    },
    /// One pipe in several places.
    #[error(
        "{} is a pipe and is given twice, but what comes from it can be read only once; write it to a file and give that",
        file.display()
    )]
    PipeTwice {
        /// The pipe.
        file: PathBuf,
    },
    /// A file that no longer is what was checked when it was opened.
    #[error(
        "{} was changed while it was being read ({evidence}); start again when nothing writes to it",
        file.display()
    )]
    Changed {
        /// The file.
        file: PathBuf,
        /// What tells it.
        evidence: &'static str,
    },
    /// A field without any file.
    #[error("the list of {field} files is empty: give at least one file")]
    NoFiles {
        /// The field.
        field: Field,
    },
    /// Lists of files that cannot be paired.
    #[error(
        "{source_files} source files but {files} {field} files: the lists are paired in order, so both need the same number of files"
    )]
    FileCounts {
        /// Files given for the source.
        source_files: usize,
        /// The other field.
        field: Field,
        /// Files given for it.
        files: usize,
    },
    /// Two files of which line i of one cannot be the translation of line i of the other.
    #[error(
        "{} has {source_lines} lines but {} has {lines}: line i of the {field} must belong to line i of the source{}",
        source_file.display(), file.display(), carriage_return_hint(*lone_carriage_returns)
    )]
    LineCounts {
        /// The source file.
        source_file: PathBuf,
        /// Its lines.
        source_lines: usize,
        /// The other field.
        field: Field,
        /// Its file.
        file: PathBuf,
        /// Its lines.
        lines: usize,
        /// Carriage returns in both files that end no line.
        lone_carriage_returns: usize,
    },
    /// A line of pairs that has one side only.
    #[error(
        "{place}: the line has no tab: each line must be `source<TAB>target`; mend the line, or make the file anew, as \
         `paste FILE.src FILE.tgt` does"
    )]
    MissingTab {
        /// The line.
        place: Location,
    },
    /// A stream whose beginning is not what was read of it before.
    #[error(
        "{} is not what was read before: its first {pairs} pairs have another hash than {expected}; give the same text as then, or \
         begin anew without --resume",
        file.display()
    )]
    OtherText {
        /// The stream.
        file: PathBuf,
        /// The pairs that were read before.
        pairs: u64,
        /// Their hash.
        expected: crate::ContentHash,
    },
    /// More pairs than can be numbered.
    #[error(
        "the corpus has {pairs} pairs, more than the {} that are supported: train on a part of it",
        u32::MAX
    )]
    TooManyPairs {
        /// Pairs in the corpus.
        pairs: usize,
    },
    /// A corpus with a file that has no line.
    #[error(
        "{} 0 lines: a corpus needs at least one pair of sentences, and each of its files a line",
        no_lines(files)
    )]
    EmptyCorpus {
        /// The files without a line.
        files: Vec<PathBuf>,
    },
    /// Length limits that leave nothing.
    #[error(
        "all {pairs} pairs are longer than the length limits ({limits}): raise `max_length`, or check that the text is split into sentences"
    )]
    AllTooLong {
        /// Pairs in the corpus.
        pairs: usize,
        /// The limits in words.
        limits: String,
    },
    /// A pair that fits into no batch.
    #[error(
        "the pair at {place} takes {tokens} tokens by itself (its longer side with `<bos>` and `<eos>`), but a batch may hold \
         {limit}: raise `max_tokens_per_batch` to {tokens}, or drop such pairs by `max_length`"
    )]
    PairOverTokens {
        /// The pair's longer side.
        place: Location,
        /// Its tokens.
        tokens: usize,
        /// The tokens that a batch may hold.
        limit: usize,
    },
    /// A share that is not one.
    #[error(
        "a split of {share} is not between 0 and 1: give the share of pairs kept for training, for instance 0.9"
    )]
    ShareOutOfRange {
        /// The share.
        share: f64,
    },
    /// A split that leaves one part empty.
    #[error(
        "a split of {share} of {pairs} pairs leaves {training} for training and {} for validation, and both need at least one: {}",
        pairs - training, split_hint(*pairs)
    )]
    SplitTooSmall {
        /// The share kept for training.
        share: f64,
        /// Pairs to split.
        pairs: usize,
        /// Pairs that the training part would have.
        training: usize,
    },
    /// A list of words that does not begin with the special tokens.
    #[error(
        "this is not a vocabulary: entry {position} is {}, not `{expected}`; the first entries must be the special tokens {} in this order",
        found.as_ref().map_or("missing".to_owned(), |found| format!("`{found}`")),
        crate::vocabulary::SPECIALS.join(" ")
    )]
    Specials {
        /// The id.
        position: usize,
        /// The special token that belongs there.
        expected: &'static str,
        /// What stands there.
        found: Option<String>,
    },
    /// A word with two ids.
    #[error(
        "this is not a vocabulary: `{word}` is entry {first} and again entry {second}; each word must stand there once"
    )]
    DuplicateWord {
        /// The word.
        word: String,
        /// Its first id.
        first: usize,
        /// Its second id.
        second: usize,
    },
    /// More words than ids.
    #[error(
        "a vocabulary of {words} words is too large: at most 2^31 - 1 are supported; set `vocab.max_size`"
    )]
    TooManyWords {
        /// The number of words.
        words: usize,
    },
    /// The operating system gives no more threads.
    #[error(
        "thread {number} of {workers} for preparing batches could not be started: {cause}; lower `num_data_workers`"
    )]
    NoThread {
        /// Which, from 1.
        number: usize,
        /// How many were asked for.
        workers: usize,
        /// What the operating system says.
        cause: io::Error,
    },
}

impl Error {
    /// What kind of trouble it is.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Missing { .. }
            | Self::Directory { .. }
            | Self::Device { .. }
            | Self::DanglingLink { .. }
            | Self::Unreadable { .. }
            | Self::NoFiles { .. }
            | Self::PipeTooLong { .. }
            | Self::PipeTwice { .. } => Code::CorpusUnreadable,
            Self::MissingTab { .. }
            | Self::WideCharacters { .. }
            | Self::Compressed { .. }
            | Self::InvalidUtf8 { .. }
            | Self::LineTooLong { .. } => Code::NotText,
            Self::Changed { .. } | Self::OtherText { .. } => Code::CorpusChanged,
            Self::FileCounts { .. } | Self::LineCounts { .. } => Code::LineCounts,
            Self::EmptyCorpus { .. }
            | Self::AllTooLong { .. }
            | Self::ShareOutOfRange { .. }
            | Self::SplitTooSmall { .. } => Code::NoPairs,
            Self::TooManyPairs { .. } | Self::PairOverTokens { .. } | Self::TooManyWords { .. } => {
                Code::TooLong
            }
            Self::Specials { .. } | Self::DuplicateWord { .. } => Code::Vocabulary,
            Self::NoThread { .. } => Code::MachineLimits,
        }
    }

    /// The one file that is at fault, where one is.
    #[must_use]
    pub fn file(&self) -> Option<&std::path::Path> {
        match self {
            Self::Missing { file, .. }
            | Self::Directory { file }
            | Self::Device { file, .. }
            | Self::DanglingLink { file, .. }
            | Self::Unreadable { file, .. }
            | Self::WideCharacters { file, .. }
            | Self::Compressed { file }
            | Self::InvalidUtf8 { file, .. }
            | Self::LineTooLong { file, .. }
            | Self::PipeTooLong { file, .. }
            | Self::Changed { file, .. } => Some(file),
            _ => None,
        }
    }
}

fn missing_hint(folder_missing: bool, nearest: Option<&std::path::Path>) -> String {
    match nearest {
        Some(nearest) => format!("; did you mean {}?", nearest.display()),
        None if folder_missing => {
            ", nor does its folder; check the path (a relative one starts at the current folder)".to_owned()
        }
        None => "; check the path (a relative one starts at the current folder)".to_owned(),
    }
}

fn carriage_return_hint(count: usize) -> String {
    match count {
        0 => "; make both anew from the same pairs".to_owned(),
        count => format!(
            " (only LF and CR LF end a line; the two files hold {count} carriage returns that do not, which some tools take for line ends)"
        ),
    }
}

fn split_hint(pairs: usize) -> String {
    if pairs < 2 {
        "give a validation set of its own".to_owned()
    } else {
        format!(
            "choose a share between {:.3} and {:.3}, or give a validation set of its own",
            1.0 / pairs as f64,
            (pairs - 1) as f64 / pairs as f64
        )
    }
}

fn no_lines(files: &[PathBuf]) -> impl fmt::Display {
    let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    format!("{} {}", names.join(" and "), if names.len() == 1 { "has" } else { "have" })
}
