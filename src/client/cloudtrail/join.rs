//! Which session is explained by which token.

use std::collections::HashMap;

use super::SessionEvent;
use crate::domain::Timestamp;

/// How far clocks may be apart, and how long after its expiry STS takes a token, in seconds.
const LEEWAY: i64 = 300;

/// The longest life of a token, in seconds.
const LONGEST_LIFE: i64 = 3600;

/// A token that the issuer has on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedMint {
    /// When it was minted.
    pub at: Timestamp,
    /// Its `jti`.
    pub jti: String,
    /// Its `sub`.
    pub subject: String,
    /// Its `aud`.
    pub audience: String,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// These tokens, by their `jti`, were good for it; nearly always one.
    Explained(Vec<String>),
    /// No token was; why.
    Unexplained(String),
}

/// An event and its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The event.
    pub event: SessionEvent,
    /// What explains it.
    pub verdict: Verdict,
}

/// When the tokens that can explain `events` were minted: from, until.
#[must_use]
pub fn window(events: &[SessionEvent]) -> Option<(Timestamp, Timestamp)> {
    let first = events.iter().map(|event| event.at.secs()).min()?;
    let last = events.iter().map(|event| event.at.secs()).max()?;
    Some((
        Timestamp::from_secs(first - LONGEST_LIFE - LEEWAY),
        Timestamp::from_secs(last + LEEWAY),
    ))
}

/// Looks for the tokens behind events of one organisation, whose tokens of the [`window`] are
/// `mints`.
#[must_use]
pub fn explain(events: Vec<SessionEvent>, mints: &[RecordedMint]) -> Vec<Joined> {
    let mut by_subject: HashMap<&str, Vec<&RecordedMint>> = HashMap::new();
    for mint in mints {
        by_subject.entry(&mint.subject).or_default().push(mint);
    }
    events
        .into_iter()
        .map(|event| Joined {
            verdict: verdict(&event, by_subject.get(event.subject.as_str())),
            event,
        })
        .collect()
}

fn verdict(event: &SessionEvent, mints: Option<&Vec<&RecordedMint>>) -> Verdict {
    if let (Some(source_identity), Some(environment)) =
        (&event.source_identity, event.environment())
        && source_identity != environment
    {
        return Verdict::Unexplained(format!(
            "the source identity {source_identity} is not the environment of the subject"
        ));
    }
    let at = event.at.secs();
    let fits = |mint: &&&RecordedMint| {
        (mint.at.secs() - LEEWAY..=mint.expires_at.secs() + LEEWAY).contains(&at)
            && event
                .audience
                .as_ref()
                .is_none_or(|audience| *audience == mint.audience)
    };
    let found: Vec<String> = mints
        .into_iter()
        .flatten()
        .filter(fits)
        .map(|mint| mint.jti.clone())
        .collect();
    if found.is_empty() {
        return Verdict::Unexplained(
            "no token of this subject was minted that was good at that time".to_owned(),
        );
    }
    Verdict::Explained(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBJECT: &str = "org:o/prj:p/env:e";

    fn event(at: i64) -> SessionEvent {
        SessionEvent {
            id: String::new(),
            at: Timestamp::from_secs(at),
            provider: "arn:aws:iam::123456789012:oidc-provider/idp.example.com".to_owned(),
            subject: SUBJECT.to_owned(),
            audience: Some("sts.amazonaws.com".to_owned()),
            role_arn: String::new(),
            session_name: String::new(),
            source_identity: None,
            error_code: None,
            source: String::new(),
        }
    }

    fn mint(at: i64) -> RecordedMint {
        RecordedMint {
            at: Timestamp::from_secs(at),
            jti: format!("j{at}"),
            subject: SUBJECT.to_owned(),
            audience: "sts.amazonaws.com".to_owned(),
            expires_at: Timestamp::from_secs(at + 900),
        }
    }

    fn explained(event: SessionEvent) -> Vec<String> {
        match explain(vec![event], &[mint(10_000), mint(20_000)])
            .remove(0)
            .verdict
        {
            Verdict::Explained(jtis) => jtis,
            Verdict::Unexplained(_) => Vec::new(),
        }
    }

    #[test]
    fn a_token_explains_what_happened_in_its_life_and_the_leeway() {
        assert_eq!(explained(event(10_000)), ["j10000"]);
        assert_eq!(explained(event(9_700)), ["j10000"]);
        assert_eq!(explained(event(11_200)), ["j10000"]);
        assert_eq!(explained(event(20_500)), ["j20000"]);
        assert!(explained(event(9_699)).is_empty());
        assert!(explained(event(11_201)).is_empty());
    }

    #[test]
    fn subject_audience_and_source_identity_have_to_fit() {
        let with = |change: fn(&mut SessionEvent)| {
            let mut event = event(10_000);
            change(&mut event);
            explained(event)
        };
        assert!(with(|event| event.subject = "org:o/prj:p/env:f".to_owned()).is_empty());
        assert!(with(|event| event.audience = Some("api://x".to_owned())).is_empty());
        assert!(with(|event| event.source_identity = Some("f".to_owned())).is_empty());
        assert_eq!(
            with(|event| event.source_identity = Some("e".to_owned())),
            ["j10000"]
        );
        assert_eq!(with(|event| event.audience = None), ["j10000"]);
    }

    #[test]
    fn providers_are_told_apart() {
        let event = event(0);
        assert!(event.is_of("idp.example.com"));
        assert!(!event.is_of("idp.example.co"));
        assert!(!event.is_of("example.com"));
        assert_eq!(event.organization(), Some("o"));
        assert_eq!(window(&[]), None);
    }
}
