//! Tests of targets on real files and sockets.

mod gate;
mod lines;
mod nats;
mod statsd;
mod subject;
