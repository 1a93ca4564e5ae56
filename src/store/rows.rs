//! Rows as the databases return them, and what they mean. The same columns in both.

use std::{fmt::Display, str::FromStr, time::Duration};

use sqlx::FromRow;

use super::audit::{Head, chain_owner};
use crate::{
    domain::{
        AuditChain, AuditCut, AuditRecord, AwsClaims, AwsProfile, ChainHead, Credential,
        Environment, EnvironmentState, IssuerKey, JoinToken, KeyFacts, Organization, Project,
        SigningAlgorithm, Subject, TagNames, Timestamp,
    },
    ports::{AdminToken, KeyStanding, OutstandingTokens, StoreError},
};

pub(super) fn corrupt(column: &str, error: impl Display) -> StoreError {
    StoreError::Corrupt(format!("{column}: {error}"))
}

pub(super) fn parse<T: FromStr<Err: Display>>(column: &str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|error| corrupt(column, error))
}

pub(super) fn optional<T: FromStr<Err: Display>>(
    column: &str,
    text: Option<&str>,
) -> Result<Option<T>, StoreError> {
    text.map(|text| parse(column, text)).transpose()
}

pub(super) fn json<T: serde::de::DeserializeOwned>(
    column: &str,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| corrupt(column, error))
}

pub(super) fn optional_json<T: serde::de::DeserializeOwned>(
    column: &str,
    text: Option<&str>,
) -> Result<Option<T>, StoreError> {
    text.map(|text| json(column, text)).transpose()
}

fn hash(column: &str, bytes: &[u8]) -> Result<[u8; 32], StoreError> {
    bytes
        .try_into()
        .map_err(|_| corrupt(column, format!("{} bytes instead of 32", bytes.len())))
}

fn seconds(secs: i64) -> Duration {
    Duration::from_secs(u64::try_from(secs).unwrap_or(0))
}

/// The tokens of an organisation that one key signed.
#[derive(FromRow)]
pub(super) struct OutstandingRow {
    chain: String,
    tokens: i64,
    latest: i64,
}

impl TryFrom<OutstandingRow> for OutstandingTokens {
    type Error = StoreError;

    fn try_from(row: OutstandingRow) -> Result<Self, StoreError> {
        Ok(Self {
            organization_id: parse("audit.chain", &row.chain)?,
            count: u64::try_from(row.tokens).unwrap_or(0),
            latest_exp: Timestamp::from_secs(row.latest),
        })
    }
}

fn time(ms: Option<i64>) -> Option<Timestamp> {
    ms.map(Timestamp::from_ms)
}

#[derive(FromRow)]
pub(super) struct OrganizationRow {
    id: String,
    name: String,
    audiences: String,
    created_at: i64,
    session_tags: bool,
    source_identity: bool,
    role_pin: bool,
}

impl TryFrom<OrganizationRow> for Organization {
    type Error = StoreError;

    fn try_from(row: OrganizationRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("organizations.id", &row.id)?,
            name: parse("organizations.name", &row.name)?,
            audiences: json("organizations.audiences", &row.audiences)?,
            aws_claims: AwsClaims {
                session_tags: row.session_tags,
                source_identity: row.source_identity,
                role_pin: row.role_pin,
            },
            created_at: Timestamp::from_ms(row.created_at),
        })
    }
}

#[derive(FromRow)]
pub(super) struct ProjectRow {
    id: String,
    organization_id: String,
    name: String,
    created_at: i64,
}

impl TryFrom<ProjectRow> for Project {
    type Error = StoreError;

    fn try_from(row: ProjectRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("projects.id", &row.id)?,
            organization_id: parse("projects.organization_id", &row.organization_id)?,
            name: parse("projects.name", &row.name)?,
            created_at: Timestamp::from_ms(row.created_at),
        })
    }
}

#[derive(FromRow)]
pub(super) struct EnvironmentRow {
    id: String,
    organization_id: String,
    project_id: Option<String>,
    name: String,
    state: String,
    kid: Option<String>,
    created_at: i64,
    enrolled_at: Option<i64>,
    quarantined_at: Option<i64>,
    stopped_at: Option<i64>,
    role_arns: Option<String>,
}

impl TryFrom<EnvironmentRow> for Environment {
    type Error = StoreError;

