//! Causes of calls that ended early, in terms that a rule's author can act on.

use wasmtime::{Store, Trap, WasmCoreDump};

use super::answer::TOO_LARGE;
use super::deadline::OutOfTime;
use super::limits::GrowthRefused;
use super::store_data::Host;
use klaxon_model::{Failure, FailureKind};

/// Mark before the text of a panic in the rule's memory; [`PANIC_ENDS`] follows the text. A trap carries no
/// text, so the SDK's panic hook leaves it there.
const PANIC_BEGINS: &[u8] = b"\x01klaxon-panic\x02";
/// Start of the standard library's panic text. The mark alone is not sufficient, as the program contains it
/// too.
const PANIC_TEXT: &str = "panicked at ";
const PANIC_ENDS: u8 = 3;
/// Maximum length of a panic's text, in bytes.
const LONGEST_PANIC: usize = 2048;

/// Returns the failure for an error of a call into a store.
pub(super) fn failure_in(store: &Store<Host>, error: &wasmtime::Error) -> Failure {
    let (kind, message) = if let Some(out) = error.downcast_ref::<OutOfTime>() {
        (FailureKind::OutOfTime, format!("{out}; hint: do less per event, or raise `limits.cpu`"))
    } else if let Some(refused) = error.downcast_ref::<GrowthRefused>() {
        (FailureKind::OutOfMemory, refused.to_string())
    } else if is_answer_too_large(error) {
        (FailureKind::AnswerTooLarge, TOO_LARGE.to_owned())
    } else if error.downcast_ref::<Trap>() == Some(&Trap::StackOverflow) {
        (FailureKind::Trap, "the call stack is exhausted; hint: recurse less deeply".to_owned())
    } else if let Some(text) = panic_text(store, error) {
        (FailureKind::Trap, text)
    } else {
        // The root cause names the trap; the text before it is a list of code addresses.
        (FailureKind::Trap, error.root_cause().to_string())
    };
    Failure::new(kind, message)
}

fn is_answer_too_large(error: &wasmtime::Error) -> bool {
    // wasmtime does not export this error's type.
    error.chain().any(|cause| cause.to_string().contains("fuel allocated for hostcalls"))
}

/// Returns the text of a panic of the rule, such as `panicked at src/lib.rs:10:5: no container`. The rule
/// could write any text there, so the text is only shown as the rule's own message.
fn panic_text(store: &Store<Host>, error: &wasmtime::Error) -> Option<String> {
    if error.downcast_ref::<Trap>() != Some(&Trap::UnreachableCodeReached) {
        return None;
    }
    let memories = error.downcast_ref::<WasmCoreDump>()?.memories();
    memories.iter().find_map(|memory| in_memory(memory.data(store)))
}

fn in_memory(memory: &[u8]) -> Option<String> {
    // The last match counts: the program's constants lie before the data that it writes.
    let mut windows = memory.windows(PANIC_BEGINS.len());
    let start = windows.rposition(|window| window == PANIC_BEGINS)? + PANIC_BEGINS.len();
    let text = memory.get(start..memory.len().min(start + LONGEST_PANIC))?;
    let end = text.iter().position(|byte| *byte == PANIC_ENDS).unwrap_or(text.len());
    let text = String::from_utf8_lossy(text.get(..end)?);
    let words: Vec<&str> = text.split(|c: char| c.is_control() || c == ' ').collect();
    let text = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    text.starts_with(PANIC_TEXT).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_text_counts_and_is_one_line() {
        let text = |memory: &[u8]| in_memory(memory);
        assert_eq!(text(b"none"), None);
        assert_eq!(text(b"\x01klaxon-panic\x02more of the program"), None);
        let mut memory = [PANIC_BEGINS, b"\0..", PANIC_BEGINS].concat();
        memory.extend_from_slice(b"panicked at a:1:\nno pod\x03..");
        assert_eq!(text(&memory).unwrap(), "panicked at a:1: no pod");
        let endless = format!("{PANIC_TEXT}{}", "é".repeat(5000));
        let endless = [PANIC_BEGINS, endless.as_bytes()].concat();
        assert!(text(&endless).unwrap().starts_with("panicked at éé"));
    }
}
