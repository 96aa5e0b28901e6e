//! The help of the program as a whole: its commands by what they are for, what it exits with, and the environment variables. The lists
//! are made of the commands and tables themselves.

use std::ffi::{OsStr, OsString};

use clap::builder::Styles;
use clap::builder::styling::Style;
use clap::{ColorChoice, Command};
use kiwi_core::environment;
use kiwi_core::exit_code::ExitCode;

use super::ColorArgument;
use crate::terminal;

/// Commands by what they are for, in the order in which they are read. Each that is not hidden stands here once; a test sees to it.
pub(crate) const GROUPS: [(&str, &[&str]); 6] = [
    ("Train", &["init", "check", "train", "sweep"]),
    ("Use a saved system", &["evaluate", "score", "features"]),
    ("Look", &["inspect", "report"]),
    ("Exchange", &["import", "import-config", "export", "mlflow"]),
    ("Plugins", &["plugins", "schema"]),
    ("Set up", &["doctor", "explain", "completions", "man", "help"]),
];

/// Where a command is listed that stands in no group.
const OTHERS: &str = "Other commands";
/// The command that clap adds by itself, once it is run.
const HELP: (&str, &str) = ("help", "Print this message or the help of the given commands");

/// Examples of what the program is used for.
pub(crate) const EXAMPLES: &str = "\
  kiwi-host init --train-source train.en --train-target train.de
  kiwi-host train config.json
  kiwi-host check config.json
  kiwi-host sweep sweep.json
  kiwi-host evaluate SYSTEM.safetensors --source test.src --target test.tgt
  kiwi-host import openkiwi best_model.torch -o SYSTEM.safetensors
  kiwi-host report runs/first runs/second -o comparison.html
  kiwi-host report SYSTEM.safetensors --source test.src --target test.tgt
  kiwi-host plugins list
  kiwi-host schema -o kiwi-host.schema.json
  kiwi-host doctor
  kiwi-host explain E0101
";

/// The commands with their grouped help.
pub(crate) fn with_help(command: Command) -> Command {
    let width = terminal::help_width();
    let template = template(&command, width);
    command.help_template(template).after_long_help(long_help(width))
}

