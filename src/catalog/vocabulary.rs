//! The names of services and actions, for those who write rules.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

use super::{
    Action,
    services::{rows, table},
    tables::TABLES,
};

/// The names of all services, as [`Service::id`](super::Service::id) has them.
pub fn services() -> impl Iterator<Item = &'static str> {
    rows().map(|row| row.service.id)
}

/// The prefixes of services' IAM actions, as [`Service::prefix`](super::Service::prefix) has them; some
/// more than once.
pub fn prefixes() -> impl Iterator<Item = &'static str> {
    rows().map(|row| row.service.prefix)
}

/// Every action with an IAM prefix (`s3`, in any case) that an operation needs, sorted by name. `None`
/// where no operation needs one.
#[must_use]
pub fn actions(prefix: &str) -> Option<impl Iterator<Item = &'static Action> + use<>> {
    let uses = uses(prefix);
    (!uses.is_empty()).then(|| uses.iter().map(|one| one.action))
}

/// The actions with an IAM prefix that are needed by operations whose answers hold credentials and by no
/// others, sorted by name.
pub fn credential_actions(prefix: &str) -> impl Iterator<Item = &'static Action> + use<> {
    uses(prefix)
        .iter()
        .filter(|one| one.hands_out && !one.harmless)
        .map(|one| one.action)
}

/// An action and what needs it.
struct Use {
    action: &'static Action,
    /// An operation whose answer holds credentials.
    hands_out: bool,
    /// Another one.
    harmless: bool,
}

/// The actions of a prefix, sorted by name. They are gathered from all tables that name the prefix, once
/// for the life of the process.
fn uses(prefix: &str) -> &'static [Use] {
    static GATHERED: RwLock<BTreeMap<String, &'static [Use]>> = RwLock::new(BTreeMap::new());
    let prefix = prefix.to_ascii_lowercase();
    let gathered = GATHERED.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(uses) = gathered.get(&prefix) {
        return uses;
    }
    drop(gathered);
    let found: Vec<Use> = gather(&prefix).into_values().collect();
    // There are as many prefixes with actions as AWS has, so that this has an end.
    if found.is_empty() {
        return &[];
    }
    let mut gathered = GATHERED.write().unwrap_or_else(PoisonError::into_inner);
    gathered
        .entry(prefix)
        .or_insert_with(|| Box::leak(found.into_boxed_slice()))
}

fn gather(prefix: &str) -> BTreeMap<&'static str, Use> {
    let mut found: BTreeMap<&str, Use> = BTreeMap::new();
    for (number, row) in (0_u16..).zip(rows()) {
        let is_own = row.service.prefix == prefix;
        // A table of another service names the prefix, unless it is not about it.
        if !is_own && !TABLES[usize::from(number)].contains(&format!("{prefix}:")) {
            continue;
        }
        for operation in table(number).operations() {
            for action in operation.every_action() {
                if !action.prefix().eq_ignore_ascii_case(prefix) {
                    continue;
                }
                let entry = found.entry(action.name()).or_insert(Use {
                    action,
                    hands_out: false,
                    harmless: false,
                });
                entry.hands_out |= operation.returns_credentials();
                entry.harmless |= !operation.returns_credentials();
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_those_that_operations_need() {
        let s3: Vec<String> = actions("S3").unwrap().map(ToString::to_string).collect();
        assert!(s3.contains(&"s3:GetObject".to_owned()), "{s3:?}");
        assert!(s3.is_sorted());
        let iam: Vec<String> = actions("iam").unwrap().map(ToString::to_string).collect();
        assert!(iam.contains(&"iam:PassRole".to_owned()), "{iam:?}");
        assert!(actions("s4").is_none());
        assert!(services().any(|id| id == "elbv2"));
        assert!(prefixes().any(|prefix| prefix == "elasticloadbalancing"));
    }

    #[test]
    fn credentials_come_by_these_actions() {
        let sts: Vec<String> = credential_actions("sts").map(ToString::to_string).collect();
        assert!(sts.contains(&"sts:AssumeRole".to_owned()), "{sts:?}");
        assert!(
            !sts.contains(&"sts:GetCallerIdentity".to_owned()),
            "{sts:?}"
        );
    }
}
