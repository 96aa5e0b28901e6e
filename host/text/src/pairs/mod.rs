//! A parallel corpus of any size, read once from beginning to end in windows of some thousand pairs, each with its text as it
//! stands in the files (`window`) and its word ids. Files that can be read twice are checked from end to end first; standard
//! input, pipes and what gzip has compressed are checked as they come (`stream`). Which pairs make a batch is the caller's.

mod source;
mod stream;
mod window;

use std::path::PathBuf;

pub use stream::is_standard_input;
pub use window::{Window, shard};

use crate::{
    ContentHash, Corpus, Error, Field, Location, Notes, ParallelCorpus, ParallelFiles, Result, Vocabularies,
    noting::NotesBuilder, parallel_corpus,
};
use source::Source;
use stream::LineStream;
use window::Builder;

/// Where the pairs stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PairInput {
    /// A file a side, line i of one belonging to line i of the others.
    Sides {
        /// The source's.
        source: PathBuf,
        /// The target's.
        target: PathBuf,
        /// That of the corrected translations.
        post_edit: Option<PathBuf>,
    },
    /// One file of lines `source<TAB>target`; `-` is standard input. What follows a second tab is not read.
    Lines(PathBuf),
}

impl PairInput {
    /// Its files: one a side, or the one that has both.
    #[must_use]
    pub fn paths(&self) -> Vec<&PathBuf> {
        match self {
            Self::Sides { source, target, post_edit } => {
                [source, target].into_iter().chain(post_edit).collect()
            }
            Self::Lines(file) => vec![file],
        }
    }

    /// The fields of its pairs.
    #[must_use]
    pub fn fields(&self) -> &'static [Field] {
        match self {
            Self::Sides { post_edit: Some(_), .. } => &Field::ALL,
            _ => &[Field::Source, Field::Target],
        }
    }
}

/// The pairs of an input, before they are read.
pub struct PairReader {
    input: PairInput,
    texts: Texts,
}

/// The text of the files: of each side, or of the one file that has both.
enum Texts {
    /// Checked, the sides having equally many lines.
    Sides(ParallelCorpus),
    /// Checked.
    Lines(Corpus),
    /// Not read yet.
    Streams(Vec<LineStream>),
}

impl PairReader {
    /// Opens the files. Those that can be read twice are checked from end to end.
    ///
    /// # Errors
    /// A file that is not there or is no UTF-8 text, sides of different line counts, a pipe that is given twice, or no pair.
    pub fn open(input: &PairInput) -> Result<Self> {
        let paths = input.paths();
        parallel_corpus::refuse_pipes_given_twice(paths.iter().copied())?;
        let mut streams = false;
        for path in &paths {
            streams |= stream::is_stream(path)?;
        }
        let texts = match input {
            _ if streams => {
                Texts::Streams(paths.iter().map(|path| LineStream::open(path)).collect::<Result<_>>()?)
            }
            PairInput::Sides { source, target, post_edit } => {
                Texts::Sides(ParallelCorpus::open(&ParallelFiles {
                    source: vec![source.clone()],
                    target: vec![target.clone()],
                    post_edit: post_edit.clone().map(|file| vec![file]),
                })?)
            }
            PairInput::Lines(file) => {
                let corpus = Corpus::open(Field::Source, std::slice::from_ref(file))?;
                if corpus.lines() == 0 {
                    return Err(Error::EmptyCorpus { files: vec![file.clone()] });
                }
                Texts::Lines(corpus)
            }
        };
        Ok(Self { input: input.clone(), texts })
    }

    /// How many pairs there are; `None` where only the end of the text will tell.
    #[must_use]
    pub fn pairs(&self) -> Option<u64> {
        match &self.texts {
            Texts::Sides(corpus) => Some(corpus.pairs() as u64),
            Texts::Lines(corpus) => Some(corpus.lines() as u64),
            Texts::Streams(_) => None,
        }
    }

    /// The hash of the text; `None` where it has not been read yet.
    #[must_use]
    pub fn content_hash(&self) -> Option<ContentHash> {
        match &self.texts {
            Texts::Sides(corpus) => Some(corpus.content_hash()),
            Texts::Lines(corpus) => Some(corpus.content_hash()),
            Texts::Streams(_) => None,
        }
    }

