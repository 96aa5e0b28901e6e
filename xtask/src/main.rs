//! Development commands, run as `cargo xtask COMMAND`: they need Rust, a C++17 compiler and Python 3 with pip.
//!
//! Each command is a module of its own; nothing here is part of the program `kiwi-host`.

mod api_source;
mod bench;
mod book;
mod build;
mod demo;
mod dist;
mod generate;
mod gpu_bundle;
mod libtorch;
mod python;
mod release_api;
mod semver;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use workspace::Workspace;

/// Development commands of kiwi-host.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find or fetch libtorch and make it usable as `.libtorch/torch`.
    Setup(libtorch::Options),
    /// Set up, then build the program, its engine and the built-in plugins.
    Build(build::Options),
    /// Train a small system on real text in about two minutes and show what it learned.
    Demo(demo::Options),
    /// Measure how fast the program trains: a line of JSON, beside what the machine can do and, if asked, a PyTorch script's.
    Bench(Box<bench::Options>),
    /// Build the book of `docs/` into `target/book` and check its links.
    Book,
    /// Make what people install: a tarball, and a wheel for pip.
    Dist(dist::Options),
    /// Make a folder that checks this build on a machine with a GPU.
    GpuBundle(gpu_bundle::Options),
    /// Write the files that are made from others: the C header of plugins.
    Generate(generate::Options),
    /// Keep the sources of this version of the plugin API, for the tests of later ones.
    ReleaseApi,
    /// Check that the plugin API has all that its released versions promise; needs cargo-semver-checks.
    Semver,
    /// Run every check: format, lints, builds, tests, documentation, the commands of the README.
    Test(test::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = Workspace::find().and_then(|workspace| match arguments.command {
        Command::Setup(options) => {
            let with_python = options.python;
            libtorch::setup(&workspace, options)?;
            if with_python { python::setup_packages(&workspace) } else { Ok(()) }
        }
        Command::Build(options) => build::setup_and_build(&workspace, options),
        Command::Demo(options) => demo::demonstrate(&workspace, options),
        Command::Bench(options) => bench::measure(&workspace, *options),
        Command::Book => book::build(&workspace),
        Command::Dist(options) => dist::make(&workspace, &options).map(drop),
        Command::GpuBundle(options) => gpu_bundle::make(&workspace, &options),
        Command::Generate(options) => generate::generate(&workspace, options),
        Command::ReleaseApi => release_api::release(&workspace),
        Command::Semver => semver::check(&workspace),
        Command::Test(options) => test::run_all(&workspace, options),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
