//! `kiwi-book ROOT OUTPUT`: builds the book of `ROOT/docs` into a folder, and fails if a page is missing from its table of contents or
//! a link leads nowhere. `cargo xtask book` calls it.
//!
//! Pages are written to be read in the repository too, where their links lead to files beside `docs/`. Such files are copied into the
//! book ([`repository`]), so that it is whole without a network. [`links`] follows every link of what was built.

mod links;
mod repository;

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use mdbook_driver::MDBook;

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let done = match arguments.as_slice() {
        [root, output] => build(root, output),
        _ => Err(anyhow::anyhow!("usage: kiwi-book ROOT OUTPUT")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn build(root: &Path, output: &Path) -> Result<()> {
    let docs = root.join("docs");
    all_pages_are_listed(&docs)?;
    let mut book = MDBook::load(&docs).context("cannot load the book")?;
    book.config.build.build_dir = output.to_owned();
    // Not mdBook's own: what was there before must not make a link hold.
    if output.exists() {
        fs::remove_dir_all(output).with_context(|| format!("cannot remove {}", output.display()))?;
    }
    let outside = repository::Outside::new(root);
    let copied = outside.copied();
    book.with_preprocessor(outside);
    book.build().context("cannot build the book")?;
    repository::copy(root, output, &copied)?;
    let broken = links::broken(output)?;
    if !broken.is_empty() {
        bail!("links that lead nowhere:\n  {}", broken.join("\n  "));
    }
    println!("{}", output.join("index.html").display());
    Ok(())
}

/// A page that the table of contents does not list is not in the book.
fn all_pages_are_listed(docs: &Path) -> Result<()> {
    let summary = fs::read_to_string(docs.join("SUMMARY.md")).context("cannot read docs/SUMMARY.md")?;
    let mut missing = BTreeSet::new();
    for entry in fs::read_dir(docs)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let is_page = name.ends_with(".md") && name != "SUMMARY.md";
        let listed = summary.lines().any(|line| line.trim_end().ends_with(&format!("]({name})")));
        if is_page && !listed {
            missing.insert(name);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    bail!("docs/SUMMARY.md does not list {}", missing.into_iter().collect::<Vec<_>>().join(", "))
}
