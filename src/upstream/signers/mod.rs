//! Keystores outside the process, which make an issuer's keys and sign with them: AWS KMS, and
//! hardware modules through PKCS #11.

mod circuit;
mod guarded;
mod keystores;
mod kms;
mod pkcs11;
mod report;

pub use guarded::{GuardedKeys, SignerLimits};
pub use keystores::Keystores;
pub use kms::KmsKeys;
pub use pkcs11::{Pkcs11Keys, check_pin_file};
pub use report::{SIGN_TIMES, SignerReport};
