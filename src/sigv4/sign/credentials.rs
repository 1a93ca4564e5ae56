//! AWS credentials to sign with.

use std::fmt;

use http::HeaderValue;

use super::SigningError;
use crate::domain::SecretString;

/// AWS credentials to sign with. Make them once for a session: the token's header is kept ready.
#[derive(Clone)]
pub struct SigningCredentials {
    access_key_id: String,
    secret_access_key: SecretString,
    token: Option<HeaderValue>,
}

impl SigningCredentials {
    /// An access key and, for a session, its token.
    ///
    /// # Errors
    /// [`SigningError::Credentials`], where the access key id or the token cannot stand in a header.
    pub fn new(
        access_key_id: String,
        secret_access_key: SecretString,
        session_token: Option<&str>,
    ) -> Result<Self, SigningError> {
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b',');
        if access_key_id.is_empty() || !access_key_id.bytes().all(plain) {
            return Err(SigningError::Credentials("access key id"));
        }
        let token = session_token
            .map(HeaderValue::from_str)
            .transpose()
            .map_err(|_| SigningError::Credentials("session token"))?
            .map(|mut token| {
                token.set_sensitive(true);
                token
            });
        Ok(Self {
            access_key_id,
            secret_access_key,
            token,
        })
    }

    /// The access key id.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    pub(super) const fn secret(&self) -> &SecretString {
        &self.secret_access_key
    }

    pub(super) const fn token(&self) -> Option<&HeaderValue> {
        self.token.as_ref()
    }
}

impl fmt::Debug for SigningCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningCredentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}
