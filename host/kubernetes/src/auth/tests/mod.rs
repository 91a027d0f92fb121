//! Tests of the authentication against simulations of the API server and Vault.

mod in_cluster;
mod kubeconfig;
mod order;
mod support;
mod vault;
