//! The `plugins` commands, a module each: what plugin files say about themselves, and new plugins. A file that cannot be used is
//! something to list, not a failure.

mod check;
mod inspect;
mod list;
mod lock;
mod new;
mod package;
mod why;

use std::path::Path;

use kiwi_core::diagnostic::Failure;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plan;
use kiwi_core::plugins::{Kind, Registry, permissions};
use kiwi_plugin_metadata::reader::PluginMetadata;

use super::{common, print_data, print_for_people};
use crate::arguments::{CommonOptions, PluginsArguments, PluginsCommand};
use crate::print::{self, clean};

pub(super) fn run(arguments: PluginsArguments, options: &CommonOptions) -> Result<i32, Failure> {
    match arguments.command {
        PluginsCommand::List(arguments) => match &arguments.why {
            Some(asked) => {
                let kind = arguments.kind.map(Kind::from);
                why::why(asked, kind, arguments.format.into(), &installed(options)?)
            }
            None => list::run(&arguments, &installed(options)?, options.verbose),
        },
        PluginsCommand::Check(arguments) => check::run(&arguments, &installed(options)?, options),
        PluginsCommand::CheckInProcess => check::run_in_process(),
        PluginsCommand::Lock(arguments) => lock::run(arguments, &installed(options)?, options),
        PluginsCommand::New(arguments) => new::run(&arguments, options),
        PluginsCommand::Package(arguments) => package::run(&arguments, &installed(options)?),
        PluginsCommand::Inspect(arguments) => inspect::run(&arguments, &installed(options)?),
    }
}

/// The plugins that are found; what is odd about their files is told.
fn installed(options: &CommonOptions) -> Result<Registry, Failure> {
    let registry = plan::discover(&common(options)?);
    let errors: Vec<_> = registry.errors().cloned().collect();
    if !errors.is_empty() {
        return Err(Failure { exit: ExitCode::Invalid, diagnostics: errors });
    }
    if !options.quiet {
        print::diagnostics(&registry.diagnostics);
    }
    Ok(registry)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// How others than the user can change a plugin, one line each.
fn warnings(file: &Path) -> Vec<String> {
    permissions::exposed(file).iter().map(permissions::Exposed::line).collect()
}

/// A line for each thing that a plugin registers, in columns.
fn registered(plugin: &PluginMetadata) -> Vec<String> {
    let systems = plugin.systems.iter().map(|one| {
        let parts = format!("{} with {}", one.encoder, one.head);
        let summary = if one.summary.is_empty() { parts } else { format!("{} ({parts})", one.summary) };
        (Kind::System.name().to_owned(), one.class.clone(), summary)
    });
    let components =
        plugin.components.iter().map(|one| (one.kind.clone(), one.class.clone(), one.summary.clone()));
    let all: Vec<_> = systems.chain(components).collect();
    let width = all.iter().map(|(_, class, _)| class.chars().count()).max().unwrap_or(0);
    all.iter()
        .map(|(kind, class, summary)| clean(format!("  {kind:<9}  {class:<width$}  {summary}").trim_end()))
        .collect()
}
