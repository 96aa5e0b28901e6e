//! What was complained about, for those who read no more than the end of a command: people by its last line, a launcher by a file.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use kiwi_core::diagnostic::{Diagnostic, Severity};
use kiwi_core::environment;
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use serde_json::{Value, json};

use crate::print;

/// Complaints that were printed.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The messages of the errors among them.
    errors: Vec<String>,
    /// Their codes, each once.
    codes: Vec<Code>,
    /// Whether nothing is said but what is wrong.
    quiet: bool,
    /// All complaints.
    all: Vec<Diagnostic>,
    /// All of them, as they were printed.
    text: String,
}

impl Told {
    /// Nothing yet. `quiet`: nothing will be said but what is wrong.
    pub(crate) fn new(quiet: bool) -> Self {
        Self { quiet, ..Self::default() }
    }

    /// Prints complaints, and remembers them.
    pub(crate) fn tell(&mut self, diagnostics: &[Diagnostic]) {
        print::diagnostics(diagnostics);
        let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
        for error in errors {
            self.errors.push(error.message.clone());
            if !self.codes.contains(&error.code) {
                self.codes.push(error.code);
            }
        }
        self.text += &print::plain(diagnostics);
        self.all.extend_from_slice(diagnostics);
    }

    /// All that was told, as programs read it: an object with `errors` and `warnings`.
    pub(crate) fn to_json(&self) -> Value {
        let of = |severity: Severity| -> Vec<Value> {
            self.all.iter().filter(|one| one.severity == severity).map(Diagnostic::to_json).collect()
        };
        json!({"errors": of(Severity::Error), "warnings": of(Severity::Warning)})
    }

    /// Says at the end of a command what became of it, where it failed.
    pub(crate) fn end(&self, command: &str, code: i32) {
        if code == ExitCode::Success.number() {
            return;
        }
        // Who reads the pages needs no word of them.
        if !self.quiet && command != "explain" {
            print::more_about(&self.codes);
        }
        print::ending(command, code, &self.errors);
        let interrupted = [ExitCode::InterruptedResumable, ExitCode::Interrupted].map(ExitCode::number);
        let file = env::var_os(environment::TORCHELASTIC_ERROR_FILE.name).filter(|file| !file.is_empty());
        if let (Some(file), Some(first), false) = (file, self.errors.first(), interrupted.contains(&code)) {
            let file = PathBuf::from(file);
            if let Err(error) = self.write(first, &file) {
                let warning = Diagnostic::warning(
                    Code::TrackingWarns,
                    format!("the launcher cannot be told of the error: {error}"),
                )
                .found(file.display().to_string())
                .expected(format!(
                    "a file that can be written, in {}",
                    environment::TORCHELASTIC_ERROR_FILE.name
                ))
                .help("look at what stands above, which is all of it");
                print::diagnostics(&[warning]);
            }
        }
    }

    /// Writes the file in which torch's elastic launcher looks for why a process failed. It is complete or not there.
    fn write(&self, first: &str, file: &Path) -> io::Result<()> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let extra = json!({"py_callstack": self.text, "timestamp": time.to_string()});
        let content = json!({"message": {"message": first, "extraInfo": extra}});
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut written = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        serde_json::to_writer(&mut written, &content)?;
        written.persist(file)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_says_the_first_error_and_all_that_was_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut told = Told::default();
        told.tell(&[
            Diagnostic::warning(Code::OddText, "odd"),
            Diagnostic::error(Code::Internal, "first").help("mend it"),
        ]);
        told.tell(&[Diagnostic::error(Code::Internal, "second")]);
        let file = folder.path().join("error.json");
        std::fs::write(&file, "what an earlier process left").unwrap();
        told.write(&told.errors[0], &file).unwrap();
        let content: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(content["message"]["message"], "first");
        let extra = &content["message"]["extraInfo"];
        let text = "warning[W0281]: odd\nerror[E0611]: first\n  help: mend it\nerror[E0611]: second\n";
        assert_eq!(extra["py_callstack"], text);
        assert!(extra["timestamp"].as_str().unwrap().parse::<u64>().unwrap() > 1_700_000_000);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        assert!(told.write("first", &folder.path().join("missing/error.json")).is_err());
    }
}
