//! Files of the repository that pages of the book link to: they are copied into the book, below `repository/`.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use mdbook_preprocessor::book::{Book, BookItem};
use mdbook_preprocessor::errors::Result as BookResult;
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};
use pulldown_cmark::{Event, Options, Parser, Tag};

/// The folder of the book that they lie in.
const FOLDER: &str = "repository";

/// Their paths from the root of the repository.
pub(crate) type Copied = Arc<Mutex<BTreeSet<String>>>;

/// Has links that leave `docs/` lead to copies.
pub(crate) struct Outside {
    root: PathBuf,
    copied: Copied,
}

impl Outside {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), copied: Copied::default() }
    }

    /// What is linked to, once the book is built.
    pub(crate) fn copied(&self) -> Copied {
        Arc::clone(&self.copied)
    }

    /// The text with its links changed. Pages lie in `docs/` itself, so `../` is the root.
    fn changed(&self, text: &str) -> String {
        let mut changed = text.to_owned();
        // From the end, so that places before stay where they are.
        for (place, target) in links(text).into_iter().rev() {
            let Some(path) = target.strip_prefix("../") else { continue };
            let path = path.split('#').next().unwrap_or(path).trim_end_matches('/');
            let path =
                if self.root.join(path).is_dir() { format!("{path}/README.md") } else { path.to_owned() };
            let Some(part) = changed.get(place.clone()) else { continue };
            let part = part.replacen(&format!("({target}"), &format!("({FOLDER}/{}", shown(&path)), 1);
            changed.replace_range(place, &part);
            self.copied.lock().unwrap_or_else(PoisonError::into_inner).insert(path);
        }
        changed
    }
}

/// The name of a copy: a browser shows text and takes Markdown for a download; of a name with `.md` in it mdBook makes a page's.
fn shown(path: &str) -> String {
    format!("{}.txt", path.trim_end_matches(".md"))
}

/// Where links stand in a text, and where they lead to.
fn links(text: &str) -> Vec<(Range<usize>, String)> {
    let events = Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter();
    let link = |(event, place)| match event {
        Event::Start(Tag::Link { dest_url, .. }) => Some((place, dest_url.into_string())),
        _ => None,
    };
    events.filter_map(link).collect()
}

impl Preprocessor for Outside {
    fn name(&self) -> &str {
        "repository"
    }

    fn run(&self, _context: &PreprocessorContext, mut book: Book) -> BookResult<Book> {
        book.for_each_mut(|item| {
            if let BookItem::Chapter(chapter) = item {
                chapter.content = self.changed(&chapter.content);
            }
        });
        Ok(book)
    }
}

/// Copies what is linked to into the book.
pub(crate) fn copy(root: &Path, output: &Path, copied: &Copied) -> Result<()> {
    for path in copied.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let to = output.join(FOLDER).join(shown(path));
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        fs::copy(root.join(path), &to)
            .with_context(|| format!("a page links to ../{path}, which cannot be read"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_leave_the_folder_lead_to_copies() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("examples")).unwrap();
        let outside = Outside::new(root.path());
        let text = "See [a](../examples), [b](../LICENSE#top) and [c](page.md). `[d](../no)`\n\n| [e](../x.json) |\n|---|\n";
        let expected = "See [a](repository/examples/README.txt), [b](repository/LICENSE.txt#top) and [c](page.md). `[d](../no)`\n\n\
            | [e](repository/x.json.txt) |\n|---|\n";
        // What stood behind the `#` is not in a text.
        assert_eq!(outside.changed(text), expected.replace(".txt#top", ".txt"));
        let copied = outside.copied();
        let copied: Vec<String> = copied.lock().unwrap().iter().cloned().collect();
        assert_eq!(copied, ["LICENSE", "examples/README.md", "x.json"]);
    }
}
