//! `plugins check`: what is wrong with a plugin, found before its users do. What can be read from the file is looked at here; whatever
//! runs code of the plugin runs in processes of its own (`process`), one after the other, each of which this program watches from
//! outside (`watch`), so that nothing that a plugin does harms it. `file` checks what the file says, `component` one component in as
//! many processes as it takes, `print` shows what was found.

mod component;
mod file;
mod print;
mod process;
mod watch;

use std::collections::BTreeMap;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::iter;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kiwi_core::device::AskedDevice;
use kiwi_core::diagnostic::{Diagnostic, Failure, nearest};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::libtorch::{Libtorch, Search};
use kiwi_core::plugin_check::{CheckedComponent, Outcome, PluginCheckRequest};
use kiwi_core::plugins::Registry;
use kiwi_core::request::Format;
use kiwi_plugin_metadata::reader::PluginMetadata;
use serde_json::{Map, Value};

use super::super::{common, program};
use super::inspect::find_file;
use crate::arguments::{CheckPluginArguments, CommonOptions};
use print::Printer;
use watch::Limits;

pub(super) use process::run as run_in_process;

/// There where NVIDIA's driver has found a GPU.
const GPU: &str = "/dev/nvidia0";

/// What the checks of one plugin share.
struct Check {
    request: PluginCheckRequest,
    limits: Limits,
    program: PathBuf,
    libtorch: PathBuf,
    options: BTreeMap<String, Value>,
    printer: Printer,
}

/// Of what a finding is.
#[derive(Clone)]
struct Place {
    /// `plugin`, or the kind of a component.
    kind: String,
    /// Class of the component.
    class: Option<String>,
    /// Where it was computed.
    device: Option<String>,
}

impl Place {
    fn plugin() -> Self {
        Self { kind: "plugin".to_owned(), class: None, device: None }
    }
}

pub(super) fn run(
    arguments: &CheckPluginArguments,
    registry: &Registry,
    common_options: &CommonOptions,
) -> Result<i32, Failure> {
    let begun = Instant::now();
    let file = find_file(&arguments.plugin, registry)
        .map_err(|failure| Failure { exit: ExitCode::Plugin, ..failure })?;
    let options = read_options(arguments.options.as_deref())?;
    let format: Format = arguments.format.into();
    let mut printer = Printer::new(format, common_options.quiet);

    let read = file::read(&file);
    let Some((metadata, sha256)) = read.usable.as_ref() else {
        printer.plugin(&file, read.metadata.as_ref())?;
        printer.all(&Place::plugin(), &read.findings)?;
        printer.summary(begun.elapsed())?;
        return Ok(ExitCode::Plugin.number());
    };
    let components = chosen(arguments, metadata)?;
    known_classes(&options, metadata, arguments.options.as_deref())?;
    let program = program()?;
    let libtorch = Search::of_command(common_options.libtorch.clone(), program.clone())
        .find()
        .map_err(|error| error.failure())?;
    let devices = devices(arguments, &libtorch)?;

    printer.plugin(&file, Some(metadata))?;
    printer.all(&Place::plugin(), &read.findings)?;
    printer.all(&Place::plugin(), &file::systems(metadata, registry))?;
    let limits = Limits {
        time: Duration::from_secs(arguments.time_limit.get()),
        memory: arguments.memory_limit.get().saturating_mul(1 << 20),
    };
    let request = PluginCheckRequest {
        file: fs::canonicalize(&file).unwrap_or(file),
        sha256: sha256.clone(),
        plugin: metadata.name.clone(),
        component: None,
        options: None,
        device: "cpu".to_owned(),
        patience: (limits.time.as_secs_f64() / 5.0).min(12.0),
        known: BTreeMap::new(),
        common: common(common_options)?,
    };
    let mut check = Check { request, limits, program, libtorch: libtorch.directory, options, printer };
    if !check.open(metadata)? {
        check.printer.summary(begun.elapsed())?;
        return Ok(ExitCode::Plugin.number());
    }
    for component in &components {
        for device in &devices {
            check.component(component, device)?;
        }
    }
    let failed = check.printer.summary(begun.elapsed())?;
    Ok(if failed { ExitCode::RunFailed } else { ExitCode::Success }.number())
}

