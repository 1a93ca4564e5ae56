//! When an issuer's keys change their state: how long each state lasts, below what it must not go, and
//! what is due.

use std::time::Duration;

use super::{IssuerKey, KeyId, KeyState, SigningAlgorithm, Timestamp};

/// How long a verifier may keep the JWKS that the server answers.
pub const JWKS_MAX_AGE: Duration = Duration::from_mins(5);

/// The most keys that are ever published. AWS takes up to 100, but fetches them within 5 s.
pub const MOST_KEYS: usize = 10;

/// How long after `exp` a verifier may still take a token, and how long a cache on the way may keep a
/// JWKS longer than it was allowed to.
const LEEWAY: Duration = Duration::from_mins(5);

/// The shortest that a key is published before it signs, whatever the caching.
const SHORTEST_PENDING: Duration = Duration::from_hours(1);

/// The shortest that a key signs. More often, and retiring keys pile up in the JWKS.
const SHORTEST_ACTIVE: Duration = Duration::from_hours(24);

/// How many keys planned rotations may have published at once: emergencies need room.
const MOST_PLANNED: u32 = 6;

/// How long a key stays in each state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Published, before it signs.
    pub pending_for: Duration,
    /// Signing.
    pub active_for: Duration,
    /// Published, after it signed.
    pub retiring_for: Duration,
}

impl Default for Rotation {
    fn default() -> Self {
        Self {
            pending_for: Duration::from_hours(24),
            active_for: Duration::from_hours(30 * 24),
            retiring_for: Duration::from_hours(24),
        }
    }
}

/// A state that would be too short or too long: its setting, what is wrong, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsound {
    /// The setting's name.
    pub setting: &'static str,
    /// What is wrong with it, and why.
    pub problem: String,
    /// What to do.
    pub cure: String,
}

/// How long a key has to be published before it signs: so long that every verifier has fetched the
/// JWKS anew several times.
#[must_use]
pub fn pending_floor(max_age: Duration) -> Duration {
    (max_age * 4).max(SHORTEST_PENDING)
}

/// How long a key has to stay published after its last signature: until the last token that it signed
/// has expired for every verifier, whatever JWKS that verifier had.
#[must_use]
pub fn retiring_floor(longest_life: Duration, max_age: Duration) -> Duration {
    longest_life + LEEWAY + max_age + LEEWAY
}

impl Rotation {
    /// What is unsound where tokens live up to `longest_life`.
    #[must_use]
    pub fn unsound(&self, longest_life: Duration) -> Vec<Unsound> {
        let mut found = Vec::new();
        let mut at_least = |setting, value: Duration, floor: Duration, why: &str| {
            if value < floor {
                found.push(Unsound {
                    setting,
                    problem: format!("is shorter than {}: {why}", spelled(floor)),
                    cure: format!("make it \"{}\" or longer", spelled(floor)),
                });
            }
        };
        at_least(
            "keys.pending_for",
            self.pending_for,
            pending_floor(JWKS_MAX_AGE),
            "verifiers keep the JWKS for up to 5 minutes, and all of them have to hold a key before \
             it signs",
        );
        at_least(
            "keys.active_for",
            self.active_for,
            SHORTEST_ACTIVE.max(self.pending_for),
            "the next key has to be ready, and retiring ones must not pile up in the JWKS",
        );
        at_least(
            "keys.retiring_for",
            self.retiring_for,
            retiring_floor(longest_life, JWKS_MAX_AGE),
            "a key has to stay in the JWKS until the last token that it signed has expired \
             (tokens.max_ttl), with 15 minutes for caches and slow clocks",
        );
        // Saturating where the period is absurdly short, which was reported already.
        let together = self
            .retiring_for
            .as_secs()
            .div_ceil(self.active_for.as_secs().max(1))
            .saturating_add(2);
        if together > u64::from(MOST_PLANNED) {
            found.push(Unsound {
                setting: "keys.retiring_for",
                problem: format!(
                    "is so long that {together} keys would be published at once; at most \
                     {MOST_PLANNED} leave room for emergencies"
                ),
                cure: "shorten it, or make keys.active_for longer".to_owned(),
            });
        }
        found
    }
}

/// A duration as the settings write it: `90m`, `36h`, `30d`.
#[must_use]
pub fn spelled(duration: Duration) -> String {
    let secs = duration.as_secs();
    for (unit, name) in [(86_400, 'd'), (3_600, 'h'), (60, 'm')] {
        if secs != 0 && secs.is_multiple_of(unit) {
            return format!("{}{name}", secs / unit);
        }
    }
    format!("{secs}s")
}

