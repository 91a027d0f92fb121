//! YAML files (or JSON, which is YAML) with the line of every value, validated against a schema, so that an error
//! names the file, the line, the path and a hint.

mod error;
mod parse;
mod quantity;
mod schema;

pub use error::{FileError, FileErrors};
pub use parse::{Document, escape};
pub use quantity::{Size, Span, span};
pub use schema::{Found, against_schema, nearest, without_null};
