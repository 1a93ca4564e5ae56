//! The claims of an issued token.

use std::time::Duration;

use serde::Serialize;

use super::{Audience, AwsTokenClaims, Issuer, OrganizationId, Subject, Timestamp};

/// How long a token lives: 60–3600 s, 900 s by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenLifetime(u16);

impl TokenLifetime {
    /// The shortest life, in seconds.
    pub const MIN: u16 = 60;
    /// The longest life, in seconds.
    pub const MAX: u16 = 3600;

    /// A life of `secs` seconds, where that is allowed.
    #[must_use]
    pub fn from_secs(secs: u64) -> Option<Self> {
        u16::try_from(secs)
            .ok()
            .filter(|secs| (Self::MIN..=Self::MAX).contains(secs))
            .map(Self)
    }

    /// The life in seconds.
    #[must_use]
    pub const fn secs(self) -> u16 {
        self.0
    }

    /// The life as a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

impl Default for TokenLifetime {
    fn default() -> Self {
        Self(900)
    }
}

/// The claims of a v2 token, in the order in which they are written.
///
/// Never `azp`: AWS STS would take it instead of `aud`. `nbf` lies 60 s before `iat`, so that a
/// verifier whose clock is a little behind does not refuse a fresh token.
#[derive(Clone, Debug, Serialize)]
pub struct TokenClaims {
    /// The issuer, exactly as discovery has it.
    pub iss: Issuer,
    /// `org:<O>/prj:<P>/env:<E>`.
    pub sub: String,
    /// One audience, as a string.
    pub aud: Audience,
    /// The organisation's id.
    pub org: OrganizationId,
    /// Expiry, epoch seconds.
    pub exp: i64,
    /// Time of issue, epoch seconds.
    pub iat: i64,
    /// Not valid before, epoch seconds.
    pub nbf: i64,
    /// Unique per token; in the token's audit record too.
    pub jti: String,
    /// What AWS takes into its policies.
    #[serde(flatten)]
    pub aws: AwsTokenClaims,
}

impl TokenClaims {
    /// Seconds between `nbf` and `iat`.
    pub const NBF_LEEWAY_SECS: i64 = 60;

    /// The claims of a token for `subject`, issued `now`.
    #[must_use]
    pub fn v2(
        issuer: Issuer,
        subject: &Subject,
        audience: Audience,
        lifetime: TokenLifetime,
        now: Timestamp,
        jti: String,
    ) -> Self {
        let iat = now.secs();
        Self {
            iss: issuer,
            sub: subject.to_string(),
            aud: audience,
            org: subject.organization,
            exp: iat + i64::from(lifetime.secs()),
            iat,
            nbf: iat - Self::NBF_LEEWAY_SECS,
            jti,
            aws: AwsTokenClaims::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_have_bounds() {
        assert_eq!(TokenLifetime::from_secs(59), None);
        assert_eq!(TokenLifetime::from_secs(60).unwrap().secs(), 60);
        assert_eq!(TokenLifetime::from_secs(3600).unwrap().secs(), 3600);
        assert_eq!(TokenLifetime::from_secs(3601), None);
        assert_eq!(TokenLifetime::from_secs(u64::MAX), None);
        assert_eq!(TokenLifetime::default().secs(), 900);
    }

    #[test]
    fn v2_has_these_members_and_no_others() {
        let subject = Subject {
            organization: "0191e223-1c3c-7607-badf-303c98b52d2f".parse().unwrap(),
            project: None,
            environment: "019527e4-75d5-704d-a5a4-a2b52cf56196".parse().unwrap(),
        };
        let claims = TokenClaims::v2(
            "https://idp.example.com".parse().unwrap(),
            &subject,
            Audience::sts(),
            TokenLifetime::from_secs(300).unwrap(),
            Timestamp::from_secs(1_740_514_245),
            "j".to_owned(),
        );
        assert_eq!(
            serde_json::to_string(&claims).unwrap(),
            "{\"iss\":\"https://idp.example.com\",\
             \"sub\":\"org:0191e223-1c3c-7607-badf-303c98b52d2f/env:019527e4-75d5-704d-a5a4-a2b52cf56196\",\
             \"aud\":\"sts.amazonaws.com\",\"org\":\"0191e223-1c3c-7607-badf-303c98b52d2f\",\
             \"exp\":1740514545,\"iat\":1740514245,\"nbf\":1740514185,\"jti\":\"j\"}"
        );
    }
}
