//! Opening libtorch and the engine, and handing the engine its one request. The `unsafe` of the program is here and in
//! `allocator.rs`: the dynamic loader, and calls of two C functions.
//!
//! libtorch's libraries are opened by path and globally, so that what the engine and the plugins need is met by them
//! wherever they lie. `libtorch.so` itself is not among them: it is an empty shell that pulls in the CUDA libraries, which are
//! opened only when a GPU is asked for ([`crate::cuda`]).

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::error::Error as _;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::slice;

use crate::allocator;
use crate::cuda::{self, Scope};
use kiwi_core::device::{AskedDevice, DeviceChoice};
use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::libtorch::{Libtorch, Search};
use kiwi_core::plugins::search::{engine_file_name, places_of};
use kiwi_core::request::{ENGINE_ENTRY, Message, Request};
use kiwi_plugin_metadata::TORCH_VERSION;
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LOCAL, RTLD_NOW};

type Send = unsafe extern "C" fn(context: *mut c_void, message: *const u8, length: usize);
type Run = unsafe extern "C" fn(request: *const u8, length: usize, send: Send, context: *mut c_void) -> i32;
type AbiVersion = unsafe extern "C" fn() -> u64;

/// Sees that libtorch and the engine are there, with what `device` needs of libtorch, and opens none of it.
///
/// # Errors
///
/// One of them is missing.
pub(crate) fn look_for(
    device: &AskedDevice,
    libtorch: Option<PathBuf>,
    program: &Path,
) -> Result<(), Failure> {
    let libtorch =
        Search::of_command(libtorch, program.to_owned()).find().map_err(|error| error.failure())?;
    find_engine(program)?;
    if device.choice != DeviceChoice::Cpu {
        cuda::find(&libtorch, device)?;
    }
    Ok(())
}

/// Has the engine carry out a request, on `device`; of one that needs none it is `None`. What it says goes to `receive` as it
/// comes.
///
/// # Errors
///
/// libtorch or the engine is missing, does not load or does not fit; or a GPU is asked for that cannot be had. What goes wrong within the engine it says itself.
pub(crate) fn run(
    request: &Request,
    device: Option<&AskedDevice>,
    libtorch: Option<PathBuf>,
    program: &Path,
    receive: impl FnMut(Message),
) -> Result<i32, Failure> {
    // Looked for first, since both are told at no cost.
    let libtorch =
        Search::of_command(libtorch, program.to_owned()).find().map_err(|error| error.failure())?;
    let engine = find_engine(program)?;
    allocator::keep_freed_memory();
    open_libtorch(&libtorch)?;
    if let Some(asked) = device.filter(|asked| asked.choice != DeviceChoice::Cpu) {
        cuda::open(&libtorch, asked, open_for)?;
    }
    ask(&engine, &libtorch, request, receive)
}

/// Opens the engine, whose libtorch is open, and has it carry out a request. What it says goes to `receive` as it comes.
///
/// # Errors
///
/// The engine does not load, or is none of this program.
pub(crate) fn ask(
    engine: &Path,
    libtorch: &Libtorch,
    request: &Request,
    mut receive: impl FnMut(Message),
) -> Result<i32, Failure> {
    let engine_library = open(engine, RTLD_LOCAL).map_err(|message| {
        let error = Diagnostic::error(
            Code::ProgramIncomplete,
            format!("the engine {} cannot be opened", engine.display()),
        )
        .note(message);
        invalid(error.note(format!("libtorch is {}", libtorch.directory.display())).help(
            "install kiwi-host again, or rebuild program and engine together with `cargo build --workspace`",
        ))
    })?;
    // SAFETY: the engine, which is built with this program, exports this function with exactly this signature.
    let entry = unsafe { engine_library.get::<Run>(ENGINE_ENTRY) };
    let entry = entry.map_err(|error| {
        let message = format!("{} is not the engine of this program", engine.display());
        invalid(
            Diagnostic::error(Code::ProgramIncomplete, message)
                .note(loader_message(&error))
                .expected(format!("a library that exports `{ENGINE_ENTRY}`"))
                .help("install kiwi-host again, or rebuild program and engine together"),
        )
    })?;

    let request = serde_json::to_vec(request).map_err(|error| {
        // Only a path that is not Unicode cannot be written as JSON.
        invalid(
            Diagnostic::error(Code::NotUnicode, "the request cannot be handed to the engine")
                .note(error.to_string())
                .expected("paths that are valid Unicode"),
        )
    })?;
    let mut receiver = Receiver { receive: &mut receive };
    let context: *mut c_void = (&raw mut receiver).cast();
    // SAFETY: `request` outlives the call; `context` is the `Receiver` that `send` takes it for, is used by nothing else
    // during the call, and the engine calls `send` from the calling thread only and keeps neither beyond the call.
    let code = unsafe { entry(request.as_ptr(), request.len(), send, context) };
    Ok(code)
}

/// What the engine's context points to.
struct Receiver<'a> {
    receive: &'a mut dyn FnMut(Message),
}

