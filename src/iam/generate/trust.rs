//! Trust policies.

use serde_json::{Map, Value, json};

use super::{
    Hardening, Scope, TrustedPrincipal,
    hardening::ExternalId,
    scope::{add, one_or_many},
};
use crate::domain::{Audience, AwsClaims, Issuer};

/// A trust policy for environments of an issuer.
#[derive(Clone, Debug)]
pub struct TrustPolicy {
    /// The issuer.
    pub issuer: Issuer,
    /// The audience of the tokens.
    pub audience: Audience,
    /// Whom it admits.
    pub scope: Scope,
    /// The claims that the tokens carry. Session tags need `sts:TagSession`, a source identity
    /// `sts:SetSourceIdentity`; without them STS refuses the whole request.
    pub claims: AwsClaims,
    /// What else it asks for.
    pub hardening: Hardening,
}

impl TrustPolicy {
    /// The policy as JSON; `provider` is the provider's ARN, or an expression that stands for it.
    #[must_use]
    pub fn document(&self, provider: &Value) -> Value {
        let issuer = self.issuer.provider();
        let mut conditions = Map::new();
        add(
            &mut conditions,
            "StringEquals",
            &format!("{issuer}:aud"),
            json!(self.audience),
        );
        let (operator, subjects) = self.scope.subjects();
        add(
            &mut conditions,
            operator,
            &format!("{issuer}:sub"),
            one_or_many(subjects),
        );
        self.hardening.add_for_web_identity(&mut conditions);
        json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": { "Federated": provider },
                "Action": one_or_many(self.actions()),
                "Condition": conditions,
            }]
        })
    }

    fn actions(&self) -> Vec<String> {
        [
            ("sts:AssumeRoleWithWebIdentity", true),
            ("sts:TagSession", self.claims.session_tags),
            ("sts:SetSourceIdentity", self.claims.source_identity),
        ]
        .into_iter()
        .filter(|(_, needed)| *needed)
        .map(|(action, _)| action.to_owned())
        .collect()
    }
}

/// The trust policy of a role that somebody in another account assumes with an external id, which
/// keeps a third party from being talked into using a role that is not its customer's ([the confused
/// deputy]).
///
/// [the confused deputy]: https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
#[must_use]
pub fn cross_account_trust(
    principal: &TrustedPrincipal,
    external_id: &Value,
    hardening: &Hardening,
) -> Value {
    let mut conditions = Map::new();
    add(
        &mut conditions,
        "StringEquals",
        "sts:ExternalId",
        external_id.clone(),
    );
    hardening.add_for_aws(&mut conditions);
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "AWS": principal.expression() },
            "Action": "sts:AssumeRole",
            "Condition": conditions,
        }]
    })
}

/// An external id as JSON.
impl From<&ExternalId> for Value {
    fn from(id: &ExternalId) -> Self {
        json!(id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        domain::Subject,
        iam::{Context, Document, Policy, Principal, Request},
    };

    const PROVIDER: &str = "arn:aws:iam::123456789012:oidc-provider/idp.example.com/o/1";
    /// Few, so that two of them are often the same.
    const IDS: [&str; 3] = [
        "0191e223-1c3c-7607-badf-303c98b52d2f",
        "019527e4-75d5-704d-a5a4-a2b52cf56196",
        "019527e4-75d5-704d-a5a4-a2b52cf56198",
    ];

    fn policy(scope: Scope, claims: AwsClaims, hardening: Hardening) -> Policy {
        let text = TrustPolicy {
            issuer: "https://idp.example.com/o/1".parse().unwrap(),
            audience: Audience::sts(),
            scope,
            claims,
            hardening,
        }
        .document(&json!(PROVIDER));
        Policy::parse_trust(&text.to_string()).unwrap()
    }

    fn allows(policy: &Policy, action: &str, provider: &str, keys: &[(&str, &str)]) -> bool {
        let mut context = Context::new();
        for (key, value) in keys {
            context.set(*key, *value);
        }
        let principal = Principal::Federated(provider.to_owned());
        policy
            .evaluate(&Request {
                action,
                principal: &principal,
                context: &context,
            })
            .decision
            .is_allowed()
    }

    fn id() -> impl Strategy<Value = &'static str> {
        proptest::sample::select(IDS.as_slice())
    }

