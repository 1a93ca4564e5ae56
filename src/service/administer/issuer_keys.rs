//! The issuer's keys, as administrators see them.

use super::{AdminRefusal, Administrator, Service};
use crate::domain::IssuerKey;

impl Service {
    /// The issuer's keys that are not retired, for those who administer the whole installation.
    ///
    /// # Errors
    /// The administrator's token is for one organisation only; the database.
    pub async fn issuer_keys(&self, admin: &Administrator) -> Result<Vec<IssuerKey>, AdminRefusal> {
        if !admin.reaches_all() {
            return Err(AdminRefusal::Forbidden(
                "this administrator token is for one organisation and cannot see the issuer's keys",
            ));
        }
        let mut keys = self.store.issuer_keys(&self.issuer).await?;
        keys.sort_by_key(IssuerKey::rank);
        Ok(keys)
    }
}
