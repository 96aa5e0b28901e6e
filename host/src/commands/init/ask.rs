//! Questions for what was not given: plain lines on standard error, answers from standard input. Every question but the first two
//! has a default, which an empty line takes.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use clap::ValueEnum;
use kiwi_text::ParallelFiles;

use super::Task;
use crate::arguments::{DeviceArgument, SizeArgument};

/// What the arguments gave.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) train: Option<ParallelFiles>,
    pub(super) valid: Option<ParallelFiles>,
    pub(super) test: Option<ParallelFiles>,
    pub(super) size: Option<SizeArgument>,
    pub(super) device: Option<DeviceArgument>,
    pub(super) output: Option<PathBuf>,
}

const OUTPUT: &str = "config.json";

impl Given {
    /// The task, with a default for what was not given.
    pub(super) fn with_defaults(self) -> Task {
        Task {
            train: self.train.unwrap_or_default(),
            valid: self.valid,
            test: self.test,
            size: self.size,
            device: self.device.unwrap_or(DeviceArgument::Auto),
            output: self.output.unwrap_or_else(|| PathBuf::from(OUTPUT)),
        }
    }
}

/// Asks for all that was not given.
///
/// # Errors
/// The input ends before a question is answered, or cannot be read.
pub(super) fn ask(mut given: Given, input: &mut impl BufRead, out: &mut impl Write) -> io::Result<Task> {
    let mut asker = Asker { input, out };
    let train = match given.train.take() {
        Some(files) => files,
        None => {
            let source =
                asker.file("Training corpus, source side (a text file, one sentence a line)", false)?;
            let target = asker.file("Training corpus, target side", false)?;
            files(source, target)
        }
    };
    given.train = Some(train);
    if given.valid.is_none() {
        let source = asker
            .file("Validation corpus, source side (nothing: hold out a part of the training corpus)", true)?;
        if !source.is_empty() {
            let target = asker.file("Validation corpus, target side", false)?;
            given.valid = Some(files(source, target));
        }
    }
    if given.size.is_none() {
        given.size = asker.choice("Size of the model", "by corpus and device")?;
    }
    if given.device.is_none() {
        given.device = asker.choice("Device", "auto")?;
    }
    if given.output.is_none() {
        let answer = asker.line("Config to write", Some(OUTPUT))?;
        given.output = Some(PathBuf::from(if answer.is_empty() { OUTPUT } else { &answer }));
    }
    Ok(given.with_defaults())
}

fn files(source: Vec<PathBuf>, target: Vec<PathBuf>) -> ParallelFiles {
    ParallelFiles { source, target, post_edit: None }
}

struct Asker<'a, I, O> {
    input: &'a mut I,
    out: &'a mut O,
}

impl<I: BufRead, O: Write> Asker<'_, I, O> {
    /// The answer to a question, without the spaces around it.
    fn line(&mut self, question: &str, default: Option<&str>) -> io::Result<String> {
        match default {
            Some(default) => write!(self.out, "{question} [{default}]: ")?,
            None => write!(self.out, "{question}: ")?,
        }
        self.out.flush()?;
        let mut answer = String::new();
        if self.input.read_line(&mut answer)? == 0 {
            writeln!(self.out)?;
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the input has ended"));
        }
        Ok(answer.trim().to_owned())
    }

    /// A file that is there; asked again until it is. None for an empty answer, where that is one.
    fn file(&mut self, question: &str, optional: bool) -> io::Result<Vec<PathBuf>> {
        loop {
            let answer = self.line(question, None)?;
            if answer.is_empty() && optional {
                return Ok(Vec::new());
            }
            let path = PathBuf::from(&answer);
            if path.is_file() {
                return Ok(vec![path]);
            }
            let what = if answer.is_empty() { "a file is needed" } else { "there is no such file" };
            writeln!(self.out, "  {what}")?;
        }
    }

    /// One of the values of an argument; `None` for an empty answer.
    fn choice<T: ValueEnum>(&mut self, question: &str, default: &str) -> io::Result<Option<T>> {
        let names: Vec<_> = T::value_variants()
            .iter()
            .filter_map(|one| one.to_possible_value().map(|value| value.get_name().to_owned()))
            .collect();
        loop {
            let answer = self.line(&format!("{question} ({})", names.join(", ")), Some(default))?;
            if answer.is_empty() {
                return Ok(None);
            }
            match T::from_str(&answer, true) {
                Ok(value) => return Ok(Some(value)),
                Err(_) => writeln!(self.out, "  one of {}", names.join(", "))?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> Given {
        Given { train: None, valid: None, test: None, size: None, device: None, output: None }
    }

    #[test]
    fn what_is_wrong_is_asked_again_and_empty_lines_take_the_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.src");
        std::fs::write(&file, "a\n").unwrap();
        let file = file.display();
        let answers = format!("\nabsent\n{file}\n {file} \n\nhuge\nBASE\n\n\n");
        let mut out = Vec::new();
        let task = ask(nothing(), &mut answers.as_bytes(), &mut out).unwrap();
        assert_eq!(task.train.source, [PathBuf::from(file.to_string())]);
        assert_eq!(task.train.target, task.train.source);
        assert!(task.valid.is_none());
        assert_eq!(task.size, Some(SizeArgument::Base));
        assert_eq!(task.device, DeviceArgument::Auto);
        assert_eq!(task.output, PathBuf::from("config.json"));
        let said = String::from_utf8(out).unwrap();
        for part in
            ["a file is needed", "there is no such file", "one of small, base, large", "[config.json]"]
        {
            assert!(said.contains(part), "no {part:?} in {said}");
        }
    }

    #[test]
    fn input_that_ends_is_an_error() {
        let error = ask(nothing(), &mut "absent\n".as_bytes(), &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_was_given_is_not_asked() {
        let given = Given {
            valid: Some(files(vec!["v".into()], vec!["w".into()])),
            train: Some(files(vec!["a".into()], vec!["b".into()])),
            size: Some(SizeArgument::Small),
            device: Some(DeviceArgument::Cpu),
            output: Some("x.json".into()),
            test: None,
        };
        let mut out = Vec::new();
        let task = ask(given, &mut "".as_bytes(), &mut out).unwrap();
        assert!(out.is_empty());
        assert_eq!(task.document(), PathBuf::from("x.md"));
    }
}
