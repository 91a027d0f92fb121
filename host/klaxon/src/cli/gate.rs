//! `klaxon gate`.

use klaxon_gate::{GateArguments, Outcome};

use super::Exit;
use super::exit::fail;

pub(super) const HELP: &str = "\
Examples:
  klaxon gate --port 9999 --file /pod/up.txt
  curl localhost:9999/up        (200, and /health answers 200 from now on)
  curl localhost:9999/down      (200, and /health answers 503 from now on)
  rm /pod/up.txt                (closes the gate too: the file is what counts)";

pub(super) fn gate(arguments: &GateArguments) -> Exit {
    match klaxon_gate::run(arguments) {
        Ok(Outcome::Done) => Exit::Success,
        Ok(Outcome::Closed) => Exit::Failure,
        Err(error) => fail(Exit::CouldNotRun, &error),
    }
}
