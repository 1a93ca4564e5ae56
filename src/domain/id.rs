//! Identifiers: `UUIDv7` (RFC 9562 §5.7), one type for each thing that has one.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Clock, Random};

/// Why a text is not an identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} id {text:?} is not a lower-case UUID like 0191e223-1c3c-7607-badf-303c98b52d2f")]
pub struct IdError {
    kind: &'static str,
    text: String,
}

/// A fresh `UUIDv7`: the time in its first 48 bits, so that rows sort by age.
fn uuid_v7(clock: &dyn Clock, random: &dyn Random) -> Uuid {
    let mut bytes = [0_u8; 10];
    random.fill(&mut bytes);
    let ms = u64::try_from(clock.now().ms()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(ms, &bytes).into_uuid()
}

/// Only the canonical form, so that one identity has exactly one spelling in a `sub`.
fn parse(kind: &'static str, text: &str) -> Result<Uuid, IdError> {
    let error = || IdError {
        kind,
        text: text.chars().take(64).collect(),
    };
    let uuid = Uuid::try_parse(text).map_err(|_| error())?;
    let mut buffer = [0_u8; uuid::fmt::Hyphenated::LENGTH];
    if uuid.hyphenated().encode_lower(&mut buffer) == text {
        Ok(uuid)
    } else {
        Err(error())
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh one.
            #[must_use]
            pub fn new(clock: &dyn Clock, random: &dyn Random) -> Self {
                Self(uuid_v7(clock, random))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse($kind, text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

id!(
    /// Names an organisation: the tenant, and the first segment of every `sub`.
    OrganizationId, "organisation"
);
id!(
    /// Names a project of an organisation.
    ProjectId, "project"
);
id!(
    /// Names an environment; also its `OAuth` client id.
    EnvironmentId, "environment"
);
id!(
    /// Names a join token (not the token itself, which is a secret).
    JoinTokenId, "join token"
);
id!(
    /// Names an administrator token (not the token itself, which is a secret).
    AdminTokenId, "administrator token"
);
id!(
    /// Names a stored issuer key's record; the key itself is known by its `kid`.
    KeyId, "key"
);
id!(
    /// Names an audit record.
    AuditId, "audit record"
);
id!(
    /// Names a client assertion: its `jti`. Those of one moment lie side by side in the server's
    /// table of used ones, which is what makes them cheap to remember.
    AssertionId, "assertion"
);
id!(
    /// Names one request; in the `X-Request-Id` header, the log and the audit record.
    RequestId, "request"
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{SimulatedClock, SystemRandom, Timestamp};

    #[test]
    fn carries_the_time_and_sorts_by_it() {
        let clock = SimulatedClock::new(Timestamp::from_ms(0x0191_e223_1c3c));
        let early = EnvironmentId::new(&clock, &SystemRandom);
        assert!(early.to_string().starts_with("0191e223-1c3c-7"));
        clock.advance(std::time::Duration::from_millis(1));
        assert!(early < EnvironmentId::new(&clock, &SystemRandom));
    }

    #[test]
    fn has_one_spelling() {
        let canonical = "0191e223-1c3c-7607-badf-303c98b52d2f";
        assert_eq!(
            canonical.parse::<OrganizationId>().unwrap().to_string(),
            canonical
        );
        for other in [
            "0191E223-1C3C-7607-BADF-303C98B52D2F",
            "0191e2231c3c7607badf303c98b52d2f",
            "{0191e223-1c3c-7607-badf-303c98b52d2f}",
            "urn:uuid:0191e223-1c3c-7607-badf-303c98b52d2f",
            "*",
            "",
        ] {
            let error = other.parse::<OrganizationId>().unwrap_err();
            assert!(error.to_string().contains("organisation id"), "{error}");
        }
    }
}
