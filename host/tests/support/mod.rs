//! An installation of its own for each test: the program in a folder where it finds nothing that the build left, no
//! environment, and, where asked for, an engine and a libtorch that are small C libraries.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

pub struct Installation {
    folder: TempDir,
}

impl Installation {
    pub fn new() -> Self {
        let installation = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(installation.at("bin")).unwrap();
        let (built, program) = (env!("CARGO_BIN_EXE_kiwi-host"), installation.program());
        if fs::hard_link(built, &program).is_err() {
            fs::copy(built, &program).unwrap();
        }
        fs::create_dir(installation.at("plugins")).unwrap();
        installation
    }

    pub fn at(&self, name: &str) -> PathBuf {
        // As the program sees its own folder, with symbolic links resolved.
        fs::canonicalize(self.folder.path()).unwrap().join(name)
    }

    fn program(&self) -> PathBuf {
        self.at("bin/kiwi-host")
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// The program, with no environment but a home.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program());
        command.args(arguments).env_clear().env("HOME", self.at("home")).current_dir(self.folder.path());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(&mut self.command(arguments))
    }

    /// A C library; needs no header.
    pub fn library(&self, name: &str, source: &str) -> PathBuf {
        let (path, c) = (self.at(name), self.at("library.c"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&c, source).unwrap();
        let status = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&path).arg(&c).status().unwrap();
        assert!(status.success());
        path
    }

    /// Something that passes for libtorch of this version, beside the program.
    pub fn libtorch(&self, version: [u8; 3]) -> PathBuf {
        let [major, minor, patch] = version.map(u64::from);
        let number = (major << 56) | (minor << 48) | (patch << 40);
        self.library("torch/lib/libc10.so", "");
        let source = format!("unsigned long long aoti_torch_abi_version(void) {{ return {number}ull; }}");
        self.library("torch/lib/libtorch_cpu.so", &source);
        self.at("torch")
    }

    /// An engine that sends these messages and returns this code.
    pub fn engine(&self, messages: &[&str], code: i32) {
        let mut source = "typedef void (*Send)(void *, const char *, unsigned long);\n\
                          int kiwi_engine_run(const char *request, unsigned long length, Send send, void *context) {\n"
            .to_owned();
        for message in messages {
            let quoted = format!("{message:?}");
            source += &format!("    send(context, {quoted}, sizeof({quoted}) - 1);\n");
        }
        source += &format!("    return {code};\n}}\n");
        self.library("bin/libkiwi_engine.so", &source);
    }
}

/// How a run of the program ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let outcome =
            Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
        assert!(!outcome.stderr.contains("panicked"), "{outcome:#?}");
        outcome
    }

    #[track_caller]
    pub fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    #[track_caller]
    pub fn stderr_has(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in {self:#?}");
        }
        self
    }

    #[track_caller]
    pub fn stdout_has(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stdout.contains(part), "no {part:?} in {self:#?}");
        }
        self
    }
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
