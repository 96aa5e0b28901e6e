//! Wheels (PEP 427), the archives that `pip install` takes, for what is no Python: programs and shared libraries.
//!
//! Everything in such a wheel lies below the prefix of the environment that it is installed into: a program in `bin`, all else where
//! its path says ([`Wheel::data`]). Wheels of the same content are the same bytes. [`symbols`] reads what a file needs of the C
//! libraries, by which [`Tag`] says on which systems a wheel runs; [`version`] turns a version of Cargo into one of Python.
//!
//! Not here: which files a package of kiwi-host has (`cargo xtask dist`), and what a plugin says about itself.

pub mod symbols;
mod tag;
pub mod version;
mod wheel;

pub use tag::Tag;
pub use wheel::{Error, Project, Wheel};
