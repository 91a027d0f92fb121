//! The meaning of a publish error for a delivery.

use std::error::Error;

use async_nats::jetstream;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};

use super::{Attempt, Trouble};

/// Returns the outcome for a publish error. Only errors that depend on the message's size are final; an
/// operator can correct all others while the delivery is retried.
pub(super) fn judge(error: &PublishError, subject: &str, servers: &str) -> Attempt {
    let why = match error.kind() {
        PublishErrorKind::StreamNotFound => format!(
            "no stream captures subject {subject}; hint: `nats stream add` with a stream that does, \
             and see that JetStream is enabled for our account"
        ),
        PublishErrorKind::MaxPayloadExceeded => {
            let why = format!("{error}; hint: raise max_payload of the server");
            return Attempt::Refused { why };
        }
        PublishErrorKind::BrokenPipe => {
            format!("the connection to {servers} was lost before {subject} was acknowledged")
        }
        _ if is_too_large_for_stream(error) => {
            let why = format!("{subject}: {error}; hint: raise the stream's maximum message size");
            return Attempt::Refused { why };
        }
        _ => format!("{subject}: {error}"),
    };
    Attempt::Retry(Trouble::of_receiver(why))
}

fn is_too_large_for_stream(error: &PublishError) -> bool {
    let said = error.source().and_then(|source| source.downcast_ref::<jetstream::Error>());
    let code = said.map(jetstream::Error::error_code);
    matches!(
        code,
        Some(ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM)
    )
}
