//! Texts of clusters, rules and receivers, made safe for a terminal.

/// Replaces control characters, which a terminal would obey and which would end a line.
pub fn plain(text: &str) -> String {
    text.chars().map(|one| if one.is_control() { ' ' } else { one }).collect()
}
