//! Rules on recorded streams, offline: the middle of the house with a virtual clock and no network.

mod replay;

pub use replay::{RecordFeed, Replay, ReplayError, Summary};