    /// Reads the pairs from `from` to `to` (`None`: to the end), counted from 0, in windows, until `take` says that it has enough.
    /// `expected` is the [`Window::digest`] of the window that ended at `from`. Returns what is odd in these pairs.
    ///
    /// Where a window ends is a function of its pairs' numbers (and of the text, where lines are very long): reading on from the
    /// end of a window gives the windows that would have come.
    ///
    /// # Errors
    /// A line that is not UTF-8 or has no tab, sides that end at different lines, a file that was changed meanwhile, a stream that
    /// is not the one that was read before `from`, or a text without a pair.
    pub fn read(
        self,
        vocabularies: &Vocabularies,
        from: u64,
        to: Option<u64>,
        expected: Option<ContentHash>,
        mut take: impl FnMut(Window) -> bool,
    ) -> Result<Notes> {
        let Self { input, mut texts } = self;
        let files: Vec<PathBuf> = match &texts {
            Texts::Streams(streams) => streams.iter().map(|stream| stream.path().to_owned()).collect(),
            _ => input.paths().into_iter().cloned().collect(),
        };
        let is_lines = matches!(input, PairInput::Lines(_));
        let file_of =
            |field: Field| files.get(if is_lines { 0 } else { field.index() }).cloned().unwrap_or_default();
        let mut sources: Vec<Source<'_>> = match &mut texts {
            Texts::Streams(streams) => streams.iter_mut().map(Source::Stream).collect(),
            Texts::Sides(corpus) => {
                let sides = input.fields().iter().filter_map(|field| corpus.side(*field));
                sides.map(|side| Source::checked(side, from)).collect::<Result<_>>()?
            }
            Texts::Lines(corpus) => vec![Source::checked(corpus, from)?],
        };
        let mut hasher = sources.iter().any(Source::is_stream).then(blake3::Hasher::new);
        if let Some(hasher) = &mut hasher {
            skip(&mut sources, from, hasher)?;
            if let Some(expected) = expected.filter(|expected| expected.0 != *hasher.finalize().as_bytes()) {
                return Err(Error::OtherText {
                    file: files.first().cloned().unwrap_or_default(),
                    pairs: from,
                    expected,
                });
            }
        }
        let mut notes = NotesBuilder::default();
        let mut next = from;
        loop {
            let mut builder = Builder::new(next, to, sources.len());
            let ended = fill(&mut builder, &mut sources, input.fields())?;
            let pairs = builder.pairs();
            if pairs > 0 {
                let (window, odd) =
                    builder.finish(input.fields(), is_lines, vocabularies, &file_of, hasher.as_mut())?;
                notes.append(odd);
                if !take(window) {
                    break;
                }
            }
            next += pairs as u64;
            if ended || to.is_some_and(|to| next >= to) {
                break;
            }
        }
        if next == 0 && to.is_none() {
            return Err(Error::EmptyCorpus { files });
        }
        drop(sources);
        match &texts {
            Texts::Sides(corpus) => corpus.check_unchanged()?,
            Texts::Lines(corpus) => corpus.check_unchanged()?,
            Texts::Streams(_) => {}
        }
        let location = |pair: usize, field| Location { file: file_of(field), line: pair + 1 };
        Ok(notes.finish(usize::try_from(next - from).unwrap_or(usize::MAX), location))
    }
}

/// Reads a window's lines; whether the text has ended.
fn fill(builder: &mut Builder, sources: &mut [Source<'_>], fields: &[Field]) -> Result<bool> {
    while !builder.is_full() {
        let mut read = 0;
        for (column, source) in sources.iter_mut().enumerate() {
            read += usize::from(source.read(builder.line(column))?);
        }
        if read == 0 {
            return Ok(true);
        }
        if read < sources.len() {
            return Err(counts_differ(sources, fields)?);
        }
        builder.end_line();
    }
    Ok(false)
}

/// Goes past pairs that were read before.
fn skip(sources: &mut [Source<'_>], pairs: u64, hasher: &mut blake3::Hasher) -> Result<()> {
    let mut line = Vec::new();
    for _ in 0..pairs {
        for source in &mut *sources {
            line.clear();
            source.read(&mut line)?;
            hasher.update(&line);
        }
    }
    Ok(())
}

/// The error for streams of which one has ended before another: it reads them to their ends.
fn counts_differ(sources: &mut [Source<'_>], fields: &[Field]) -> Result<Error> {
    let counts = sources.iter_mut().map(Source::count).collect::<Result<Vec<_>>>()?;
    let (source_file, source_lines) = counts.first().cloned().unwrap_or_default();
    let other = counts.iter().zip(fields).find(|((_, lines), _)| *lines != source_lines);
    let ((file, lines), field) =
        other.map_or_else(|| ((PathBuf::new(), 0), Field::Target), |(count, field)| (count.clone(), *field));
    Ok(Error::LineCounts { source_file, source_lines, field, file, lines, lone_carriage_returns: 0 })
}
