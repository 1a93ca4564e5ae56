//! Everything outbound: HTTP with guarded dialling, issuers' published keys, AWS STS.

pub mod guard;
pub mod http;
pub mod keys;
pub mod sts;
