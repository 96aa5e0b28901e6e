//! `completions`: a script by which a shell completes what can be typed. The scripts are clap's; which words are files and directories is
//! said here, by the type of an argument and by what the help calls its value.

use std::path::PathBuf;

use clap::{Arg, Command, Id, ValueHint};
use clap_complete::{Shell, generate};
use kiwi_core::diagnostic::Failure;
use kiwi_core::exit_code::ExitCode;

use super::print_data;
use crate::arguments::{Arguments, CompletionsArguments};

/// What a value is called that is a directory.
const DIRECTORIES: [&str; 2] = ["DIRECTORY", "RUN"];

/// The name that bash's function goes by. With the program's own clap takes its dash for the end of a command, and completes nothing
/// after one.
const BASH_NAME: &str = "kiwi_host";

/// How clap's script for bash has its function used.
const BASH_USE: &str = "\nif [[ \"${BASH_VERSINFO[0]}\" -eq 4";

/// Has bash complete a word that nothing stands in yet by commands, values or files, and not by options, which clap's function gives
/// wherever it does not know better. With no words left, bash completes files.
const BASH_WORDS: &str = r#"
_kiwi_host_words() {
    _kiwi_host "$@"
    if [[ -z "$2" ]]; then
        local word words=()
        for word in "${COMPREPLY[@]}"; do
            [[ "$word" == -* ]] || words+=("$word")
        done
        COMPREPLY=("${words[@]}")
    fi
}
# Only bash 4.4 and later leave words in their order.
complete -F _kiwi_host_words -o nosort -o bashdefault -o default kiwi-host 2>/dev/null \
    || complete -F _kiwi_host_words -o bashdefault -o default kiwi-host"#;

pub(super) fn run(arguments: &CompletionsArguments) -> Result<i32, Failure> {
    print_data([script(arguments.shell)])?;
    Ok(ExitCode::Success.number())
}

fn script(shell: Shell) -> String {
    let mut command = completable(&Arguments::whole_command()).version(env!("CARGO_PKG_VERSION"));
    let mut script = Vec::new();
    let name = if shell == Shell::Bash { BASH_NAME } else { "kiwi-host" };
    generate(shell, &mut command, name, &mut script);
    let script = String::from_utf8_lossy(&script);
    match (shell, script.split_once(BASH_USE)) {
        (Shell::Bash, Some((function, _))) => format!("{function}{BASH_WORDS}"),
        (Shell::Bash, None) => format!("{}\n{BASH_WORDS}", script.trim_end()),
        _ => script.trim_end().to_owned(),
    }
}

/// The command without what is hidden, which the scripts would complete as well, and with what its values are.
fn completable(command: &Command) -> Command {
    // A name lives as long as the program, which ends when the script is printed.
    let name: &'static str = Box::leak(command.get_name().to_owned().into_boxed_str());
    let shown = || command.get_arguments().filter(|argument| !argument.is_hide_set());
    let is_shown = |id: &Id| shown().any(|argument| argument.get_id() == id);
    let mut completable = Command::new(name)
        .args(shown().map(hinted))
        .groups(command.get_groups().filter(|group| group.get_args().all(is_shown)).cloned())
        .subcommands(command.get_subcommands().filter(|one| !one.is_hide_set()).map(completable));
    if let Some(about) = command.get_about() {
        completable = completable.about(about.clone());
    }
    completable
}

fn hinted(argument: &Arg) -> Arg {
    let argument = argument.clone();
    if !argument.get_action().takes_values() || !argument.get_possible_values().is_empty() {
        return argument;
    }
    let is_path = argument.get_value_parser().type_id() == std::any::TypeId::of::<PathBuf>();
    let names = argument.get_value_names().unwrap_or_default();
    let is_directory = names.iter().any(|name| DIRECTORIES.contains(&name.as_str()));
    argument.value_hint(match (is_path, is_directory) {
        (true, true) => ValueHint::DirPath,
        (true, false) => ValueHint::FilePath,
        (false, _) => ValueHint::Other,
    })
}
