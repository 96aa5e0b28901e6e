//! The program `kiwi-host`: reads its arguments, finds out what is wrong before anything heavy starts, and hands the work
//! to the engine, a library that it opens once libtorch is found. The program itself does not link libtorch, so that
//! help, plugin listings and complaints are there at once, whether libtorch is or not.
//!
//! Not here: anything about training. That is the engine's.

mod allocator;
mod arguments;
mod commands;
mod cuda;
mod engine;
mod launch;
mod output;
mod print;
mod signals;
mod terminal;

fn main() {
    let arguments = arguments::Arguments::of_program();
    let code = commands::run(arguments);
    // Not by returning: the engine's and the plugins' libraries are never unloaded, and their threads may still live.
    std::process::exit(code)
}
