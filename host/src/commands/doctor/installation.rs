//! The program, its engine, libtorch and GPUs: what was found, and how opening it went.

use std::fs;
use std::path::Path;

use kiwi_core::diagnostic::Diagnostic;
use kiwi_core::libtorch::{Libtorch, LibtorchError};
use kiwi_core::plugins::search::{engine_file_name, nccl_file_name, places_of};
use kiwi_plugin_metadata::{API_VERSION, RUSTC, TARGET, TORCH_VERSION};

use super::finding::{Finding, Level, Section};
use super::opening::{Attempt, Found, Opened};
use crate::arguments::Step;
use crate::cuda;
use crate::launch;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The program and the engine.
pub(super) fn program(program: &Path, has_libtorch: bool, opened: &Opened) -> Vec<Finding> {
    let version = Finding::ok(
        Section::Program,
        "version",
        format!("kiwi-host {VERSION} for {TARGET}, plugin API {API_VERSION}, torch {TORCH_VERSION}, built by {RUSTC}"),
    )
    .notes([format!("the program is {}", program.display())])
    .fact("version", VERSION)
    .fact("target", TARGET)
    .fact("plugin_api", API_VERSION)
    .fact("torch", TORCH_VERSION)
    .fact("rustc", RUSTC)
    .fact("program", program.display().to_string());
    vec![version, engine(program, has_libtorch, opened)]
}

fn engine(program: &Path, has_libtorch: bool, opened: &Opened) -> Finding {
    let again =
        "install kiwi-host again, or rebuild program and engine together with `cargo build --workspace`";
    let finding = |level, message: String| Finding::new(Section::Program, "engine", level, message);
    let places = places_of(&engine_file_name(), program);
    let Some(file) = places.iter().find(|place| place.is_file()) else {
        let looked = places.iter().map(|place| format!("looked for {}", place.display()));
        return finding(Level::Error, format!("{} is missing", engine_file_name())).help(again).notes(looked);
    };
    let shown = file.display().to_string();
    match opened.step(Step::Engine) {
        Some(Attempt::Found(Found::Engine(description))) if description.version == VERSION => {
            finding(Level::Ok, format!("{shown} opens, and is of this version"))
        }
        Some(Attempt::Found(Found::Engine(description))) => {
            let other = &description.version;
            finding(Level::Error, format!("{shown} is of version {other}, the program of {VERSION}"))
                .help("install both from one release")
        }
        Some(Attempt::Found(Found::Refused(why))) => refused(finding, &shown, why, again),
        Some(Attempt::Ended(how)) => finding(Level::Error, format!("{shown}: {how}")).help(again),
        Some(Attempt::Found(_)) | None => {
            let why = if has_libtorch { "libtorch does not open" } else { "there is no libtorch" };
            finding(Level::Note, format!("{shown} is there, and was not opened: {why}"))
        }
    }
    .fact("file", shown)
}

/// A finding about what does not open, by the complaint about it.
fn refused(
    finding: impl Fn(Level, String) -> Finding,
    what: &str,
    why: &Diagnostic,
    otherwise: &str,
) -> Finding {
    let message =
        if why.message.contains(what) { why.message.clone() } else { format!("{what}: {}", why.message) };
    let found = why.found.iter().map(|found| format!("found: {found}"));
    let expected = why.expected.iter().map(|expected| format!("expected: {expected}"));
    finding(Level::Error, message)
        .help(why.help.as_deref().unwrap_or(otherwise))
        .notes(found.chain(expected).chain(why.notes.iter().cloned()))
}

