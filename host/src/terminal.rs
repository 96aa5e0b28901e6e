//! How wide the terminal is, and text that fits it: lines are broken between words, and what goes on stands under the column that it
//! belongs to. What goes into a file or to another program is never broken.

use std::io::IsTerminal;

use terminal_size::{Width, terminal_size_of};
use textwrap::{Options, WordSplitter};

/// Columns of help where nothing says how wide the terminal is.
const USUAL: usize = 100;
/// A terminal of fewer columns is written to as if it had as many.
const NARROWEST: usize = 20;

/// Columns that help may take: those of the terminal, else `COLUMNS`, else a usual width.
pub(crate) fn help_width() -> usize {
    let columns = || std::env::var("COLUMNS").ok()?.parse().ok().filter(|columns| *columns > 0);
    let asked = terminal_size::terminal_size().map(|(Width(columns), _)| usize::from(columns));
    asked.or_else(columns).unwrap_or(USUAL).max(NARROWEST)
}

/// Columns of the terminal that a stream is; `None` where it is none.
pub(crate) fn width_of(stream: &(impl IsTerminal + std::os::fd::AsFd)) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    terminal_size_of(stream).map(|(Width(columns), _)| usize::from(columns).max(NARROWEST))
}

/// Lines of columns that two spaces and more keep apart, broken so that they take `width` columns at most where their words allow
/// it. What goes on stands under the last column, or a little to the right where that leaves too little room.
pub(crate) fn fit_columns(text: &str, width: usize) -> String {
    let fitted = text.split('\n').map(|line| {
        let indent = last_column(line);
        fit(line, width, if indent * 2 <= width { indent } else { indent_of(line) + 4 })
    });
    fitted.collect::<Vec<_>>().join("\n")
}

/// Lines that are each broken where `width` columns end, the rest a little to the right of where the line begins.
pub(crate) fn fit_lines(text: &str, width: usize) -> String {
    text.split('\n').map(|line| fit(line, width, indent_of(line) + 4)).collect::<Vec<_>>().join("\n")
}

/// A line that is broken where `width` columns end, the rest with this indentation. Colours take no room.
pub(crate) fn fit(line: &str, width: usize, indent: usize) -> String {
    if textwrap::core::display_width(line) <= width {
        return line.to_owned();
    }
    let own = indent_of(line);
    let (spaces, text) = line.split_at(own);
    let indent = " ".repeat(indent);
    let options = Options::new(width)
        .initial_indent(spaces)
        .subsequent_indent(&indent)
        // A path or a hash that is broken cannot be copied.
        .break_words(false)
        .word_splitter(WordSplitter::NoHyphenation);
    textwrap::fill(text, options)
}

/// Spaces that a line begins with.
fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// Where the last column of a line begins, in columns of the terminal.
fn last_column(line: &str) -> usize {
    let begin = line.rfind("  ").map_or(0, |at| at + 2);
    textwrap::core::display_width(&line[..begin])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_stands_under_its_column() {
        let line = "  encoder    Bag  Sums the embeddings of all words of a sentence";
        assert_eq!(
            fit_columns(line, 44),
            "  encoder    Bag  Sums the embeddings of all\n                  words of a sentence"
        );
        assert_eq!(fit_columns(line, 200), line);
        // Under a column that begins far to the right there is no room.
        assert_eq!(
            fit_columns(line, 30),
            "  encoder    Bag  Sums the\n      embeddings of all words\n      of a sentence"
        );
    }

    #[test]
    fn words_are_never_broken_and_colours_take_no_room() {
        assert_eq!(fit("a /a/long/path/of/a/file b", 10, 2), "a\n  /a/long/path/of/a/file\n  b");
        let coloured = "\u{1b}[1mnote\u{1b}[0m  one two";
        assert_eq!(fit(coloured, 13, 6), coloured);
    }
}
