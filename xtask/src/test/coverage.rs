//! That `tests/COVERAGE.md` is true: each test that its tables name exists and runs, each rule has one, and each recorded case in
//! `tests/golden/` is read by some test.
//!
//! A test is named `FILE::NAME`, the file by its path from the root folder. What counts as a test is a function below `#[test]`,
//! in the macro `proptest!` too; one that is ignored proves nothing and does not count.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

const TABLE: &str = "tests/COVERAGE.md";
const GOLDEN: &str = "tests/golden";
/// How the names of recorded cases end; what else lies beside them is there to be read by people.
const RECORDED: [&str; 4] = ["json", "safetensors", "torch", "ckpt"];

/// A line of a table: a rule and the tests that would fail if it were broken.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    /// In the file, from 1.
    line: usize,
    rule: String,
    /// As `FILE::NAME`.
    tests: Vec<String>,
}

/// A source file and the tests in it.
#[derive(Debug, Default)]
struct Source {
    text: String,
    tests: Vec<String>,
}

/// The source files by their paths from the root folder, with `/`.
type Sources = BTreeMap<String, Source>;

/// Checks the table in the folder `root`; everything that is wrong is told at once.
pub(super) fn check(root: &Path) -> Result<()> {
    let text = fs::read_to_string(root.join(TABLE)).with_context(|| format!("cannot read {TABLE}"))?;
    let sources = sources(root)?;
    let (rows, mut wrong) = rows(&text);
    wrong.extend(unproven(&rows, &sources));
    wrong.extend(unread(&golden(root)?, &sources));
    let named: usize = rows.iter().map(|row| row.tests.len()).sum();
    if wrong.is_empty() {
        println!("{} rules, each with a test; {named} tests are named", rows.len());
        return Ok(());
    }
    bail!("{TABLE} does not hold:\n  {}", wrong.join("\n  "))
}

/// The rows of all tables, and what is wrong with their form.
fn rows(text: &str) -> (Vec<Row>, Vec<String>) {
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    // The two lines that begin a table are its heading and the line below it.
    let mut heading = 2;
    for (number, line) in text.lines().enumerate().map(|(number, line)| (number + 1, line.trim())) {
        let Some(cells) = line.strip_prefix('|') else {
            heading = 2;
            continue;
        };
        if heading > 0 {
            heading -= 1;
            continue;
        }
        let cells: Vec<&str> = cells.trim_end_matches('|').split('|').map(str::trim).collect();
        let [rule, tests] = cells[..] else {
            wrong.push(format!("line {number}: expected two cells, the rule and its tests: {line}"));
            continue;
        };
        let tests: Vec<String> = tests.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        if rule.is_empty() || tests.is_empty() {
            wrong.push(format!("line {number}: expected a rule and at least one test in backticks: {line}"));
            continue;
        }
        rows.push(Row { line: number, rule: rule.to_owned(), tests });
    }
    if rows.is_empty() && wrong.is_empty() {
        wrong.push("there is no table in it: expected rows of a rule and its tests".to_owned());
    }
    (rows, wrong)
}

/// The tests that rows name and that there are not.
fn unproven(rows: &[Row], sources: &Sources) -> Vec<String> {
    let mut wrong = Vec::new();
    for row in rows {
        for named in &row.tests {
            let missing = match named.rsplit_once("::") {
                None => Some("expected FILE::NAME, the file by its path from the root folder".to_owned()),
                Some((file, test)) => missing(file, test, sources),
            };
            wrong.extend(missing.map(|why| format!("line {}: {}: `{named}`: {why}", row.line, row.rule)));
        }
    }
    wrong
}

/// Why there is no such test; `None` if there is.
fn missing(file: &str, test: &str, sources: &Sources) -> Option<String> {
    if sources.get(file).is_some_and(|source| source.tests.iter().any(|known| known == test)) {
        return None;
    }
    let elsewhere: Vec<&str> = sources
        .iter()
        .filter(|(_, source)| source.tests.iter().any(|known| known == test))
        .map(|(file, _)| file.as_str())
        .collect();
    let what = if sources.contains_key(file) { "has no such test that runs" } else { "does not exist" };
    let help = match &elsewhere[..] {
        [] => "name another test, or write this one".to_owned(),
        files => format!("a test of this name is in {}", files.join(", ")),
    };
    Some(format!("{file} {what}; {help}"))
}

