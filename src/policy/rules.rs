//! The rules of one file.

use std::{sync::Arc, time::Duration};

use super::{Finding, Role, Severity, glob::Glob, index::Index, rule::Rule};
use crate::domain::RoleArn;

/// The rules of one file, compiled. Cheap to ask: neither the number of rules nor that of their
/// resources costs much.
#[derive(Debug)]
#[expect(
    clippy::struct_field_names,
    reason = "the rules among what comes with them"
)]
pub struct Rules {
    pub(super) file: Box<str>,
    pub(super) rules: Vec<Rule>,
    pub(super) index: Index,
    pub(super) roles: Vec<Arc<Role>>,
    /// The roles that rules name.
    pub(super) rule_roles: Vec<Arc<Role>>,
    pub(super) settings: Settings,
    pub(super) findings: Vec<Finding>,
}

/// What a rules file says apart from rules and roles.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) default_region: Option<String>,
    pub(super) session_name: Option<String>,
    /// The text of the session policy of all roles that have none of their own.
    pub(super) session_policy: Option<Arc<str>>,
    /// Whether the allow rules are made a session policy where there is no other.
    pub(super) compile_session_policy: bool,
    pub(super) customer_hosts: Vec<Glob>,
    pub(super) tunnel_hosts: Vec<Glob>,
    pub(super) ask_hold: Duration,
}

/// Domains in which AWS answers: what is there is signed or refused, and never tunnelled.
const AWS_DOMAINS: [&str; 16] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "api.aws",
    "on.aws",
    "api.amazonwebservices.com.cn",
    "on.amazonwebservices.com.cn",
    "amazonwebservices.eu",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
    "aws.dev",
    "aws",
    "cloudfront.net",
    "amazonwebservices.com.cn",
];

impl Rules {
    /// The same rules with a role that signs what no role of the file is for, such as that of
    /// `--role-arn`. Its sessions get the session policy that the file has for all.
    #[must_use]
    pub fn with_default_role(mut self, arn: RoleArn) -> Self {
        self.add_default_role(arn);
        self
    }

    /// Every role that may sign, each once; those of the file first.
    pub fn roles(&self) -> impl Iterator<Item = &Arc<Role>> {
        self.roles.iter().chain(&self.rule_roles)
    }

    /// The region of requests that name none.
    #[must_use]
    pub fn default_region(&self) -> Option<&str> {
        self.settings.default_region.as_deref()
    }

    /// The role session name; `None` where the file leaves it to the identity.
    #[must_use]
    pub fn session_name(&self) -> Option<&str> {
        self.settings.session_name.as_deref()
    }

    /// Whether a host at which a customer of AWS answers may be signed for. In lower case, without port.
    #[must_use]
    pub fn allows_customer_host(&self, host: &str) -> bool {
        self.settings
            .customer_hosts
            .iter()
            .any(|one| one.covers(host))
    }

    /// Whether connections to a host that is not one of AWS's pass through, unread and unsigned. In lower
    /// case, without port.
    #[must_use]
    pub fn tunnels(&self, host: &str) -> bool {
        !in_aws(host)
            && host.parse::<std::net::IpAddr>().is_err()
            && self
                .settings
                .tunnel_hosts
                .iter()
                .any(|one| one.covers(host))
    }

    /// What is worth knowing of the file: warnings and notes, in the order of the text.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whether the file does something else than it seems to.
    #[must_use]
    pub fn has_warnings(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.severity >= Severity::Warning)
    }

    /// How many rules there are, presets included.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule, so that nothing is allowed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// Whether a host is in a domain of AWS.
pub(super) fn in_aws(host: &str) -> bool {
    AWS_DOMAINS.iter().any(|domain| {
        host.strip_suffix(domain)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}
