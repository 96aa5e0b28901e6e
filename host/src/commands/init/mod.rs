//! `init`: a config that fits a corpus. [`survey`] reads the corpus, [`choices`] decides by what was found, [`document`] writes both
//! down, [`ask`] asks for what was not given.

mod ask;
mod choices;
mod document;
mod model;
mod sizes;
mod survey;

use std::fs::{File, Permissions};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use kiwi_core::device::AskedDevice;
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_text::ParallelFiles;

use super::told::Told;
use super::{CommonOptions, program};
use crate::arguments::{DeviceArgument, InitArguments, SizeArgument};
use crate::{engine, launch, print};
use choices::Choices;
use survey::Survey;

/// What a config is to be written for.
#[derive(Debug)]
struct Task {
    train: ParallelFiles,
    valid: Option<ParallelFiles>,
    test: Option<ParallelFiles>,
    /// `None`: by corpus and device.
    size: Option<SizeArgument>,
    device: DeviceArgument,
    /// The config.
    output: PathBuf,
}

impl Task {
    /// All files that are read.
    fn corpora(&self) -> impl Iterator<Item = &PathBuf> {
        let sets = [Some(&self.train), self.valid.as_ref(), self.test.as_ref()];
        sets.into_iter().flatten().flat_map(|files| files.source.iter().chain(&files.target))
    }

    /// The document beside the config.
    fn document(&self) -> PathBuf {
        self.output.with_extension("md")
    }
}

/// The device that was chosen, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Device {
    cuda: bool,
    why: String,
    /// What stands against it on this machine.
    warning: Option<String>,
}

pub(super) fn run(
    arguments: InitArguments,
    options: &CommonOptions,
    told: &mut Told,
) -> Result<i32, Failure> {
    let force = arguments.force;
    let task = task(arguments)?;
    refuse_output(&task, force)?;
    let device = device(task.device, options);
    if let Some(warning) = &device.warning {
        let warning = Diagnostic::warning(Code::NoGpu, warning.clone())
            .help("the config is written for another machine, or choose --device cpu");
        told.tell(&[warning]);
    }
    let survey = Survey::of(&task)?;
    let choices = Choices::new(&task, &survey, device)?;
    let config = document::config(&task, &choices)?;
    let text = document::document(&task, &survey, &choices);
    for (path, text) in [(task.document(), &text), (task.output.clone(), &config)] {
        write(&path, text, force).map_err(|error| unwritable(&path, &error))?;
    }
    if !options.quiet {
        print::lines(&document::summary(&task, &survey, &choices));
    }
    Ok(ExitCode::Success.number())
}

/// What the arguments ask for, and the answers where something is left to ask.
fn task(arguments: InitArguments) -> Result<Task, Failure> {
    let files = |source: Vec<PathBuf>, target| ParallelFiles { source, target, post_edit: None };
    let some = |source: Vec<PathBuf>, target| (!source.is_empty()).then(|| files(source, target));
    let given = ask::Given {
        train: some(arguments.train_source, arguments.train_target),
        valid: some(arguments.valid_source, arguments.valid_target),
        test: some(arguments.test_source, arguments.test_target),
        size: arguments.size,
        device: arguments.device,
        output: arguments.output,
    };
    if given.train.is_some() {
        return Ok(given.with_defaults());
    }
    if arguments.yes || !io::stdin().is_terminal() {
        let error = Diagnostic::error(Code::NoQuestions, "the training corpus is not named")
            .expected("--train-source FILE --train-target FILE")
            .help("name both files; on a terminal and without --yes, `kiwi-host init` asks for them");
        return Err(Failure::new(ExitCode::Invalid, error));
    }
    ask::ask(given, &mut io::stdin().lock(), &mut io::stderr().lock()).map_err(|error| {
        let error = Diagnostic::error(Code::NoQuestions, format!("a question was not answered: {error}"))
            .help("name the files by --train-source and --train-target");
        Failure::new(ExitCode::Invalid, error)
    })
}

