//! `cargo xtask gen`: writes or checks files that are derived from others.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::workspace::{root, wit_files};

const MARK: &str = "<!-- contract: ";

fn document() -> PathBuf {
    root().join("docs/contract.md")
}

/// Writes the fingerprint of the contract to the page that documents it.
pub(crate) fn run() -> Result<()> {
    fs::write(document(), expected()?).with_context(|| document().display().to_string())
}

/// Fails if a generated file is not up to date.
pub(crate) fn check() -> Result<()> {
    let page = fs::read_to_string(document()).with_context(|| document().display().to_string())?;
    if page != expected()? {
        bail!(
            "docs/contract.md does not belong to guest-sdk/wit as it is; hint: see whether the page \
             still tells the truth, then run `cargo xtask gen`"
        );
    }
    Ok(())
}

fn expected() -> Result<String> {
    let page = fs::read_to_string(document()).with_context(|| document().display().to_string())?;
    let fingerprint = fingerprint()?;
    let lines = page.lines().map(|line| {
        if line.starts_with(MARK) { format!("{MARK}{fingerprint} -->") } else { line.to_owned() }
    });
    Ok(lines.map(|line| line + "\n").collect())
}

/// Returns the 64-bit FNV-1a hash of the contract's files in order: sufficient to notice a change.
fn fingerprint() -> Result<String> {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for path in wit_files()? {
        let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
        for byte in bytes {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    Ok(format!("{hash:016x}"))
}
