//! `plugins new`: writes a crate outside of this workspace that is a plugin, builds, passes its own tests and trains, with no edit.
//!
//! [`names`] says what a crate and a class may be called, [`source`] finds the plugin API that the crate depends on, [`template`]
//! fills in the files under `template/`, and [`write`] makes a directory of them.

mod names;
mod source;
mod template;
mod write;

use std::path::PathBuf;

use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::libtorch::Search;
use kiwi_core::plugins::{Kind, Registry};

use super::super::program;
use super::installed;
use crate::arguments::{CommonOptions, NewArguments};
use crate::print;

use template::Filling;

pub(super) fn run(arguments: &NewArguments, options: &CommonOptions) -> Result<i32, Failure> {
    let kind = Kind::from(arguments.kind);
    let registry = installed(options)?;
    let program = program()?;

    // All that is wrong is found before anything is written.
    let mut wrong = Vec::new();
    let mut check = |found: Result<(), Diagnostic>| wrong.extend(found.err());
    check(names::check_crate(&arguments.name));
    check(not_installed(&arguments.name, &registry));
    let class = arguments.class.clone().unwrap_or_else(|| names::camel_case(&arguments.name));
    check(names::check_class(&class));
    check(not_registered(kind, &class, &registry));
    let directory = arguments.output.clone().unwrap_or_else(|| PathBuf::from(&arguments.name));
    check(write::check_absent(&directory));
    let api = source::find(arguments.api.as_deref(), &program);
    let libtorch = Search::of_command(options.libtorch.clone(), program.clone()).find();
    let libtorch = libtorch.map_err(|error| error.diagnostic());
    let (api, libtorch) = match (api, libtorch) {
        (Ok(api), Ok(libtorch)) if wrong.is_empty() => (api, libtorch),
        (api, libtorch) => {
            wrong.extend(api.err());
            wrong.extend(libtorch.err());
            return Err(Failure { exit: ExitCode::Invalid, diagnostics: wrong });
        }
    };

    let filling =
        Filling { kind, name: &arguments.name, class: &class, api: &api, libtorch: &libtorch.directory };
    let files = filling.files().map_err(|error| Failure::new(ExitCode::Invalid, error))?;
    write::directory(&directory, &files).map_err(|error| Failure::new(ExitCode::RunFailed, error))?;
    if !options.quiet {
        let directory = directory.display();
        print::lines(&[
            format!("wrote {directory}: the {kind} `{class}`, its tests, and a config that trains by it"),
            format!("  cd {directory}"),
            "  cargo build".to_owned(),
            "  cargo test".to_owned(),
            format!("  {} train config.json --plugin-dir target/debug", program.display()),
        ]);
    }
    Ok(ExitCode::Success.number())
}

/// Of two plugins of one name only the first that is found is used.
fn not_installed(name: &str, registry: &Registry) -> Result<(), Diagnostic> {
    match registry.plugin(name) {
        None => Ok(()),
        Some(plugin) => Err(Diagnostic::error(
            Code::NewPlugin,
            "a plugin of this name is installed already, and one would hide the other",
        )
        .found(name)
        .expected("a name that no plugin has")
        .note(format!("{name} is {}", plugin.path.display()))
        .help("choose another NAME")),
    }
}

/// A class that two plugins register must be written with the plugin's name in every config.
fn not_registered(kind: Kind, class: &str, registry: &Registry) -> Result<(), Diagnostic> {
    let Some(plugin) =
        registry.plugins.iter().find(|plugin| plugin.classes(kind).any(|known| known == class))
    else {
        return Ok(());
    };
    Err(Diagnostic::error(
        Code::NewPlugin,
        format!("the {kind} `{class}` is registered already, so that a config could not tell the two apart"),
    )
    .found(class)
    .expected("a class name that no plugin registers")
    .nearest(Some(format!("My{}", names::camel_case(class))))
    .note(format!("registered by {} in {}", plugin.metadata.name, plugin.path.display()))
    .help("choose another --class"))
}