/// The device to train on.
fn device(asked: DeviceArgument, options: &CommonOptions) -> Device {
    let usable = || {
        let there = launch::count_gpus();
        if there.is_none_or(|there| there == 0) {
            return Err("no NVIDIA GPU was found on this machine".to_owned());
        }
        let cuda = AskedDevice::by_option("cuda").ok_or("no device is called cuda")?;
        let looked =
            program().and_then(|program| engine::look_for(&cuda, options.libtorch.clone(), &program));
        looked.map_err(|failure| {
            failure.diagnostics.first().map_or_else(String::new, |one| one.message.clone())
        })
    };
    match (asked, usable()) {
        (DeviceArgument::Cpu, _) => Device { cuda: false, why: "as asked for".to_owned(), warning: None },
        (DeviceArgument::Auto, Ok(())) => {
            Device { cuda: true, why: "there is a GPU that this program can use".to_owned(), warning: None }
        }
        (DeviceArgument::Auto, Err(why)) => Device { cuda: false, why, warning: None },
        (DeviceArgument::Cuda, usable) => Device {
            cuda: true,
            why: "as asked for".to_owned(),
            warning: usable.err().map(|why| format!("`kiwi-host check` will refuse the config here: {why}")),
        },
    }
}

/// Sees that the files can be written before the corpus is read.
fn refuse_output(task: &Task, force: bool) -> Result<(), Failure> {
    let output = &task.output;
    if output.extension().is_none_or(|extension| extension != "json") {
        let error =
            Diagnostic::error(Code::Arguments, format!("{} is no name for a config", output.display()))
                .found(output.display().to_string())
                .expected("a file that ends with .json; the document beside it ends with .md")
                .help(format!("write --output {}", output.with_extension("json").display()));
        return Err(Failure::new(ExitCode::Invalid, error));
    }
    let folder = folder(output);
    if !folder.is_dir() {
        let error =
            Diagnostic::error(Code::FileUnwritable, format!("there is no folder {}", folder.display()))
                .found(output.display().to_string())
                .expected("a file in a folder that exists")
                .help("make the folder, or choose another --output");
        return Err(Failure::new(ExitCode::Invalid, error));
    }
    // Not even --force takes a corpus.
    let written = [output.clone(), task.document()];
    if let Some(file) = task.corpora().find(|file| written.iter().any(|path| is_same(path, file))) {
        let error = Diagnostic::error(Code::Arguments, format!("{} is a file of the corpus", file.display()))
            .expected("a config and a document that are none of the files to train on")
            .help("choose another --output");
        return Err(Failure::new(ExitCode::Invalid, error));
    }
    let there = |path: &PathBuf| path.symlink_metadata().is_ok();
    let errors: Vec<_> = written
        .into_iter()
        .filter(|path| there(path) && (!force || path.is_dir()))
        .map(|path| {
            let help = if path.is_dir() {
                "choose another name with --output"
            } else {
                "choose another name with --output, or replace it with --force"
            };
            Diagnostic::error(Code::FileExists, format!("{} is there already", path.display()))
                .expected("files that do not exist yet")
                .help(help)
        })
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(Failure { exit: ExitCode::Invalid, diagnostics: errors }) }
}

/// Whether two paths lead to one file that is there.
fn is_same(a: &Path, b: &Path) -> bool {
    a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes a file beside `path`, makes sure that it is on the disk, and gives it the name; of another file only if `force`.
fn write(path: &Path, text: &str, force: bool) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(".")
        .suffix(".partial")
        // As for any new file: what the umask leaves.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder(path))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    match force {
        true => file.persist(path),
        false => file.persist_noclobber(path),
    }
    .map_err(|error| error.error)?;
    File::open(folder(path))?.sync_all()
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let code = match error.kind() {
        io::ErrorKind::AlreadyExists => Code::FileExists,
        _ => Code::FileUnwritable,
    };
    let error = Diagnostic::error(code, format!("{} cannot be written: {error}", path.display()))
        .help("write elsewhere with --output");
    Failure::new(ExitCode::Invalid, error)
}
