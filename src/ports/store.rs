//! Storage. Each method is one whole transaction, so that no caller can forget a commit; a change
//! and its audit event are one.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{AdminStore, EnvironmentKeyStore};
use crate::domain::{
    Audience, AuditChain, AuditCut, AuditEvent, AuditFilter, AuditRecord, AwsClaims,
    AwsClaimsChange, Credential, Environment, EnvironmentId, EnvironmentState, Issuer, IssuerKey,
    JoinToken, KeyId, Name, Organization, OrganizationId, Project, ProjectId, PublicJwk, RoleArn,
    Subject, Timestamp,
};

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Not now: the database is unreachable, full, read-only or overloaded. Nothing was changed, unless
    /// the connection was lost in the midst of a commit: then nobody can tell.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// A stored value does not have the form that this version writes.
    #[error("the database holds something unreadable: {0}")]
    Corrupt(String),
}

/// Where a listing goes on, and how much of it: rows with an id after `after`, at most `limit`.
#[derive(Clone, Copy, Debug)]
pub struct Page<Id> {
    /// The last id of the page before.
    pub after: Option<Id>,
    /// The most rows to return.
    pub limit: u32,
}

/// How an insertion that depends on a parent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertOutcome {
    /// It is there.
    Inserted,
    /// The parent is not (or belongs to another organisation).
    ParentMissing,
    /// The parent is stopped.
    ParentStopped,
    /// One like it is there already.
    Exists,
}

/// How a change of one row ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Changed.
    Done,
    /// No such row.
    Missing,
}

/// A change of an organisation; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrganizationChange {
    /// What people call it.
    pub name: Option<Name>,
    /// The audiences that its environments may ask for.
    pub audiences: Option<Vec<Audience>>,
    /// Which claims for AWS its tokens carry.
    pub aws_claims: AwsClaimsChange,
}

/// A change of an environment; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvironmentChange {
    /// What people call it.
    pub name: Option<Name>,
    /// The roles that its tokens may be pinned to; `Some(None)` lifts the limit.
    pub role_arns: Option<Option<Vec<RoleArn>>>,
}

/// Organisations.
#[async_trait]
pub trait OrganizationStore: Send + Sync {
    /// Adds an organisation. [`InsertOutcome::Exists`] where the id is taken.
    async fn create_organization(
        &self,
        organization: &Organization,
        event: AuditEvent,
    ) -> Result<InsertOutcome, StoreError>;

    /// The organisation of that id.
    async fn organization(&self, id: OrganizationId) -> Result<Option<Organization>, StoreError>;

    /// Organisations by id.
    async fn organizations(
        &self,
        page: Page<OrganizationId>,
    ) -> Result<Vec<Organization>, StoreError>;

    /// Changes an organisation.
    async fn update_organization(
        &self,
        id: OrganizationId,
        change: &OrganizationChange,
        event: AuditEvent,
    ) -> Result<Change, StoreError>;
}

/// Projects.
#[async_trait]
pub trait ProjectStore: Send + Sync {
    /// Adds a project to its organisation.
    async fn create_project(
        &self,
        project: &Project,
        event: AuditEvent,
    ) -> Result<InsertOutcome, StoreError>;

    /// The project of that id.
    async fn project(&self, id: ProjectId) -> Result<Option<Project>, StoreError>;

    /// An organisation's projects by id.
    async fn projects(
        &self,
        organization: OrganizationId,
        page: Page<ProjectId>,
    ) -> Result<Vec<Project>, StoreError>;

    /// Renames a project.
    async fn rename_project(
        &self,
        id: ProjectId,
        name: &Name,
        event: AuditEvent,
    ) -> Result<Change, StoreError>;
}

/// How a stop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopOutcome {
    /// Stopped now. No mint commits after this.
    Stopped,
    /// It was stopped before; nothing was recorded.
    AlreadyStopped,
    /// No such environment.
    Missing,
}

/// Environments and their join tokens.
#[async_trait]
pub trait EnvironmentStore: Send + Sync {
    /// Adds an environment together with its first join token.
    /// [`InsertOutcome::ParentMissing`] where the organisation is not there, or the project is not
    /// one of that organisation.
    async fn create_environment(
        &self,
        environment: &Environment,
        token: &JoinToken,
        event: AuditEvent,
    ) -> Result<InsertOutcome, StoreError>;

    /// The environment of that id.
    async fn environment(&self, id: EnvironmentId) -> Result<Option<Environment>, StoreError>;