/// Takes a message of the engine.
///
/// # Safety
///
/// `context` is the address of a live [`Receiver`] that nothing else uses, and `message` that of `length` readable bytes.
unsafe extern "C" fn send(context: *mut c_void, message: *const u8, length: usize) {
    // SAFETY: the caller promises that `context` is a live `Receiver` and that nothing else uses it meanwhile.
    let Some(receiver) = (unsafe { context.cast::<Receiver<'_>>().as_mut() }) else { return };
    if message.is_null() {
        return;
    }
    // SAFETY: the caller promises that `message` points to `length` readable bytes, which stay while this call lasts.
    let bytes = unsafe { slice::from_raw_parts(message, length) };
    let message = serde_json::from_slice(bytes).unwrap_or_else(|error| {
        let warning = Diagnostic::warning(
            Code::ProgramIncomplete,
            "the engine said something that this program does not understand",
        )
        .found(String::from_utf8_lossy(bytes).into_owned())
        .note(error.to_string())
        .help("install kiwi-host again: program and engine must be of one version");
        Message::Diagnostics(vec![warning])
    });
    (receiver.receive)(message);
}

/// The engine's file: beside the program, else where an installation puts libraries.
pub(crate) fn find_engine(program: &Path) -> Result<PathBuf, Failure> {
    let name = engine_file_name();
    let places = places_of(&name, program);
    if let Some(found) = places.iter().find(|place| place.is_file()) {
        return Ok(found.clone());
    }
    let mut error = Diagnostic::error(
        Code::ProgramIncomplete,
        format!("the engine {name}, which belongs to this program, was not found"),
    );
    error.notes = places.iter().map(|place| format!("looked for {}", place.display())).collect();
    Err(invalid(error.help("install kiwi-host again; in a checkout, `cargo build -p kiwi-engine`")))
}

/// Opens what the engine and the plugins need of libtorch, and asks it for its version, which is the result.
///
/// # Errors
///
/// It does not load, or is of another version.
pub(crate) fn open_libtorch(libtorch: &Libtorch) -> Result<String, Failure> {
    let directory = libtorch.directory.display();
    let open = |name: &str| {
        let path = libtorch.library(&format!("{DLL_PREFIX}{name}{DLL_SUFFIX}"));
        open(&path, RTLD_GLOBAL).map_err(|message| {
            invalid(
                Diagnostic::error(
                    Code::LibtorchUnusable,
                    format!("libtorch in {directory} cannot be opened"),
                )
                .note(message)
                .help(format!(
                    "a library that it needs is missing or of another version: install torch {TORCH_VERSION} \
                     anew, with all that it depends on, or name another with --libtorch"
                )),
            )
        })
    };
    open("c10")?;
    let cpu = open("torch_cpu")?;
    // SAFETY: libtorch declares `uint64_t aoti_torch_abi_version()` with C linkage.
    let version = unsafe { cpu.get::<AbiVersion>("aoti_torch_abi_version") };
    // SAFETY: as declared, it takes nothing and only returns a constant.
    let found = version.map(|version| unsafe { version() });
    let found = match found {
        // Major, minor and patch are the three highest bytes.
        Ok(version) => {
            let [major, minor, patch, ..] = version.to_be_bytes();
            format!("{major}.{minor}.{patch}")
        }
        Err(_) => "of a version that does not tell".to_owned(),
    };
    let line = |version: &str| version.split('.').take(2).map(str::to_owned).collect::<Vec<_>>();
    if line(&found) == line(TORCH_VERSION) {
        return Ok(found);
    }
    Err(invalid(
        Diagnostic::error(
            Code::LibtorchUnusable,
            format!("libtorch in {directory} is not the version that this program is built for"),
        )
        .found(format!("torch {found}"))
        .expected(format!("torch {}.*", line(TORCH_VERSION).join(".")))
        .help(format!("name a directory of torch {TORCH_VERSION} with --libtorch")),
    ))
}

/// Opens a library for ever, as [`cuda::Open`].
pub(crate) fn open_for(library: &Path, scope: Scope) -> Result<(), String> {
    let scope = match scope {
        Scope::All => RTLD_GLOBAL,
        Scope::Own => RTLD_LOCAL,
    };
    open(library, scope).map(drop)
}

/// Opens a library for ever; whether it exports this name.
///
/// # Errors
///
/// It does not load.
pub(crate) fn exports(library: &Path, name: &str) -> Result<bool, String> {
    let library = open(library, RTLD_LOCAL)?;
    // SAFETY: nothing is done with what the name stands for.
    Ok(unsafe { library.get::<*const c_void>(name) }.is_ok())
}

/// The version of the C library that runs this program; `None` where it is not glibc.
pub(crate) fn glibc_version() -> Option<String> {
    // SAFETY: where it is there, glibc declares `const char *gnu_get_libc_version(void)`.
    let version =
        unsafe { Library::this().get::<unsafe extern "C" fn() -> *const c_char>("gnu_get_libc_version") };
    // SAFETY: as declared, it takes nothing and returns a string that ends with a zero byte and is never freed.
    let version = unsafe { CStr::from_ptr(version.ok()?()) };
    Some(version.to_string_lossy().into_owned())
}

/// Opens a library for ever: threads and exit handlers of its code may outlast whoever opened it.
fn open(path: &Path, scope: c_int) -> Result<ManuallyDrop<Library>, String> {
    // SAFETY: opening runs the library's initialisers. The libraries are libtorch's, in the directory that the user
    // chose or installed, and the engine that is installed with this program.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | scope) };
    library.map(ManuallyDrop::new).map_err(|error| loader_message(&error))
}

/// What the dynamic loader said, which stands in the error's cause.
fn loader_message(error: &libloading::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

fn invalid(diagnostic: Diagnostic) -> Failure {
    Failure::new(ExitCode::Invalid, diagnostic)
}