/// A group of commands: its heading, and of each command name and summary.
pub(crate) type Group = (&'static str, Vec<(String, String)>);

/// The commands that are not hidden, by groups.
pub(crate) fn grouped(command: &Command) -> Vec<Group> {
    let visible = command.get_subcommands().filter(|one| !one.is_hide_set());
    let mut left: Vec<(String, String)> = visible
        .map(|one| {
            let about = one.get_about().or_else(|| one.get_long_about());
            let about = about.map(|about| about.to_string().replace('\n', " "));
            (one.get_name().to_owned(), about.unwrap_or_default())
        })
        .collect();
    if !left.iter().any(|(name, _)| name == HELP.0) {
        left.push((HELP.0.to_owned(), HELP.1.to_owned()));
    }
    let mut groups: Vec<Group> = Vec::new();
    for (heading, names) in GROUPS {
        let of_group = names.iter().filter_map(|name| {
            let at = left.iter().position(|(other, _)| other == name)?;
            Some(left.remove(at))
        });
        groups.push((heading, of_group.collect()));
    }
    groups.push((OTHERS, left));
    groups.retain(|(_, commands)| !commands.is_empty());
    groups
}

/// What clap makes help of, with the commands in place.
fn template(command: &Command, width: usize) -> String {
    let styles = command.get_styles();
    let heading = |text: &str| styled(styles.get_header(), &format!("{text}:"));
    let groups = grouped(command);
    let longest = groups.iter().flat_map(|(_, commands)| commands).map(|(name, _)| name.len()).max();
    let column = longest.unwrap_or(0) + 4;
    let mut text = "{about-with-newline}\n{usage-heading} {usage}\n".to_owned();
    for (title, commands) in groups {
        text += &format!("\n{}\n", heading(title));
        for (name, about) in commands {
            text += &entry(styles, &name, &about, column, width);
        }
    }
    text + &format!("\n{}\n{{options}}{{after-help}}", heading("Options"))
}

/// The lines of a command.
fn entry(styles: &Styles, name: &str, about: &str, column: usize, width: usize) -> String {
    let padding = " ".repeat(column.saturating_sub(2 + name.len()));
    let line = format!("  {}{padding}{about}", styled(styles.get_literal(), name));
    terminal::fit(&line, width, column) + "\n"
}

fn styled(style: &Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// What `--help` says besides: examples, exit codes, environment variables.
fn long_help(width: usize) -> String {
    let mut help = format!("Examples:\n{EXAMPLES}\nExit codes:\n");
    for (code, meaning) in ExitCode::ALL {
        help += &terminal::fit(&format!("  {:>3}  {meaning}", code.number()), width, 7);
        help.push('\n');
    }
    help += "\nEnvironment variables:\n";
    for variable in environment::ALL {
        let meaning = terminal::fit(&format!("          {}", variable.meaning), width, 10);
        help += &format!("  {}\n{meaning}\n", variable.name);
    }
    help.trim_end().to_owned()
}

/// What `--color` says, wherever it stands, for help and complaints about usage: they come before the arguments are read.
pub(super) fn color(arguments: impl IntoIterator<Item = OsString>) -> ColorChoice {
    let mut choice = ColorChoice::Auto;
    let mut arguments = arguments.into_iter().take_while(|argument| argument != "--");
    while let Some(argument) = arguments.next() {
        let value = if argument == "--color" {
            arguments.next()
        } else {
            argument.to_str().and_then(|text| text.strip_prefix("--color=")).map(OsString::from)
        };
        choice = value.as_deref().and_then(of_value).unwrap_or(choice);
    }
    choice
}

fn of_value(value: &OsStr) -> Option<ColorChoice> {
    let choice = <ColorArgument as clap::ValueEnum>::from_str(value.to_str()?, false).ok()?;
    Some(match choice {
        ColorArgument::Auto => ColorChoice::Auto,
        ColorArgument::Always => ColorChoice::Always,
        ColorArgument::Never => ColorChoice::Never,
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::arguments::Arguments;

    #[test]
    fn each_command_is_in_one_group() {
        let command = Arguments::command();
        let groups = grouped(&command);
        let others = groups.iter().find(|(heading, _)| *heading == OTHERS);
        assert_eq!(others, None, "give these commands a group in `GROUPS`");
        let listed: Vec<_> = groups.iter().flat_map(|(_, commands)| commands).map(|(name, _)| name).collect();
        let named: Vec<_> = GROUPS.iter().flat_map(|(_, names)| names.iter()).collect();
        assert_eq!(listed, named, "`GROUPS` names each command once, and none that there is not");
        for one in command.get_subcommands() {
            let times = listed.iter().filter(|name| **name == one.get_name()).count();
            assert_eq!(times, usize::from(!one.is_hide_set()), "{}", one.get_name());
        }
    }

    #[test]
    fn each_command_has_its_line_at_every_width() {
        let command = Arguments::command();
        for width in [40, 60, 100, 200] {
            let text = anstream::adapter::strip_str(&template(&command, width)).to_string();
            for line in text.lines() {
                assert!(textwrap::core::display_width(line) <= width, "{line:?} at {width}");
            }
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            for (name, about) in grouped(&command).into_iter().flat_map(|(_, commands)| commands) {
                assert!(!about.is_empty(), "{name} has no summary");
                assert!(words.contains(&format!("{name} {about}")), "{name} at {width}: {text}");
            }
        }
    }

    #[test]
    fn colours_are_asked_for_anywhere() {
        let color = |arguments: &[&str]| color(arguments.iter().map(OsString::from));
        assert_eq!(color(&["k", "--color", "never", "train", "--help"]), ColorChoice::Never);
        assert_eq!(color(&["k", "--help", "--color=always"]), ColorChoice::Always);
        assert_eq!(color(&["k", "--color=never", "train", "--color", "auto"]), ColorChoice::Auto);
        assert_eq!(color(&["k", "--color", "mauve", "--color"]), ColorChoice::Auto);
        assert_eq!(color(&["k", "train", "--", "--color=never"]), ColorChoice::Auto);
    }
}
