//! The targets by themselves, on real files and sockets.

mod lines;
mod statsd;
mod subject;
