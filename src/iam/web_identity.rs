//! What a trust policy learns of a request with a web-identity token.

use std::net::IpAddr;

use super::{Context, Policy, Principal};
use crate::domain::Timestamp;

/// The action itself.
pub const ASSUME: &str = "sts:AssumeRoleWithWebIdentity";
/// Asked for as well where the token carries session tags.
pub const TAG_SESSION: &str = "sts:TagSession";
/// Asked for as well where the token carries a source identity.
pub const SET_SOURCE_IDENTITY: &str = "sts:SetSourceIdentity";

/// Keys whose values depend on how the request reaches STS.
const ONLY_STS_KNOWS: [&str; 13] = [
    "sts:RoleSessionName",
    "aws:SourceIp",
    "aws:SourceVpc",
    "aws:SourceVpce",
    "aws:VpcSourceIp",
    "aws:VpceAccount",
    "aws:VpceOrgID",
    "aws:VpceOrgPaths",
    "aws:RequestedRegion",
    "aws:SecureTransport",
    "aws:UserAgent",
    "aws:Referer",
    "aws:ViaAWSService",
];

impl Policy {
    /// Whether a condition looks at something that depends on how the request reaches STS, so that
    /// nobody else can decide it.
    #[must_use]
    pub fn has_unknown_conditions(&self) -> bool {
        let conditions = self.statements.iter().flat_map(|s| &s.conditions);
        conditions.into_iter().any(|c| {
            ONLY_STS_KNOWS
                .iter()
                .any(|key| key.eq_ignore_ascii_case(&c.key))
        })
    }
}

/// A request that holds a verified token of a private issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebIdentityRequest {
    /// The provider as IAM calls it: the issuer's URL without its scheme.
    pub provider: String,
    /// The provider's ARN.
    pub provider_arn: String,
    /// The account of role and provider.
    pub account: String,
    /// The `sub`.
    pub subject: String,
    /// The `aud`, or the `azp` in its place.
    pub audience: String,
    /// The `amr`.
    pub methods: Vec<String>,
    /// The session tags.
    pub tags: Vec<(String, String)>,
    /// The tags that a chained session keeps.
    pub transitive_tag_keys: Vec<String>,
    /// The source identity.
    pub source_identity: Option<String>,
    /// Whether the token names the role in its roles claim.
    pub authorized_by_idp: bool,
    /// The session's name, where it is known.
    pub session_name: Option<String>,
    /// Where the request comes from, where that is known.
    pub source_ip: Option<IpAddr>,
    /// The time.
    pub now: Timestamp,
}

impl WebIdentityRequest {
    /// Who asks.
    #[must_use]
    pub fn principal(&self) -> Principal {
        Principal::Federated(self.provider_arn.clone())
    }

    /// The actions that the policy has to allow, all of them.
    #[must_use]
    pub fn actions(&self) -> Vec<&'static str> {
        let tags = !self.tags.is_empty() || !self.transitive_tag_keys.is_empty();
        [
            (ASSUME, true),
            (TAG_SESSION, tags),
            (SET_SOURCE_IDENTITY, self.source_identity.is_some()),
        ]
        .into_iter()
        .filter_map(|(action, asked)| asked.then_some(action))
        .collect()
    }

    /// The condition keys. That `aws:PrincipalArn` is missing, `aws:PrincipalType` is `User` and
    /// `aws:userid` the provider's ARN was seen so; `HOST:aud`, `sub` and `amr` are what a private
    /// issuer's claims are known by.
    #[must_use]
    pub fn context(&self) -> Context {
        let provider = &self.provider;
        let mut context = Context::new();
        context.set(format!("{provider}:aud"), &self.audience);
        context.set(format!("{provider}:sub"), &self.subject);
        context.set_all(format!("{provider}:amr"), self.methods.clone());
        if let Some(name) = &self.session_name {
            context.set("sts:RoleSessionName", name);
        }
        context.set(
            "sts:RoleAuthorizedByIdp",
            if self.authorized_by_idp {
                "true"
            } else {
                "false"
            },
        );
        context.set("aws:PrincipalAccount", &self.account);
        context.set("aws:PrincipalType", "User");
        context.set("aws:userid", &self.provider_arn);
        context.set("aws:CurrentTime", self.now.to_string());
        context.set("aws:EpochTime", self.now.secs().to_string());
        if let Some(source_ip) = self.source_ip {
            context.set("aws:SourceIp", source_ip.to_string());
        }
        if let Some(source_identity) = &self.source_identity {
            context.set("sts:SourceIdentity", source_identity);
        }
        for (key, value) in &self.tags {
            context.set(format!("aws:RequestTag/{key}"), value);
        }
        let keys = self.tags.iter().map(|(key, _)| key.clone());
        context.set_all("aws:TagKeys", keys.collect());
        context.set_all("sts:TransitiveTagKeys", self.transitive_tag_keys.clone());
        context
    }

    /// The same, for a reader who is not STS: keys that only STS can know are marked unknown.
    #[must_use]
    pub fn context_from_afar(&self) -> Context {
        let mut context = self.context();
        for key in ONLY_STS_KNOWS {
            if context.get(key).is_none() {
                context.set_unknown(key);
            }
        }
        context
    }
}
