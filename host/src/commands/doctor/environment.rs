//! The environment: locale, terminal, the variables that count and are set. What may be a secret is never shown.

use std::env;
use std::io::{self, IsTerminal};

use anstream::{AutoStream, ColorChoice};
use kiwi_core::diagnostic::nearest;
use kiwi_core::environment;
use kiwi_core::place::{LAUNCHED, LISTENING};
use kiwi_core::tracking_uri::without_password;
use serde_json::{Map, Value};

use super::finding::{Finding, Level, Section};
use crate::launch;
use crate::terminal;

/// Beginnings of variables by which libraries are steered that a run uses.
const OF_LIBRARIES: [&str; 15] = [
    "CUBLAS_",
    "CUDA_",
    "GLIBC_",
    "GLOO_",
    "GOMP_",
    "KMP_",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "MALLOC_",
    "MKL_",
    "NCCL_",
    "NVIDIA_",
    "OMP_",
    "PYTORCH_",
    "TORCH_",
];
/// Words of names whose values are not shown.
const SECRET: [&str; 4] = ["PASSWORD", "TOKEN", "SECRET", "KEY"];
/// Variables of builds and of the project's own tests.
const OF_BUILDS: [&str; 2] = ["KIWI_CUDA_INCLUDE", "KIWI_TESTS_"];

type Variables = Vec<(String, String)>;

pub(super) fn findings() -> Vec<Finding> {
    let all: Variables = env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .collect();
    let mut findings = vec![locale(&all), terminal(), variables(&all)];
    findings.extend(of_libraries(&all));
    findings.extend(unknown(&all));
    findings.extend(launcher());
    findings
}

fn new(check: &'static str, level: Level, message: impl Into<String>) -> Finding {
    Finding::new(Section::Environment, check, level, message)
}

fn value_of<'a>(all: &'a Variables, name: &str) -> Option<&'a str> {
    let set = all.iter().find(|(other, value)| other == name && !value.is_empty());
    set.map(|(_, value)| value.as_str())
}

fn locale(all: &Variables) -> Finding {
    let by = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| Some((name, value_of(all, name)?)));
    let (message, level) = match by {
        None => ("C, since none is set; texts are UTF-8 all the same".to_owned(), Level::Ok),
        Some((name, value)) => {
            let lower = value.to_lowercase();
            let is_utf8 = lower.contains("utf-8") || lower.contains("utf8");
            match is_utf8 || value == "C" || value == "POSIX" {
                true => (format!("{value} ({name}); texts are UTF-8 whatever it is"), Level::Ok),
                false => (
                    format!(
                        "{value} ({name}); texts are read and written as UTF-8, which a terminal of another encoding shows wrongly"
                    ),
                    Level::Note,
                ),
            }
        }
    };
    new("locale", level, message)
        .fact("variable", by.map(|(name, _)| name))
        .fact("value", by.map(|(_, value)| value))
}

fn terminal() -> Finding {
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let shown =
        |name: &str, is_terminal: bool, width: Option<usize>, colours: bool| match (is_terminal, width) {
            (false, _) => {
                format!("{name} is no terminal{}", if colours { ", coloured all the same" } else { "" })
            }
            (true, width) => {
                let columns = width.map_or_else(String::new, |width| format!(" of {width} columns"));
                format!("{name} is a terminal{columns}{}", if colours { "" } else { ", without colours" })
            }
        };
    let coloured = |choice| choice != ColorChoice::Never;
    let (out, err) = (terminal::width_of(&stdout), terminal::width_of(&stderr));
    let message = format!(
        "{}; {}",
        shown("standard output", stdout.is_terminal(), out, coloured(AutoStream::choice(&stdout))),
        shown("standard error", stderr.is_terminal(), err, coloured(AutoStream::choice(&stderr))),
    );
    new("terminal", Level::Ok, message)
        .fact("stdout", stdout.is_terminal())
        .fact("stderr", stderr.is_terminal())
        .fact("columns", out.or(err))
}

/// A value as it is shown.
fn shown(name: &str, value: &str) -> String {
    if name == environment::MLFLOW_TRACKING_URI.name {
        return without_password(value);
    }
    let upper = name.to_uppercase();
    match SECRET.iter().any(|word| upper.contains(word)) {
        true => "(set, and not shown)".to_owned(),
        false => value.to_owned(),
    }
}

