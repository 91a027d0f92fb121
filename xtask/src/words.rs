//! The wording of comments, as far as a program can judge it: first words of doc comments, terms that the
//! project does not use, and the share of pronouns that make a sentence hard to follow.

/// Question words and pronouns. They are frequent in sentences whose subject is not named.
const VAGUE: [&str; 6] = ["what", "whatever", "whoever", "nobody", "whose", "whether"];
/// Most vague words of 1,000 words in all comments.
const MOST_VAGUE: usize = 5;
/// First words that a doc comment must not have: it names its subject instead.
const QUESTIONS: [&str; 9] =
    ["What", "Whether", "Which", "Whose", "Who", "How", "Where", "When", "Why"];
/// Phrases that comments must not have, each with the better one.
const BANNED: [(&str, &str); 3] =
    [("none:", "`None` in code font"), ("mend:", "hint:"), ("none is", "`None` in code font")];

/// Counts the words of all comments.
#[derive(Debug, Default)]
pub(crate) struct Words {
    all: usize,
    vague: usize,
}

impl Words {
    /// Checks the comments of one file.
    pub(crate) fn check(&mut self, name: &str, text: &str, errors: &mut Vec<String>) {
        let mut continues = false;
        for (index, line) in text.lines().enumerate() {
            let Some((is_doc, comment)) = comment(line) else {
                continues = false;
                continue;
            };
            let words = comment.split(|c: char| !c.is_ascii_alphabetic() && c != '\'');
            for word in words.filter(|word| !word.is_empty()) {
                self.all += 1;
                self.vague += usize::from(VAGUE.contains(&word.to_ascii_lowercase().as_str()));
            }
            let at = format!("{name}:{}", index + 1);
            let first = comment.split_whitespace().next().unwrap_or_default();
            if is_doc && !continues && QUESTIONS.contains(&first) {
                errors.push(format!(
                    "{at}: a doc comment opens with {first:?}; hint: name its subject, such as \"Returns …\" or \"A queue of …\""
                ));
            }
            for (phrase, better) in BANNED {
                if is_doc && comment.contains(phrase) {
                    errors.push(format!("{at}: {phrase:?} in a comment; hint: write {better}"));
                }
            }
            continues = is_doc;
        }
    }

    /// Reports the share of vague words.
    pub(crate) fn finish(&self, errors: &mut Vec<String>) {
        if self.vague * 1000 > self.all * MOST_VAGUE {
            errors.push(format!(
                "{} of {} words in comments are one of {VAGUE:?}, over {MOST_VAGUE} of 1,000; hint: name the subject of the sentence",
                self.vague, self.all
            ));
        }
    }
}

/// Returns the text of a line that is a comment, and `true` if it is a doc comment.
fn comment(line: &str) -> Option<(bool, &str)> {
    let text = line.trim_start().strip_prefix("//")?;
    match text.strip_prefix(['/', '!']) {
        Some(doc) => Some((true, doc.trim())),
        None => Some((false, text.trim())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        let (mut words, mut errors) = (Words::default(), Vec::new());
        words.check("a.rs", text, &mut errors);
        words.finish(&mut errors);
        errors
    }

    #[test]
    fn a_doc_comment_that_opens_with_a_question_word_is_an_error_with_its_line() {
        let found = errors("//! A module.\n\n/// Whether it is so.\nfn f() {}\n");
        assert!(found[0].starts_with("a.rs:3: a doc comment opens with \"Whether\""), "{found:?}");
        // The second line of a comment continues a sentence, and a plain comment is no doc comment.
        let fine = "//! The moment\n//! When a long line is continued, nothing is an error here at all in it.\n// Why is this so? Because it is a comment of the code below it, with a reason in it for readers.\n";
        assert_eq!(errors(fine), [""; 0]);
    }

    #[test]
    fn banned_phrases_and_too_many_vague_words_are_errors() {
        assert!(errors("/// A limit; none: there is no limit at all.\n")[0].contains("none:"));
        let vague = errors("// what whoever says is what nobody knows\n");
        assert!(vague[0].starts_with("4 of 7 words in comments"), "{vague:?}");
    }
}