/// The recorded cases that no test reads. A test that does names the file, or the case in quotes where its file speaks of golden
/// cases.
fn unread(golden: &[String], sources: &Sources) -> Vec<String> {
    // This check's own tests make up names, and read no recorded case.
    let readers =
        sources.iter().filter(|(path, source)| !source.tests.is_empty() && !path.starts_with("xtask/"));
    let tests: Vec<&str> = readers.map(|(_, source)| source.text.as_str()).collect();
    let is_read = |file: &str| {
        let case = file.rsplit_once('.').map(|(case, _)| format!("\"{case}\""));
        tests.iter().any(|text| {
            text.contains(&format!("/{file}\""))
                || text.contains(&format!("\"{file}\""))
                || (text.contains("golden") && case.as_ref().is_some_and(|case| text.contains(case)))
        })
    };
    let unread = golden.iter().filter(|file| !is_read(file));
    unread
        .map(|file| format!("{GOLDEN}/{file} is read by no test: compare something with it, or remove it"))
        .collect()
}

/// The recorded cases' file names.
fn golden(root: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root.join(GOLDEN)).with_context(|| format!("cannot list {GOLDEN}"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.rsplit_once('.').is_some_and(|(_, end)| RECORDED.contains(&end)) {
            files.push(name);
        }
    }
    files.sort();
    Ok(files)
}

/// All source files below `root`, but for hidden folders and what cargo builds.
fn sources(root: &Path) -> Result<Sources> {
    let mut sources = Sources::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = entry.path();
            // What a link leads to is not of this repository, or is found under its own name.
            let kind = entry.file_type()?;
            if kind.is_dir() {
                if !name.starts_with('.') && name != "target" {
                    folders.push(path);
                }
            } else if kind.is_file() && name.ends_with(".rs") {
                let text =
                    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                let below = path.strip_prefix(root).unwrap_or(&path);
                let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
                sources.insert(parts.join("/"), Source { tests: tests(&text), text });
            }
        }
    }
    Ok(sources)
}

