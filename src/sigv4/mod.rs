//! AWS Signature Version 4, both ways: verifying requests that carry a signature, taking from a request
//! what its client claimed, saying how its body goes on, and signing it anew, with Version 4a too.
//! ([Signing AWS API requests])
//!
//! What is verified is the `Authorization` header over the body's own SHA-256, as SDKs and the CLI send
//! it to services other than Amazon S3.
//!
//! How Amazon S3 reads paths is its own rule: the canonical path is encoded once and never normalised, since
//! `//`, `.` and `..` are parts of keys
//! ([S3](https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html)). Other services
//! encode what they were sent once more, so that `%40` becomes `%2540`, and refuse what is not normalised.
//! [`RequestTarget`](crate::domain::RequestTarget) is what both sign.
//!
//! [Signing AWS API requests]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

mod authorization;
mod body;
mod canonical;
mod chunked;
mod claim;
mod date;
mod error;
mod sign;
mod verify;

pub use authorization::{Authorization, CredentialScope};
pub use body::{
    BodyPlan, BodyRefusal, BodyRules, PayloadHash, PresentedPayload, Reframe, Reframer, body_plan,
};
pub use canonical::SignedRequest;
pub use chunked::{ChunkError, ChunkedDecoder, ChunkedEncoder};
pub use claim::{
    Claim, ClaimedSignature, Presented, PresentedError, SignaturePlace, SignatureVersion, strip,
};
pub use error::SignatureError;
pub use sign::{Signable, Signer, SigningCredentials, SigningError, SigningSettings};
pub use verify::{CLOCK_SKEW, LookupError, Verified, verify};
