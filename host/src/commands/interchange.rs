//! `import`, `export` and `import-config`: saved systems from and for OpenKiwi, and its configs. Plugins are looked for and not
//! opened, and no libtorch is needed.

use std::io::Write;

use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::exit_code::ExitCode;
use kiwi_core::plan;
use kiwi_core::plugins::{Kind, LookupError, Registry};
use kiwi_core::saved_system::{self, PluginIdentity, SavedSystem};
use kiwi_interchange::{
    Error, Plugins, config, create, export as prepare_export, import as read_system, torch_file,
};

use super::{common, print_data};
use crate::arguments::{
    CommonOptions, ExportArguments, ExportCommand, ExportSystemArguments, ImportArguments, ImportCommand,
    ImportConfigArguments, ImportSystemArguments,
};
use crate::print;

pub(super) fn import(arguments: ImportArguments, options: &CommonOptions) -> Result<i32, Failure> {
    let ImportCommand::Openkiwi(ImportSystemArguments { file, output, .. }) = arguments.command;
    let plugins = plugins(&plan::discover(&common(options)?))?;
    let bytes =
        torch_file::read(&file).map_err(|cause| failure(&Error::File { file: file.clone(), cause }))?;
    let imported = read_system(&file, &bytes, &plugins).map_err(|error| failure(&error))?;
    warn(&imported.warnings, options);
    imported.write(&output).map_err(|error| failure(&error))?;
    Ok(ExitCode::Success.number())
}

pub(super) fn export(arguments: ExportArguments, options: &CommonOptions) -> Result<i32, Failure> {
    let ExportCommand::Openkiwi(ExportSystemArguments { system, output, no_weights, .. }) = arguments.command;
    let saved = SavedSystem::open(&system).map_err(|error| {
        let error = Diagnostic::error(error.code(), error.to_string()).found(system.display().to_string());
        Failure::new(ExitCode::Invalid, error)
    })?;
    let exported = prepare_export(&saved, !no_weights).map_err(|error| failure(&error))?;
    warn(&exported.warnings, options);
    exported.write(&output).map_err(|error| failure(&error))?;
    Ok(ExitCode::Success.number())
}

pub(super) fn import_config(
    arguments: ImportConfigArguments,
    options: &CommonOptions,
) -> Result<i32, Failure> {
    let imported = config::import_config(&arguments.file)
        .map_err(|diagnostics| Failure { exit: ExitCode::Invalid, diagnostics })?;
    warn(&imported.changes, options);
    match arguments.output {
        Some(output) => create(&output, |mut file| {
            file.write_all(imported.json.as_bytes())?;
            file.flush()
        })
        .map_err(|error| failure(&error))?,
        None => print_data([imported.json.trim_end().to_owned()])?,
    }
    Ok(ExitCode::Success.number())
}

/// The installed plugins that provide the parts of OpenKiwi's systems, as a saved system names them.
fn plugins(registry: &Registry) -> Result<Plugins, Failure> {
    let errors: Vec<_> = registry.errors().cloned().collect();
    if !errors.is_empty() {
        return Err(Failure { exit: ExitCode::Invalid, diagnostics: errors });
    }
    let identity = |kind: Kind, class: &str| {
        let found = registry.resolve(kind, class).map_err(|error| {
            let help = match error {
                LookupError::Ambiguous { .. } => "leave the directory of the other plugin out of the search",
                _ => "install the plugin that an imported system is to be run by, and name its directory with --plugin-dir",
            };
            error.diagnostic().note(format!("an imported system has the {kind} `{class}`")).help(help)
        })?;
        Ok(PluginIdentity { name: found.plugin, version: found.version, sha256: found.sha256 })
    };
    match (identity(Kind::Encoder, "PredictorEncoder"), identity(Kind::Head, "TLMOutputs")) {
        (Ok(encoder), Ok(head)) => Ok(Plugins { encoder, head }),
        (encoder, head) => {
            let diagnostics = [encoder.err(), head.err()].into_iter().flatten().collect();
            Err(Failure { exit: ExitCode::Plugin, diagnostics })
        }
    }
}

fn warn(warnings: &[Diagnostic], options: &CommonOptions) {
    if !options.quiet {
        print::diagnostics(warnings);
    }
}

fn failure(error: &Error) -> Failure {
    let exit = match error {
        Error::Unwritable { .. }
        | Error::Saved(saved_system::Error::Unwritable { .. } | saved_system::Error::DiskFull { .. }) => {
            ExitCode::RunFailed
        }
        _ => ExitCode::Invalid,
    };
    Failure::new(exit, error.diagnostic())
}
