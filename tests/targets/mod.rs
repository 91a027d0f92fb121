//! The targets by themselves, on real files and sockets.

mod lines;
mod nats;
mod statsd;
mod subject;
