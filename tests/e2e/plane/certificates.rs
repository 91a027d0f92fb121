//! Authentication at the control plane: keys, certificates, tokens and kubeconfigs.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use serde_json::{Value, json};

/// Users with a token and without permissions.
pub(super) const USERS: [&str; 3] = ["klaxon-watcher", "klaxon-nsonly", "klaxon-nobody"];

/// Users with a client certificate: the file's name, the user, its group.
const CERTIFIED: [(&str, &str, Option<&str>); 4] = [
    ("admin", "admin", Some("system:masters")),
    ("controller-manager", "system:kube-controller-manager", None),
    ("scheduler", "system:kube-scheduler", None),
    ("front-proxy", "front-proxy", None),
];

/// The names and addresses of the API server; the second is the first address of the service range.
const SERVER_NAMES: [&str; 6] = [
    "127.0.0.1",
    "10.96.0.1",
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
];

/// Returns the path of a user's kubeconfig.
pub(super) fn kubeconfig_path(folder: &Path, user: &str) -> PathBuf {
    folder.join(format!("{user}.kubeconfig"))
}

/// Writes all files. Keys are EC P-256, because an RSA key takes seconds in a test build.
pub(super) fn write(folder: &Path, apiserver: &str) {
    let ca = authority();
    save(folder, "ca.crt", &ca.pem());
    save(folder, "ca.key", &ca.key().serialize_pem());
    let accounts = new_key();
    save(folder, "service-account.key", &accounts.serialize_pem());
    save(folder, "service-account.pub", &accounts.public_key_pem());

    let names = SERVER_NAMES.map(str::to_owned);
    let server = CertificateParams::new(names).expect("the names are valid");
    issue(folder, "server", server, ExtendedKeyUsagePurpose::ServerAuth, &ca);

    for (name, user, group) in CERTIFIED {
        let mut client = named(user);
        if let Some(group) = group {
            client.distinguished_name.push(DnType::OrganizationName, group);
        }
        issue(folder, name, client, ExtendedKeyUsagePurpose::ClientAuth, &ca);
        let file = |ending| folder.join(format!("{name}.{ending}"));
        let proof = json!({"client-certificate": file("crt"), "client-key": file("key")});
        kubeconfig(folder, apiserver, name, &proof);
    }

    let mut tokens = String::new();
    for user in USERS {
        tokens.push_str(&format!("{user}-token,{user},{user}-uid\n"));
        kubeconfig(folder, apiserver, user, &json!({"token": format!("{user}-token")}));
    }
    save(folder, "tokens.csv", &tokens);
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = named("klaxon-test-authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    CertifiedIssuer::self_signed(params, new_key()).expect("a certificate can be signed")
}

fn named(user: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, user);
    params
}

/// Signs a certificate for a new key, and writes both.
fn issue(
    folder: &Path,
    name: &str,
    mut params: CertificateParams,
    purpose: ExtendedKeyUsagePurpose,
    ca: &CertifiedIssuer<'_, KeyPair>,
) {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    let key = new_key();
    let certificate = params.signed_by(&key, ca).expect("a certificate can be signed");
    save(folder, &format!("{name}.crt"), &certificate.pem());
    save(folder, &format!("{name}.key"), &key.serialize_pem());
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("a key can be made")
}

/// Returns a kubeconfig as JSON, which is valid YAML and needs no custom quoting.
fn kubeconfig(folder: &Path, apiserver: &str, user: &str, proof: &Value) {
    let cluster = json!({"server": apiserver, "certificate-authority": folder.join("ca.crt")});
    let content = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "plane", "cluster": cluster}],
        "users": [{"name": user, "user": proof}],
        "contexts": [{"name": "plane", "context": {"cluster": "plane", "user": user}}],
        "current-context": "plane",
    });
    let path = kubeconfig_path(folder, user);
    fs::write(&path, content.to_string()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

fn save(folder: &Path, name: &str, content: &str) {
    fs::write(folder.join(name), content).unwrap_or_else(|fault| panic!("{name}: {fault}"));
}
