//! Decoding of objects that a source saw.

use std::sync::Arc;

use klaxon_model::{Identity, Object, Seen, Subject};

use crate::normalize::{self, Wanted};
use crate::route::Router;

/// The outcome of decoding an object.
#[derive(Debug)]
pub enum Decoded {
    /// The object, which some rule may want.
    Object(Arc<Object>),
    /// No rule asks for objects of this kind.
    Ignored,
    /// The object cannot be decoded.
    Undecodable {
        /// The reason.
        reason: String,
        /// The object with its metadata only, if it is deleted: that is reported even if the last state cannot be
        /// decoded.
        deleted: Option<Arc<Object>>,
    },
}

/// Decodes an object as far as rules ask for it. If it cannot be decoded and `notes` is `true`, the router records that
/// the object exists: it must not count as vanished.
pub fn decode(
    router: &mut Router,
    wanted: &Wanted,
    scope: &str,
    seen: Seen,
    json: &str,
    notes: bool,
) -> Decoded {
    let wants = |group: &str, kind: &str| router.wants_kind(group, kind);
    let error = match normalize::decode_wanted(json, wanted, wants) {
        Ok(Some(object)) => return Decoded::Object(Arc::new(object)),
        Ok(None) => return Decoded::Ignored,
        Err(error) => error,
    };
    let head = normalize::head(json).ok_or_else(|| normalize::partial_identity(json));
    let mut reason = error.to_string();
    if head.as_ref().is_err_and(|identity| *identity == Identity::default()) {
        reason
            .push_str("; no name of it can be read: if it was known, a list reports it as deleted");
    }
    let deleted = match (head, seen) {
        (Ok(meta), Seen::Deleted) => {
            Some(Arc::new(Object { meta, subject: Subject::Other, document: None }))
        }
        (head, _) => {
            if notes {
                router.note_undecodable(scope, seen, head);
            }
            None
        }
    };
    Decoded::Undecodable { reason, deleted }
}
