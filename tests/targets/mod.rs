//! Tests of the targets alone, on real files and sockets.

mod lines;
mod nats;
mod statsd;
mod subject;
