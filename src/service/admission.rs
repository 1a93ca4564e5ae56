//! Whether a trust policy lets a principal in, with the token that it would get.

use super::aws_claims;
use crate::{
    domain::{Audience, AwsProfile, AwsTokenClaims, Issuer, RoleArn, Timestamp},
    iam::{ASSUME, Context, Policy, PrincipalKind, Principals, Request, WebIdentityRequest},
    ports::ListedPrincipal,
};

/// A policy, and a request that differs from principal to principal only in what their tokens say.
pub(super) struct Question<'a> {
    policy: &'a Policy,
    /// The role, where it is known.
    role: Option<String>,
    request: WebIdentityRequest,
    principal: crate::iam::Principal,
    context: Context,
    sub_key: String,
    aud_key: String,
    subject: String,
}

impl<'a> Question<'a> {
    /// `None` where the policy does not name the issuer's provider.
    pub(super) fn new(
        policy: &'a Policy,
        role: Option<&RoleArn>,
        issuer: &Issuer,
        now: Timestamp,
    ) -> Option<Self> {
        let provider = issuer.provider();
        let arn = provider_arn(policy, provider)?;
        let request = WebIdentityRequest {
            provider: provider.to_owned(),
            account: arn.split(':').nth(4).unwrap_or_default().to_owned(),
            provider_arn: arn,
            subject: String::new(),
            audience: String::new(),
            methods: Vec::new(),
            tags: Vec::new(),
            transitive_tag_keys: Vec::new(),
            source_identity: None,
            authorized_by_idp: false,
            session_name: None,
            source_ip: None,
            now,
        };
        Some(Self {
            policy,
            role: role.map(ToString::to_string),
            principal: request.principal(),
            context: request.context_from_afar(),
            sub_key: format!("{provider}:sub"),
            aud_key: format!("{provider}:aud"),
            subject: String::new(),
            request,
        })
    }

    /// The first of a principal's audiences with which it is let in; `profile` is what its tokens for
    /// AWS are made of.
    pub(super) fn admits(
        &mut self,
        principal: &ListedPrincipal,
        profile: &AwsProfile,
    ) -> Option<usize> {
        use std::fmt::Write as _;

        self.subject.clear();
        // Writing to a text cannot fail.
        let _ = write!(self.subject, "{}", principal.subject);
        let bare = profile.claims == crate::domain::AwsClaims::default();
        principal
            .organization
            .audiences
            .iter()
            .position(|audience| {
                if bare || *audience != Audience::sts() {
                    self.admits_bare(audience)
                } else {
                    self.admits_claims(principal, profile, audience)
                }
            })
    }

    /// A token that says nothing to AWS beside `sub` and `aud`.
    fn admits_bare(&mut self, audience: &Audience) -> bool {
        self.context.reset(&self.sub_key, &self.subject);
        self.context.reset(&self.aud_key, audience.as_str());
        self.allows(ASSUME, &self.context)
    }

    fn admits_claims(
        &self,
        principal: &ListedPrincipal,
        profile: &AwsProfile,
        audience: &Audience,
    ) -> bool {
        let role = self.role.as_deref();
        // Such a token is not issued.
        let Ok(claims) = aws_claims::claims(&principal.subject, profile, audience, role) else {
            return false;
        };
        let request = self.request_with(audience, profile, claims);
        let context = request.context_from_afar();
        let mut actions = request.actions().into_iter();
        actions.all(|action| self.allows(action, &context))
    }

    fn request_with(
        &self,
        audience: &Audience,
        profile: &AwsProfile,
        claims: AwsTokenClaims,
    ) -> WebIdentityRequest {
        let mut request = self.request.clone();
        request.subject.clone_from(&self.subject);
        audience.as_str().clone_into(&mut request.audience);
        if let Some(tags) = claims.tags {
            let transitive = tags.transitive_keys();
            request.transitive_tag_keys = transitive.map(str::to_owned).collect();
            let tags = tags.iter();
            request.tags = tags
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect();
        }
        request.source_identity = claims.source_identity.map(|id| id.to_string());
        // Who knows the role asks for a token that is pinned to it, as `login` does.
        request.authorized_by_idp = profile.claims.role_pin;
        request
    }

    fn allows(&self, action: &str, context: &Context) -> bool {
        let request = Request {
            action,
            principal: &self.principal,
            context,
        };
        self.policy.decide(&request).is_allowed()
    }
}

/// The ARN under which a policy names a provider, in whatever account; where it trusts every
/// provider, one that stands for all.
fn provider_arn(policy: &Policy, provider: &str) -> Option<String> {
    let listed = policy
        .statements
        .iter()
        .map(|statement| &statement.principals);
    let mut every = false;
    for principals in listed {
        match principals {
            Principals::Only(listed) => {
                for (kind, name) in listed {
                    if *kind != PrincipalKind::Federated {
                        continue;
                    }
                    every |= name == "*";
                    let named = name.split_once(":oidc-provider/").map(|(_, host)| host);
                    if named == Some(provider) {
                        return Some(name.clone());
                    }
                }
            }
            Principals::AllBut(_) => every = true,
            Principals::Everyone => {}
        }
    }
    every.then(|| format!("arn:aws:iam::000000000000:oidc-provider/{provider}"))
}
