//! The integration tests, one module per subject.

mod catalog;
mod cli;
mod credentials_file;
mod durability;
mod e2e;
mod examples;
mod infrastructure;
mod issuer;
mod layers;
mod proxy;
mod replicas;
mod signers;
mod store;
mod sts;
mod support;
