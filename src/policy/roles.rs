//! Which role's credentials sign a request.

use std::sync::Arc;

use super::{glob::Glob, resource::ArnView, rule::Facets, verdict::Verdict};
use crate::{catalog::Recognised, domain::RoleArn};

/// A role that requests may be signed for, and for which ones.
#[derive(Clone, Debug)]
pub struct Role {
    pub(super) arn: RoleArn,
    pub(super) accounts: Vec<Box<str>>,
    pub(super) buckets: Vec<Glob>,
    pub(super) facets: Facets,
    pub(super) session_policy: Option<Arc<str>>,
    /// The line in the rules file; `None` for the role of the command line.
    pub(super) line: Option<usize>,
}

impl Role {
    /// The role.
    #[must_use]
    pub const fn arn(&self) -> &RoleArn {
        &self.arn
    }

    /// The session policy that its sessions get: JSON, at most 2,048 characters.
    #[must_use]
    pub const fn session_policy(&self) -> Option<&Arc<str>> {
        self.session_policy.as_ref()
    }

    /// The line of the rules file that names it; `None` for one that was named elsewhere.
    #[must_use]
    pub const fn line(&self) -> Option<usize> {
        self.line
    }

    /// Whether it signs such a request, apart from host, path and method.
    ///
    /// An account that the request does not name is the role's own: AWS takes a bare name for one of
    /// the caller's account.
    pub(super) fn fits(&self, recognised: Option<&Recognised>) -> Verdict {
        let Some(recognised) = recognised else {
            let open = self.accounts.is_empty() && self.buckets.is_empty();
            return if open { Verdict::Yes } else { Verdict::Maybe };
        };
        let mut verdict = Verdict::Yes;
        let mut has_bucket = false;
        let own = self.arn.account();
        for resource in &recognised.resources {
            let arn = ArnView::of(resource);
            if !self.accounts.is_empty() {
                let named = match arn.account {
                    "*" if !resource.is_named() && !recognised.complete => {
                        verdict = Verdict::Maybe;
                        continue;
                    }
                    "" | "*" => own,
                    named => named,
                };
                if !self.accounts.iter().any(|account| **account == *named) {
                    return Verdict::No;
                }
            }
            if !self.buckets.is_empty() && arn.service == "s3" {
                has_bucket = true;
                let bucket = arn.resource.split('/').next().unwrap_or_default();
                if self.buckets.iter().any(|pattern| pattern.covers(bucket)) {
                    continue;
                }
                if recognised.complete
                    || !self.buckets.iter().any(|pattern| pattern.touches(bucket))
                {
                    return Verdict::No;
                }
                verdict = Verdict::Maybe;
            }
        }
        if self.buckets.is_empty() || has_bucket {
            verdict
        } else {
            Verdict::No
        }
    }
}
