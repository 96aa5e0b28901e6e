//! The commands of the README, run as a newcomer would run them.
//!
//! A block that is fenced as `console` and has the line `<!-- test -->` before it is run: each line that starts with `$ ` is
//! a command (a backslash at its end continues it), other lines show output and are not compared. The commands of a block
//! share one shell, which stops at the first that fails. Commands that start with `cargo xtask` or with what the newcomer
//! has done by then (`git clone`, `cd`) are left out.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

const MARK: &str = "<!-- test -->";

/// Starts of commands that are not run here: they are what runs this, or come before it.
const LEFT_OUT: [&str; 3] = ["cargo xtask ", "git clone ", "cd "];

/// A marked block.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    /// Of its first line in the file, from 1.
    line: usize,
    commands: Vec<String>,
}

/// Runs all marked blocks in the root folder.
pub(super) fn run_commands(workspace: &Workspace) -> Result<()> {
    let readme = workspace.root.join("README.md");
    let text = fs::read_to_string(&readme).with_context(|| format!("cannot read {}", readme.display()))?;
    let blocks = blocks(&text).with_context(|| format!("cannot use {}", readme.display()))?;
    if blocks.is_empty() {
        bail!(
            "{} has no block to test: expected the line {MARK} before a block of commands",
            readme.display()
        );
    }
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

/// The marked blocks that have commands to run.
fn blocks(text: &str) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate().map(|(number, line)| (number + 1, line));
    while let Some((marked_at, line)) = lines.next() {
        if line.trim() != MARK {
            continue;
        }
        let fence = lines.by_ref().find(|(_, line)| !line.trim().is_empty());
        let Some((line, "```console")) = fence else {
            bail!("line {marked_at}: {MARK} must stand before a block that starts with ```console");
        };
        let body: Vec<&str> =
            lines.by_ref().map(|(_, line)| line).take_while(|line| !line.starts_with("```")).collect();
        let commands = commands(&body);
        if !commands.is_empty() {
            blocks.push(Block { line, commands });
        }
    }
    Ok(blocks)
}

fn commands(body: &[&str]) -> Vec<String> {
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
        if !LEFT_OUT.iter().any(|left_out| command.starts_with(left_out)) {
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
        let text = "# Title\n\n```console\n$ not marked\n```\n\n<!-- test -->\n\n```console\n$ cargo xtask build\n\
            $ ./target/release/kiwi-host plugins list\nencoders\n$ echo one \\\n    two\n```\n<!-- test -->\n\
            ```console\n$ cargo xtask test\n```\n";
        let expected = Block {
            line: 9,
            commands: vec![
                "./target/release/kiwi-host plugins list".to_owned(),
                "echo one \\\n    two".to_owned(),
            ],
        };
        assert_eq!(blocks(text).unwrap(), [expected]);
    }

    #[test]
    fn a_mark_without_its_block_is_an_error() {
        assert!(blocks("<!-- test -->\ntext\n").unwrap_err().to_string().contains("line 1"));
        assert!(blocks("<!-- test -->\n```sh\n$ ls\n```\n").is_err());
    }
}
