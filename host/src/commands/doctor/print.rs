//! Findings as they are printed: a line each below the heading of its section, and a summary; or one object.

use anstyle::{AnsiColor, Style};
use kiwi_core::data_format;
use kiwi_core::diagnostic::Failure;
use kiwi_core::request::Format;
use serde_json::{Map, Value, json};

use super::finding::{Finding, Level};
use crate::commands::{print_data, print_for_people};
use crate::print::clean;

const HEADING: Style = Style::new().bold();

fn style(level: Level) -> Style {
    match level {
        Level::Ok => AnsiColor::Green.on_default(),
        Level::Note => AnsiColor::Cyan.on_default(),
        Level::Warning => AnsiColor::Yellow.on_default().bold(),
        Level::Error => AnsiColor::Red.on_default().bold(),
    }
}

/// What is shown: with --quiet only what is wrong, with --verbose the notes of each finding too.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub(super) quiet: bool,
    pub(super) verbose: bool,
}

pub(super) fn print(findings: &[Finding], format: Format, shown: Shown) -> Result<(), Failure> {
    match format {
        Format::Json => print_data([data_format::line(json!({
            "version": env!("CARGO_PKG_VERSION"),
            "summary": counts(findings),
            "findings": findings,
        }))]),
        Format::Human => print_for_people(lines(findings, shown)),
    }
}

fn counts(findings: &[Finding]) -> Map<String, Value> {
    Level::ALL.map(|level| (level.name().to_owned(), count(findings, level).into())).into_iter().collect()
}

fn count(findings: &[Finding], level: Level) -> usize {
    findings.iter().filter(|one| one.level == level).count()
}

fn lines(findings: &[Finding], shown: Shown) -> Vec<String> {
    let wanted = |one: &&Finding| !shown.quiet || one.level >= Level::Warning;
    let column = findings.iter().map(|one| one.check.len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    let mut section = None;
    for finding in findings.iter().filter(wanted) {
        if section != Some(finding.section) {
            lines.extend(section.is_some().then(String::new));
            lines.push(format!("{HEADING}{}{HEADING:#}", finding.section.title()));
            section = Some(finding.section);
        }
        let style = style(finding.level);
        let help = finding.help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
        let said = format!("{}{help}", finding.message).replace('\n', " ");
        let (level, check) = (finding.level.name(), finding.check.replace('_', " "));
        lines.push(format!("  {style}{level:<7}{style:#}  {check:<column$}  {}", clean(&said)));
        // Under a level of 7 and the column of checks.
        let indent = 2 + 7 + 2 + column + 2;
        if shown.verbose {
            let notes = finding.notes.iter().map(|note| clean(&note.replace('\n', " ")));
            lines.extend(notes.map(|note| format!("{:indent$}{note}", "")));
        }
    }
    lines.extend(section.is_some().then(String::new));
    lines.push(summary(findings));
    lines
}

fn summary(findings: &[Finding]) -> String {
    let worst = findings.iter().map(|one| one.level).max().unwrap_or(Level::Ok);
    let verdict = match worst {
        Level::Ok | Level::Note => "nothing is wrong",
        Level::Warning => "it works, with warnings",
        Level::Error => "it does not work",
    };
    let counts = Level::ALL.map(|level| {
        let count = count(findings, level);
        let plural = if count == 1 || level == Level::Ok { "" } else { "s" };
        format!("{count} {}{plural}", level.name())
    });
    let style = style(worst);
    format!("{style}{verdict}{style:#}: {}", counts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Section;
    use super::*;

    #[test]
    fn a_finding_is_a_line_and_the_worst_decides_the_verdict() {
        let findings = [
            Finding::ok(Section::Program, "version", "0.1.0").notes(["more".to_owned()]),
            Finding::new(Section::Libtorch, "libtorch", Level::Error, "none\nwas found").help("get one"),
        ];
        let print = |shown| {
            let lines = lines(&findings, shown).join("\n");
            anstream::adapter::strip_str(&lines).to_string()
        };
        let all = "Program\n  ok       version   0.1.0\n\nlibtorch\n  error    libtorch  none was found; get one\n\n\
                   it does not work: 1 ok, 0 notes, 0 warnings, 1 error";
        assert_eq!(print(Shown { quiet: false, verbose: false }), all);
        let quiet = "libtorch\n  error    libtorch  none was found; get one\n\n\
                     it does not work: 1 ok, 0 notes, 0 warnings, 1 error";
        assert_eq!(print(Shown { quiet: true, verbose: false }), quiet);
        assert!(print(Shown { quiet: false, verbose: true }).contains("0.1.0\n                     more\n"));
    }
}
