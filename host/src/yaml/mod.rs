//! Files that people write: YAML (or JSON, which is YAML) with the line of every part, checked against
//! a schema, so that a fault names the file, the line, the place and the mend.

mod fault;
mod quantity;
mod schema;
mod yaml;

pub use fault::{Fault, Faults};
pub use quantity::{Size, Span, span};
pub use schema::{Found, against_schema, nearest, without_null};
pub use yaml::{Document, escape};
