//! JOSE: JWKs and their thumbprints, compact JWS, verifying, signing keys, and sealing of private
//! keys at rest.

mod backup;
mod certificate;
mod checkpoint;
mod der;
mod digest;
mod encoding;
mod external;
mod jwk;
mod jws;
mod private_key;
mod seal;
mod seed_key;
mod token;
mod verifying_key;
mod vouch;
mod web_identity;

pub use backup::{BackupError, export_private_key, import_private_key, is_encrypted};
pub use certificate::UnsignedCertificate;
pub use checkpoint::{CheckpointError, SignedCheckpoint, read_checkpoint, sign_checkpoint};
pub use digest::sha256;
pub use encoding::{decode as base64url_decode, encode as base64url_encode};
pub use external::{ecdsa_signature_of_der, jwk_of_p256_point, jwk_of_public_key_info, jwk_of_rsa};
pub use jwk::{JwkError, PublishedKeys, thumbprint};
pub use jws::{Jws, JwsError, JwsHeader, sign_compact, signing_input};
pub use private_key::{KeyError, PrivateKey};
pub use seal::{SealError, SealingKey};
pub use seed_key::SeedKey;
pub use token::{TokenError, TokenVerifier, UnverifiedToken, VerifiedToken};
pub use verifying_key::VerifyingKey;
pub use web_identity::{WebIdentityError, WebIdentityKeys, WebIdentityToken, discovery_flaw};
