//! The commands of the README and of the pages in `docs/`, run as a newcomer would run them.
//!
//! A block that is fenced as `console` and has the line `<!-- test -->` before it is run: each line that starts with `$ ` is
//! a command (a backslash at its end continues it, and where it says `<<'END'` all up to a line `END` belongs to it), other lines
//! show output and are not compared. A shell stops at the first command that fails. Every other block of commands says why it is not run: `<!-- not run: REASON -->` stands before it.
//!
//! The commands of a block of the README share one shell in the root folder. Those that start with `cargo xtask` or with what the
//! newcomer has done by then (`git clone`, `cd`) are left out. All commands of a page in `docs/` share one shell, in a new folder, with
//! the program on the path and `KIWI_ROOT` naming the root folder.

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

const MARK: &str = "<!-- test -->";
const NOT_RUN: &str = "<!-- not run: ";
const FENCE: &str = "```console";
/// Begins a text within a command, which ends with a line of the same word.
const HERE: &str = "<<'END'";
const HERE_ENDS: &str = "END";

/// Starts of commands of the README that are not run here: they are what runs this, or come before it.
const LEFT_OUT: [&str; 3] = ["cargo xtask ", "git clone ", "cd "];

/// A marked block.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    /// Of its first line in the file, from 1.
    line: usize,
    commands: Vec<String>,
}

