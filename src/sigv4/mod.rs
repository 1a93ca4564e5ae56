//! AWS Signature Version 4: verifying requests that come in, signing ones that go to S3.
//!
//! Only signatures in the `Authorization` header, over the body's own SHA-256: what SDKs and the
//! CLI send. ([Signing AWS API requests])
//!
//! [Signing AWS API requests]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

mod authorization;
mod canonical;
mod date;
mod error;
mod sign;
mod verify;

pub use authorization::{Authorization, CredentialScope};
pub use canonical::SignedRequest;
pub use error::SignatureError;
pub use sign::{SigningError, sign_s3};
pub use verify::{CLOCK_SKEW, LookupError, Verified, verify};