    fn try_from(row: EnvironmentRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("environments.id", &row.id)?,
            organization_id: parse("environments.organization_id", &row.organization_id)?,
            project_id: optional("environments.project_id", row.project_id.as_deref())?,
            name: parse("environments.name", &row.name)?,
            role_arns: optional_json("environments.role_arns", row.role_arns.as_deref())?,
            state: EnvironmentState::from_name(&row.state)
                .ok_or_else(|| corrupt("environments.state", format!("{:?} is none", row.state)))?,
            kid: row.kid,
            created_at: Timestamp::from_ms(row.created_at),
            enrolled_at: time(row.enrolled_at),
            quarantined_at: time(row.quarantined_at),
            stopped_at: time(row.stopped_at),
        })
    }
}

#[derive(FromRow)]
pub(super) struct CredentialRow {
    id: String,
    organization_id: String,
    project_id: Option<String>,
    kid: String,
    public_key: String,
    audiences: String,
    role_arns: Option<String>,
    session_tags: bool,
    source_identity: bool,
    role_pin: bool,
    organization_name: String,
    project_name: Option<String>,
    environment_name: String,
}

impl CredentialRow {
    fn aws(&self) -> Result<AwsProfile, StoreError> {
        let names = || {
            Ok::<_, StoreError>(TagNames {
                organization: parse("organizations.name", &self.organization_name)?,
                project: optional("projects.name", self.project_name.as_deref())?,
                environment: parse("environments.name", &self.environment_name)?,
            })
        };
        Ok(AwsProfile {
            claims: AwsClaims {
                session_tags: self.session_tags,
                source_identity: self.source_identity,
                role_pin: self.role_pin,
            },
            names: self.session_tags.then(names).transpose()?,
            role_arns: optional_json("environments.role_arns", self.role_arns.as_deref())?,
        })
    }
}

impl TryFrom<CredentialRow> for Credential {
    type Error = StoreError;

    fn try_from(row: CredentialRow) -> Result<Self, StoreError> {
        let aws = row.aws()?;
        Ok(Self {
            subject: Subject {
                organization: parse("environments.organization_id", &row.organization_id)?,
                project: optional("environments.project_id", row.project_id.as_deref())?,
                environment: parse("environments.id", &row.id)?,
            },
            kid: row.kid,
            public: json("environments.public_key", &row.public_key)?,
            audiences: json("organizations.audiences", &row.audiences)?,
            aws,
        })
    }
}

/// A credential under one of its environment's keys.
#[derive(FromRow)]
pub(super) struct KeyCredentialRow {
    #[sqlx(flatten)]
    credential: CredentialRow,
    former: bool,
    ends_at: Option<i64>,
}

impl TryFrom<KeyCredentialRow> for (Credential, KeyStanding) {
    type Error = StoreError;

    fn try_from(row: KeyCredentialRow) -> Result<Self, StoreError> {
        let standing = if row.former {
            KeyStanding::Former {
                ends_at: time(row.ends_at),
            }
        } else {
            KeyStanding::Present
        };
        Ok((row.credential.try_into()?, standing))
    }
}

#[derive(FromRow)]
pub(super) struct JoinTokenRow {
    id: String,
    hash: Vec<u8>,
    environment_id: String,
    cidr: Option<String>,
    created_at: i64,
    expires_at: i64,
    used_at: Option<i64>,
    ended_at: Option<i64>,
}

impl TryFrom<JoinTokenRow> for JoinToken {
    type Error = StoreError;

    fn try_from(row: JoinTokenRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("join_tokens.id", &row.id)?,
            hash: hash("join_tokens.hash", &row.hash)?,
            environment_id: parse("join_tokens.environment_id", &row.environment_id)?,
            cidr: optional("join_tokens.cidr", row.cidr.as_deref())?,
            created_at: Timestamp::from_ms(row.created_at),
            expires_at: Timestamp::from_ms(
                row.expires_at.min(row.ended_at.unwrap_or(row.expires_at)),
            ),
            used_at: time(row.used_at),
        })
    }
}

#[derive(FromRow)]
pub(super) struct IssuerKeyRow {
    id: String,
    issuer: String,
    kid: String,
    algorithm: String,
    public_key: String,
    certificate: String,
    sealed: Option<String>,
    reference: Option<String>,
    mac: Option<String>,
    created_at: i64,
    activated_at: Option<i64>,
    retiring_at: Option<i64>,
    retired_at: Option<i64>,
    longest_life: i64,
    wanted_at: Option<i64>,
    seen_at: Option<i64>,
    seen_max_age: i64,
}

impl TryFrom<IssuerKeyRow> for IssuerKey {
    type Error = StoreError;

