//! Authentication with a kubeconfig, read as kubectl reads it: `KUBECONFIG` may name several files, which are merged.

use std::io::{ErrorKind, IsTerminal as _};
use std::path::{Path, PathBuf};

use kube::Config;
use kube::config::{ExecInteractiveMode, KubeConfigOptions, Kubeconfig, KubeconfigError};
use tokio::runtime::Handle;

use super::client::{Connection, connect};
use super::{Environment, Failure, How};
use crate::error;

#[derive(Debug, Clone)]
pub(super) struct KubeconfigFile {
    paths: Vec<PathBuf>,
    context: Option<String>,
}

impl KubeconfigFile {
    pub(super) fn of(environment: &Environment) -> Result<Self, Failure> {
        let context = environment.context.clone();
        if !environment.kubeconfig.is_empty() {
            return Ok(Self { paths: environment.kubeconfig.clone(), context });
        }
        let Some(home) = &environment.home else {
            let why = "neither KUBECONFIG nor HOME is set";
            return Err(Failure::NotConfigured(why.to_owned()));
        };
        let path = home.join(".kube").join("config");
        if !path.exists() {
            let why = format!("KUBECONFIG is not set and {} is not there", path.display());
            return Err(Failure::NotConfigured(why));
        }
        Ok(Self { paths: vec![path], context })
    }

    pub(super) async fn connect(&self) -> Result<Connection, Failure> {
        let source = self.clone();
        let runtime = Handle::current();
        connect(move || source.config(&runtime)).await
    }

    fn config(&self, runtime: &Handle) -> Result<(Config, How), String> {
        let kubeconfig = self.read()?;
        let context = self.context(&kubeconfig)?;
        let proxy = proxy(&kubeconfig, &context);
        let options =
            KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
        // `block_on` returns at once: with a given kubeconfig this async function awaits nothing.
        let config = runtime.block_on(Config::from_custom_kubeconfig(kubeconfig, &options));
        let mut config = config.map_err(|error| self.about(&error::kubeconfig(&error)))?;
        // The environment variables for proxies are ignored: only the kubeconfig's own setting applies.
        config.proxy_url = match proxy {
            Some(proxy) => Some(proxy.parse().map_err(|_| {
                self.about("has a proxy-url that is no URL; hint: write it as http://HOST:PORT")
            })?),
            None => None,
        };
        without_terminal(&mut config)?;
        Ok((config, How::Kubeconfig { context }))
    }

    fn read(&self) -> Result<Kubeconfig, String> {
        let mut merged: Option<Kubeconfig> = None;
        for path in &self.paths {
            let next = match Kubeconfig::read_from(path) {
                // Like kubectl: if several files are named, some may be missing.
                Err(error) if self.paths.len() > 1 && is_missing(&error) => continue,
                outcome => outcome.map_err(|error| unreadable(path, &error))?,
            };
            merged = Some(match merged {
                Some(before) => before.merge(next).map_err(|error| unreadable(path, &error))?,
                None => next,
            });
        }
        merged.ok_or_else(|| format!("none of the files is there: {}", self.names()))
    }

    fn context(&self, kubeconfig: &Kubeconfig) -> Result<String, String> {
        let known: Vec<&str> = kubeconfig.contexts.iter().map(|c| c.name.as_str()).collect();
        let known = if known.is_empty() { "(it has none)".to_owned() } else { known.join(", ") };
        let current = kubeconfig.current_context.clone().filter(|name| !name.is_empty());
        let Some(wanted) = self.context.clone().or(current) else {
            let why = "has no current context; hint: set KUBERNETES_CONTEXT to one of its \
                       contexts:";
            return Err(self.about(&format!("{why} {known}")));
        };
        if kubeconfig.contexts.iter().any(|context| context.name == wanted) {
            return Ok(wanted);
        }
        Err(self
            .about(&format!("has no context {wanted:?}; hint: use one of its contexts: {known}")))
    }

    fn about(&self, what: &str) -> String {
        format!("{} {what}", self.names())
    }

    fn names(&self) -> String {
        let names: Vec<String> = self.paths.iter().map(|path| path.display().to_string()).collect();
        names.join(", ")
    }
}

fn is_missing(error: &KubeconfigError) -> bool {
    matches!(error, KubeconfigError::ReadConfig(error, _) if error.kind() == ErrorKind::NotFound)
}

fn unreadable(path: &Path, error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(error, _) => {
            format!("{} cannot be read: {error}; hint: check the path", path.display())
        }
        error => format!("{} {}", path.display(), error::kubeconfig(error)),
    }
}

/// Returns the proxy of the context's cluster.
fn proxy(kubeconfig: &Kubeconfig, context: &str) -> Option<String> {
    let named = kubeconfig.contexts.iter().find(|named| named.name == context)?;
    let cluster = &named.context.as_ref()?.cluster;
    let named = kubeconfig.clusters.iter().find(|named| named.name == *cluster)?;
    named.cluster.as_ref()?.proxy_url.clone().filter(|url| !url.is_empty())
}

/// Stops a credential plugin from waiting for input if there is no terminal.
fn without_terminal(config: &mut Config) -> Result<(), String> {
    let Some(exec) = &mut config.auth_info.exec else { return Ok(()) };
    if std::io::stdin().is_terminal() {
        return Ok(());
    }
    if exec.interactive_mode == Some(ExecInteractiveMode::Always) {
        let name = exec.command.as_deref().unwrap_or_default();
        return Err(format!(
            "the credential plugin {name:?} asks for a terminal, and there is none; hint: use a \
             credential that needs none, such as a service account's"
        ));
    }
    exec.interactive_mode = Some(ExecInteractiveMode::Never);
    Ok(())
}
