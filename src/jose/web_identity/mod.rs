//! Web-identity tokens and key sets as AWS STS reads them: which headers, algorithms and keys count.
//!
//! What AWS does is known from a record of its answers (`tests/data/sts-oidc-cases.json`). The local
//! STS and whoever predicts what STS will say rest on these same rules.

mod certificate;
mod discovery;
mod keys;
mod token;

pub use discovery::discovery_flaw;
pub use keys::WebIdentityKeys;
pub use token::{WebIdentityError, WebIdentityToken};
