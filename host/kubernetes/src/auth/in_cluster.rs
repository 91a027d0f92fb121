//! Authentication in a pod: with the service account's files and the variables of the service `kubernetes`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use kube::Config;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::client::{Connection, connect};
use super::environment::not_set;
use super::{Environment, Failure, How};

#[derive(Debug, Clone)]
pub(super) struct InCluster {
    host: String,
    port: String,
    folder: PathBuf,
}

impl InCluster {
    pub(super) fn of(environment: &Environment) -> Result<Self, Failure> {
        let host = environment.service_host.clone();
        let port = environment.service_port.clone();
        let missing: Vec<&str> =
            [(&host, "KUBERNETES_SERVICE_HOST"), (&port, "KUBERNETES_SERVICE_PORT")]
                .iter()
                .filter_map(|(value, name)| value.is_none().then_some(*name))
                .collect();
        match (host, port) {
            (Some(host), Some(port)) => {
                Ok(Self { host, port, folder: environment.service_account.clone() })
            }
            _ => Err(Failure::NotConfigured(not_set(&missing))),
        }
    }

    pub(super) async fn connect(&self) -> Result<Connection, Failure> {
        let source = self.clone();
        connect(move || source.config().map(|config| (config, How::InCluster))).await
    }

    fn config(&self) -> Result<Config, String> {
        let port: u16 = self.port.parse().map_err(|_| {
            format!("KUBERNETES_SERVICE_PORT is {:?}, and that is no port", self.port)
        })?;
        // An IPv6 address stands in brackets before a port.
        let host = match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ => self.host.clone(),
        };
        let server = format!("https://{host}:{port}").parse().map_err(|_| {
            format!("KUBERNETES_SERVICE_HOST is {:?}, and that is no host", self.host)
        })?;
        let mut config = Config::new(server);
        let token = self.folder.join("token");
        if read(&token)?.iter().all(u8::is_ascii_whitespace) {
            return Err(format!("{} is empty", token.display()));
        }
        // The file is configured instead of its token: kube reads the file again every minute, since tokens rotate.
        config.auth_info.token_file = Some(token.to_string_lossy().into_owned());
        let authority = self.folder.join("ca.crt");
        config.root_cert = Some(certificates(&authority)?);
        config.root_cert_file = Some(authority);
        if let Ok(namespace) = std::fs::read_to_string(self.folder.join("namespace")) {
            config.default_namespace = namespace.trim().to_owned();
        }
        Ok(config)
    }
}

fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let text = read(path)?;
    let read: Result<Vec<Vec<u8>>, _> = CertificateDer::pem_slice_iter(&text)
        .map(|certificate| certificate.map(|certificate| certificate.to_vec()))
        .collect();
    read.ok()
        .filter(|certificates| !certificates.is_empty())
        .ok_or_else(|| format!("{} holds no certificate in PEM", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| {
        format!(
            "{} cannot be read: {error}; hint: give the pod a service account and \
             automountServiceAccountToken",
            path.display()
        )
    })
}