/// Runs all marked blocks of the README in the root folder.
pub(super) fn run_commands(workspace: &Workspace) -> Result<()> {
    let (readme, blocks) = page(workspace, "README.md", &LEFT_OUT)?;
    // Where cargo builds elsewhere, the program is not where the README says.
    let built = workspace.target_directory.join("release");
    let built_elsewhere = workspace.target_directory != workspace.root.join("target");
    let mut failed = Vec::new();
    for block in &blocks {
        let mut script = String::from("set -e\n");
        for command in &block.commands {
            let command = if built_elsewhere {
                command.replace("./target/release/", &format!("{}/", built.display()))
            } else {
                command.clone()
            };
            println!("{}:{}: {command}", readme.display(), block.line);
            script += &command;
            script.push('\n');
        }
        let status = workspace.command("sh").arg("-c").arg(script).status().context("cannot run sh")?;
        if !status.success() {
            failed.push(format!("that at line {}: {status}", block.line));
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        bail!("blocks of {} failed: {}", readme.display(), failed.join("; "))
    }
}

/// Follows each page of `docs/` from nothing to the end of its marked blocks.
pub(super) fn follow_pages(workspace: &Workspace) -> Result<()> {
    let docs = workspace.root.join("docs");
    let mut names: Vec<String> = fs::read_dir(&docs)
        .with_context(|| format!("cannot list {}", docs.display()))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    names.retain(|name| name.ends_with(".md"));
    names.sort();
    let mut failed = Vec::new();
    for name in &names {
        if let Err(error) = follow(workspace, name) {
            failed.push(format!("{error:#}"));
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("{}", failed.join("\n")) }
}

/// Follows a page of `docs/`.
fn follow(workspace: &Workspace, name: &str) -> Result<()> {
    let (guide, blocks) = page(workspace, &format!("docs/{name}"), &[])?;
    if blocks.is_empty() {
        return Ok(());
    }
    println!("\n{}", guide.display());
    let folder = workspace.target_directory.join("pages").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut script = String::from("set -ex\n");
    for command in blocks.iter().flat_map(|block| &block.commands) {
        script += command;
        script.push('\n');
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(
        [workspace.target_directory.join("release")].into_iter().chain(env::split_paths(&path)),
    )?;
    let mut shell = workspace.command("sh");
    shell.arg("-c").arg(script).current_dir(&folder).env("PATH", path).env("KIWI_ROOT", &workspace.root);
    shell.env_remove("CARGO_TARGET_DIR");
    if env::var_os("CARGO_BUILD_BUILD_DIR").is_none() {
        // What the workspace has compiled already need not be compiled again.
        shell.env("CARGO_BUILD_BUILD_DIR", &workspace.target_directory);
    }
    let status = shell.status().context("cannot run sh")?;
    if !status.success() {
        bail!("following {} in {} failed: {status}", guide.display(), folder.display());
    }
    Ok(())
}

/// The path of a page, and its marked blocks.
fn page(workspace: &Workspace, name: &str, left_out: &[&str]) -> Result<(PathBuf, Vec<Block>)> {
    let page = workspace.root.join(name);
    let text = fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
    let blocks = blocks(&text, left_out).with_context(|| format!("cannot use {}", page.display()))?;
    Ok((page, blocks))
}

/// The marked blocks that have commands to run.
fn blocks(text: &str, left_out: &[&str]) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate().map(|(number, line)| (number + 1, line));
    while let Some((marked_at, line)) = lines.next() {
        let is_run = match line.trim() {
            MARK => true,
            line if line.starts_with(NOT_RUN) && line.ends_with(" -->") => false,
            FENCE => {
                bail!("line {marked_at}: {MARK} or {NOT_RUN}REASON --> must stand before a block of commands")
            }
            _ => continue,
        };
        let fence = lines.by_ref().find(|(_, line)| !line.trim().is_empty());
        let Some((line, fence)) = fence.filter(|(_, line)| line.trim() == FENCE) else {
            bail!("line {marked_at}: {} must stand before a block that starts with {FENCE}", line.trim());
        };
        // What is within a list stands as far to the right as its fence.
        let indent = &fence[..fence.len() - fence.trim_start().len()];
        let body = lines.by_ref().map(|(_, line)| line.strip_prefix(indent).unwrap_or(line.trim_start()));
        let body: Vec<&str> = body.take_while(|line| !line.starts_with("```")).collect();
        if !is_run {
            continue;
        }
        let commands = commands(&body, left_out);
        if !commands.is_empty() {
            blocks.push(Block { line, commands });
        }
    }
    Ok(blocks)
}

fn commands(body: &[&str], left_out: &[&str]) -> Vec<String> {
    let mut commands = Vec::new();
    let mut lines = body.iter();
    while let Some(line) = lines.next() {
        let Some(start) = line.strip_prefix("$ ") else { continue };
        let mut command = start.to_owned();
        while command.ends_with('\\') {
            let Some(next) = lines.next() else { break };
            command.push('\n');
            command.push_str(next);
        }
        if command.contains(HERE) {
            for line in lines.by_ref() {
                command.push('\n');
                command.push_str(line);
                if *line == HERE_ENDS {
                    break;
                }
            }
        }
        if !left_out.iter().any(|left_out| command.starts_with(left_out)) {
            commands.push(command);
        }
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_blocks_are_read() {
        let text = "# Title\n\n<!-- not run: it takes a night -->\n```console\n$ not marked\n```\n\n<!-- test -->\n\n```console\n$ cargo xtask build\n\
            $ ./target/release/kiwi-host plugins list\nencoders\n$ echo one \\\n    two\n```\n<!-- test -->\n\
            ```console\n$ cargo xtask test\n```\n";
        let expected = Block {
            line: 10,
            commands: vec![
                "./target/release/kiwi-host plugins list".to_owned(),
                "echo one \\\n    two".to_owned(),
            ],
        };
        assert_eq!(blocks(text, &LEFT_OUT).unwrap(), [expected]);
        let all = blocks(text, &[]).unwrap();
        assert_eq!(all.iter().map(|block| block.commands.len()).collect::<Vec<_>>(), [3, 1]);
    }

    #[test]
    fn a_text_within_a_command_belongs_to_it() {
        let text = "- In a list:\n\n  <!-- test -->\n  ```console\n  $ cat > a.json <<'END'\n  {\n    \"a\": 1\n  }\n  END\n  $ ls\n  a.json\n  ```\n";
        let found = blocks(text, &[]).unwrap();
        assert_eq!(found[0].commands, ["cat > a.json <<'END'\n{\n  \"a\": 1\n}\nEND", "ls"]);
    }

    #[test]
    fn a_mark_without_its_block_is_an_error() {
        assert!(blocks("<!-- test -->\ntext\n", &[]).unwrap_err().to_string().contains("line 1"));
        assert!(blocks("<!-- test -->\n```sh\n$ ls\n```\n", &[]).is_err());
        let error = blocks("text\n```console\n$ ls\n```\n", &[]).unwrap_err().to_string();
        assert!(error.contains("line 2: <!-- test --> or <!-- not run: REASON -->"), "{error}");
    }
}
