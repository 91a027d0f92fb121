//! Recognition of a text's form: times, numbers, quantities, ids, identifiers.

use super::address::ends_before;

/// Returns `true` for characters at which names are split. They stay, because rules split names at them too.
pub(super) fn is_separator(character: char) -> bool {
    matches!(character, '-' | '.' | '_' | '/' | ':' | '@')
}

/// Returns `true` for a complete RFC 3339 time, the form of all times of the API.
pub(super) fn is_time(text: &str) -> bool {
    // jiff accepts more forms than RFC 3339, for example names of time zones.
    let plain = |byte: u8| byte.is_ascii_digit() || b"TZ:.+-".contains(&byte);
    (20..=35).contains(&text.len())
        && text.bytes().all(plain)
        && text.parse::<jiff::Timestamp>().is_ok()
}

/// Returns `true` for a time that may lack its offset: a word of a message can contain only that part of a
/// time.
pub(super) fn is_local_time(text: &str) -> bool {
    is_time(text) || (text.len() >= 19 && is_time(&format!("{text}Z")))
}

/// Returns `true` for decimal digits, at least one and at most `digits`.
pub(super) fn is_number(text: &str, digits: usize) -> bool {
    !text.is_empty() && text.len() <= digits && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns `true` for a number as in messages: 12, 0/3, 0.5, 12:30:45, v1.34.0, 10s, 1m30s, 64Mi. Four
/// numbers in a row may be an address, so they do not count.
pub(super) fn is_measure(text: &str) -> bool {
    let text = text.strip_prefix('v').filter(|text| text.contains('.')).unwrap_or(text);
    let mut segments = 0;
    text.split(is_separator).all(|segment| {
        segments += 1;
        is_counted(segment)
    }) && segments <= 3
}

const UNITS: [&str; 28] = [
    "s", "ms", "us", "ns", "m", "h", "d", "u", "n", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi",
    "Ti", "Pi", "Ei", "B", "kB", "KB", "MB", "GB", "MiB", "GiB",
];

/// Returns `true` for digits with an optional unit, possibly repeated, as in durations.
fn is_counted(text: &str) -> bool {
    let mut rest = text;
    loop {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let Some((number, after)) = rest.split_at_checked(digits) else { return false };
        if !is_number(number, 6) {
            return false;
        }
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let Some((unit, next)) = after.split_at_checked(end) else { return false };
        if !unit.is_empty() && !UNITS.contains(&unit) {
            return false;
        }
        if next.is_empty() {
            return true;
        }
        rest = next;
    }
}

/// Returns `true` for a quantity of a resource: 100m, 1Gi, 0.5, 1e3, 16426484Ki.
pub(super) fn is_quantity(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let Some((number, unit)) = text.split_at_checked(end) else { return false };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let exponent = unit
        .strip_prefix(['e', 'E'])
        .is_some_and(|digits| is_number(digits.strip_prefix(['+', '-']).unwrap_or(digits), 2));
    is_number(whole, 20)
        && is_number(fraction, 9)
        && (unit.is_empty() || exponent || UNITS.contains(&unit))
}

/// Recognizes a UUID at the start of a text.
pub(super) fn uuid(text: &str) -> Option<&str> {
    let (start, rest) = text.split_at_checked(36)?;
    let shaped = start.bytes().enumerate().all(|(index, byte)| {
        if matches!(index, 8 | 13 | 18 | 23) { byte == b'-' } else { byte.is_ascii_hexdigit() }
    });
    (shaped && ends_before(rest)).then_some(start)
}

/// Returns `true` for a valid name of an API field; `x-kubernetes-…` occurs in schemas.
pub(super) fn is_identifier(key: &str) -> bool {
    key.starts_with("x-kubernetes-")
        || key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_$".contains(&byte))
}
