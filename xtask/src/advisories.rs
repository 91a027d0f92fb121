//! `cargo xtask advisories`: known vulnerabilities and yanked versions among the dependencies.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::tools;
use crate::workspace::root;

/// Maximum time to fetch and search the database: a network that drops packets must not block the checks.
const LIMIT: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(50);

/// Result of checking the advisories.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Clean,
    /// There are findings, or the database could not be fetched; the printed output has the details.
    Reported,
    /// The check took too long and was stopped.
    Stopped,
}

/// Checks the dependencies against the advisory database. Findings, and a database that cannot be fetched,
/// are printed as a warning; neither is an error.
pub(crate) fn report() {
    let outcome = tools::cargo_deny().and_then(|program| {
        eprintln!("\n$ cargo deny check advisories");
        bounded(Command::new(program).args(["check", "advisories"]).current_dir(root()), LIMIT)
    });
    match outcome {
        Ok(Ended::Clean) => {
            println!("advisories: no findings; yanked versions, if any, are warned of above")
        }
        Ok(Ended::Reported) => eprintln!(
            "warning: advisories: there are findings, or the database could not be fetched (see above); \
             hint: update what is named, or list it with a reason under [advisories] in deny.toml"
        ),
        Ok(Ended::Stopped) => eprintln!(
            "warning: advisories: not checked within {} s; hint: is github.com reachable?",
            LIMIT.as_secs()
        ),
        Err(error) => eprintln!("warning: advisories: not checked: {error:#}"),
    }
}

/// Runs a command with a time limit.
#[expect(clippy::disallowed_methods, reason = "a real network is waited for, in real time")]
fn bounded(command: &mut Command, limit: Duration) -> Result<Ended> {
    let mut child = command.spawn().context("cannot be run")?;
    let since = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(if status.success() { Ended::Clean } else { Ended::Reported });
        }
        if since.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(Ended::Stopped);
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_and_a_hang_are_reported_and_no_errors() {
        let ended =
            |script: &str, limit| bounded(Command::new("sh").args(["-c", script]), limit).unwrap();
        let patient = Duration::from_secs(600);
        assert_eq!(ended("exit 0", patient), Ended::Clean);
        assert_eq!(ended("exit 1", patient), Ended::Reported);
        assert_eq!(ended("exec sleep 600", Duration::ZERO), Ended::Stopped);
    }
}
