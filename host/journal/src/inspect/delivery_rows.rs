//! Deliveries with their bodies.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rusqlite::Row;
use serde::Serialize;

use super::list::{Listed, Numbered, Table};
use super::rows::{DELIVERY, DeliveryRow, delivery_columns};

/// A delivery with its body.
#[derive(Debug, Clone, Serialize)]
pub struct Letter {
    /// The delivery without the body.
    #[serde(flatten)]
    pub delivery: DeliveryRow,
    /// The body.
    #[serde(flatten)]
    pub body: Body,
}

impl Listed for Letter {
    const TABLE: Table = Table { columns: concat!(delivery_columns!(), ", d.body"), ..DELIVERY };

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { delivery: DeliveryRow::read(row)?, body: Body::new(row.get(18)?) })
    }
}

impl Numbered for Letter {
    const NUMBER: &'static str = "d.n";

    fn number(&self) -> i64 {
        self.delivery.number
    }
}

/// The exact bytes of a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Body {
    /// A text.
    #[serde(rename = "body")]
    Text(String),
    /// Bytes that are not UTF-8, encoded as base64.
    #[serde(rename = "body_base64")]
    Bytes(String),
}

impl Body {
    fn new(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(error) => Self::Bytes(STANDARD.encode(error.as_bytes())),
        }
    }

    /// Returns the text as it is serialized.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(text) | Self::Bytes(text) => text,
        }
    }
}