/// libtorch: where it was found and by which rule, and whether it opens.
pub(super) fn libtorch(found: &Result<Libtorch, LibtorchError>, opened: &Opened) -> Vec<Finding> {
    let finding = |level, message: String| Finding::new(Section::Libtorch, "libtorch", level, message);
    let libtorch = match found {
        Ok(libtorch) => libtorch,
        Err(error) => {
            let why = error.diagnostic();
            return vec![
                finding(Level::Error, why.message).help(why.help.unwrap_or_default()).notes(why.notes),
            ];
        }
    };
    let Libtorch { directory, version, origin } = libtorch;
    let by = if origin.is_explicit() { "named by" } else { "found" };
    let told = version.clone().unwrap_or_else(|| "of a version that no file tells".to_owned());
    let there = finding(Level::Ok, format!("torch {told} in {}, {by} {origin}", directory.display()))
        .fact("directory", directory.display().to_string())
        .fact("version", version.clone())
        .fact("rule", origin.to_string());
    let opens = |level, message: String| Finding::new(Section::Libtorch, "opening", level, message);
    let again = format!("install torch {TORCH_VERSION} anew, with all that it depends on");
    let opening = match opened.step(Step::Libtorch) {
        Some(Attempt::Found(Found::Version(version))) => {
            let threads = opened.engine().map(|engine| engine.threads);
            let shown = threads.map_or_else(String::new, |threads| {
                format!(
                    ", and computes in {threads} thread{} unless told otherwise",
                    if threads == 1 { "" } else { "s" }
                )
            });
            opens(Level::Ok, format!("it opens as torch {version}{shown}"))
                .fact("version", version.clone())
                .fact("threads", threads)
        }
        Some(Attempt::Found(Found::Refused(why))) => refused(opens, "it does not open", why, &again),
        Some(Attempt::Ended(how)) => opens(Level::Error, format!("it does not open: {how}")).help(again),
        Some(Attempt::Found(_)) | None => opens(Level::Error, "it was not opened".to_owned()).help(again),
    };
    vec![there, build(libtorch), opening]
}

/// Whether it can compute on GPUs.
fn build(libtorch: &Libtorch) -> Finding {
    let has_cuda = cuda::part_of(libtorch).exists();
    let version = libtorch.version.as_deref().unwrap_or_default();
    let cuda = version.split_once("+cu").map(|(_, digits)| digits).filter(|digits| digits.len() > 1);
    // The last digit is the minor version.
    let cuda = cuda.and_then(|digits| digits.split_at_checked(digits.len() - 1));
    let cuda = cuda.map(|(major, minor)| format!("{major}.{minor}"));
    let message = match (has_cuda, &cuda) {
        (true, Some(cuda)) => format!("CUDA build, for CUDA {cuda}"),
        (true, None) => "CUDA build".to_owned(),
        (false, _) => "built for the CPU only".to_owned(),
    };
    Finding::ok(Section::Libtorch, "build", message).fact("cuda", has_cuda).fact("cuda_version", cuda)
}

/// What was found out about GPUs.
pub(super) struct Gpus {
    pub(super) findings: Vec<Finding>,
    /// How many there are.
    pub(super) count: usize,
}

pub(super) fn gpus(libtorch: Option<&Libtorch>, opened: &Opened, program: &Path) -> Gpus {
    let by_files = launch::count_gpus();
    let by_libtorch = opened.engine().and_then(|engine| engine.gpus);
    let count = by_libtorch.or(by_files).unwrap_or(0);
    let driver = driver(opened, by_files);
    if driver.level != Level::Ok {
        return Gpus { findings: vec![driver], count };
    }
    let names = models();
    let shown = match count {
        0 => "none that a process sees".to_owned(),
        1 => "1".to_owned(),
        count => count.to_string(),
    };
    let list = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
    let there = match count {
        0 => Finding::new(Section::Gpus, "gpus", Level::Warning, shown)
            .help("look at `nvidia-smi` and at CUDA_VISIBLE_DEVICES, which hides GPUs"),
        _ => Finding::ok(Section::Gpus, "gpus", format!("{shown}{list}")),
    };
    let there = there
        .fact("count", count)
        .fact("by_files", by_files)
        .fact("by_libtorch", by_libtorch)
        .fact("models", names);
    let mut findings = vec![driver, there];
    if let Some(libtorch) = libtorch {
        findings.push(cuda_part(libtorch, opened));
        findings.push(nccl(opened, program, count));
    }
    Gpus { findings, count }
}

fn driver(opened: &Opened, by_files: Option<usize>) -> Finding {
    let finding = |level, message: String| Finding::new(Section::Gpus, "driver", level, message);
    let version = driver_version();
    match opened.step(Step::Driver) {
        Some(Attempt::Found(Found::Opened)) => {
            let shown = version.as_deref().unwrap_or("of a version that it does not tell");
            finding(Level::Ok, format!("NVIDIA driver {shown}, whose {} opens", cuda::DRIVER))
        }
        Some(Attempt::Found(Found::Refused(why))) if by_files == Some(0) && version.is_none() => {
            finding(Level::Note, "no NVIDIA driver and no GPU: runs compute on the CPU".to_owned())
                .notes(why.notes.iter().cloned())
        }
        Some(Attempt::Found(Found::Refused(why))) => {
            let message = format!("there is a GPU, and it cannot be used: {}", why.message);
            finding(Level::Warning, message)
                .help(why.help.clone().unwrap_or_default())
                .notes(why.notes.iter().cloned())
        }
        Some(Attempt::Ended(how)) => finding(Level::Warning, format!("{}: {how}", cuda::DRIVER))
            .help("install the driver anew; `nvidia-smi` shows whether it works"),
        Some(Attempt::Found(_)) | None => {
            finding(Level::Note, "it was not looked for: libtorch does not open".to_owned())
        }
    }
    .fact("version", version)
}