/// Reads what [`spelled`] writes: a whole number and `s`, `m`, `h` or `d`.
///
/// # Errors
/// Another form, or more than ten years.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "is not a duration such as \"30d\", \"24h\", \"90m\" or \"3600s\"".to_owned();
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let number = &text[..text.len() - 1];
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
        .filter(|secs| *secs <= 10 * 366 * 86_400)
        .map(Duration::from_secs)
        .ok_or_else(|| "is longer than ten years".to_owned())
}

/// What a key is going to be next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state.
    pub to: KeyState,
    /// From when on; `None` while it waits for something that has no time.
    pub at: Option<Timestamp>,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// There is no pending key: make one.
    Create,
    /// The pending key is to sign, and the active one to retire.
    Promote(KeyId),
    /// The retiring key leaves the JWKS.
    Expire(KeyId),
}

/// The keys of an issuer at one moment, and the rules that they go by.
#[derive(Clone, Copy, Debug)]
pub struct Schedule<'a> {
    /// Every key that is not retired.
    pub keys: &'a [IssuerKey],
    /// The algorithm that new keys have.
    pub algorithm: SigningAlgorithm,
    /// How long states last.
    pub rotation: Rotation,
    /// Whether the JWKS are published elsewhere, so that a key has to be seen there.
    pub published_elsewhere: bool,
}

