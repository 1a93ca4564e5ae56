//! What the linter knows, each with a stable code.

use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Lets in what nobody meant to, or can never let anybody in.
    Error,
    /// Lets in more than most mean to.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// The name, which is SARIF's level too.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One thing that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The stable code.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is, a sentence without a full stop.
    pub summary: &'static str,
}

const fn error(code: &'static str, summary: &'static str) -> Rule {
    Rule {
        code,
        severity: Severity::Error,
        summary,
    }
}

const fn warning(code: &'static str, summary: &'static str) -> Rule {
    Rule {
        code,
        severity: Severity::Warning,
        summary,
    }
}

const fn note(code: &'static str, summary: &'static str) -> Rule {
    Rule {
        code,
        severity: Severity::Note,
        summary,
    }
}

macro_rules! rules {
    ($($name:ident = $rule:expr;)*) => {
        $(pub(super) const $name: Rule = $rule;)*

        /// Every rule, in the order of the documentation.
        pub const RULES: &[Rule] = &[$($name),*];
    };
}

rules! {
    NO_SUB = error("no-sub-condition", "no condition on sub: every principal of the issuer can assume the role");
    SUB_ANY = error("sub-any", "the pattern for sub admits every organisation");
    SUB_VARIABLE = error("variable-in-sub", "a variable in sub compares the token with what it brings along itself: subjects that nobody chose are admitted");
    SUB_EXCLUDED = error("sub-only-excluded", "sub is only told what not to be, so that every other one is admitted");
    PRINCIPAL_ANY = error("principal-any", "the principal is everybody");
    NOT_PRINCIPAL = error("not-principal", "NotPrincipal under Allow admits everybody who is not listed");
    PROVIDER_ANY = error("provider-any", "every identity provider is trusted");
    FOR_ALL_VALUES = error("for-all-values", "ForAllValues is met where the request lacks the key");
    IF_EXISTS = warning("if-exists", "IfExists is met where the request lacks the key");
    ALWAYS_MET = error("always-met", "a negated condition on a key that no web identity has is always met");
    CROSSES = warning("wildcard-crosses-segment", "a wildcard in sub reaches over segments");
    OTHER_TYPES = warning("other-principal-types", "users and service accounts are admitted beside environments");
    IN_ID = warning("wildcard-in-id", "a wildcard inside an id admits ids that nobody chose");
    IGNORES_CASE = warning("sub-ignores-case", "subjects that differ in case are different principals, and all are admitted");
    NO_AUD = warning("no-aud-condition", "no condition on aud: tokens for every audience of the provider are admitted");
    AUD_WILDCARD = warning("aud-wildcard", "a wildcard in aud admits audiences that nobody chose");
    AUD_VARIABLE = warning("variable-in-aud", "a variable in aud compares the token with what it brings along itself: audiences that nobody chose are admitted");
    ACTION_WILDCARD = warning("action-wildcard", "a wildcard in the actions allows more ways to assume the role than one");
    NOT_ACTION = warning("not-action", "NotAction under Allow allows every action that is not listed");
    MIXED = warning("mixed-principals", "one statement for a provider and for other principals: its conditions can fit one of them only");
    NETWORK_ANY = warning("network-any", "the network is every address");
    WILDCARD_EQUALS = error("wildcard-under-equals", "a wildcard under an operator that reads it as a character: never met");
    FOREIGN_KEY = error("key-of-another-provider", "the condition key belongs to another provider than the principal: never met");
    CLAIM = error("claim-not-a-key", "AWS knows only aud, sub and amr of a private issuer's claims: never met");
    NEVER_PRESENT = error("key-never-present", "no request with a web identity has this key: never met");
    NULL_PRESENT = error("null-of-a-present-key", "Null wants a key missing that every token has: never met");
    OLD_VARIABLE = error("variable-in-old-version", "policy variables are plain text before version 2012-10-17: never met");
    CONTRADICTION = error("contradiction", "two conditions on one key that no value meets together");
    WHITE_SPACE = error("white-space", "a value begins or ends with white space: never met");
    NO_WEB_IDENTITY = error("no-web-identity-action", "an OIDC provider is trusted, but not for sts:AssumeRoleWithWebIdentity");
    PROVIDER_SLASH = error("provider-trailing-slash", "the provider's ARN ends with a slash; issuers do not");
    PROVIDER_NOT_ARN = error("provider-not-arn", "the provider is not named by its ARN");
    PROVIDER_ACCOUNT = error("provider-account", "the provider is in another account than the role");
    PROVIDER_PORT = note("provider-port", "the provider has a port, which IAM advises against");
    OLD_VERSION = warning("old-version", "without version 2012-10-17 policy variables are plain text");
    OVER_QUOTA = note("over-quota", "longer than IAM's default quota of 2,048 characters for a trust policy");
}
