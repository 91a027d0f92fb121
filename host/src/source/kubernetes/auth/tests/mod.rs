//! Signing in, against an API server and a Vault that answer as the real ones do.

mod in_cluster;
mod kubeconfig;
mod order;
mod support;
mod vault;
