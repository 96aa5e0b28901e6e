//! `doctor`: what is wrong with an installation, and what one asks first about a bug. Each section is a module that makes findings;
//! nothing is changed, and nothing that is found stops the rest from being looked at.

mod directories;
mod environment;
mod finding;
mod installation;
mod machine;
mod opening;
mod plugins;
mod print;

use kiwi_core::diagnostic::Failure;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::libtorch::Search;

use self::finding::Level;
pub(super) use self::opening::open_in_process;
use self::print::Shown;
use super::{common, program};
use crate::arguments::{CommonOptions, DoctorArguments};

pub(super) fn run(arguments: &DoctorArguments, options: &CommonOptions) -> Result<i32, Failure> {
    let program = program()?;
    let libtorch = Search::of_command(options.libtorch.clone(), program.clone()).find();
    let opened = opening::open_all(&program, libtorch.as_ref().ok());
    let gpus = installation::gpus(libtorch.as_ref().ok(), &opened, &program);
    let several_gpus = gpus.count > 1;
    let findings: Vec<_> = [
        installation::program(&program, libtorch.is_ok(), &opened),
        installation::libtorch(&libtorch, &opened),
        gpus.findings,
        plugins::findings(&common(options)?),
        directories::findings(),
        machine::findings(several_gpus),
        environment::findings(),
    ]
    .into_iter()
    .flatten()
    .collect();
    print::print(
        &findings,
        arguments.format.into(),
        Shown { quiet: options.quiet, verbose: options.verbose },
    )?;
    let is_wrong = findings.iter().any(|one| one.level == Level::Error);
    Ok(if is_wrong { ExitCode::Invalid } else { ExitCode::Success }.number())
}