/// What the driver's own file says, as in `Kernel Module  580.65.06  …`.
fn driver_version() -> Option<String> {
    let text = fs::read_to_string("/proc/driver/nvidia/version").ok()?;
    let line = text.lines().find(|line| line.starts_with("NVRM"))?;
    let is_version = |word: &&str| {
        word.contains('.')
            && word.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    };
    line.split_whitespace().find(is_version).map(str::to_owned)
}

/// The GPUs that the driver tells of by their files.
fn models() -> Vec<String> {
    let gpus = fs::read_dir("/proc/driver/nvidia/gpus").into_iter().flatten().flatten();
    let mut files: Vec<_> = gpus.map(|gpu| gpu.path().join("information")).collect();
    files.sort();
    let texts = files.iter().filter_map(|file| fs::read_to_string(file).ok());
    texts
        .filter_map(|text| {
            let model = text.lines().find_map(|line| line.strip_prefix("Model:"));
            model.map(|model| model.trim().to_owned())
        })
        .collect()
}

fn cuda_part(libtorch: &Libtorch, opened: &Opened) -> Finding {
    let finding = |level, message: String| Finding::new(Section::Gpus, "cuda_part", level, message);
    let anew = format!("install the CUDA build of torch {TORCH_VERSION} with all that it depends on");
    if !cuda::part_of(libtorch).exists() {
        let message = "libtorch has none, and runs compute on the CPU".to_owned();
        return finding(Level::Warning, message).help(format!("to use the GPU {anew}"));
    }
    match opened.step(Step::Cuda) {
        Some(Attempt::Found(Found::Opened)) => {
            finding(Level::Ok, "the CUDA part of libtorch opens".to_owned())
        }
        Some(Attempt::Found(Found::Refused(why))) => finding(Level::Warning, why.message.clone())
            .help(why.help.clone().unwrap_or(anew))
            .notes(why.notes.iter().cloned()),
        Some(Attempt::Ended(how)) => {
            finding(Level::Warning, format!("the CUDA part of libtorch: {how}")).help(anew)
        }
        Some(Attempt::Found(_)) | None => {
            finding(Level::Note, "the CUDA part of libtorch was not opened".to_owned())
        }
    }
}

/// By what gradients are summed over several GPUs.
fn nccl(opened: &Opened, program: &Path, gpus: usize) -> Finding {
    let matters = if gpus > 1 { Level::Warning } else { Level::Note };
    let finding = |level, message: String| Finding::new(Section::Gpus, "nccl", level, message);
    let slow = "over several GPUs gradients would be summed by way of the CPU, which is slow";
    let build = "build it with `cargo build --release -p kiwi-nccl --features nccl`, and put its library beside the program";
    let places = places_of(&nccl_file_name(), program);
    let Some(file) = places.iter().find(|place| place.is_file()) else {
        return finding(matters, format!("{} is not there: {slow}", nccl_file_name())).help(build);
    };
    let shown = file.display().to_string();
    match opened.step(Step::Nccl) {
        Some(Attempt::Found(Found::Nccl(true))) => finding(Level::Ok, format!("{shown} opens")),
        Some(Attempt::Found(Found::Nccl(false))) => {
            finding(matters, format!("{shown} was built without NCCL: {slow}")).help(build)
        }
        Some(Attempt::Found(Found::Refused(why))) => {
            finding(matters, format!("{shown} does not open: {}; {slow}", why.message)).help(build)
        }
        Some(Attempt::Ended(how)) => finding(matters, format!("{shown}: {how}; {slow}")).help(build),
        Some(Attempt::Found(_)) | None => {
            finding(Level::Note, format!("{shown} was not opened: the CUDA part of libtorch is not open"))
        }
    }
    .fact("file", shown)
}
