//! The guard against server-side request forgery, as a resolver.

use std::fmt;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

pub use crate::domain::{AddressRule as Allow, ForbiddenAddress};

/// A resolver that hands out only addresses that [`Allow`] lets through.
#[derive(Clone, Copy)]
pub(super) struct GuardedResolver(pub(super) Allow);

impl fmt::Debug for GuardedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GuardedResolver").field(&self.0).finish()
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow = self.0;
        Box::pin(async move {
            let host = name.as_str();
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(Box::new(allow.judge(host, found)?.into_iter()) as Addrs)
        })
    }
}