    /// An organisation's environments by id, of one project where `project` names it.
    async fn environments(
        &self,
        organization: OrganizationId,
        project: Option<ProjectId>,
        page: Page<EnvironmentId>,
    ) -> Result<Vec<Environment>, StoreError>;

    /// Changes an environment.
    async fn update_environment(
        &self,
        id: EnvironmentId,
        change: &EnvironmentChange,
        event: AuditEvent,
    ) -> Result<Change, StoreError>;

    /// Adds a join token for an environment that is not stopped; unused ones of the same
    /// environment end.
    async fn create_join_token(
        &self,
        token: &JoinToken,
        event: AuditEvent,
    ) -> Result<InsertOutcome, StoreError>;

    /// Stops an environment for good: its key is no longer accepted, its join tokens end.
    async fn stop_environment(
        &self,
        id: EnvironmentId,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<StopOutcome, StoreError>;

    /// The present credential of an environment, whatever its state; `None` where it has no key.
    async fn credential(&self, id: EnvironmentId) -> Result<Option<Credential>, StoreError>;
}

/// A principal as a trust policy meets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPrincipal {
    /// The `sub` of its tokens, and with it the ids.
    pub subject: Subject,
    /// What people call it.
    pub name: Name,
    /// Where it stands.
    pub state: EnvironmentState,
    /// Whose it is.
    pub organization: Arc<ListedOrganization>,
    /// The roles that its tokens may be pinned to; any if `None`.
    pub role_arns: Option<Vec<RoleArn>>,
}

/// What the principals of an organisation share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedOrganization {
    /// What people call it.
    pub name: Name,
    /// The audiences that its tokens can be for.
    pub audiences: Arc<[Audience]>,
    /// What its tokens for AWS say beside `sub` and `aud`.
    pub claims: AwsClaims,
}

/// Everything that can ask for tokens.
#[async_trait]
pub trait PrincipalStore: Send + Sync {
    /// Principals by id, of one organisation where it is named, stopped ones too.
    async fn principals(
        &self,
        organization: Option<OrganizationId>,
        page: Page<EnvironmentId>,
    ) -> Result<Vec<ListedPrincipal>, StoreError>;
}

/// How an enrolment ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnrolOutcome {
    /// The key is the environment's credential now; all former keys ended, and a quarantine too.
    Enrolled(Environment),
    /// The token was used before, has expired or was replaced, or the environment is stopped.
    Refused,
    /// That key is the credential of another environment, or was replaced by a newer one.
    KeyInUse,
}

/// Enrolment.
#[async_trait]
pub trait EnrolmentStore: Send + Sync {
    /// The join token with that SHA-256, used and expired ones too.
    async fn join_token(&self, hash: &[u8; 32]) -> Result<Option<JoinToken>, StoreError>;

    /// Consumes the join token and registers the key, both or neither: of many simultaneous tries
    /// with one token exactly one is [`EnrolOutcome::Enrolled`].
    async fn enrol(
        &self,
        token_hash: &[u8; 32],
        kid: &str,
        public: &PublicJwk,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<EnrolOutcome, StoreError>;
}

/// A step in the life of an issuer's key. It is taken only from the state that it starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyStep {
    /// A new key, pending or active. Not where the issuer has such a key of that algorithm already, or
    /// the `kid` was ever used.
    Create(Box<IssuerKey>),
    /// A pending key signs from now on, tokens of up to that life.
    Activate(KeyId, Duration),
    /// An active key signs no more; its sealed private half is destroyed.
    Retire(KeyId),
    /// A retiring key leaves the JWKS. Its record gets that MAC.
    Expire(KeyId, Option<String>),
    /// A key of whatever state leaves the JWKS at once; its sealed private half is destroyed. Its record
    /// gets that MAC.
    Withdraw(KeyId, Option<String>),
    /// A pending key is to sign as soon as it may.
    Want(KeyId),
    /// A key that signs no more is gone from its external keystore too. Its record gets that MAC.
    Forget(KeyId, Option<String>),
    /// A private half that is sealed like this is sealed like that from now on.
    Reseal {
        /// The key.
        id: KeyId,
        /// As it was read.
        from: String,
        /// As it is to be.
        to: String,
    },
    /// A record gets another MAC, and the certificate that this one is over.
    Vouch {
        /// The key.
        id: KeyId,
        /// The MAC as it was read.
        from: Option<String>,
        /// The MAC as it is to be.
        to: String,
        /// The certificate as it is to be.
        certificate: String,
    },
}

