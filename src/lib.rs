//! `idp`: an OpenID Connect identity provider for environments, agents and CI jobs that need AWS.
//!
//! The library holds the rooms that `docs/ARCHITECTURE.md` describes; the binary is a thin shell
//! around [`cli`]. Arrows point down only: a test reads every `crate::` reference and fails on one
//! that the table of rooms does not allow.

pub mod catalog;
pub mod cli;
pub mod client;
pub mod config;
pub mod domain;
pub mod http;
pub mod iam;
pub mod jose;
pub mod policy;
pub mod ports;
pub mod proxy;
pub mod server;
pub mod service;
pub mod sigv4;
pub mod store;
pub mod sts;
pub mod upstream;