/// The components that are asked for; systems are only names.
fn chosen(
    arguments: &CheckPluginArguments,
    metadata: &PluginMetadata,
) -> Result<Vec<CheckedComponent>, Failure> {
    let mut all: Vec<CheckedComponent> = Vec::new();
    for one in &metadata.components {
        let component = CheckedComponent { kind: one.kind.clone(), class: one.class.clone() };
        if !all.contains(&component) {
            all.push(component);
        }
    }
    let Some(class) = &arguments.class else { return Ok(all) };
    let found: Vec<_> = all.iter().filter(|one| one.class == *class).cloned().collect();
    if found.is_empty() {
        let classes: Vec<&str> = all.iter().map(|one| one.class.as_str()).collect();
        let error = Diagnostic::error(
            Code::NoSuchPlugin,
            format!("the plugin `{}` registers no component `{class}`", metadata.name),
        )
        .expected(format!("one of {}", classes.join(", ")))
        .nearest(nearest(class, classes.iter().copied()))
        .help("leave out --class to check all");
        return Err(Failure::new(ExitCode::Invalid, error));
    }
    Ok(found)
}

/// The devices to compute on: the one that is asked for; else the CPU, and the first GPU where libtorch has a CUDA part and the machine
/// a driver.
fn devices(arguments: &CheckPluginArguments, libtorch: &Libtorch) -> Result<Vec<String>, Failure> {
    let Some(device) = &arguments.device else {
        let with_cuda = libtorch.library(&format!("{DLL_PREFIX}torch_cuda{DLL_SUFFIX}")).exists();
        let gpu = (with_cuda && Path::new(GPU).exists()).then(|| "cuda".to_owned());
        return Ok(iter::once("cpu".to_owned()).chain(gpu).collect());
    };
    if AskedDevice::by_option(device).is_none() {
        let error = Diagnostic::error(Code::DeviceName, "--device names no device")
            .found(device)
            .expected("cpu, cuda (the first GPU) or cuda:N")
            .help("leave out --device to check on the CPU, and on a GPU where there is one");
        return Err(Failure::new(ExitCode::Invalid, error));
    }
    Ok(vec![device.clone()])
}

/// Reads the file of `--options`: a JSON object, from class to options.
fn read_options(file: Option<&Path>) -> Result<BTreeMap<String, Value>, Failure> {
    const EXPECTED: &str = "a JSON object of an object for each class, as {\"MyEncoder\": {\"size\": 8}}";
    let Some(file) = file else { return Ok(BTreeMap::new()) };
    let refuse = |message: String| {
        Failure::new(
            ExitCode::Invalid,
            Diagnostic::error(Code::Arguments, message).found(file.display().to_string()).expected(EXPECTED),
        )
    };
    let text = fs::read_to_string(file)
        .map_err(|error| refuse(format!("the file of --options cannot be read: {error}")))?;
    let options: Map<String, Value> = serde_json::from_str(&text)
        .map_err(|error| refuse(format!("the file of --options is not what it should be: {error}")))?;
    if let Some((class, _)) = options.iter().find(|(_, options)| !options.is_object()) {
        return Err(refuse(format!("the options of `{class}` in the file of --options are no object")));
    }
    Ok(options.into_iter().collect())
}

fn known_classes(
    options: &BTreeMap<String, Value>,
    metadata: &PluginMetadata,
    file: Option<&Path>,
) -> Result<(), Failure> {
    let classes: Vec<&str> = metadata.components.iter().map(|one| one.class.as_str()).collect();
    let Some(unknown) = options.keys().find(|class| !classes.contains(&class.as_str())) else {
        return Ok(());
    };
    let mut error = Diagnostic::error(
        Code::NoSuchPlugin,
        format!(
            "the file of --options has options for `{unknown}`, which the plugin `{}` does not register",
            metadata.name
        ),
    )
    .expected(format!("one of {}", classes.join(", ")))
    .nearest(nearest(unknown, classes.iter().copied()))
    .help("correct the class in the file");
    error.found = file.map(|file| file.display().to_string());
    Err(Failure::new(ExitCode::Invalid, error))
}

impl Check {
    /// Opens the plugin and compares what it registers with what the file says; whether it opened.
    fn open(&mut self, metadata: &PluginMetadata) -> Result<bool, Failure> {
        let seen = watch::run(&self.program, &self.libtorch, &self.request, self.limits)?;
        let mut findings = seen.findings.clone();
        let opened =
            findings.iter().all(|finding| finding.outcome == Outcome::Pass) && seen.registered.is_some();
        findings.extend(component::how_it_ended(&seen, self.limits));
        if let Some(registered) = &seen.registered {
            findings.push(file::registry(metadata, registered));
        }
        self.printer.all(&Place::plugin(), &findings)?;
        Ok(opened)
    }
}
