//! `cargo xtask test`: every check of the repository, one step after the other, with a table at the end.
//!
//! A failed check does not keep the others from running; a failed build does, since what follows needs it. [`runner`] runs
//! the tests, [`readme`] the commands of the README and of the pages in `docs/`, [`examples`] the plugins in `examples/`,
//! [`packages`] what people install,
//! [`coverage`] checks which tests there must be, [`skipped`] collects what tests say they left out.

mod coverage;
mod examples;
mod packages;
mod readme;
mod runner;
mod skipped;
mod supply;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use runner::Tally;

use crate::build::{self, Profile};
use crate::workspace::{Workspace, run};
use crate::{book, generate, libtorch, python};

/// Whether the steps after a failed one can still say something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// All that follows needs it.
    Build,
    Check,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    NotRun,
}

/// What `cargo xtask test` takes.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Options {
    /// Run only the steps with this in their names, as `book`. May be given more than once.
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
}

/// The steps so far.
#[derive(Debug, Default)]
struct Steps {
    only: Vec<String>,
    ended: Vec<(&'static str, Outcome, Duration)>,
    stopped: bool,
}

impl Steps {
    fn step(&mut self, name: &'static str, need: Need, work: impl FnOnce() -> Result<()>) {
        if !self.only.is_empty() && !self.only.iter().any(|part| name.contains(part)) {
            return;
        }
        if self.stopped {
            self.ended.push((name, Outcome::NotRun, Duration::ZERO));
            return;
        }
        println!("\n=== {name}");
        let began = Instant::now();
        let outcome = match work() {
            Ok(()) => Outcome::Passed,
            Err(error) => {
                eprintln!("error: {error:#}");
                self.stopped = need == Need::Build;
                Outcome::Failed
            }
        };
        let time = began.elapsed();
        println!("--- {name}: {} in {:.1} s", word(outcome), time.as_secs_f64());
        self.ended.push((name, outcome, time));
    }

    fn all_passed(&self) -> bool {
        self.ended.iter().all(|(_, outcome, _)| *outcome == Outcome::Passed)
    }

    fn table(&self) -> String {
        let width = self.ended.iter().map(|(name, _, _)| name.len()).max().unwrap_or(0);
        let mut table = String::new();
        for (name, outcome, time) in &self.ended {
            table += &format!("{name:width$}  {:7}  {:7.1} s\n", word(*outcome), time.as_secs_f64());
        }
        let total: Duration = self.ended.iter().map(|(_, _, time)| *time).sum();
        table + &format!("{:width$}  {:7}  {:7.1} s\n", "total", "", total.as_secs_f64())
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "FAILED",
        Outcome::NotRun => "not run",
    }
}

/// Runs the checks, all unless some are named; an error if one failed.
pub(crate) fn run_all(workspace: &Workspace, options: Options) -> Result<()> {
    let mut steps = Steps { only: options.only, ..Steps::default() };
    let mut tally = Tally::default();
    let cargo = |arguments: &[&str]| run(&mut workspace.cargo(arguments));

    steps.step("setup", Need::Build, || libtorch::setup(workspace, libtorch::Options::default()).map(|_| ()));
    steps.step("format", Need::Check, || cargo(&["fmt", "--all", "--check"]));
    steps.step("lints", Need::Check, || {
        cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
    });
    steps.step("dependencies", Need::Check, || supply::check(workspace, &mut tally));
    steps.step("coverage of the rules", Need::Check, || coverage::check(&workspace.root));
    steps.step("generated files", Need::Check, || generate::check(workspace));
    steps.step("release build", Need::Build, || build::build(workspace, Profile::Release).map(|_| ()));
    steps.step("dev build", Need::Build, || runner::build(workspace));
    steps.step("documentation of the plugin API", Need::Check, || {
        let mut command = workspace.cargo(&["doc", "--no-deps", "--package", "kiwi-plugin-api"]);
        run(command.env("RUSTDOCFLAGS", "-D warnings"))
    });
    steps.step("commands of the README", Need::Check, || readme::run_commands(workspace));
    steps.step("commands of the pages", Need::Check, || readme::follow_pages(workspace));
    steps.step("book", Need::Check, || book::build(workspace));
    steps.step("doc tests", Need::Check, || runner::doc_tests(workspace, &mut tally));
    steps.step("style of the example plugins", Need::Check, || examples::check_style(workspace));
    steps.step("build of the example plugins", Need::Check, || examples::build(workspace));
    steps.step("tests of the example plugins", Need::Check, || examples::tests(workspace, &mut tally));
    steps.step("packages for Python", Need::Check, || python::setup_packages(workspace));
    steps.step("packages to install", Need::Check, || packages::check(workspace));
    steps.step("tests", Need::Check, || runner::tests(workspace, &mut tally));

    println!("\n{}", steps.table());
    print!("{}", tally.skipped.summary());
    println!("tests: {} passed, {} failed", tally.passed, tally.failed);
    if steps.ended.is_empty() {
        bail!("no step has a name like that");
    }
    if !steps.all_passed() {
        bail!("a check failed: see the table above");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_check_lets_the_rest_run_and_a_failed_build_does_not() {
        let mut steps = Steps::default();
        steps.step("one", Need::Check, || bail!("wrong"));
        steps.step("two", Need::Build, || Ok(()));
        assert!(!steps.all_passed());
        steps.step("three", Need::Build, || bail!("does not compile"));
        steps.step("four", Need::Check, || Ok(()));
        let outcomes: Vec<Outcome> = steps.ended.iter().map(|(_, outcome, _)| *outcome).collect();
        assert_eq!(outcomes, [Outcome::Failed, Outcome::Passed, Outcome::Failed, Outcome::NotRun]);
        let table = steps.table();
        assert!(table.contains("two    passed"), "{table}");
        assert!(table.contains("four   not run"), "{table}");
    }
}
