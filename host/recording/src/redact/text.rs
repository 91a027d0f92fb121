//! Redaction of free text: kept words, numbers and times stay, all other words are redacted like names.

use super::Redactor;
use super::public;
use super::shape::{is_local_time, is_measure, is_separator};
use super::vocabulary::is_listed;

/// Context of a word: the preceding part of the sentence.
#[derive(Default)]
struct Sentence<'a> {
    /// The previous word.
    word: &'a str,
    /// The text between the previous word and this one.
    gap: &'a str,
    /// `true` within square brackets.
    bracketed: bool,
}

/// Nouns that precede the name of an object of that kind in a message.
const NOUNS: &str = "
claim configmap container cronjob daemonset deployment host image job namespace node
persistentvolumeclaim pod pvc replicaset secret service serviceaccount set statefulset
storageclass volume
";

/// Redacts a message.
pub(super) fn redact(redactor: &Redactor, message: &str) -> String {
    pieces(message, |piece, sentence, after| {
        if stays(redactor, piece, sentence, after) {
            piece.to_owned()
        } else {
            redactor.pseudonyms.name(piece)
        }
    })
}

/// Redacts all words of a text; punctuation and white space stay.
pub(super) fn redact_all(redactor: &Redactor, text: &str) -> String {
    pieces(text, |piece, _, _| redactor.pseudonyms.name(piece))
}

/// Replaces the words of a text. `replace` gets each word with the text before and after it.
fn pieces(text: &str, replace: impl Fn(&str, &Sentence<'_>, &str) -> String) -> String {
    let mut redacted = String::with_capacity(text.len() * 2);
    let mut sentence = Sentence::default();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let in_word = is_word(first);
        let end = rest.find(|c: char| is_word(c) != in_word).unwrap_or(rest.len());
        let Some((piece, after)) = rest.split_at_checked(end) else { break };
        if in_word {
            redacted.push_str(&replace(piece, &sentence, after));
            sentence.word = piece;
            sentence.gap = "";
        } else {
            redacted.push_str(piece);
            sentence.gap = piece;
            if let Some(bracket) = piece.chars().rfind(|c| matches!(c, '[' | ']')) {
                sentence.bracketed = bracket == '[';
            }
        }
        rest = after;
    }
    redacted
}

/// Returns `true` for characters of words: all that may belong to a name, in any script.
fn is_word(character: char) -> bool {
    if character.is_ascii() {
        character.is_ascii_alphanumeric() || is_separator(character)
    } else {
        let is_punctuation = matches!(character, '\u{2010}'..='\u{205e}' | '«' | '»');
        !character.is_whitespace() && !is_punctuation
    }
}

fn stays(redactor: &Redactor, piece: &str, sentence: &Sentence<'_>, after: &str) -> bool {
    let word = piece.trim_matches(is_separator);
    if word.is_empty() {
        return true;
    }
    let joined = word.contains(is_separator);
    // A quoted name, as in `secret "registry" not found`, even if the recording does not contain that secret.
    if is_quoted(sentence, after) && follows_noun(sentence) {
        return false;
    }
    // A joined word is hardly ever part of a phrase, so a learnt name of that form never stays.
    if redactor.learnt.contains(word) && (joined || names_something(sentence, after)) {
        return false;
    }
    redactor.kept.word(word)
        || (is_measure(word) && !piece.contains("::"))
        || is_local_time(word)
        || public::is_namespace(word)
        || public::is_component(word)
        || (joined && stays_joined(redactor, word))
}

/// Returns `true` for joined words such as `affinity/selector`, and for Kubernetes' own keys such as
/// `node.kubernetes.io/not-ready`.
fn stays_joined(redactor: &Redactor, word: &str) -> bool {
    let is_plain = |part: &str| redactor.kept.word(part) && !redactor.learnt.contains(part);
    word.split(['/', ':']).all(is_plain)
        || (public::is_label_key(word) && !word.contains([':', '@']))
        || public::is_domain(word)
}

/// Returns `true` if a message uses a word as a name: `"web"`, `[web]`, `container=web`, `pod web`.
///
/// A learnt name that is also a kept word is redacted only there. Redacting it everywhere would destroy text
/// that rules search for: with a container called `cpu`, no message could contain `Insufficient cpu`.
/// Elsewhere a kept word reveals nothing, because it does not appear as a name.
fn names_something(sentence: &Sentence<'_>, after: &str) -> bool {
    let is_next = sentence.gap == " " && follows_noun(sentence);
    is_quoted(sentence, after) || sentence.bracketed || sentence.gap.ends_with('=') || is_next
}

fn is_quoted(sentence: &Sentence<'_>, after: &str) -> bool {
    ['"', '\'', '`', '\u{201c}', '\u{2018}'].iter().any(|quote| sentence.gap.ends_with(*quote))
        && after.starts_with(['"', '\'', '`', '\u{201d}', '\u{2019}'])
}

fn follows_noun(sentence: &Sentence<'_>) -> bool {
    let noun = sentence.word.trim_matches(is_separator).to_lowercase();
    is_listed(NOUNS, &noun)
}