fn listed<'a>(
    check: &'static str,
    what: &str,
    set: impl Iterator<Item = &'a (String, String)>,
) -> Option<Finding> {
    let shown: Vec<_> = set.map(|(name, value)| (name.clone(), shown(name, value))).collect();
    // A value of many folders would hide the others.
    let short = |value: &str| match value.char_indices().nth(80) {
        Some((at, _)) => format!("{}…", &value[..at]),
        None => value.to_owned(),
    };
    let lines = shown.iter().map(|(name, value)| format!("{name}={}", short(value))).collect::<Vec<_>>();
    let facts: Map<String, Value> =
        shown.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    let notes = shown.iter().map(|(name, value)| format!("{name}={value}"));
    (!lines.is_empty()).then(|| {
        new(check, Level::Ok, format!("{what}: {}", lines.join(", "))).notes(notes).fact("set", facts)
    })
}

/// Those that this program reads.
fn variables(all: &Variables) -> Finding {
    let known = |one: &&(String, String)| environment::ALL.iter().any(|variable| variable.name == one.0);
    let set = all.iter().filter(known);
    listed("variables", "set", set)
        .unwrap_or_else(|| new("variables", Level::Ok, "none that this program reads is set"))
}

fn of_libraries(all: &Variables) -> Option<Finding> {
    let of_library = |one: &&(String, String)| {
        OF_LIBRARIES.iter().any(|start| one.0.starts_with(start))
            && !environment::ALL.iter().any(|variable| variable.name == one.0)
    };
    listed("of_libraries", "set for libraries", all.iter().filter(of_library))
}

/// Variables that look like this program's and are not.
fn unknown(all: &Variables) -> Vec<Finding> {
    let known: Vec<_> = environment::ALL.iter().map(|variable| variable.name).collect();
    let own: Vec<_> = known.iter().copied().filter(|name| name.starts_with("KIWI_")).collect();
    let unknown = all.iter().map(|(name, _)| name.as_str()).filter(|name| {
        name.starts_with("KIWI_")
            && !known.contains(name)
            && ![LAUNCHED, LISTENING].contains(name)
            && !OF_BUILDS.iter().any(|start| name.starts_with(start))
    });
    unknown
        .map(|name| {
            let near = nearest(name, own.iter().copied());
            let meant = near.map_or_else(
                || format!("unset it; there are {}", own.join(", ")),
                |near| format!("did you mean {near}?"),
            );
            let message = format!("{name} is set, and this program reads no such variable");
            new("unknown_variable", Level::Warning, message).help(meant).fact("name", name)
        })
        .collect()
}

/// Whether a launcher started this process, as it would one of a run.
fn launcher() -> Option<Finding> {
    match launch::place() {
        Ok(None) => None,
        Ok(Some(place)) => {
            let message = format!(
                "this process is rank {} of {}, by the variables of {}",
                place.rank, place.ranks, place.launcher
            );
            let finding = new("launcher", Level::Note, message).help(
                "`train` takes this place among the processes of a run; unset the variables to train alone",
            );
            Some(finding.fact("rank", place.rank).fact("ranks", place.ranks))
        }
        Err(failure) => failure
            .diagnostics
            .into_iter()
            .next()
            .map(|why| new("launcher", Level::Warning, why.message).help(why.help.unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(variables: &[(&str, &str)]) -> Variables {
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn secrets_are_never_shown() {
        let all = set(&[
            ("MLFLOW_TRACKING_TOKEN", "tok-123"),
            ("MLFLOW_TRACKING_PASSWORD", "pass-123"),
            ("MLFLOW_TRACKING_URI", "https://me:pass-123@example.org/x"),
            ("NCCL_SECRET_THING", "tok-123"),
            ("LIBTORCH", "/somewhere"),
        ]);
        let findings = [Some(variables(&all)), of_libraries(&all)];
        let text = serde_json::to_string(&findings).unwrap();
        assert!(!text.contains("-123"), "{text}");
        for shown in
            ["LIBTORCH=/somewhere", "MLFLOW_TRACKING_TOKEN=(set, and not shown)", "https://me@example.org/x"]
        {
            assert!(text.contains(shown), "no {shown}: {text}");
        }
    }

    #[test]
    fn a_misspelled_variable_is_told_with_what_was_meant() {
        let all = set(&[("KIWI_PLUGINS_PATH", "/a"), ("KIWI_LAUNCHED", "7"), ("KIWI_CACHE_DIR", "/b")]);
        let findings = unknown(&all);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].help.as_deref(), Some("did you mean KIWI_PLUGIN_PATH?"));
    }

    #[test]
    fn the_locale_is_the_first_that_is_set() {
        let shown = |variables| locale(&set(variables));
        assert!(shown(&[]).message.starts_with("C, "));
        let both = shown(&[("LANG", "de_DE.UTF-8"), ("LC_ALL", "de_DE.ISO-8859-1")]);
        assert_eq!((both.level, &both.facts["variable"]), (Level::Note, &Value::from("LC_ALL")));
        assert_eq!(shown(&[("LC_ALL", ""), ("LANG", "en_US.utf8")]).level, Level::Ok);
    }
}
