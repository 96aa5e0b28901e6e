//! `man`: the pages of the manual, one for the program and one for each command, made of what the help is made of.

mod page;

use std::fs;
use std::io;
use std::path::Path;

use clap::Command;
use kiwi_core::diagnostic::{Diagnostic, Failure, nearest};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;

use super::{print_data, whole_file};
use crate::arguments::{Arguments, ManArguments};

pub(super) fn run(arguments: &ManArguments) -> Result<i32, Failure> {
    let program = documented();
    match &arguments.output_dir {
        Some(directory) => {
            let pages = pages(&program)?;
            write_all(directory, &pages)?;
            print_data(pages.iter().map(|(name, _)| directory.join(name).display().to_string()))?;
        }
        None => {
            let page = page::of(find(&program, &arguments.command)?).map_err(|error| unmade(&error))?;
            print_data([page.trim_end().to_owned()])?;
        }
    }
    Ok(ExitCode::Success.number())
}

/// The commands as the pages name them.
fn documented() -> Command {
    fn named(command: Command) -> Command {
        command.subcommand_value_name("COMMAND").mut_subcommands(named)
    }
    let mut program = named(Arguments::whole_command()).disable_help_subcommand(true);
    program.build();
    program
}

/// The command of these words, which may be those of a page's name too.
fn find<'a>(program: &'a Command, words: &[String]) -> Result<&'a Command, Failure> {
    let mut command = program;
    for word in words.iter().filter(|word| *word != "kiwi-host") {
        let visible = || command.get_subcommands().filter(|one| !one.is_hide_set());
        command = visible().find(|one| one.get_name() == word).ok_or_else(|| {
            let names: Vec<_> = visible().map(Command::get_name).collect();
            let of = command.get_bin_name().unwrap_or("kiwi-host");
            let error = Diagnostic::error(Code::Arguments, format!("`{of}` has no command `{word}`"))
                .found(word)
                .nearest(nearest(word, names.iter().copied()));
            let error = match names.is_empty() {
                true => error.expected("no further word"),
                false => error.expected(format!("one of {}", names.join(", "))),
            };
            Failure::new(ExitCode::Invalid, error.help("see `kiwi-host --help`"))
        })?;
    }
    Ok(command)
}

/// All pages with the names of their files.
fn pages(program: &Command) -> Result<Vec<(String, String)>, Failure> {
    fn collect(command: &Command, pages: &mut Vec<(String, String)>) -> io::Result<()> {
        pages.push((page::file_name(command), page::of(command)?));
        command.get_subcommands().filter(|one| !one.is_hide_set()).try_for_each(|one| collect(one, pages))
    }
    let mut all = Vec::new();
    collect(program, &mut all).map_err(|error| unmade(&error))?;
    Ok(all)
}

fn write_all(directory: &Path, pages: &[(String, String)]) -> Result<(), Failure> {
    let unwritable = |path: &Path, error: &io::Error| {
        let error = Diagnostic::error(Code::FileUnwritable, format!("{} cannot be written", path.display()))
            .note(error.to_string())
            .help("name another directory with --output-dir");
        Failure::new(ExitCode::Invalid, error)
    };
    fs::create_dir_all(directory).map_err(|error| unwritable(directory, &error))?;
    let files: Vec<_> = pages.iter().map(|(name, page)| (directory.join(name), page)).collect();
    let mut others = Vec::new();
    for (path, _) in &files {
        if !is_free(path).map_err(|error| unwritable(path, &error))? {
            others.push(there_already(path));
        }
    }
    if !others.is_empty() {
        return Err(Failure { exit: ExitCode::Invalid, diagnostics: others });
    }
    for (path, page) in &files {
        whole_file::write(path, page.as_bytes()).map_err(|error| unwritable(path, &error))?;
    }
    Ok(())
}

/// Whether nothing has the name, or an earlier page.
fn is_free(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
        Ok(found) if found.is_file() => Ok(page::is_one(&fs::read(path)?)),
        Ok(_) => Ok(false),
    }
}

fn there_already(path: &Path) -> Diagnostic {
    Diagnostic::error(Code::FileExists, format!("{} is there already", path.display()))
        .found("something else than a man page of kiwi-host")
        .expected("a file that does not exist, or such a page, which is replaced")
        .help("choose another directory, or remove it")
}

fn unmade(error: &io::Error) -> Failure {
    let error = Diagnostic::error(Code::Output, "the man page cannot be made").note(error.to_string());
    Failure::new(ExitCode::RunFailed, error)
}
