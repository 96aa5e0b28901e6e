//! What was found, as it is printed: a table of components and checks for people, an object a finding for programs.

use std::path::Path;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use kiwi_core::data_format;
use kiwi_core::diagnostic::Failure;
use kiwi_core::plugin_check::{Finding, Outcome};
use kiwi_core::request::Format;
use kiwi_plugin_metadata::reader::PluginMetadata;
use serde_json::json;

use super::Place;
use crate::commands::{print_data, print_for_people};
use crate::print::clean;

const FAIL: Style = AnsiColor::Red.on_default().bold();
const PASS: Style = AnsiColor::Green.on_default();
const SKIPPED: Style = AnsiColor::Yellow.on_default();
const HEADING: Style = Style::new().bold();

/// Prints findings as they come, and counts them.
pub(super) struct Printer {
    format: Format,
    /// Only what failed.
    quiet: bool,
    plugin: String,
    components: usize,
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Printer {
    pub(super) fn new(format: Format, quiet: bool) -> Self {
        Self { format, quiet, plugin: String::new(), components: 0, passed: 0, failed: 0, skipped: 0 }
    }

    /// Which plugin it is about.
    pub(super) fn plugin(&mut self, file: &Path, metadata: Option<&PluginMetadata>) -> Result<(), Failure> {
        self.plugin = metadata.map_or_else(|| file.display().to_string(), |metadata| metadata.name.clone());
        if self.format == Format::Json {
            return Ok(());
        }
        let title =
            metadata.map_or_else(String::new, |metadata| format!("{} {}  ", metadata.name, metadata.version));
        print_for_people([format!(
            "{HEADING}{}{HEADING:#}{}",
            clean(&title),
            clean(&file.display().to_string())
        )])
    }

    /// Which component the next findings are about.
    pub(super) fn component(&mut self, place: &Place) -> Result<(), Failure> {
        self.components += 1;
        if self.format == Format::Json || self.quiet {
            return Ok(());
        }
        print_for_people([String::new(), format!("{HEADING}{}{HEADING:#}", clean(&title(place)))])
    }

    pub(super) fn all(&mut self, place: &Place, findings: &[Finding]) -> Result<(), Failure> {
        let mut lines = Vec::new();
        for finding in findings {
            match finding.outcome {
                Outcome::Pass => self.passed += 1,
                Outcome::Fail => self.failed += 1,
                Outcome::Skipped => self.skipped += 1,
            }
            match self.format {
                Format::Json => lines.push(self.as_json(place, finding)),
                Format::Human if self.quiet && finding.outcome != Outcome::Fail => {}
                Format::Human => lines.extend(for_people(place, finding, self.quiet)),
            }
        }
        self.print(lines)
    }

    fn print(&self, lines: Vec<String>) -> Result<(), Failure> {
        match self.format {
            Format::Human => print_for_people(lines),
            // Objects are never broken.
            Format::Json => print_data(lines),
        }
    }

    fn as_json(&self, place: &Place, finding: &Finding) -> String {
        data_format::line(json!({
            "plugin": self.plugin,
            "kind": place.kind,
            "class": place.class,
            "device": place.device,
            "check": finding.check,
            "outcome": finding.outcome,
            "message": finding.message,
            "found": finding.found,
            "expected": finding.expected,
            "help": finding.help,
            "notes": finding.notes,
            "seconds": finding.seconds,
        }))
    }

    /// The last line; whether a check failed.
    pub(super) fn summary(&mut self, took: Duration) -> Result<bool, Failure> {
        let Self { plugin, components, passed, failed, skipped, .. } = self;
        let line = match self.format {
            Format::Json => data_format::line(json!({"summary": {
                "plugin": plugin, "components": components, "passed": passed, "failed": failed, "skipped": skipped,
                "seconds": took.as_secs_f64(),
            }})),
            Format::Human => {
                let (style, verdict) = if *failed > 0 { (FAIL, "failed") } else { (PASS, "passed") };
                let noun = if *components == 1 { "component" } else { "components" };
                format!(
                    "\n{style}{verdict}{style:#}: {passed} passed, {failed} failed, {skipped} skipped; {components} {noun} in {:.1} s",
                    took.as_secs_f64()
                )
            }
        };
        self.print(vec![line])?;
        Ok(self.failed > 0)
    }
}

fn title(place: &Place) -> String {
    let class = place.class.as_deref().unwrap_or_default();
    match place.device.as_deref() {
        None | Some("cpu") => format!("{} {class}", place.kind),
        Some(device) => format!("{} {class} on {device}", place.kind),
    }
}

fn for_people(place: &Place, finding: &Finding, with_place: bool) -> Vec<String> {
    let (style, mark) = match finding.outcome {
        Outcome::Pass => (PASS, "ok"),
        Outcome::Fail => (FAIL, "FAIL"),
        Outcome::Skipped => (SKIPPED, "skip"),
    };
    let place = if with_place { format!("{}  ", title(place)) } else { String::new() };
    let Finding { check, message, .. } = finding;
    let mut lines =
        vec![format!("  {style}{mark:<4}{style:#}  {}{check:<18}{}", clean(&place), clean(message))];
    let labelled = [("found", &finding.found), ("expected", &finding.expected), ("help", &finding.help)];
    for (label, text) in labelled {
        if let Some(text) = text {
            lines.push(format!("{:26}{label}: {}", "", clean(text)));
        }
    }
    lines.extend(finding.notes.iter().map(|note| format!("{:26}note: {}", "", clean(note))));
    lines
}
