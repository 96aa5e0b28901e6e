//! All findings of a plugin, for tests of the plugin's own.

use std::fmt;

use super::finding::{Event, Finding, Outcome};
use super::settings::Settings;
use super::suite::{Known, run};
use crate::abi::host::Plugin;

/// A finding with the component that it is about.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ComponentFinding {
    /// Kind of the component.
    pub kind: String,
    /// Its class.
    pub class: String,
    /// What was found.
    pub finding: Finding,
}

/// What was found in a plugin. Printed, it says what is wrong.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// One for each check of each component, in order.
    pub findings: Vec<ComponentFinding>,
}

/// Checks all components of an opened plugin, in this process: what crashes or hangs takes the process along.
#[must_use]
pub fn check_plugin(plugin: &Plugin, settings: &Settings) -> Report {
    let mut report = Report::default();
    for (kind, class) in plugin.components() {
        let Some(component) = plugin.component(kind, class) else { continue };
        run(&component, kind, settings, Known::new(), &mut |event| {
            if let Event::Finding(finding) = event {
                let (kind, class) = (kind.to_owned(), class.to_owned());
                report.findings.push(ComponentFinding { kind, class, finding });
            }
        });
    }
    report
}

impl Report {
    /// Whether no check failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures().next().is_none()
    }

    /// The findings of checks that failed.
    pub fn failures(&self) -> impl Iterator<Item = &ComponentFinding> {
        self.findings.iter().filter(|one| one.finding.outcome == Outcome::Fail)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ComponentFinding { kind, class, finding } in self.failures() {
            writeln!(f, "{kind} {class}: {}: {}", finding.check, finding.message)?;
            for (label, text) in
                [("found", &finding.found), ("expected", &finding.expected), ("help", &finding.help)]
            {
                if let Some(text) = text {
                    writeln!(f, "  {label}: {text}")?;
                }
            }
            for note in &finding.notes {
                writeln!(f, "  note: {note}")?;
            }
        }
        let failed = self.failures().count();
        write!(f, "{} checks, {failed} failed", self.findings.len())
    }
}
