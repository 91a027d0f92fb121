//! Texts of clusters, rules and receivers, made safe for a terminal.

/// Replaces control characters, which a terminal would obey and which would end a line.
pub fn plain(text: &str) -> String {
    text.chars().map(|one| if one.is_control() { ' ' } else { one }).collect()
}

/// The number of bytes that [`beginning`] looks at. A file may begin with blank lines.
const LOOKED_AT: usize = 4096;
/// The most characters of a file that [`beginning`] quotes.
const QUOTED: usize = 30;

/// Describes the beginning of a file of an unexpected kind. Its first line is quoted if it is text.
pub fn beginning(bytes: &[u8]) -> String {
    let bytes = bytes.get(..LOOKED_AT).unwrap_or(bytes).trim_ascii_start();
    if bytes.is_empty() {
        return "it is empty".to_owned();
    }
    if bytes.starts_with(b"\0asm") {
        return "it is WebAssembly".to_owned();
    }
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text: String = String::from_utf8_lossy(line).chars().take(QUOTED).collect();
    let text = text.trim_end();
    if text.chars().any(|one| one.is_control() && one != '\t') || text.contains('\u{fffd}') {
        return "it begins with bytes that are no text".to_owned();
    }
    format!("it begins with {text:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_file_is_quoted_if_it_is_text() {
        assert_eq!(beginning(b"import sys\nprint()\n"), "it begins with \"import sys\"");
        assert_eq!(beginning(b" \n#!/bin/sh\n"), "it begins with \"#!/bin/sh\"");
        assert_eq!(beginning(b"\x1b[31m\n"), "it begins with bytes that are no text");
        assert_eq!(beginning(b"\0asm\x01\0\0\0"), "it is WebAssembly");
        assert_eq!(beginning(b"\n\n"), "it is empty");
        let long = beginning("x".repeat(LOOKED_AT * 2).as_bytes());
        assert_eq!(long, format!("it begins with {:?}", "x".repeat(QUOTED)));
    }
}