    fn try_from(row: IssuerKeyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("issuer_keys.id", &row.id)?,
            issuer: parse("issuer_keys.issuer", &row.issuer)?,
            kid: row.kid,
            algorithm: SigningAlgorithm::from_name(&row.algorithm).ok_or_else(|| {
                corrupt(
                    "issuer_keys.algorithm",
                    format!("{:?} is none", row.algorithm),
                )
            })?,
            public: json("issuer_keys.public_key", &row.public_key)?,
            certificate: row.certificate,
            sealed: row.sealed,
            reference: row.reference,
            mac: row.mac,
            created_at: Timestamp::from_ms(row.created_at),
            activated_at: time(row.activated_at),
            retiring_at: time(row.retiring_at),
            retired_at: time(row.retired_at),
            facts: KeyFacts {
                longest_life: seconds(row.longest_life),
                wanted_at: time(row.wanted_at),
                seen_at: time(row.seen_at),
                seen_max_age: seconds(row.seen_max_age),
            },
        })
    }
}

#[derive(FromRow)]
pub(super) struct AdminTokenRow {
    id: String,
    hash: Vec<u8>,
    name: Option<String>,
    organization_id: Option<String>,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl TryFrom<AdminTokenRow> for AdminToken {
    type Error = StoreError;

    fn try_from(row: AdminTokenRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("admin_tokens.id", &row.id)?,
            hash: hash("admin_tokens.hash", &row.hash)?,
            name: optional("admin_tokens.name", row.name.as_deref())?,
            organization_id: optional(
                "admin_tokens.organization_id",
                row.organization_id.as_deref(),
            )?,
            created_at: Timestamp::from_ms(row.created_at),
            expires_at: time(row.expires_at),
            revoked_at: time(row.revoked_at),
        })
    }
}

#[derive(FromRow)]
pub(super) struct HeadRow {
    pub(super) chain: String,
    seq: i64,
    hash: Vec<u8>,
}

impl TryFrom<HeadRow> for Head {
    type Error = StoreError;

    fn try_from(row: HeadRow) -> Result<Self, StoreError> {
        Ok(Self {
            seq: row.seq,
            hash: hash("audit_heads.hash", &row.hash)?,
        })
    }
}

#[derive(FromRow)]
pub(super) struct AuditRow {
    chain: String,
    seq: i64,
    id: String,
    at: i64,
    actor: String,
    action: String,
    target: String,
    outcome: String,
    request_id: Option<String>,
    source: Option<String>,
    details: String,
    hash: Vec<u8>,
    /// Of the record before, where the query knows it.
    #[sqlx(default)]
    previous: Option<Vec<u8>>,
}

impl TryFrom<AuditRow> for AuditRecord {
    type Error = StoreError;

    fn try_from(row: AuditRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("audit.id", &row.id)?,
            organization_id: chain_owner(&row.chain)?,
            seq: row.seq,
            at: Timestamp::from_ms(row.at),
            actor: row.actor,
            action: row.action,
            target: row.target,
            outcome: row.outcome,
            request_id: row.request_id,
            source: row.source,
            details: row.details,
            // The record before is missing: zeros, which its hash will not agree with.
            previous: match row.previous {
                Some(previous) => hash("audit.hash", &previous)?,
                None => [0; 32],
            },
            hash: hash("audit.hash", &row.hash)?,
        })
    }
}

#[derive(FromRow)]
pub(super) struct ChainRow {
    chain: String,
    seq: i64,
    hash: Vec<u8>,
    cut_seq: Option<i64>,
    cut_hash: Option<Vec<u8>>,
    checkpoint: Option<i64>,
    cut_at: Option<i64>,
}

impl TryFrom<ChainRow> for AuditChain {
    type Error = StoreError;

    fn try_from(row: ChainRow) -> Result<Self, StoreError> {
        let cut = match (row.cut_seq, row.cut_hash, row.checkpoint, row.cut_at) {
            (Some(seq), Some(cut), Some(checkpoint), Some(at)) => Some(AuditCut {
                seq,
                hash: hash("audit_cuts.hash", &cut)?,
                checkpoint,
                at: Timestamp::from_ms(at),
            }),
            _ => None,
        };
        Ok(Self {
            head: ChainHead {
                organization_id: chain_owner(&row.chain)?,
                seq: row.seq,
                hash: hash("audit_heads.hash", &row.hash)?,
            },
            cut,
        })
    }
}
