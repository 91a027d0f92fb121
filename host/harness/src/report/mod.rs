//! Test reports, for people and for programs.

mod junit;
mod text;

pub use junit::junit;
pub use text::Text;