impl<'a> Schedule<'a> {
    /// The key that signs: of the issuer's algorithm, or of the former one while that has been changed
    /// and no key of the new one is ready.
    #[must_use]
    pub fn active(&self) -> Option<&'a IssuerKey> {
        let mut active: Vec<&IssuerKey> = self.of(KeyState::Active).collect();
        active.sort_by_key(|key| key.algorithm != self.algorithm);
        active.first().copied()
    }

    /// The key that will sign next.
    #[must_use]
    pub fn pending(&self) -> Option<&'a IssuerKey> {
        self.of(KeyState::Pending)
            .find(|key| key.algorithm == self.algorithm)
    }

    fn of(&self, state: KeyState) -> impl Iterator<Item = &'a IssuerKey> + use<'a> {
        self.keys.iter().filter(move |key| key.state() == state)
    }

    /// For how long verifiers may keep the JWKS: as the server says, or longer where the public
    /// address was seen to say so.
    #[must_use]
    pub fn max_age(&self) -> Duration {
        let seen = self.keys.iter().map(|key| key.facts.seen_max_age).max();
        seen.unwrap_or_default().max(JWKS_MAX_AGE)
    }

    /// When the JWKS with this key came to where verifiers fetch it; `None` where it has yet to be seen
    /// there.
    fn public_from(&self, key: &IssuerKey) -> Option<Timestamp> {
        if self.published_elsewhere {
            key.facts.seen_at
        } else {
            Some(key.created_at)
        }
    }

    /// From when on every verifier holds this key, however long it keeps a JWKS.
    #[must_use]
    pub fn known_from(&self, key: &IssuerKey) -> Option<Timestamp> {
        self.public_from(key).map(|at| at.plus(self.max_age()))
    }

    /// When the pending key begins to sign, if nobody does anything.
    #[must_use]
    pub fn promotion(&self, pending: &IssuerKey) -> Option<Timestamp> {
        let floor = pending_floor(self.max_age());
        let ready = self.public_from(pending)?.plus(floor);
        if pending.facts.wanted_at.is_some() {
            return Some(ready);
        }
        let ready = ready.max(pending.created_at.plus(self.rotation.pending_for));
        Some(match self.active() {
            Some(active) if active.algorithm == self.algorithm => {
                let begun = active.activated_at.unwrap_or(active.created_at);
                ready.max(begun.plus(self.rotation.active_for))
            }
            Some(_) => ready,
            // Nothing signs: there is nothing to wait for.
            None => pending.created_at,
        })
    }

    /// When a retiring key leaves the JWKS.
    fn expiry(&self, key: &IssuerKey) -> Option<Timestamp> {
        let floor = retiring_floor(key.facts.longest_life, self.max_age());
        let stays = self.rotation.retiring_for.max(floor);
        key.retiring_at.map(|at| at.plus(stays))
    }

    /// What becomes of a key, and when.
    #[must_use]
    pub fn next(&self, key: &IssuerKey) -> Option<Transition> {
        let promotion = || self.pending().and_then(|pending| self.promotion(pending));
        match key.state() {
            KeyState::Pending if key.algorithm == self.algorithm => Some(Transition {
                to: KeyState::Active,
                at: promotion(),
            }),
            KeyState::Pending => Some(Transition {
                to: KeyState::Retired,
                at: promotion(),
            }),
            KeyState::Active => Some(Transition {
                to: KeyState::Retiring,
                at: promotion(),
            }),
            KeyState::Retiring => Some(Transition {
                to: KeyState::Retired,
                at: self.expiry(key),
            }),
            KeyState::Retired => None,
        }
    }

    /// Since when a step has been due that was not taken: a key that should sign and was not made or not
    /// seen where verifiers fetch it, one that should have left the JWKS. `None` where none is.
    #[must_use]
    pub fn overdue_since(&self, now: Timestamp) -> Option<Timestamp> {
        let expiries = self
            .of(KeyState::Retiring)
            .filter_map(|key| self.expiry(key));
        // Where nothing can be said of the next key, the time of the active one counts.
        let end = || {
            let active = self.active()?;
            let begun = active.activated_at.unwrap_or(active.created_at);
            Some(begun.plus(self.rotation.active_for))
        };
        let next = self.pending().and_then(|pending| self.promotion(pending));
        let due = expiries.chain(next.or_else(end)).min();
        due.filter(|at| *at <= now)
    }

    /// Whether another key may be published.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.keys.len() < MOST_KEYS
    }

    /// What is due at `now`, the first of several. Times that lie in the future, because the clock was
    /// set back, make nothing due.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Option<Due> {
        let passed = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        if let Some(key) = self
            .of(KeyState::Retiring)
            .find(|key| passed(self.expiry(key)))
        {
            return Some(Due::Expire(key.id));
        }
        match self.pending() {
            None => self.has_room().then_some(Due::Create),
            // The promotion makes the next pending key in the same transaction.
            Some(pending) => (self.has_room() && passed(self.promotion(pending)))
                .then_some(Due::Promote(pending.id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{KeyFacts, PublicJwk, SystemRandom};

    const DAY: Duration = Duration::from_hours(24);

    fn key(created: Timestamp, activated: Option<Timestamp>) -> IssuerKey {
        let clock = crate::domain::SimulatedClock::new(created);
        IssuerKey {
            id: KeyId::new(&clock, &SystemRandom),
            issuer: "https://idp.example.com".parse().unwrap(),
            kid: String::new(),
            algorithm: SigningAlgorithm::Es256,
            public: PublicJwk::Okp {
                crv: String::new(),
                x: String::new(),
            },
            certificate: String::new(),
            sealed: None,
            reference: None,
            mac: None,
            created_at: created,
            activated_at: activated,
            retiring_at: None,
            retired_at: None,
            facts: KeyFacts::default(),
        }
    }

    fn schedule(keys: &[IssuerKey], published_elsewhere: bool) -> Schedule<'_> {
        Schedule {
            keys,
            algorithm: SigningAlgorithm::Es256,
            rotation: Rotation::default(),
            published_elsewhere,
        }
    }

    #[test]
    fn what_stands_in_the_way_of_a_rotation_is_told() {
        let start = Timestamp::from_secs(1_740_514_245);
        let after = |days: u32| start.plus(DAY * days);
        let active = key(start, Some(start));
        let overdue = |keys: &[IssuerKey], elsewhere, now| {
            let since = schedule(keys, elsewhere).overdue_since(now);
            since.map(|at| now.since(at))
        };
        // Nobody makes the next key; or nobody publishes it.
        let alone = [active.clone()];
        assert_eq!(overdue(&alone, false, after(29)), None);
        assert_eq!(overdue(&alone, false, after(32)), Some(DAY * 2));
        let both = [active.clone(), key(start, None)];
        assert_eq!(overdue(&both, true, after(29)), None);
        assert_eq!(overdue(&both, true, after(32)), Some(DAY * 2));
        // A new pending key has its time, whatever the active one's.
        let young = [active.clone(), key(after(40), None)];
        assert_eq!(overdue(&young, false, after(40)), None);
        assert_eq!(overdue(&young, false, after(42)), Some(DAY));
        let mut leaving = key(start, Some(start));
        leaving.retiring_at = Some(after(1));
        let left = [key(start, Some(after(1))), key(after(1), None), leaving];
        assert_eq!(overdue(&left, false, after(2)), Some(Duration::ZERO));
        assert_eq!(overdue(&left, false, after(4)), Some(DAY * 2));
    }
}
