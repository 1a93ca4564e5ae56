//! Everything outbound: HTTP with guarded dialling, issuers' published keys, AWS STS, keystores.

pub mod guard;
pub mod http;
pub mod keys;
pub mod signers;
pub mod sts;
mod transport;
