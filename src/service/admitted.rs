//! Which principals a trust policy of somebody's AWS account lets in.

use super::{AdminRefusal, Administrator, Page, Service};
use crate::{
    domain::{EnvironmentId, Issuer, OrganizationId},
    iam::{ASSUME, Document, Policy, PrincipalKind, Principals, Request, WebIdentityRequest},
    ports::ListedPrincipal,
};

/// Principals that one request looks at, at the most. It bounds what a request costs where a policy
/// admits few of very many.
const MOST_SCANNED: u64 = 100_000;

/// What is asked.
#[derive(Clone, Debug)]
pub struct FindAdmitted {
    /// The policy as JSON.
    pub trust_policy: String,
    /// Of this organisation only.
    pub organization: Option<OrganizationId>,
    /// Where to go on, and how many to find.
    pub page: Page<EnvironmentId>,
}

/// A principal that is let in.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Who.
    pub principal: ListedPrincipal,
    /// The first of its audiences with which it is let in.
    pub audience: usize,
}

/// A part of the answer.
#[derive(Clone, Debug)]
pub struct AdmittedPage {
    /// Those that were found, by id.
    pub items: Vec<Admitted>,
    /// How many were looked at.
    pub scanned: u64,
    /// Where to go on; `None` at the end.
    pub next: Option<EnvironmentId>,
}

impl Service {
    /// Finds principals that the policy lets in, stopped ones too. Conditions on what only STS can
    /// know count as met.
    ///
    /// # Errors
    /// Not a trust policy, or none for this issuer; the organisation is not there or out of reach;
    /// the database.
    pub async fn admitted(
        &self,
        admin: &Administrator,
        find: FindAdmitted,
    ) -> Result<AdmittedPage, AdminRefusal> {
        let policy = Document::parse(&find.trust_policy)?.policy;
        let organization = find.organization.or(admin.organization());
        if let Some(organization) = organization {
            self.organization(admin, organization).await?;
        }
        let mut question = Question::new(&policy, &self.issuer, self.clock.now()).ok_or(
            AdminRefusal::Invalid("trust_policy: no statement names the provider of this issuer"),
        )?;
        let mut found = AdmittedPage {
            items: Vec::new(),
            scanned: 0,
            next: None,
        };
        let most = usize::try_from(find.page.limit).unwrap_or(usize::MAX);
        let mut page = find.page;
        loop {
            let rows = self.store.principals(organization, page).await?;
            let more = rows.len() >= most;
            for principal in rows {
                let id = principal.subject.environment;
                found.scanned += 1;
                page.after = Some(id);
                if let Some(audience) = question.admits(&principal) {
                    found.items.push(Admitted {
                        principal,
                        audience,
                    });
                    if found.items.len() == most {
                        found.next = Some(id);
                        return Ok(found);
                    }
                }
            }
            if !more {
                return Ok(found);
            }
            if found.scanned >= MOST_SCANNED {
                found.next = page.after;
                return Ok(found);
            }
        }
    }
}

/// A policy, and a request that differs from principal to principal in `sub` and `aud` only.
struct Question<'a> {
    policy: &'a Policy,
    principal: crate::iam::Principal,
    context: crate::iam::Context,
    sub_key: String,
    aud_key: String,
    subject: String,
}

impl<'a> Question<'a> {
    /// `None` where the policy does not name the issuer's provider.
    fn new(policy: &'a Policy, issuer: &Issuer, now: crate::domain::Timestamp) -> Option<Self> {
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
            principal: request.principal(),
            context: request.context_from_afar(),
            sub_key: format!("{provider}:sub"),
            aud_key: format!("{provider}:aud"),
            subject: String::new(),
        })
    }

    /// The first of a principal's audiences with which it is let in.
    fn admits(&mut self, principal: &ListedPrincipal) -> Option<usize> {
        use std::fmt::Write as _;

        self.subject.clear();
        // Writing to a text cannot fail.
        let _ = write!(self.subject, "{}", principal.subject);
        self.context.reset(&self.sub_key, &self.subject);
        principal.audiences.iter().position(|audience| {
            self.context.reset(&self.aud_key, audience.as_str());
            let request = Request {
                action: ASSUME,
                principal: &self.principal,
                context: &self.context,
            };
            self.policy.decide(&request).is_allowed()
        })
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
