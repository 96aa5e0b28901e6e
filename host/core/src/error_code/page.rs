//! A page on a code: how it is shown on a terminal and in Markdown.

use std::fmt::Write as _;

use super::{Code, GROUPS};
use crate::diagnostic::Severity;

/// What there is to read about a code.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// What is wrong, in a line: a lower-case fragment.
    pub title: &'static str,
    /// Whether it usually is an error or a warning.
    pub kind: Severity,
    /// What it means, and why the program insists.
    pub meaning: &'static str,
    /// What to do.
    pub mend: &'static str,
    /// What is wrong and what is right.
    pub example: Example,
}

/// An example of the wrong and of the right input.
#[derive(Debug, Clone, Copy)]
pub enum Example {
    /// A config, or the part of one that matters; tests run both.
    Config {
        /// What gets the complaint.
        wrong: &'static str,
        /// What does not.
        right: &'static str,
    },
    /// Lines of a shell.
    Console {
        /// What gets the complaint.
        wrong: &'static str,
        /// What does not.
        right: &'static str,
    },
    /// The words say it all.
    Words,
}

/// Widest line of running text on a terminal.
const WIDEST: usize = 100;

impl Code {
    /// The page as it is read on a terminal of `width` columns; lines of examples are not broken.
    #[must_use]
    pub fn explanation(self, width: usize) -> String {
        let page = self.page();
        let width = width.clamp(20, WIDEST);
        let mut out = wrapped("", &format!("{self}: {}", page.title), width);
        // Writing to a string never fails.
        let _ = write!(out, "\n{}", wrapped("", page.meaning, width));
        let _ = write!(out, "\n{}", wrapped("", &format!("What to do: {}", page.mend), width));
        if let Some((wrong, right)) = page.example.both() {
            let _ = write!(out, "\nWrong:\n    {wrong}\nRight:\n    {right}\n");
        }
        out
    }
}

impl Example {
    /// The wrong and the right text, where there are any.
    #[must_use]
    pub const fn both(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Config { wrong, right } | Self::Console { wrong, right } => Some((wrong, right)),
            Self::Words => None,
        }
    }
}

/// The list of all codes with their titles, by group.
#[must_use]
pub fn list(width: usize) -> String {
    let mut out = String::new();
    for (hundred, about) in GROUPS {
        let _ = writeln!(out, "{}{hundred:02}xx: {about}", if out.is_empty() { "" } else { "\n" });
        for code in of_group(hundred) {
            out += &wrapped(&format!("  {code}  "), code.page().title, width.clamp(20, WIDEST));
        }
    }
    out
}

fn of_group(hundred: u16) -> impl Iterator<Item = &'static Code> {
    Code::ALL.iter().filter(move |code| code.number() / 100 == hundred)
}

/// All pages as `docs/errors.md`, each code with an anchor of its own (`#e0101`).
#[must_use]
pub fn markdown() -> String {
    let mut out = "\
<!-- Made by `cargo xtask generate`. Do not change it by hand: the pages are in host/core/src/error_code/. -->

# Error codes

Each error and warning of kiwi-host has a code, as `error[E0101]: unknown key …`. `kiwi-host explain E0101` prints what stands here.

A number stands for one kind of trouble and is never given another meaning, so that scripts can go by it. The letter says how
grave it is at hand: `E` is an error, and the command fails; `W` is a warning, and it goes on. Some kinds are either, by what the
command was asked, as E0305 without `--locked`; the list has the usual letter.
"
    .to_owned();
    for (hundred, about) in GROUPS {
        let _ = writeln!(out, "\n- {hundred:02}xx: {about}");
        for code in of_group(hundred) {
            let anchor = code.to_string().to_lowercase();
            let _ = writeln!(out, "  - [{code}](#{anchor}): {}", code.page().title);
        }
    }
    for (hundred, about) in GROUPS {
        let _ = writeln!(out, "\n## {hundred:02}xx: {about}");
        for code in of_group(hundred) {
            let page = code.page();
            let _ = write!(
                out,
                "\n### {code}\n\n**{}.**\n{}\n\n**What to do.** {}\n",
                capital(page.title),
                page.meaning,
                page.mend
            );
            let language = match page.example {
                Example::Config { .. } => "json",
                Example::Console { .. } => "console",
                Example::Words => continue,
            };
            let prompt = if language == "console" { "$ " } else { "" };
            // The check of pages asks why commands are not run; configs are run by a test of this table.
            let note =
                if language == "console" { "<!-- not run: files and plugins are examples -->\n" } else { "" };
            if let Some((wrong, right)) = page.example.both() {
                for (heading, example) in [("Wrong", wrong), ("Right", right)] {
                    let _ = write!(out, "\n{heading}:\n\n{note}```{language}\n{prompt}{example}\n```\n");
                }
            }
        }
    }
    out
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Text in lines of at most `width` columns, but for single words that are longer; the first begins with `prefix`, the others
/// with as much space.
fn wrapped(prefix: &str, text: &str, width: usize) -> String {
    let indent = " ".repeat(prefix.len());
    let mut out = prefix.to_owned();
    let mut column = prefix.len();
    for (index, word) in text.split_whitespace().enumerate() {
        let length = word.chars().count();
        if index > 0 && column + 1 + length > width {
            out.push('\n');
            out += &indent;
            column = indent.len();
        } else if index > 0 {
            out.push(' ');
            column += 1;
        }
        out += word;
        column += length;
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_says_what_to_do_and_fits_the_terminal() {
        for code in Code::ALL {
            let page = code.page();
            assert!(page.title.len() <= 80 && !page.title.ends_with('.'), "{code}");
            for text in [page.meaning, page.mend] {
                assert!(text.ends_with('.') && !text.contains("  "), "{code}: {text}");
            }
            for width in [20, 72, 500] {
                let examples = page.example.both().map_or(0, |_| 4);
                let text = code.explanation(width);
                let lines: Vec<_> = text.lines().collect();
                for line in &lines[..lines.len() - examples] {
                    let words = line.split_whitespace().count();
                    assert!(line.chars().count() <= width.min(WIDEST) || words == 1, "{code}: {line}");
                }
            }
        }
    }

    #[test]
    fn the_list_and_the_document_have_every_code() {
        let (list, document) = (list(80), markdown());
        for code in Code::ALL {
            let title: String = code.page().title.split_whitespace().collect();
            assert!(list.contains(&format!("  {code}  ")), "{code}");
            assert!(list.split_whitespace().collect::<String>().contains(&title), "{code}");
            assert!(document.contains(&format!("\n### {code}\n")), "{code}");
        }
    }

    #[test]
    fn examples_of_configs_differ() {
        for code in Code::ALL {
            if let Some((wrong, right)) = code.page().example.both() {
                assert_ne!(wrong, right, "{code}");
            }
        }
    }
}
