//! Masking of secrets in a receiver's responses, which may repeat the request.

use url::Url;

use klaxon_config as config;

/// The shortest text that is masked: shorter ones occur everywhere.
const SHORTEST: usize = 6;

/// The texts to mask.
pub(super) struct Mask(Vec<String>);

impl Mask {
    /// Collects the secrets of a receiver: the values of headers, and the parts of the URL that may hold
    /// tokens.
    pub(super) fn of(url: &Url, settings: &config::Webhook) -> Self {
        let headers = settings.headers.values().flat_map(|value| {
            // In `Bearer …` the second word is the secret.
            std::iter::once(value.as_str()).chain(value.split_ascii_whitespace())
        });
        let path = url.path_segments().into_iter().flatten();
        let parts = [url.password(), url.query(), Some(url.username())].into_iter().flatten();
        let pairs = url.query_pairs().map(|(_, value)| value.into_owned());
        let texts = headers.chain(path).chain(parts).map(str::to_owned).chain(pairs);
        let mut texts: Vec<String> = texts.filter(|text| text.len() >= SHORTEST).collect();
        // The longest first: replacing a part of a secret would leave the rest.
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        texts.dedup();
        Self(texts)
    }

    pub(super) fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "…"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_we_sent_is_not_told_though_the_receiver_repeats_it() {
        let url = Url::parse("https://bob:letmein@a.example/hooks/T0KEN0123?key=abcdefgh").unwrap();
        let headers =
            BTreeMap::from([("authorization".to_owned(), "Bearer s3cr3t-t0ken".to_owned())]);
        let settings = config::Webhook { headers, ..config::Webhook::to("") };
        let said = "no: Bearer s3cr3t-t0ken (s3cr3t-t0ken) at /hooks/T0KEN0123?key=abcdefgh abcdefgh letmein";
        assert_eq!(Mask::of(&url, &settings).hide(said), "no: … (…) at /hooks/…?… … …");
    }
}
