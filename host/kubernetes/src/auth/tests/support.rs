//! A simulated API server that knows its tokens, a simulated Vault, and the files of a pod and of a user.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::auth::Environment;
use crate::permissions::Permission;

/// Returns the permission for a verb on pods in a namespace.
pub(super) fn permission(verb: &str, namespace: &str) -> Permission {
    Permission {
        group: String::new(),
        resource: "pods".to_owned(),
        verb: verb.to_owned(),
        namespace: Some(namespace.to_owned()),
        name: None,
    }
}

/// Returns an environment with only these variables.
pub(super) fn environment(variables: &[(&str, &str)]) -> Environment {
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    Environment::of(|name| variables.get(name).map(Into::into))
}

/// The verbs that an API server grants, by token.
pub(super) type Granted = Arc<Mutex<HashMap<String, Vec<&'static str>>>>;

pub(super) fn granted(tokens: &[(&str, &[&'static str])]) -> Granted {
    let tokens = tokens.iter().map(|(token, verbs)| ((*token).to_owned(), verbs.to_vec()));
    Arc::new(Mutex::new(tokens.collect()))
}

/// Starts an API server that reviews access, and answers 401 to tokens that it does not know.
pub(super) async fn api_server(granted: &Granted) -> MockServer {
    let server = MockServer::start().await;
    let granted = granted.clone();
    let answer = move |request: &Request| {
        let granted = granted.lock().unwrap_or_else(PoisonError::into_inner);
        let bearer = request.headers.get("authorization").and_then(|value| value.to_str().ok());
        let verbs = bearer
            .and_then(|bearer| bearer.strip_prefix("Bearer "))
            .and_then(|token| granted.get(token));
        let Some(verbs) = verbs else {
            let status = json!({"kind": "Status", "code": 401, "message": "Unauthorized"});
            return ResponseTemplate::new(401).set_body_json(status);
        };
        let asked: Value = request.body_json().unwrap();
        let verb = asked["spec"]["resourceAttributes"]["verb"].as_str().unwrap_or_default();
        let allowed = verbs.contains(&verb);
        ResponseTemplate::new(201).set_body_json(json!({"status": {"allowed": allowed}}))
    };
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

/// Starts a Vault with one answer.
pub(super) async fn vault(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

/// Writes a kubeconfig with one user and a token; the context is named `c`.
pub(super) fn kubeconfig(folder: &Path, server: &str, token: &str) -> PathBuf {
    with_user(folder, server, &format!("{{token: {token:?}}}"))
}

/// Writes a kubeconfig with one user, given as YAML.
pub(super) fn with_user(folder: &Path, server: &str, user: &str) -> PathBuf {
    let path = folder.join("config");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: k, cluster: {{server: {server:?}}}}}]\n\
         contexts: [{{name: c, context: {{cluster: k, user: u, namespace: team}}}}]\n\
         users: [{{name: u, user: {user}}}]\n"
    );
    fs::write(&path, text).unwrap();
    path
}

/// Starts a TLS proxy in front of a plain server. Returns the folder of a service account, whose `ca.crt` verifies
/// the proxy, and the proxy's port.
pub(super) async fn service_account(behind: &MockServer, token: &str) -> (TempDir, u16) {
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ca.crt"), certified.cert.pem()).unwrap();
    fs::write(folder.path().join("token"), token).unwrap();
    fs::write(folder.path().join("namespace"), "monitoring\n").unwrap();
    let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let behind = *behind.address();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // The handshake fails for a client that does not trust the certificate.
                let Ok(mut near) = acceptor.accept(stream).await else { return };
                let mut far = TcpStream::connect(behind).await.unwrap();
                drop(copy_bidirectional(&mut near, &mut far).await);
            });
        }
    });
    (folder, port)
}
