//! Selection of a compiler for the sandbox's target on this machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Error;

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_SOURCE: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";
const DEBIAN_PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];

/// A compiler that can build for `wasm32-unknown-unknown`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Toolchain {
    /// The current toolchain supports the target.
    Installed,
    /// Debian's `rustc-web` with the source of the standard library, which is built along with the crate and
    /// linked with `linker`.
    Debian {
        /// Path of a `rust-lld`.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// Finds a compiler, in this order: the current toolchain; Debian's packages; the current toolchain after
    /// `rustup target add`; Debian's packages after `apt-get install`, if this is permitted. Installed
    /// compilers come first, so that a machine without a network does not wait. `say` gets a message before
    /// anything is installed.
    ///
    /// # Errors
    /// [`Error::NoTarget`] with the attempts, and with a hint that has the commands to run.
    pub fn find(say: &mut dyn FnMut(&str)) -> Result<Self, Error> {
        if has_target() {
            return Ok(Self::Installed);
        }
        if let Some(debian) = Self::debian() {
            return Ok(debian);
        }
        let mut why = String::new();
        say(&format!("installing the target: rustup target add {TARGET}"));
        match run(Command::new("rustup").args(["target", "add", TARGET])) {
            Ok(()) if has_target() => return Ok(Self::Installed),
            Ok(()) => why.push_str(": rustup has it, but rustc does not find it"),
            Err(error) => why.push_str(&format!(": rustup target add: {error}")),
        }
        if Path::new("/usr/bin/apt-get").exists() {
            say(&format!("installing Debian's {}", DEBIAN_PACKAGES.join(" and ")));
            match apt_install() {
                Ok(()) => {
                    if let Some(debian) = Self::debian() {
                        return Ok(debian);
                    }
                    why.push_str("; apt-get installed the packages, but they cannot be used");
                }
                Err(error) => why.push_str(&format!("; apt-get: {error}")),
            }
        }
        Err(Error::NoTarget { why })
    }

    fn debian() -> Option<Self> {
        let usable = Path::new(DEBIAN_RUSTC).exists() && Path::new(DEBIAN_SOURCE).exists();
        let linker = usable.then(linker).flatten()?;
        Some(Self::Debian { linker })
    }

    /// Makes a `cargo build` command use this compiler.
    pub(crate) fn apply(&self, cargo: &mut Command) {
        match self {
            Self::Installed => {}
            Self::Debian { linker } => {
                // Debian ships no compiled library for this target. Building it needs `-Z build-std`, which a
                // stable compiler accepts only with RUSTC_BOOTSTRAP.
                cargo
                    .env("RUSTC", DEBIAN_RUSTC)
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
                    .env_remove("RUSTC_WRAPPER")
                    .args(["-Z", "build-std=std,panic_abort"]);
            }
        }
    }
}

fn has_target() -> bool {
    stdout(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]))
        .is_some_and(|libdir| Path::new(&libdir).is_dir())
}

/// Returns the path of a `rust-lld`, preferably that of the current toolchain.
fn linker() -> Option<PathBuf> {
    let sysroot = stdout(Command::new("rustc").args(["--print", "sysroot"]))?;
    let version = stdout(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "))?;
    let shipped = Path::new(&sysroot).join("lib/rustlib").join(host).join("bin/rust-lld");
    [shipped, PathBuf::from("/usr/bin/rust-lld")].into_iter().find(|path| path.exists())
}

fn apt_install() -> Result<(), String> {
    run(Command::new("apt-get").arg("update"))?;
    let mut install = Command::new("apt-get");
    install
        .args(["install", "--yes", "--no-install-recommends"])
        .args(DEBIAN_PACKAGES)
        .env("DEBIAN_FRONTEND", "noninteractive");
    run(&mut install)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message");
    Err(last.trim().to_owned())
}

fn stdout(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
