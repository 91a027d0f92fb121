//! Redaction of names segment by segment, so that two names still share their common segments.

use super::address;
use super::pseudonym::Pseudonyms;
use super::public;
use super::shape::{is_number, is_separator, uuid};

/// A name during its redaction from left to right.
struct Scan<'a> {
    pseudonyms: &'a Pseudonyms,
    redacted: String,
    rest: &'a str,
    /// The original previous segment.
    previous: &'a str,
    /// `true` directly after an address, where a port may follow.
    after_address: bool,
    /// `true` if short numbers stay: beside another segment they reveal nothing, but alone they are the whole
    /// name.
    numbers_stay: bool,
    /// `true` if the text consists of several names, some of which may be public.
    has_parts: bool,
}

impl Pseudonyms {
    /// Returns the pseudonym of a name, an image, a path or any other text with separators.
    pub(super) fn name(&self, name: &str) -> String {
        let mut scan = Scan {
            pseudonyms: self,
            redacted: String::with_capacity(name.len() * 2),
            rest: name,
            previous: "",
            after_address: false,
            numbers_stay: name
                .split(is_separator)
                .any(|part| !part.is_empty() && !is_number(part, 3)),
            has_parts: name.contains(joins_names),
        };
        while scan.step().is_some() {}
        scan.redacted
    }
}

/// Maximum octet of four numbers that are taken for a version rather than an address.
const LARGEST_OF_A_VERSION: u8 = 30;

/// Returns `true` for separators that do not occur inside the name of an object.
fn joins_names(character: char) -> bool {
    matches!(character, '/' | ':' | '@' | '_')
}

impl<'a> Scan<'a> {
    /// Processes the next part; `None` at the end.
    fn step(&mut self) -> Option<()> {
        let first = self.rest.chars().next()?;
        if let Some((length, pseudonym)) = self.address().or_else(|| self.uuid()) {
            self.take(length)?;
            self.redacted.push_str(&pseudonym);
            self.numbers_stay = true;
            return Some(());
        }
        if is_separator(first) {
            self.take(first.len_utf8())?;
            self.redacted.push(first);
            return Some(());
        }
        if let Some(length) = self.public() {
            let part = self.take(length)?;
            self.redacted.push_str(part);
            self.after_address = false;
            return Some(());
        }
        let segment = self.take(self.rest.find(is_separator).unwrap_or(self.rest.len()))?;
        if self.stays(segment) {
            self.redacted.push_str(segment);
        } else {
            self.redacted.push_str(&self.pseudonyms.segment(segment));
        }
        self.previous = segment;
        self.after_address = false;
        Some(())
    }

    fn take(&mut self, length: usize) -> Option<&'a str> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn address(&mut self) -> Option<(usize, String)> {
        let found = match address::v4(self.rest) {
            Some((length, original, separator))
                if self.is_address(original.octets(), separator) =>
            {
                let dotted = self.pseudonyms.v4(original).to_string();
                (length, dotted.replace('.', separator.encode_utf8(&mut [0; 4])))
            }
            _ => {
                let (length, original) = address::v6(self.rest)?;
                (length, self.pseudonyms.v6(original).to_string())
            }
        };
        self.after_address = true;
        Some(found)
    }

    /// Returns `true` if four numbers are an address. With dashes they are an address in `ip-10-0-0-12`, but
    /// in `web-1-2-3-0` the ordinal of a StatefulSet that is named after its version; there, the pod's name
    /// must still begin with that of the StatefulSet. Parts of a version are small.
    fn is_address(&self, octets: [u8; 4], separator: char) -> bool {
        separator == '.'
            || matches!(self.previous, "" | "ip" | "ec2")
            || matches!(octets, [10, ..])
            || octets.iter().any(|octet| *octet > LARGEST_OF_A_VERSION)
    }

    fn uuid(&self) -> Option<(usize, String)> {
        uuid(self.rest).map(|found| (found.len(), self.pseudonyms.uuid(found)))
    }

    /// Returns the length of a namespace that exists in every cluster, as in `kube-system/…` or `…_default`.
    fn public(&self) -> Option<usize> {
        let begins = self.redacted.is_empty() || self.redacted.ends_with(joins_names);
        if !self.has_parts || !begins {
            return None;
        }
        let part = self.rest.split(joins_names).next()?;
        public::is_namespace(part).then_some(part.len())
    }

    /// Returns `true` for segments that do not come from the user.
    fn stays(&self, segment: &str) -> bool {
        let after_colon = self.redacted.ends_with(':');
        (self.numbers_stay && is_number(segment, 3))
            || (self.after_address && after_colon && is_number(segment, 5))
            || (after_colon && segment == "latest")
            || (matches!(segment, "sha256" | "sha512") && self.rest.starts_with(':'))
            || (self.rest.starts_with("://") && public::is_scheme(segment))
    }
}
