//! `plugins lock`: the plugins of a config, or all that are installed, written into a lock. Nothing of them is run.

use std::path::PathBuf;

use kiwi_core::data_format;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plan;
use kiwi_core::plugins::lock::{self, Written};
use kiwi_core::plugins::{LockedPlugin, Plugin, Registry};
use kiwi_core::request::{Format, TrainRequest};
use serde_json::json;

use super::{common, print_data, print_for_people};
use crate::arguments::{CommonOptions, LockArguments};
use crate::print::{self, clean};

pub(super) fn run(
    arguments: LockArguments,
    registry: &Registry,
    options: &CommonOptions,
) -> Result<i32, Failure> {
    let output = match (arguments.output, &arguments.config) {
        (Some(output), _) => output,
        (None, Some(config)) => lock::beside(config),
        (None, None) => PathBuf::from(lock::NAME),
    };
    let plugins = match arguments.config {
        Some(config) => of_config(config, arguments.overrides, options)?,
        None => locked(&registry.plugins.iter().collect::<Vec<_>>())?,
    };
    if plugins.is_empty() {
        let mut error = Diagnostic::error(Code::LockUnusable, "there is no plugin to lock");
        error.notes = registry
            .directories
            .iter()
            .map(|one| format!("searched {} ({})", one.directory.path.display(), one.directory.origin))
            .collect();
        return Err(Failure::new(
            ExitCode::Plugin,
            error.help("name a directory of plugins with --plugin-dir"),
        ));
    }
    let written = lock::write(&output, plugins.clone(), arguments.force).map_err(|error| {
        let exit = match error {
            lock::Error::Unwritable { .. } => ExitCode::RunFailed,
            _ => ExitCode::Invalid,
        };
        Failure::new(exit, error.diagnostic())
    })?;
    match arguments.format.into() {
        Format::Human => print_for_people(for_people(&output.display().to_string(), written, &plugins))?,
        Format::Json => {
            let written = match written {
                Written::New => "new",
                Written::Replaced => "replaced",
                Written::Unchanged => "unchanged",
            };
            let file = output.display().to_string();
            print_data([data_format::line(json!({"file": file, "written": written, "plugins": plugins}))])?;
        }
    }
    Ok(ExitCode::Success.number())
}

/// The plugins that a run by this config may use.
fn of_config(
    config: PathBuf,
    overrides: Vec<(String, String)>,
    options: &CommonOptions,
) -> Result<Vec<LockedPlugin>, Failure> {
    let request = TrainRequest {
        config,
        overrides,
        output_dir: None,
        resume: false,
        allow_changed: false,
        common: common(options)?,
    };
    let plan = plan::prepare(&request).map_err(|unprepared| unprepared.failure)?;
    if !options.quiet {
        print::diagnostics(&plan.warnings);
    }
    locked(&plan.plugins())
}

fn locked(plugins: &[&Plugin]) -> Result<Vec<LockedPlugin>, Failure> {
    let (mut locked, mut complaints) = (Vec::new(), Vec::new());
    for plugin in plugins {
        match LockedPlugin::of(plugin) {
            Ok(plugin) => locked.push(plugin),
            Err(change) => complaints.push(Diagnostic::error(
                Code::PluginChanged,
                format!("the plugin file {} is no longer what it was: {change}", plugin.path.display()),
            )),
        }
    }
    locked.sort_by(|a, b| a.name.cmp(&b.name));
    match complaints.is_empty() {
        true => Ok(locked),
        false => Err(Failure { exit: ExitCode::Plugin, diagnostics: complaints }),
    }
}

fn for_people(file: &str, written: Written, plugins: &[LockedPlugin]) -> Vec<String> {
    let name = |one: &LockedPlugin| format!("{} {}", one.name, one.version);
    let width = plugins.iter().map(|one| name(one).chars().count()).max().unwrap_or(0);
    let mut lines: Vec<_> = plugins
        .iter()
        .map(|one| clean(&format!("{:width$}  {}  {}", name(one), one.sha256, one.registers.join(", "))))
        .collect();
    lines.push(clean(&match written {
        Written::New => format!("written to {file}"),
        Written::Replaced => format!("written to {file}, in place of what was there"),
        Written::Unchanged => format!("{file} says so already"),
    }));
    lines
}
