//! One page of the manual. Name, synopsis, description and options are set by `clap_mangen`; the sections that it has not, here.

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use kiwi_core::environment;
use kiwi_core::exit_code::ExitCode;

use crate::arguments::{EXAMPLES, grouped};

/// The program's name, which every page's name begins with.
const PROGRAM: &str = "kiwi-host";
/// What stands in the middle of a page's first line, by which a page of this program is known.
const MANUAL: &str = "kiwi-host manual";

/// The name of a command's file.
pub(super) fn file_name(command: &Command) -> String {
    format!("{}.1", name(command))
}

/// Whether these bytes are such a page, of this version or an earlier one.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.lines().any(|line| line.starts_with(".TH ") && line.contains(&format!("\"{MANUAL}\"")))
}

/// The page of a command that is built, for `man -l`.
pub(super) fn of(command: &Command) -> io::Result<String> {
    let man =
        Man::new(command.clone()).source(concat!("kiwi-host ", env!("CARGO_PKG_VERSION"))).manual(MANUAL);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    let is_program = command.get_name() == PROGRAM;
    let has_commands = command.get_subcommands().any(|one| !one.is_hide_set());
    let mut roff = Roff::new();
    match (is_program, has_commands) {
        (true, _) => commands_of_program(&mut roff, command),
        (false, true) => man.render_subcommands_section(&mut page)?,
        (false, false) => {}
    }
    roff.to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut roff = Roff::new();
    if is_program {
        of_program(&mut roff);
    } else {
        if let Some(text) = command.get_after_long_help() {
            further(&mut roff, &text.to_string());
        }
        see_also(&mut roff, command);
    }
    roff.to_writer(&mut page)?;
    String::from_utf8(page).map_err(io::Error::other)
}

fn name(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

/// The commands by what they are for, each with its page.
fn commands_of_program(roff: &mut Roff, program: &Command) {
    roff.control("SH", ["COMMANDS"]);
    for (heading, commands) in grouped(program) {
        // It has no page: it shows the help of others.
        let commands: Vec<_> = commands.into_iter().filter(|(name, _)| name != "help").collect();
        if commands.is_empty() {
            continue;
        }
        roff.control("SS", [heading]);
        for (name, about) in commands {
            roff.control("TP", []);
            roff.text([bold(format!("{PROGRAM}-{name}")), roman("(1)")]);
            roff.text([roman(about)]);
        }
    }
}

/// Examples, exit codes and environment variables, from the same tables as the help.
fn of_program(roff: &mut Roff) {
    roff.control("SH", ["EXAMPLES"]);
    as_typed(roff, EXAMPLES.lines());
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in ExitCode::ALL {
        roff.control("TP", []);
        roff.text([bold(code.number().to_string())]);
        roff.text([roman(meaning)]);
    }
    roff.control("SH", ["ENVIRONMENT"]);
    for variable in environment::ALL {
        roff.control("TP", []);
        roff.text([bold(variable.name)]);
        roff.text([roman(variable.meaning)]);
    }
}

/// What the help of a command says below its options: examples as they are typed, and what it exits with.
fn further(roff: &mut Roff, text: &str) {
    for paragraph in text.split("\n\n") {
        let (typed, said): (Vec<&str>, Vec<&str>) = paragraph.lines().partition(|line| line.starts_with(' '));
        match said[..] {
            ["Example:" | "Examples:"] => drop(roff.control("SH", ["EXAMPLES"])),
            [first, ..] if first.starts_with("Exits with") => {
                roff.control("SH", ["EXIT STATUS"]);
                roff.text([roman(said.join("\n"))]);
            }
            _ => {
                roff.control("PP", []);
                roff.text([roman(said.join("\n"))]);
            }
        }
        as_typed(roff, typed);
    }
}

/// Lines that stay as they are.
fn as_typed<'a>(roff: &mut Roff, lines: impl IntoIterator<Item = &'a str>) {
    let mut lines = lines.into_iter().map(str::trim).peekable();
    if lines.peek().is_none() {
        return;
    }
    roff.control("RS", ["4"]);
    roff.control("nf", []);
    for line in lines {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    roff.control("RE", []);
}

/// The pages above this one.
fn see_also(roff: &mut Roff, command: &Command) {
    let name = name(command);
    let own = command.get_name().len();
    let above = name.get(..name.len().saturating_sub(own + 1)).unwrap_or(PROGRAM);
    roff.control("SH", ["SEE ALSO"]);
    let mut pages = vec![bold(PROGRAM), roman("(1)")];
    if above != PROGRAM {
        pages.extend([roman(", "), bold(above), roman("(1)")]);
    }
    roff.text(pages);
}
