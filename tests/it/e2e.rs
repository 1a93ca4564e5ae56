//! The product from end to end: the built binary, and around it the parts that its users have, which
//! are the AWS CLI, boto3, moto, `PyJWT` and authlib.

mod admin_tokens;
pub(crate) mod attackers;
mod audit;
mod aws_claims;
mod aws_sdk;
pub(crate) mod client;
pub(crate) mod crowd;
mod demonstration;
pub(crate) mod dev;
pub(crate) mod installation;
mod keys;
mod moto;
mod operations;
mod publication;
pub(crate) mod ran;
mod refused_tokens;
pub(crate) mod relying_parties;
mod rotation;
mod s3;
mod serve;
#[cfg(feature = "otel")]
mod spans;
mod stopped;
mod tls;
