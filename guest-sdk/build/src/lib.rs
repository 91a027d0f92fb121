//! Builds a rule written in Rust: finds a compiler for `wasm32-unknown-unknown`, compiles the crate, and
//! converts the module to a component.
//!
//! This crate does not depend on the engine, so `cargo xtask` and `klaxon rule build` can share it without a
//! large dependency.

mod compile;
mod component;
mod rule;
mod toolchain;

pub use compile::{Crate, compile};
pub use component::{componentize, is_component};
pub use rule::RuleFolder;
pub use toolchain::Toolchain;

/// Error of building a rule, with a hint.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No compiler for the target was found or could be installed.
    #[error(
        "no Rust compiler for {target} was found{why}; hint: `rustup target add {target}`, or on \
         Debian `apt-get install --no-install-recommends rustc-web rust-web-src`",
        target = toolchain::TARGET
    )]
    NoTarget {
        /// The attempts and their errors; empty or starting with `: `.
        why: String,
    },
    /// A program could not be run.
    #[error("cannot run `{program}`: {source}")]
    Run {
        /// Name of the program.
        program: String,
        /// The cause.
        source: std::io::Error,
    },
    /// The folder cannot be read.
    #[error("{}: {source}; hint: name a rule's folder, or make one with `klaxon rule new`", folder.display())]
    NoFolder {
        /// The folder.
        folder: std::path::PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The folder contains no crate.
    #[error(
        "{folder} has no Cargo.toml; hint: name the folder of a rule, or make one with `klaxon rule \
         new`"
    )]
    NoCrate {
        /// The folder.
        folder: std::path::PathBuf,
    },
    /// Cargo failed; its errors were printed on stderr.
    #[error("cargo could not build {package} for {target} (see above)", target = toolchain::TARGET)]
    Compile {
        /// The package.
        package: String,
    },
    /// The package was built, but has no module.
    #[error("{package} made no .wasm; hint: give its [lib] `crate-type = [\"cdylib\", \"rlib\"]`")]
    NoModule {
        /// The package.
        package: String,
    },
    /// The bytes are not a module that can be converted to a component.
    #[error("cannot make a component of the module: {why}")]
    Component {
        /// The error of `wit-component`.
        why: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Path of the file.
        path: std::path::PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}