/// How a change of keys ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// Every step was taken.
    Applied,
    /// A key was not in the state that a step starts from: somebody else was quicker. Nothing was
    /// changed.
    Overtaken,
}

/// Something to note of a key that nobody needs an audit record for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyNote {
    /// The active key may sign tokens of that life. A longer one that was noted before stays.
    TokenLife(Duration),
    /// A pending key was seen at the issuer's public address, for the first time.
    Seen {
        /// When.
        at: Timestamp,
        /// For how long what was seen may be cached.
        max_age: Duration,
    },
}

/// The tokens of one organisation that a key signed and that have not expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutstandingTokens {
    /// The organisation.
    pub organization_id: OrganizationId,
    /// How many.
    pub count: u64,
    /// When the last of them expires.
    pub latest_exp: Timestamp,
}

/// The keys of issuers.
#[async_trait]
pub trait IssuerKeyStore: Send + Sync {
    /// Every key of an issuer that is not retired, by creation.
    async fn issuer_keys(&self, issuer: &Issuer) -> Result<Vec<IssuerKey>, StoreError>;

    /// Any one key that a key-encryption key has sealed or vouched for, of whatever issuer, a sealed
    /// one first: what a start tries its key-encryption key on.
    async fn any_bound_key(&self) -> Result<Option<IssuerKey>, StoreError>;

    /// Every key of whatever issuer that depends on a key-encryption key: those that are published,
    /// have a sealed private half, or are in an external keystore.
    async fn bound_keys(&self) -> Result<Vec<IssuerKey>, StoreError>;

    /// Adds keys, all or none. [`InsertOutcome::Exists`] where the issuer has an active key of an
    /// algorithm already and one of these is active too, or where a `kid` was ever used before.
    async fn create_issuer_keys(
        &self,
        keys: &[IssuerKey],
        event: AuditEvent,
    ) -> Result<InsertOutcome, StoreError>;

    /// The key record of that id.
    async fn issuer_key(&self, id: KeyId) -> Result<Option<IssuerKey>, StoreError>;

    /// Takes the steps in their order, as of `at`: all or none. Of replicas that take the same step at
    /// once, one is [`KeyChange::Applied`].
    async fn change_issuer_keys(
        &self,
        steps: &[KeyStep],
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<KeyChange, StoreError>;

    /// Notes something of a key; [`Change::Missing`] where the key is in another state.
    async fn note_issuer_key(&self, id: KeyId, note: KeyNote) -> Result<Change, StoreError>;

    /// Keys of an issuer that sign no more, retired ones too, and that an external keystore still has.
    async fn ended_external_keys(&self, issuer: &Issuer) -> Result<Vec<IssuerKey>, StoreError>;

    /// Notes the time of a replica's clock and returns the newest that was ever noted. A time that is
    /// less than half a minute newer than the one before may go unnoted.
    async fn note_time(&self, now: Timestamp) -> Result<Timestamp, StoreError>;

    /// The tokens that a key signed, by the audit log, and that expire after `now`; by organisation.
    async fn outstanding_tokens(
        &self,
        kid: &str,
        now: Timestamp,
    ) -> Result<Vec<OutstandingTokens>, StoreError>;
}

/// A mint that waits to be made durable.
#[derive(Clone, Debug)]
pub struct MintRequest {
    /// Who asks; also the client whose `jti` it is.
    pub environment_id: EnvironmentId,
    /// The key that the assertion was proved with.
    pub credential_kid: String,
    /// The assertion's `jti`.
    pub assertion_jti: String,
    /// Until when the `jti` has to be remembered.
    pub jti_expires_at: Timestamp,
    /// The issuer key that is going to sign.
    pub signing_kid: String,
    /// The record of the mint.
    pub event: AuditEvent,
    /// How long it may wait for others to share a commit with. A store that gathers mints in another
    /// way may leave it out of account.
    pub patience: Patience,
}

/// What something may wait for, so that one commit does for many: until `time` has passed or
/// `company` wait together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    /// How long at most.
    pub time: Duration,
    /// For how many in all.
    pub company: usize,
}

/// How a mint's transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MintOutcome {
    /// Recorded; sign now.
    Recorded,
    /// The assertion's `jti` was used before by this client.
    Replayed,
    /// The environment is stopped.
    Stopped,
    /// The environment is quarantined.
    Quarantined,
    /// The environment has another key now, or none.
    CredentialChanged,
    /// The issuer key is no longer active: read the key ring again.
    SigningKeyInactive,
}

