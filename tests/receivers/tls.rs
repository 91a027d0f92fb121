//! Tests of receivers with a certificate authority of their own that require a client certificate.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{pod, site, wait, webhook};
use crate::fake_api::FakeApi;

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Returns a certificate for a name, and its key.
fn certificate(issuer: &Issuer, name: &str) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (params.signed_by(&key, issuer).unwrap(), key)
}

/// Starts a receiver that accepts only clients with a certificate of its authority. Returns its port and
/// the count of deliveries that it took.
async fn receiver(issuer: &Issuer) -> (u16, Arc<AtomicUsize>) {
    let (own, key) = certificate(issuer, "localhost");
    let mut trusted = RootCertStore::empty();
    trusted.add(CertificateDer::from(issuer.der().to_vec())).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(trusted), provider.clone())
        .build()
        .unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(
            vec![own.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let taken = Arc::new(AtomicUsize::new(0));
    let count = taken.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = vec![0; 64 << 10];
            if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                count.fetch_add(1, Ordering::SeqCst);
                let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
                stream.write_all(answer).await.unwrap_or_default();
                stream.shutdown().await.unwrap_or_default();
            }
        }
    });
    (port, taken)
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_of_its_own_and_a_certificate_of_ours() {
    let api = FakeApi::start().await;
    let issuer = authority();
    let (port, taken) = receiver(&issuer).await;
    let (ours, key) = certificate(&issuer, "klaxon");
    let mut target = webhook(&format!("https://localhost:{port}/"));
    target["webhook"]["tls"] = json!({"ca": "ca.pem", "certificate": "cert.pem", "key": "key.pem"});
    let site = site(&api, json!({ "notify": target }));
    let folder = site.folder.path();
    // At first with an authority that did not sign the receiver's certificate.
    write(folder, "ca.pem", &authority().pem());
    write(folder, "cert.pem", &ours.pem());
    write(folder, "key.pem", &key.serialize_pem());
    let running = site.start();
    site.wait_until_following(&["Pod"]);
    api.put(pod("one", 0));
    let failed = "SELECT reason LIKE '%certificate%' FROM deliveries WHERE attempts > 0";
    site.wait_for_rows(failed, &["1"]);
    assert_eq!(taken.load(Ordering::SeqCst), 0);
    // The right authority replaces it while the service runs.
    write(folder, "ca.pem", &issuer.pem());
    wait("the delivery", || taken.load(Ordering::SeqCst) == 1);
    site.wait_for_rows("SELECT state FROM deliveries", &["sent"]);
    running.stop();
}
