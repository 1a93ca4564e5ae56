//! What runs in an environment: its identity, its tokens, the exchange with STS, and the files that
//! it keeps and that the AWS tools read.

pub mod admin;
pub mod advice;
pub mod assume;
pub mod atomic_file;
pub mod audit;
pub mod aws_files;
pub mod cloudtrail;
pub mod credential_cache;
pub mod credentials;
pub mod decode;
pub mod enrol;
pub mod exec;
pub mod explain;
pub mod identity;
pub mod last_refusal;
pub mod lock_file;
pub mod login;
pub mod patience;
pub mod private_file;
pub mod proxied;
pub mod rotate;
mod secret_text;
pub mod server;
pub mod sessions;
pub mod token;
pub mod verify;
