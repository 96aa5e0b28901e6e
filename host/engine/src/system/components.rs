//! Opening the plugins that a run uses, and letting each component check its part of the config, before anything is computed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kiwi_core::config::Document;
use kiwi_core::diagnostic::{Diagnostic, Failure, Severity};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plan::{self, ResolvedComponent};
use kiwi_core::plugins::Registry;
use kiwi_plugin_api::ConfigProblem;
use kiwi_plugin_api::abi::host::{ComponentHandle, Plugin};
use serde_json::Value;

use super::{Needs, Setup, opening};

/// Opened plugins, one a file.
#[derive(Default)]
pub(crate) struct Components {
    opened: BTreeMap<PathBuf, Plugin>,
    doubts: Vec<Diagnostic>,
}

/// A component whose part of the config is sound.
#[derive(Clone)]
pub(crate) struct Checked {
    /// Which component of which plugin.
    pub(crate) resolved: ResolvedComponent,
    /// The way to it.
    pub(crate) handle: ComponentHandle,
    /// Its config, with every default filled in.
    pub(crate) config: Value,
    /// What it needs of the run.
    pub(crate) needs: Needs,
}

impl Components {
    /// The component, its plugin opened if it was not yet.
    ///
    /// # Errors
    /// When the file is no longer what was resolved, or does not open, or does not hold what its metadata says.
    pub(crate) fn open(&mut self, component: &ResolvedComponent) -> Result<ComponentHandle, Failure> {
        let plugin = match self.opened.get(&component.file) {
            Some(plugin) => plugin,
            None => {
                let plugin = open(component)?;
                self.opened.entry(component.file.clone()).or_insert(plugin)
            }
        };
        plugin.component(component.kind.name(), &component.class).ok_or_else(|| {
            refused(
                component,
                format!(
                    "its metadata promises the {} `{}`, but the opened library does not register it",
                    component.kind, component.class
                ),
            )
        })
    }

    /// Opens a component that the config does not name, and keeps what is doubtful about its plugin.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub(crate) fn open_unnamed(
        &mut self,
        component: &ResolvedComponent,
        registry: &Registry,
    ) -> Result<ComponentHandle, Failure> {
        if !self.opened.contains_key(&component.file) {
            self.doubts.extend(plan::doubts(registry, &[component]));
        }
        self.open(component)
    }

    /// What is doubtful about the plugins that the config does not name, without what is known.
    pub(crate) fn take_doubts(&mut self, known: &[Diagnostic]) -> Vec<Diagnostic> {
        let mut doubts = std::mem::take(&mut self.doubts);
        doubts.retain(|doubt| !known.contains(doubt));
        doubts
    }

    /// The classes of the plugin of `component`, which is opened, that have a learning-rate schedule of their own.
    pub(crate) fn classes_with_schedule(&self, component: &ResolvedComponent) -> Vec<String> {
        let Some(plugin) = self.opened.get(&component.file) else { return Vec::new() };
        let scheduled = |(kind, class): &(&str, &str)| {
            plugin.component(kind, class).is_some_and(|handle| handle.has_schedule())
        };
        let mut classes: Vec<String> =
            plugin.components().filter(scheduled).map(|(_, class)| class.to_owned()).collect();
        classes.sort_unstable();
        classes
    }

    /// Opens all `components` and lets each check its config; `unmet` complains about needs that the run does not meet.
    ///
    /// # Errors
    /// When a plugin does not open; or else everything that is wrong with the configs, and every need that is not met.
    pub(crate) fn check(
        &mut self,
        components: Vec<ResolvedComponent>,
        document: Option<&Document>,
        unmet: impl Fn(&Needs) -> Vec<Diagnostic>,
    ) -> Result<(Vec<Checked>, Vec<Diagnostic>), Failure> {
        let place = |diagnostic: Diagnostic| match document {
            Some(document) => document.place(diagnostic),
            None => diagnostic,
        };
        let (mut checked, mut errors, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
        for resolved in components {
            let handle = self.open(&resolved)?;
            let report = handle.check(&Value::Object(resolved.config.clone())).map_err(Setup)?;
            let at = &resolved.config_path;
            errors.extend(report.errors.iter().map(|p| place(described(Severity::Error, p, at))));
            warnings.extend(report.warnings.iter().map(|p| place(described(Severity::Warning, p, at))));
            if let Some(config) = report.config.filter(|_| report.errors.is_empty()) {
                let needs = Needs::of(&resolved, &handle, &config).map_err(Setup)?;
                errors.extend(needs.impossible().chain(unmet(&needs)).map(place));
                checked.push(Checked { resolved, handle, config, needs });
            }
        }
        if errors.is_empty() {
            Ok((checked, warnings))
        } else {
            errors.extend(warnings);
            Err(Failure { exit: ExitCode::Invalid, diagnostics: errors })
        }
    }
}

/// A problem that a component sees at a path below `part`, as a complaint.
pub(crate) fn described(severity: Severity, problem: &ConfigProblem, part: &str) -> Diagnostic {
    let path = match (part, problem.path.as_str()) {
        ("", path) => path.to_owned(),
        (part, "") => part.to_owned(),
        (part, path) => format!("{part}.{path}"),
    };
    let diagnostic = match severity {
        Severity::Error => Diagnostic::error(Code::ComponentOption, &problem.message),
        Severity::Warning => Diagnostic::warning(Code::PluginWarns, &problem.message),
    };
    let mut diagnostic = diagnostic.at(path).nearest(problem.nearest.clone());
    diagnostic.found = problem.found.clone();
    diagnostic.expected = problem.expected.clone();
    diagnostic.help = problem.help.clone();
    diagnostic
}

/// Opens the plugin of a component: the very bytes that have the hash it was resolved with.
fn open(component: &ResolvedComponent) -> Result<Plugin, Failure> {
    opening::open(&component.file, &component.sha256, &component.plugin)
        .map_err(|reason| refused(component, reason))
}

fn refused(component: &ResolvedComponent, reason: String) -> Failure {
    Failure::new(
        ExitCode::Plugin,
        Diagnostic::error(
            Code::PluginRefused,
            format!("the plugin `{}` cannot be used: {reason}", component.plugin),
        )
        .found(component.file.display().to_string())
        .help("rebuild or reinstall the plugin, or take it out of the config"),
    )
}
