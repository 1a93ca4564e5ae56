//! The words that rules may use, from the catalog.

use crate::catalog::{self, Action};

/// The actions with an IAM prefix, in lower case; `None` where no action has it.
pub(super) fn actions(prefix: &str) -> Option<Vec<&'static Action>> {
    catalog::actions(prefix).map(Iterator::collect)
}

/// All IAM prefixes.
pub(super) fn prefixes() -> impl Iterator<Item = &'static str> {
    catalog::prefixes()
}

/// Whether there is a service of that name: boto3's, or the prefix of its IAM actions.
pub(super) fn is_service(name: &str) -> bool {
    services().any(|known| known == name)
}

/// The names of all services.
pub(super) fn services() -> impl Iterator<Item = &'static str> {
    catalog::services().chain(prefixes())
}

/// The actions with a prefix that read or list.
pub(super) fn read_only(prefix: &str) -> Option<impl Iterator<Item = &'static Action>> {
    catalog::read_only(prefix)
}

/// The actions with a prefix that an operation needs whose answer holds credentials.
pub(super) fn credential_actions(prefix: &str) -> impl Iterator<Item = &'static Action> {
    catalog::credential_actions(prefix)
}
