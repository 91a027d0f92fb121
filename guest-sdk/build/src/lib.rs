//! Builds a rule written in Rust: finds a compiler for `wasm32-unknown-unknown`, compiles the
//! crate, and makes the module a component.
//!
//! It knows nothing of the engine, so the developer's commands and `klaxon rule build` share it at
//! little cost.

mod compile;
mod component;
mod rule;
mod toolchain;

pub use compile::{Crate, compile};
pub use component::{componentize, is_component};
pub use rule::RuleFolder;
pub use toolchain::Toolchain;

/// Why a rule could not be built, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No compiler for the target was found or could be installed.
    #[error(
        "no Rust compiler for {target} was found{why}; hint: `rustup target add {target}`, or on \
         Debian `apt-get install --no-install-recommends rustc-web rust-web-src`",
        target = toolchain::TARGET
    )]
    NoTarget {
        /// What was tried and how it failed; empty or starting with `: `.
        why: String,
    },
    /// A program could not be run.
    #[error("cannot run `{program}`: {source}")]
    Run {
        /// Its name.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// A folder without a crate.
    #[error(
        "{folder} has no Cargo.toml; hint: name the folder of a rule, or make one with `klaxon rule \
         new`"
    )]
    NoCrate {
        /// The folder.
        folder: std::path::PathBuf,
    },
    /// Cargo said no; its own words went to stderr.
    #[error("cargo could not build {package} for {target} (see above)", target = toolchain::TARGET)]
    Compile {
        /// The package.
        package: String,
    },
    /// The package built, but made no module.
    #[error("{package} made no .wasm; hint: give its [lib] `crate-type = [\"cdylib\", \"rlib\"]`")]
    NoModule {
        /// The package.
        package: String,
    },
    /// The bytes are not a module that can be made a component.
    #[error("cannot make a component of the module: {why}")]
    Component {
        /// What `wit-component` says.
        why: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Where.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