/// The hot path.
#[async_trait]
pub trait MintStore: Send + Sync {
    /// Re-reads the environment's state and the signing key's, notes a key's first use (from which
    /// the grace of the key before it counts), inserts the `jti` and the audit record: one transaction, durable when this returns. Waiting mints share a commit, each with
    /// an outcome of its own. Only [`MintOutcome::Recorded`] leaves a trace.
    async fn record_mint(&self, mint: MintRequest) -> Result<MintOutcome, StoreError>;

    /// Forgets every `jti` that expired before `now`; returns how many.
    async fn purge_jtis(&self, now: Timestamp) -> Result<u64, StoreError>;
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundRecords {
    /// Records, newest first.
    pub records: Vec<AuditRecord>,
    /// Where the search goes on: `before` of the next one. `None` at the beginning of the chain.
    pub next: Option<i64>,
}

/// The audit log.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Appends one event; durable when this returns. Shares commits with mints.
    async fn append(&self, event: AuditEvent) -> Result<(), StoreError>;

    /// Records of one chain with a place after `after`, in order. Those that retention has removed
    /// are not among them.
    async fn audit_records(
        &self,
        organization: Option<OrganizationId>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<AuditRecord>, StoreError>;

    /// At most `limit` records of one chain that `filter` admits, with a place before `before`, newest
    /// first. It looks at a bounded number of records, so that a rare match may take several calls,
    /// of which some find nothing.
    async fn find_audit_records(
        &self,
        organization: Option<OrganizationId>,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<FoundRecords, StoreError>;

    /// The organisations' chains that have a record, by organisation. The system's is not among them.
    async fn audit_chains(&self, page: Page<OrganizationId>)
    -> Result<Vec<AuditChain>, StoreError>;

    /// One chain; `None` where it has no record.
    async fn audit_chain(
        &self,
        organization: Option<OrganizationId>,
    ) -> Result<Option<AuditChain>, StoreError>;

    /// Cuts a chain: its records up to the cut's place count as removed from now on, and `event` is
    /// recorded. [`Change::Missing`], and nothing is done, where the record at that place has another
    /// hash, is the last one, or was removed before.
    async fn cut_audit_chain(
        &self,
        organization: Option<OrganizationId>,
        cut: AuditCut,
        event: AuditEvent,
    ) -> Result<Change, StoreError>;

    /// Deletes records that cuts have removed, in slices between which others write; returns how many.
    async fn purge_audit_records(&self) -> Result<u64, StoreError>;
}

/// How busy a store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreUsage {
    /// Connections to the database that are open.
    pub connections: usize,
    /// Those of them that nobody uses.
    pub idle: usize,
    /// Mints and audit records that wait for a commit.
    pub waiting: usize,
}

/// What another replica may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The keys of an issuer.
    Keys,
    /// What organisations allow.
    Organizations,
    /// The state or the credential of one environment.
    Environment(EnvironmentId),
    /// Anything: notices may have been missed.
    Unknown,
}

/// What the replicas of a server have to agree on.
#[async_trait]
pub trait ReplicaStore: Send + Sync {
    /// Takes the lease of that name for `holder` until `until`, or prolongs it, and says whether
    /// `holder` has it now. It does not where another holder's has not ended at `now`. A lease keeps
    /// replicas from doing the same work, and no more: what must not happen twice has to be fenced by
    /// the transaction that does it, because a holder may be paused past its lease's end.
    async fn acquire_lease(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Waits until another program may have changed something that is kept in memory, and says what.
    /// The first call, and the first after an error, ends at once with [`Notice::Unknown`]. May be
    /// dropped at any time. Where the database tells nobody of changes this never ends, so read
    /// everything again from time to time as well.
    async fn next_notice(&self) -> Result<Notice, StoreError>;
}

/// Everything that a server stores.
#[async_trait]
pub trait Store:
    OrganizationStore
    + ProjectStore
    + EnvironmentStore
    + PrincipalStore
    + EnvironmentKeyStore
    + EnrolmentStore
    + IssuerKeyStore
    + MintStore
    + AuditStore
    + AdminStore
    + ReplicaStore
{
    /// Answers once the database does; for readiness.
    async fn ping(&self) -> Result<(), StoreError>;

    /// How busy it is; asks nothing of the database.
    fn usage(&self) -> StoreUsage;

    /// Finishes what was accepted and closes the database.
    async fn close(&self);
}
