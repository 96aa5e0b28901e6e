//! Complaints as people read them, and word of what was done, on standard error. The only place where a [`Diagnostic`] becomes text.

use std::fmt::Write as _;
use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use kiwi_core::diagnostic::{Diagnostic, Severity};
use kiwi_core::error_code::Code;

use crate::terminal;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const LABEL: Style = AnsiColor::Blue.on_default().bold();
const NEAREST: Style = AnsiColor::Green.on_default().bold();
const MESSAGE: Style = Style::new().bold();

/// Prints complaints in their order. Nothing can be done when standard error is closed.
pub(crate) fn diagnostics(diagnostics: &[Diagnostic]) {
    // Written in one piece, so that lines of several threads and processes do not mix.
    let text: String = diagnostics.iter().map(render).collect();
    let text = fitted(text);
    let mut stderr = anstream::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Says what was done, where no log does.
pub(crate) fn lines(lines: &[String]) {
    let text: String = lines.iter().map(|line| format!("{}\n", clean(line))).collect();
    let mut stderr = anstream::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Where there is more to read about the errors of a command, each kind named once.
pub(crate) fn more_about(codes: &[Code]) {
    let Some(line) = more_line(codes) else { return };
    let mut stderr = anstream::stderr().lock();
    let _ = writeln!(stderr, "{line}").and_then(|()| stderr.flush());
}

/// So many codes are named: who has more errors begins with the first.
const NAMED: usize = 4;

fn more_line(codes: &[Code]) -> Option<String> {
    let labels: Vec<_> = codes.iter().take(NAMED).map(|code| code.label(Severity::Error)).collect();
    (!labels.is_empty())
        .then(|| format!("for more about {}: kiwi-host explain {}", labels.join(", "), labels.join(" ")))
}

/// The last line of a command that failed, for those who read no more than that: which command, its exit code, the first error.
/// Nothing where nothing was said to be wrong.
pub(crate) fn ending(command: &str, code: i32, errors: &[String]) {
    let Some(line) = ending_line(command, code, errors).map(fitted) else { return };
    let mut stderr = anstream::stderr().lock();
    let _ = writeln!(stderr, "{line}").and_then(|()| stderr.flush());
}

/// Lines that end where the terminal does, where standard error is one.
fn fitted(text: String) -> String {
    match terminal::width_of(&std::io::stderr()) {
        Some(width) => terminal::fit_lines(&text, width),
        None => text,
    }
}

fn ending_line(command: &str, code: i32, errors: &[String]) -> Option<String> {
    let (first, others) = errors.split_first()?;
    let others = match others.len() {
        0 => String::new(),
        1 => " (and 1 more error)".to_owned(),
        more => format!(" (and {more} more errors)"),
    };
    // On one line whatever it says.
    let first = clean(&first.replace('\n', " "));
    Some(format!("{ERROR}kiwi-host {command} failed{ERROR:#} with exit code {code}: {first}{others}"))
}

/// Complaints as they are printed, without colours.
pub(crate) fn plain(diagnostics: &[Diagnostic]) -> String {
    let text: String = diagnostics.iter().map(render).collect();
    anstream::adapter::strip_str(&text).to_string()
}

/// A complaint with colours, which the stream takes out where they are not wanted.
fn render(diagnostic: &Diagnostic) -> String {
    let (style, severity) = match diagnostic.severity {
        Severity::Error => (ERROR, "error"),
        Severity::Warning => (WARNING, "warning"),
    };
    let mut out = format!(
        "{style}{severity}[{}]{style:#}: {MESSAGE}{}{MESSAGE:#}\n",
        diagnostic.label(),
        clean(&diagnostic.message)
    );

    let place = diagnostic.location.as_ref().map(|location| {
        let file = clean(&location.file.display().to_string());
        match location.column {
            Some(column) => format!("{file}:{}:{column}", location.line),
            None => format!("{file}:{}", location.line),
        }
    });
    let parts: Vec<_> = place.into_iter().chain(diagnostic.path.as_deref().map(clean)).collect();
    if !parts.is_empty() {
        // Writing to a string never fails.
        let _ = writeln!(out, "  {LABEL}-->{LABEL:#} {}", parts.join("  "));
    }
    let mut labelled = |label: &str, text: &str| {
        let _ = writeln!(out, "  {LABEL}{label}:{LABEL:#} {}", clean(text));
    };
    if let Some(found) = &diagnostic.found {
        labelled("found", found);
    }
    if let Some(expected) = &diagnostic.expected {
        labelled("expected", expected);
    }
    if let Some(nearest) = &diagnostic.nearest {
        let _ = writeln!(out, "  did you mean {NEAREST}`{}`{NEAREST:#}?", clean(nearest));
    }
    let mut labelled = |label: &str, text: &str| {
        let _ = writeln!(out, "  {LABEL}{label}:{LABEL:#} {}", clean(text));
    };
    for note in &diagnostic.notes {
        labelled("note", note);
    }
    if let Some(help) = &diagnostic.help {
        labelled("help", help);
    }
    out
}

/// Text that may come from a plugin, a config or a file name, without what a terminal would act upon; further lines are
/// indented.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\n    "),
            '\t' => out.push(c),
            c if c.is_control() => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use kiwi_core::diagnostic::Location;

    use super::*;

    fn plain(diagnostic: &Diagnostic) -> String {
        super::plain(std::slice::from_ref(diagnostic))
    }

    #[test]
    fn everything_a_complaint_says_is_printed_in_order() {
        let location = Location { file: PathBuf::from("config.json"), line: 14, column: Some(24) };
        let diagnostic =
            Diagnostic::error(Code::NotRegistered, "no encoder named `PredictorEncodr` is registered")
                .located(location)
                .at("system.model.encoder.class_name")
                .found("\"PredictorEncodr\"")
                .expected("one of the registered encoders")
                .nearest(Some("PredictorEncoder"))
                .note("first\nsecond")
                .help("correct the name");
        let expected = "\
error[E0301]: no encoder named `PredictorEncodr` is registered
  --> config.json:14:24  system.model.encoder.class_name
  found: \"PredictorEncodr\"
  expected: one of the registered encoders
  did you mean `PredictorEncoder`?
  note: first
    second
  help: correct the name
";
        assert_eq!(plain(&diagnostic), expected);
    }

    #[test]
    fn what_a_complaint_does_not_say_leaves_no_trace() {
        assert_eq!(plain(&Diagnostic::warning(Code::OddText, "something")), "warning[W0281]: something\n");
        let location = Location { file: PathBuf::from("a.src"), line: 3, column: None };
        let diagnostic = Diagnostic::warning(Code::OddText, "odd").located(location);
        assert_eq!(plain(&diagnostic), "warning[W0281]: odd\n  --> a.src:3\n");
        assert_eq!(
            plain(&Diagnostic::error(Code::InvalidValue, "odd").at("run.seed")),
            "error[E0102]: odd\n  --> run.seed\n"
        );
    }

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        let text = plain(&Diagnostic::error(Code::Internal, "a\u{1b}[2Jb\r\u{7}").found("\u{9b}31m"));
        assert_eq!(text, "error[E0611]: a\\u{1b}[2Jb\\u{d}\\u{7}\n  found: \\u{9b}31m\n");
    }

    #[test]
    fn where_to_read_more_is_said_in_one_line() {
        assert_eq!(more_line(&[]), None);
        let line = more_line(&[Code::UnknownKey]).unwrap();
        assert_eq!(line, "for more about E0101: kiwi-host explain E0101");
        // As errors, whatever they usually are, and not without end.
        let line = more_line(&[&[Code::NoEffect][..], &Code::ALL[..9]].concat()).unwrap();
        assert_eq!(
            line,
            "for more about E0182, E0101, E0102, E0103: kiwi-host explain E0182 E0101 E0102 E0103"
        );
    }

    #[test]
    fn the_last_line_says_what_failed() {
        let line = |errors: &[&str]| {
            let errors: Vec<String> = errors.iter().map(|error| (*error).to_owned()).collect();
            ending_line("train", 2, &errors).map(|line| anstream::adapter::strip_str(&line).to_string())
        };
        assert_eq!(line(&[]), None);
        assert_eq!(line(&["a\nb"]).unwrap(), "kiwi-host train failed with exit code 2: a b");
        assert_eq!(
            line(&["a", "b"]).unwrap(),
            "kiwi-host train failed with exit code 2: a (and 1 more error)"
        );
        assert_eq!(
            line(&["a"; 3]).unwrap(),
            "kiwi-host train failed with exit code 2: a (and 2 more errors)"
        );
    }
}
