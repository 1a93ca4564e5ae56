//! The AWS shared credentials and config files: finding them, and changing single settings while
//! every other byte stays.
//!
//! Two readers decide what such a file means, and they disagree in places: botocore (Python's
//! `configparser`, which the AWS CLI and boto3 use; `botocore.rs`) and the SDKs' own format
//! (`sdk.rs`, after the Rust SDK's `aws-runtime`). A file is edited only where both take it and both
//! see the same settings of the profile at hand; anything else is refused with its line and left
//! untouched.

mod botocore;
mod config;
mod credentials;
mod document;
mod edit;
mod error;
mod file;
mod location;
mod profile;
mod sdk;
mod value;

pub use config::ConfigFile;
pub use credentials::{CredentialsFile, Removed};
pub use error::{FileError, Note};
pub use profile::{ProfileName, ProfileNameError};