    fn optional() -> impl Strategy<Value = Option<&'static str>> {
        proptest::option::of(id())
    }

    prop_compose! {
        fn scope()(organization in id(), project in optional(), environment in optional()) -> Scope {
            Scope {
                organization: organization.parse().unwrap(),
                project: project.map(|id| id.parse().unwrap()),
                environment: environment.map(|id| id.parse().unwrap()),
            }
        }
    }

    prop_compose! {
        fn subject()(organization in id(), project in optional(), environment in id()) -> Subject {
            Subject {
                organization: organization.parse().unwrap(),
                project: project.map(|id| id.parse().unwrap()),
                environment: environment.parse().unwrap(),
            }
        }
    }

    proptest! {
        #[test]
        fn admits_exactly_what_was_asked(
            scope in scope(),
            subject in subject(),
            session_tags: bool,
            source_identity: bool,
            action in 0_usize..3,
            near_miss in 0_usize..6,
        ) {
            let claims = AwsClaims { session_tags, source_identity, role_pin: false };
            let policy = policy(scope, claims, Hardening::default());
            let (action, needed) = [
                ("sts:AssumeRoleWithWebIdentity", true),
                ("sts:TagSession", session_tags),
                ("sts:SetSourceIdentity", source_identity),
            ][action];
            let sub = subject.to_string();
            let upper = sub.to_uppercase();
            let (provider, aud, sub, exact) = match near_miss {
                0 => (PROVIDER, "sts.amazonaws.com", upper.as_str(), false),
                1 => (PROVIDER, "STS.amazonaws.com", sub.as_str(), false),
                2 => (PROVIDER.trim_end_matches("/o/1"), "sts.amazonaws.com", sub.as_str(), false),
                _ => (PROVIDER, "sts.amazonaws.com", sub.as_str(), true),
            };
            let keys = [("idp.example.com/o/1:aud", aud), ("idp.example.com/o/1:sub", sub)];
            prop_assert_eq!(
                allows(&policy, action, provider, &keys),
                exact && needed && scope.contains(&subject)
            );
        }

        /// Kinds of principals that do not exist yet, and deeper ones.
        #[test]
        fn no_other_kind_is_admitted(scope in scope(), kind in "[a-df-z][a-z]{2}", deep: bool, project in optional()) {
            let policy = policy(scope, AwsClaims::default(), Hardening::default());
            let project = project.map(|id| format!("/prj:{id}")).unwrap_or_default();
            let below = if deep { format!("/{kind}:{}", IDS[1]) } else { String::new() };
            let sub = format!("org:{}{project}/{kind}:{}{below}", scope.organization, IDS[0]);
            let keys = [
                ("idp.example.com/o/1:aud", "sts.amazonaws.com"),
                ("idp.example.com/o/1:sub", sub.as_str()),
            ];
            prop_assert!(!allows(&policy, "sts:AssumeRoleWithWebIdentity", PROVIDER, &keys));
        }

        #[test]
        fn lint_finds_nothing(
            scope in scope(),
            session_tags: bool,
            source_identity: bool,
            role_pin: bool,
            network in 0_usize..3,
        ) {
            let (ips, vpces) = match network {
                0 => (vec!["203.0.113.0/24".parse().unwrap()], vec![]),
                1 => (vec![], vec!["vpce-0123456789abcdef0".to_owned()]),
                _ => (vec![], vec![]),
            };
            let hardening = Hardening::new(ips, vpces, None, role_pin).unwrap();
            let claims = AwsClaims { session_tags, source_identity, role_pin };
            let text = serde_json::to_string(&policy(scope, claims, hardening)).unwrap();
            let findings = Document::parse(&text).unwrap().lint();
            prop_assert!(findings.is_empty(), "{findings:?}");
        }

        #[test]
        fn no_other_text_for_a_subject_is_admitted(scope in scope(), sub in "[a-z0-9:/*?${}.-]{0,60}") {
            let policy = policy(scope, AwsClaims::default(), Hardening::default());
            let keys = [
                ("idp.example.com/o/1:aud", "sts.amazonaws.com"),
                ("idp.example.com/o/1:sub", sub.as_str()),
            ];
            prop_assert!(!allows(&policy, "sts:AssumeRoleWithWebIdentity", PROVIDER, &keys));
        }
    }

    #[test]
    fn hardening_is_asked_for_in_addition() {
        let scope = Scope {
            organization: IDS[0].parse().unwrap(),
            project: None,
            environment: None,
        };
        let sub = format!("org:{}/env:{}", IDS[0], IDS[1]);
        let base = [
            ("idp.example.com/o/1:aud", "sts.amazonaws.com"),
            ("idp.example.com/o/1:sub", sub.as_str()),
        ];
        let allowed = |hardening: &Hardening, more: &[(&str, &str)]| {
            let keys: Vec<_> = base.iter().chain(more).copied().collect();
            let policy = policy(scope, AwsClaims::default(), hardening.clone());
            allows(&policy, "sts:AssumeRoleWithWebIdentity", PROVIDER, &keys)
        };
        let vpce = "vpce-0123456789abcdef0";
        let vpces = Hardening::new(vec![], vec![vpce.to_owned()], None, false).unwrap();
        assert!(allowed(&vpces, &[("aws:SourceVpce", vpce)]));
        assert!(!allowed(&vpces, &[]));
        let networks = ["203.0.113.0/24", "2001:db8::/32"].map(|net| net.parse().unwrap());
        let ips = Hardening::new(networks.to_vec(), vec![], None, false).unwrap();
        for (address, inside) in [
            ("203.0.113.7", true),
            ("203.0.114.7", false),
            ("2001:db8::7", true),
            ("2001:db9::7", false),
        ] {
            assert_eq!(
                allowed(&ips, &[("aws:SourceIp", address)]),
                inside,
                "{address}"
            );
        }
        assert!(
            !allowed(&ips, &[]),
            "through a VPC endpoint there is no aws:SourceIp"
        );
        let pin = Hardening::new(vec![], vec![], None, true).unwrap();
        assert!(allowed(&pin, &[("sts:RoleAuthorizedByIdp", "true")]));
        assert!(!allowed(&pin, &[("sts:RoleAuthorizedByIdp", "false")]));
        let org = Hardening::new(vec![], vec![], Some("o-a1b2c3d4e5".to_owned()), false).unwrap();
        assert!(allowed(&org, &[]), "a web identity has no AWS organisation");
    }

    #[test]
    fn an_external_id_is_one_condition_of_a_cross_account_role() {
        let hardening =
            Hardening::new(vec![], vec![], Some("o-a1b2c3d4e5".to_owned()), false).unwrap();
        let document = cross_account_trust(
            &"222233334444".parse().unwrap(),
            &json!("unguessable"),
            &hardening,
        );
        assert_eq!(
            document["Statement"][0],
            json!({
                "Effect": "Allow",
                "Principal": { "AWS": { "Fn::Sub": "arn:${AWS::Partition}:iam::222233334444:root" } },
                "Action": "sts:AssumeRole",
                "Condition": { "StringEquals": {
                    "sts:ExternalId": "unguessable", "aws:PrincipalOrgID": "o-a1b2c3d4e5" } },
            })
        );
    }
}
