//! Everything outbound: HTTP with guarded dialling, issuers' published keys, AWS STS and S3, keystores.

pub mod guard;
pub mod http;
pub mod keys;
pub mod s3;
pub mod signers;
pub mod sts;
mod transport;
