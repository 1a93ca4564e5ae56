//! What is to be done when an environment's key is replaced; the same for both databases.

use sqlx::FromRow;

use super::rows::corrupt;
use crate::{
    domain::{EnvironmentState, FORMER_KEY_GRACE, Timestamp},
    ports::{KeyRotation, RotationOutcome, StoreError},
};

/// An environment and the key that asks to be replaced, as the database has them.
#[derive(FromRow)]
pub(super) struct StandingRow {
    state: String,
    kid: Option<String>,
    key_unused: bool,
    /// Whether the key that asks is a former one.
    former: bool,
    /// When that one ends.
    ends_at: Option<i64>,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing, and this is the outcome.
    Refuse(RotationOutcome),
    /// Nothing: the new key is in place.
    Done,
    /// The new key takes the present one's place.
    Replace {
        /// When the key before the present one ends, where that is to be set now.
        grace_ends_at: Option<Timestamp>,
        /// When the present key ends, where that is known.
        ends_at: Option<Timestamp>,
    },
}

impl StandingRow {
    pub(super) fn step(&self, rotation: &KeyRotation) -> Result<Step, StoreError> {
        let state = EnvironmentState::from_name(&self.state)
            .ok_or_else(|| corrupt("environments.state", format!("{:?} is none", self.state)))?;
        if state != EnvironmentState::Enrolled {
            return Ok(Step::Refuse(RotationOutcome::NotEnrolled(state)));
        }
        // A former key may go on asking as long as nobody has used the one that replaced it.
        let waits = self.former && self.ends_at.is_none() && self.key_unused;
        let present = self.kid.as_deref();
        Ok(if present == Some(&rotation.new_kid) {
            if waits {
                Step::Done
            } else {
                Step::Refuse(RotationOutcome::OldKeyEnded)
            }
        } else if present == Some(&rotation.old_kid) {
            Step::Replace {
                // To ask for a successor is a key's first use too.
                grace_ends_at: self.key_unused.then(|| rotation.at.plus(FORMER_KEY_GRACE)),
                ends_at: None,
            }
        } else if waits {
            Step::Replace {
                grace_ends_at: None,
                ends_at: Some(rotation.at),
            }
        } else {
            Step::Refuse(RotationOutcome::OldKeyEnded)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::PublicJwk;

    const AT: Timestamp = Timestamp::from_ms(1_000);

    fn row(kid: &str, key_unused: bool, former: &[Option<i64>]) -> StandingRow {
        StandingRow {
            state: "enrolled".to_owned(),
            kid: Some(kid.to_owned()),
            key_unused,
            former: !former.is_empty(),
            ends_at: former.first().copied().flatten(),
        }
    }

    /// What becomes of the request of key `a` to be replaced by key `b`.
    fn step(row: &StandingRow) -> Step {
        let rotation = KeyRotation {
            environment_id: "019527e4-75d5-704d-a5a4-a2b52cf56196".parse().unwrap(),
            old_kid: "a".to_owned(),
            new_kid: "b".to_owned(),
            public: PublicJwk::Okp {
                crv: "Ed25519".to_owned(),
                x: "x".to_owned(),
            },
            at: AT,
        };
        row.step(&rotation).unwrap()
    }

    #[test]
    fn the_present_key_is_replaced_and_its_asking_is_a_use() {
        assert_eq!(
            step(&row("a", false, &[])),
            Step::Replace {
                grace_ends_at: None,
                ends_at: None
            }
        );
        assert_eq!(
            step(&row("a", true, &[])),
            Step::Replace {
                grace_ends_at: Some(Timestamp::from_ms(61_000)),
                ends_at: None
            }
        );
    }

    #[test]
    fn until_the_new_key_is_used_the_old_one_may_ask_again() {
        assert_eq!(step(&row("b", true, &[None])), Step::Done);
        assert_eq!(
            step(&row("c", true, &[None])),
            Step::Replace {
                grace_ends_at: None,
                ends_at: Some(AT)
            }
        );
    }

    #[test]
    fn a_key_that_ended_or_never_was_replaces_nothing() {
        let ended = Step::Refuse(RotationOutcome::OldKeyEnded);
        for row in [
            row("b", false, &[Some(5_000)]),
            row("c", false, &[Some(5_000)]),
            row("c", true, &[Some(500)]),
            row("b", false, &[]),
            row("c", true, &[]),
        ] {
            assert_eq!(step(&row), ended);
        }
    }

    #[test]
    fn other_states_refuse() {
        let mut row = row("a", false, &[]);
        for state in [EnvironmentState::Stopped, EnvironmentState::Quarantined] {
            row.state = state.as_str().to_owned();
            let refused = Step::Refuse(RotationOutcome::NotEnrolled(state));
            assert_eq!(step(&row), refused);
        }
    }
}
