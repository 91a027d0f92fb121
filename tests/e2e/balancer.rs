//! A load balancer: one address that sends each connection to one of several servers.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};

/// A forwarding listener that ends with the test.
pub(crate) struct Balancer {
    port: u16,
}

impl Balancer {
    /// Forwards to servers on these ports of this machine, round-robin. Servers that are down are skipped.
    pub(crate) async fn start(servers: &[u16]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let servers: Arc<[u16]> = servers.into();
        let turn = AtomicUsize::new(0);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let turn = turn.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(forward(stream, servers.clone(), turn));
            }
        });
        Self { port }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }
}

/// Copies until either side ends. A killed server ends its connections.
async fn forward(mut client: TcpStream, servers: Arc<[u16]>, turn: usize) {
    for place in 0..servers.len() {
        let port = servers[(turn + place) % servers.len()];
        if let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
            tokio::io::copy_bidirectional(&mut client, &mut server).await.unwrap_or_default();
            return;
        }
    }
}