/// The tests in a source file that run.
fn tests(text: &str) -> Vec<String> {
    let mut tests = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while lines.any(|line| line == "#[test]") {
        let mut ignored = false;
        let function = lines.by_ref().find(|line| {
            ignored |= line.starts_with("#[ignore");
            !(line.is_empty() || line.starts_with("#[") || line.starts_with("//"))
        });
        let name =
            function.and_then(|line| line.strip_prefix("fn ")).and_then(|line| line.split(['(', '<']).next());
        tests.extend(name.filter(|_| !ignored).map(str::to_owned));
    }
    tests
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source { text: text.to_owned(), tests: tests(text) }
    }

    #[test]
    fn tests_are_found_wherever_they_stand_and_ignored_ones_are_not() {
        let text = "fn helper() {}\n#[test]\nfn one() {\n}\nproptest! {\n    // why\n    #[test]\n    /// what\n    fn two(\n    \
            x in 0..3\n) {} }\n#[test]\n#[should_panic]\n\nfn three() {}\n#[test]\n#[ignore = \"slow\"]\nfn four() {}\nfn five() {}\n";
        assert_eq!(tests(text), ["one", "two", "three"]);
        assert!(tests("// #[test]\nfn one() {}\n").is_empty());
    }

    #[test]
    fn rows_are_those_below_the_headings() {
        let text = "# Title\n\n| rule | tests |\n|---|---|\n| A *rule* | `a/b.rs::one`, `c.rs::two` |\n\ntext\n\n\
            | rule | tests |\n|---|---|\n| other | `c.rs::two` |\n";
        let (rows, wrong) = rows(text);
        let row = |line, rule: &str, tests: &[&str]| Row {
            line,
            rule: rule.to_owned(),
            tests: tests.iter().map(|test| (*test).to_owned()).collect(),
        };
        assert_eq!(
            rows,
            [row(5, "A *rule*", &["a/b.rs::one", "c.rs::two"]), row(11, "other", &["c.rs::two"])]
        );
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn a_rule_without_a_test_is_wrong_and_so_is_a_table_without_a_rule() {
        let heading = "| rule | tests |\n|---|---|\n";
        for (row, part) in [
            ("| rule | none |", "line 3: expected a rule and at least one test"),
            ("| | `a.rs::one` |", "line 3: expected a rule"),
            ("| one | two | `a.rs::one` |", "line 3: expected two cells"),
            ("", "there is no table in it"),
        ] {
            let (rows, wrong) = rows(&format!("{heading}{row}\n"));
            assert!(rows.is_empty());
            assert!(wrong.len() == 1 && wrong[0].starts_with(part), "{row}: {wrong:?}");
        }
    }

    #[test]
    fn tests_that_are_not_there_are_told_with_where_they_are() {
        let sources = Sources::from([
            ("a.rs".to_owned(), source("#[test]\nfn one() {}\nfn two() {}\n")),
            ("b.rs".to_owned(), source("#[test]\nfn moved() {}\n")),
        ]);
        let said = |test: &str| {
            let row = Row { line: 7, rule: "a rule".to_owned(), tests: vec![test.to_owned()] };
            unproven(&[row], &sources).join("\n")
        };
        assert_eq!(said("a.rs::one"), "");
        assert_eq!(
            said("a.rs::two"),
            "line 7: a rule: `a.rs::two`: a.rs has no such test that runs; name another test, or write this one"
        );
        assert!(
            said("a.rs::moved").ends_with("a.rs has no such test that runs; a test of this name is in b.rs")
        );
        assert!(said("c.rs::one").ends_with("c.rs does not exist; a test of this name is in a.rs"));
        assert!(said("one").contains("expected FILE::NAME"));
    }

    #[test]
    fn recorded_cases_are_read_by_tests_only() {
        let sources = Sources::from([
            ("a.rs".to_owned(), source("use golden::Case;\n#[test]\nfn one() { Case::read(\"head\"); }\n")),
            (
                "b.rs".to_owned(),
                source("#[test]\nfn two() { read(\"tests/golden/old.torch\"); plugin(\"text\"); }\n"),
            ),
            ("c.rs".to_owned(), source("fn golden() { Case::read(\"edges\"); }\n")),
            ("d.rs".to_owned(), source("#[test]\nfn three() { plugin(\"other\"); }\n")),
            ("xtask/e.rs".to_owned(), source("#[test]\nfn four() { read(\"golden/edges.json\"); }\n")),
        ]);
        let files = ["head.json", "old.torch", "text.json", "edges.json", "older.torch", "other.json"]
            .map(str::to_owned);
        let unread = unread(&files, &sources);
        // The second source speaks of golden cases, so that its other word counts too.
        let names = ["edges.json", "older.torch", "other.json"];
        assert_eq!(unread.len(), names.len(), "{unread:?}");
        for (said, name) in unread.iter().zip(names) {
            assert!(said.starts_with(&format!("tests/golden/{name} is read by no test")), "{said}");
        }
    }

    #[test]
    fn a_folder_is_checked_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let table =
            |test: &str| write(TABLE, &format!("| rule | tests |\n|---|---|\n| it reads | `{test}` |\n"));
        write("tests/golden/head.json", "{}");
        write("tests/golden/README.md", "what this is");
        write("tests/tests/head.rs", "#[test]\nfn it_reads() { read(\"head.json\"); }\n");
        write("target/debug/built.rs", "#[test]\nfn built() {}\n");
        table("tests/tests/head.rs::it_reads");
        check(folder.path()).unwrap();

        write("tests/golden/new.ckpt", "");
        table("target/debug/built.rs::built");
        let said = check(folder.path()).unwrap_err().to_string();
        for part in
            ["line 3: it reads: `target/debug/built.rs::built`", "tests/golden/new.ckpt is read by no test"]
        {
            assert!(said.contains(part), "no {part:?} in {said}");
        }
    }
}
