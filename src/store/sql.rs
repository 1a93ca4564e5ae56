//! SQL that both databases understand. Statements that one of them runs in a way of its own lie in
//! that one's module.

pub(super) const INSERT_ORGANIZATION: &str = "INSERT INTO organizations (id, name, audiences, \
     created_at, session_tags, source_identity, role_pin) VALUES ($1, $2, $3, $4, $5, $6, $7) \
     ON CONFLICT DO NOTHING";

pub(super) const SELECT_ORGANIZATION: &str = "SELECT id, name, audiences, created_at, \
     session_tags, source_identity, role_pin FROM organizations WHERE id = $1";

/// Every id is greater than the empty text, which stands for "from the beginning" in all pages.
pub(super) const SELECT_ORGANIZATIONS: &str = "SELECT id, name, audiences, created_at, \
     session_tags, source_identity, role_pin FROM organizations WHERE id > $1 ORDER BY id LIMIT $2";

/// What is NULL stays as it is.
pub(super) const UPDATE_ORGANIZATION: &str = "UPDATE organizations SET \
     name = COALESCE($2, name), audiences = COALESCE($3, audiences), \
     session_tags = COALESCE($4, session_tags), source_identity = COALESCE($5, source_identity), \
     role_pin = COALESCE($6, role_pin) WHERE id = $1";

pub(super) const ORGANIZATION_EXISTS: &str = "SELECT 1 FROM organizations WHERE id = $1";

pub(super) const INSERT_PROJECT: &str = "INSERT INTO projects (id, organization_id, name, \
     created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";

pub(super) const SELECT_PROJECT: &str =
    "SELECT id, organization_id, name, created_at FROM projects WHERE id = $1";

pub(super) const SELECT_PROJECTS: &str = "SELECT id, organization_id, name, created_at \
     FROM projects WHERE organization_id = $1 AND id > $2 ORDER BY id LIMIT $3";

pub(super) const RENAME_PROJECT: &str = "UPDATE projects SET name = $2 WHERE id = $1";

pub(super) const PROJECT_EXISTS: &str =
    "SELECT 1 FROM projects WHERE id = $1 AND organization_id = $2";

pub(super) const INSERT_ENVIRONMENT: &str = "INSERT INTO environments (id, organization_id, \
     project_id, name, state, kid, created_at, enrolled_at, quarantined_at, stopped_at, role_arns) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING";

pub(super) const SELECT_ENVIRONMENT: &str = "SELECT id, organization_id, project_id, name, state, \
     kid, created_at, enrolled_at, quarantined_at, stopped_at, role_arns FROM environments WHERE id = $1";

pub(super) const SELECT_ENVIRONMENTS: &str = "SELECT id, organization_id, project_id, name, state, \
     kid, created_at, enrolled_at, quarantined_at, stopped_at, role_arns FROM environments \
     WHERE organization_id = $1 AND id > $2 ORDER BY id LIMIT $3";

pub(super) const SELECT_ENVIRONMENTS_OF_PROJECT: &str = "SELECT id, organization_id, project_id, \
     name, state, kid, created_at, enrolled_at, quarantined_at, stopped_at, role_arns FROM environments \
     WHERE organization_id = $1 AND project_id = $4 AND id > $2 ORDER BY id LIMIT $3";

/// A page of principals as one JSON text, which costs a fraction of as many rows: `$array` makes an array
/// of its arguments, and `$list` one of all of those. What [`principals`](super::principals) reads.
macro_rules! select_principals {
    ($list:literal, $array:literal, $filter:literal) => {
        concat!(
            "SELECT CAST(coalesce(",
            $list,
            "(",
            $array,
            "(id, organization_id, project_id, name, state, role_arns, organization_name, audiences, \
             session_tags, source_identity, role_pin)), '[]') AS TEXT) FROM (SELECT e.id, \
             e.organization_id, e.project_id, e.name, e.state, e.role_arns, \
             o.name AS organization_name, o.audiences, CAST(o.session_tags AS INTEGER) AS session_tags, \
             CAST(o.source_identity AS INTEGER) AS source_identity, \
             CAST(o.role_pin AS INTEGER) AS role_pin FROM environments e \
             JOIN organizations o ON o.id = e.organization_id WHERE ",
            $filter,
            "e.id > $1 ORDER BY e.id LIMIT $2) page",
        )
    };
}
pub(super) use select_principals;

/// What is NULL stays as it is; for the roles, where NULL lifts the limit, `$3` says whether they
/// change.
pub(super) const UPDATE_ENVIRONMENT: &str = "UPDATE environments SET name = COALESCE($2, name), \
     role_arns = CASE WHEN $3 THEN $4 ELSE role_arns END WHERE id = $1";

pub(super) const SELECT_STATE: &str = "SELECT state FROM environments WHERE id = $1";

pub(super) const STOP_ENVIRONMENT: &str = "UPDATE environments SET state = 'stopped', \
     stopped_at = $2 WHERE id = $1 AND state <> 'stopped'";

pub(super) const INSERT_JOIN_TOKEN: &str = "INSERT INTO join_tokens (id, hash, environment_id, \
     cidr, created_at, expires_at, used_at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
     ON CONFLICT DO NOTHING";

pub(super) const END_JOIN_TOKENS: &str = "UPDATE join_tokens SET ended_at = $2 \
     WHERE environment_id = $1 AND used_at IS NULL AND ended_at IS NULL";

pub(super) const SELECT_JOIN_TOKEN: &str = "SELECT id, hash, environment_id, cidr, created_at, \
     expires_at, used_at, ended_at FROM join_tokens WHERE hash = $1";

/// Of simultaneous tries exactly one finds `used_at` empty.
pub(super) const USE_JOIN_TOKEN: &str = "UPDATE join_tokens SET used_at = $2 WHERE hash = $1 \
     AND used_at IS NULL AND ended_at IS NULL AND expires_at > $2 RETURNING environment_id";

/// The key of another environment than `$2`, or one that was replaced. `$2` itself is no exception
/// where it is NULL.
pub(super) const KID_IN_USE: &str = "SELECT 1 FROM environments WHERE kid = $1 \
     AND ($2 IS NULL OR id <> $2) UNION ALL SELECT 1 FROM former_keys WHERE kid = $1";

pub(super) const ENROL_ENVIRONMENT: &str = "UPDATE environments SET state = 'enrolled', kid = $2, \
     public_key = $3, enrolled_at = $4, quarantined_at = NULL, key_unused = FALSE \
     WHERE id = $1 AND state <> 'stopped' RETURNING id, organization_id, project_id, name, state, \
     kid, created_at, enrolled_at, quarantined_at, stopped_at, role_arns";

pub(super) const INSERT_ISSUER_KEY: &str = "INSERT INTO issuer_keys (id, issuer, kid, algorithm, \
     public_key, certificate, sealed, created_at, activated_at, retiring_at, retired_at, reference, \
     longest_life, wanted_at, seen_at, seen_max_age, mac) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) \
     ON CONFLICT DO NOTHING";

pub(super) const SELECT_ISSUER_KEYS: &str = "SELECT id, issuer, kid, algorithm, public_key, \
     certificate, sealed, reference, mac, created_at, activated_at, retiring_at, retired_at, \
     longest_life, wanted_at, seen_at, seen_max_age FROM issuer_keys \
     WHERE issuer = $1 AND retired_at IS NULL ORDER BY created_at, id";

pub(super) const SELECT_ISSUER_KEY: &str = "SELECT id, issuer, kid, algorithm, public_key, \
     certificate, sealed, reference, mac, created_at, activated_at, retiring_at, retired_at, \
     longest_life, wanted_at, seen_at, seen_max_age FROM issuer_keys \
     WHERE id = $1";

pub(super) const SELECT_BOUND_KEY: &str = "SELECT id, issuer, kid, algorithm, public_key, \
     certificate, sealed, reference, mac, created_at, activated_at, retiring_at, retired_at, \
     longest_life, wanted_at, seen_at, seen_max_age FROM issuer_keys \
     WHERE sealed IS NOT NULL OR mac IS NOT NULL \
     ORDER BY sealed IS NULL LIMIT 1";

pub(super) const SELECT_BOUND_KEYS: &str = "SELECT id, issuer, kid, algorithm, public_key, \
     certificate, sealed, reference, mac, created_at, activated_at, retiring_at, retired_at, \
     longest_life, wanted_at, seen_at, seen_max_age FROM issuer_keys \
     WHERE sealed IS NOT NULL OR reference IS NOT NULL OR retired_at IS NULL \
     ORDER BY created_at, id";

pub(super) const SELECT_ENDED_EXTERNAL_KEYS: &str = "SELECT id, issuer, kid, algorithm, public_key, \
     certificate, sealed, reference, mac, created_at, activated_at, retiring_at, retired_at, \
     longest_life, wanted_at, seen_at, seen_max_age FROM issuer_keys WHERE issuer = $1 \
     AND reference IS NOT NULL AND (retiring_at IS NOT NULL OR retired_at IS NOT NULL) \
     ORDER BY created_at, id";

// Each step of a key names the state that it starts from: of simultaneous tries one changes a row.

pub(super) const ACTIVATE_KEY: &str = "UPDATE issuer_keys SET activated_at = $2, \
     longest_life = $3 WHERE id = $1 \
     AND activated_at IS NULL AND retiring_at IS NULL AND retired_at IS NULL";

pub(super) const RETIRE_KEY: &str = "UPDATE issuer_keys SET retiring_at = $2, sealed = NULL \
     WHERE id = $1 AND activated_at IS NOT NULL AND retiring_at IS NULL AND retired_at IS NULL";

pub(super) const EXPIRE_KEY: &str = "UPDATE issuer_keys SET retired_at = $2, mac = $3 \
     WHERE id = $1 AND retiring_at IS NOT NULL AND retired_at IS NULL";

pub(super) const WITHDRAW_KEY: &str = "UPDATE issuer_keys SET retired_at = $2, sealed = NULL, \
     mac = $3 \
     WHERE id = $1 AND retired_at IS NULL";

pub(super) const WANT_KEY: &str = "UPDATE issuer_keys SET wanted_at = $2 WHERE id = $1 \
     AND wanted_at IS NULL AND activated_at IS NULL AND retired_at IS NULL";

pub(super) const FORGET_KEY: &str = "UPDATE issuer_keys SET reference = NULL, mac = $2 WHERE id = $1 \
     AND reference IS NOT NULL AND (retiring_at IS NOT NULL OR retired_at IS NOT NULL)";

pub(super) const RESEAL_KEY: &str =
    "UPDATE issuer_keys SET sealed = $3 WHERE id = $1 AND sealed = $2";

/// `$2` is empty where there was no MAC.
pub(super) const VOUCH_FOR_KEY: &str = "UPDATE issuer_keys SET mac = $3, certificate = $4 \
     WHERE id = $1 AND COALESCE(mac, '') = $2";

pub(super) const NOTE_TOKEN_LIFE: &str = "UPDATE issuer_keys \
     SET longest_life = CASE WHEN longest_life < $2 THEN $2 ELSE longest_life END \
     WHERE id = $1 AND activated_at IS NOT NULL AND retiring_at IS NULL AND retired_at IS NULL";

pub(super) const NOTE_SEEN: &str = "UPDATE issuer_keys SET seen_at = $2, seen_max_age = $3 \
     WHERE id = $1 AND seen_at IS NULL AND activated_at IS NULL AND retired_at IS NULL";

pub(super) const SELECT_NEWEST_TIME: &str = "SELECT newest FROM clock";

pub(super) const NOTE_TIME: &str = "UPDATE clock SET newest = $1 WHERE newest < $1";

pub(super) const ADMIN_EXISTS: &str = "SELECT 1 FROM admin_tokens LIMIT 1";

pub(super) const INSERT_ADMIN_TOKEN: &str = "INSERT INTO admin_tokens (id, hash, name, \
     organization_id, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";

pub(super) const SELECT_ADMIN_TOKEN: &str = "SELECT id, hash, name, organization_id, created_at, \
     expires_at, revoked_at FROM admin_tokens WHERE hash = $1";

pub(super) const SELECT_ADMIN_TOKEN_BY_ID: &str = "SELECT id, hash, name, organization_id, \
     created_at, expires_at, revoked_at FROM admin_tokens WHERE id = $1";

pub(super) const ADMIN_TOKEN_WORKS: &str = "SELECT 1 FROM admin_tokens WHERE id = $1 AND revoked_at \
     IS NULL AND (expires_at IS NULL OR expires_at > $2)";

pub(super) const SELECT_ADMIN_TOKENS: &str = "SELECT id, hash, name, organization_id, created_at, \
     expires_at, revoked_at FROM admin_tokens WHERE ($1 IS NULL OR organization_id = $1) AND id > $2 \
     ORDER BY id LIMIT $3";

pub(super) const REVOKE_ADMIN_TOKEN: &str = "UPDATE admin_tokens SET revoked_at = $2, expires_at = \
     CASE WHEN expires_at < $2 THEN expires_at ELSE $2 END WHERE id = $1 AND revoked_at IS NULL";

pub(super) const REVOKE_UNSCOPED_ADMIN_TOKENS: &str = "UPDATE admin_tokens SET revoked_at = $1, \
     expires_at = CASE WHEN expires_at < $1 THEN expires_at ELSE $1 END \
     WHERE organization_id IS NULL AND revoked_at IS NULL RETURNING id";

pub(super) const SELECT_HEAD: &str = "SELECT chain, seq, hash FROM audit_heads WHERE chain = $1";

pub(super) const UPSERT_HEAD: &str = "INSERT INTO audit_heads (chain, seq, hash) \
     VALUES ($1, $2, $3) ON CONFLICT (chain) DO UPDATE SET seq = excluded.seq, hash = excluded.hash";

pub(super) const INSERT_AUDIT: &str = "INSERT INTO audit (chain, seq, id, at, actor, action, \
     target, outcome, request_id, source, details, hash) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

/// The record at `$2` too, if it is there, because its hash is what the one after it follows.
pub(super) const SELECT_AUDIT: &str = "SELECT chain, seq, id, at, actor, action, target, outcome, \
     request_id, source, details, hash FROM audit WHERE chain = $1 AND seq >= $2 \
     AND seq > COALESCE((SELECT c.seq FROM audit_cuts c WHERE c.chain = $1), 0) \
     ORDER BY seq LIMIT $3";

/// `$5` and so on are conditions, NULL where there is none; `$7` is what an action begins with.
pub(super) const FIND_AUDIT: &str = "SELECT a.chain, a.seq, a.id, a.at, a.actor, a.action, \
     a.target, a.outcome, a.request_id, a.source, a.details, a.hash, \
     COALESCE(p.hash, c.hash) AS previous FROM audit a \
     LEFT JOIN audit p ON p.chain = a.chain AND p.seq = a.seq - 1 \
     LEFT JOIN audit_cuts c ON c.chain = a.chain AND c.seq = a.seq - 1 \
     WHERE a.chain = $1 AND a.seq >= $2 AND a.seq < $3 \
     AND ($5 IS NULL OR a.actor = $5) AND ($6 IS NULL OR a.action = $6) \
     AND ($7 IS NULL OR substr(a.action, 1, length($7)) = $7) \
     AND ($8 IS NULL OR a.target = $8) AND ($9 IS NULL OR a.outcome = $9) \
     AND ($10 IS NULL OR a.request_id = $10) \
     AND ($11 IS NULL OR a.at >= $11) AND ($12 IS NULL OR a.at < $12) \
     ORDER BY a.seq DESC LIMIT $4";

pub(super) const SELECT_AUDIT_TIME: &str = "SELECT at FROM audit WHERE chain = $1 AND seq = $2";

pub(super) const SELECT_AUDIT_HASH: &str = "SELECT hash FROM audit WHERE chain = $1 AND seq = $2";

pub(super) const SELECT_AUDIT_CHAINS: &str = "SELECT h.chain, h.seq, h.hash, c.seq AS cut_seq, \
     c.hash AS cut_hash, c.checkpoint, c.at AS cut_at FROM audit_heads h \
     LEFT JOIN audit_cuts c ON c.chain = h.chain \
     WHERE h.chain > $1 AND h.chain <> 'system' ORDER BY h.chain LIMIT $2";

pub(super) const SELECT_AUDIT_CHAIN: &str = "SELECT h.chain, h.seq, h.hash, c.seq AS cut_seq, \
     c.hash AS cut_hash, c.checkpoint, c.at AS cut_at FROM audit_heads h \
     LEFT JOIN audit_cuts c ON c.chain = h.chain WHERE h.chain = $1";

pub(super) const UPSERT_CUT: &str = "INSERT INTO audit_cuts (chain, seq, hash, checkpoint, at) \
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (chain) DO UPDATE SET seq = excluded.seq, \
     hash = excluded.hash, checkpoint = excluded.checkpoint, at = excluded.at";

pub(super) const SELECT_CUTS: &str = "SELECT chain, seq FROM audit_cuts ORDER BY chain";

pub(super) const FIRST_AUDIT: &str = "SELECT MIN(seq) FROM audit WHERE chain = $1";

pub(super) const PURGE_AUDIT_SLICE: &str =
    "DELETE FROM audit WHERE chain = $1 AND seq >= $2 AND seq <= $3";

/// Changes a row only where the caller has the lease, or nobody has it any more.
pub(super) const ACQUIRE_LEASE: &str = "INSERT INTO leases (name, holder, until) \
     VALUES ($1, $2, $4) ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, \
     until = excluded.until WHERE leases.holder = excluded.holder OR leases.until <= $3";

/// The end of a slice of the used `jti`, `$2` rows on from `$1`.
pub(super) const SELECT_JTI_SLICE_END: &str =
    "SELECT key FROM used_jtis WHERE key > $1 ORDER BY key LIMIT 1 OFFSET $2";

pub(super) const PURGE_JTI_SLICE: &str =
    "DELETE FROM used_jtis WHERE key > $1 AND key <= $2 AND expires_at < $3";

pub(super) const SELECT_CREDENTIAL_UNDER: &str = "SELECT e.id, e.organization_id, e.project_id, \
     e.kid, e.public_key, e.role_arns, o.audiences, o.session_tags, o.source_identity, o.role_pin, \
     o.name AS organization_name, p.name AS project_name, e.name AS environment_name, \
     FALSE AS former, CAST(NULL AS BIGINT) AS ends_at \
     FROM environments e JOIN organizations o ON o.id = e.organization_id \
     LEFT JOIN projects p ON p.id = e.project_id \
     WHERE e.id = $1 AND e.kid = $2 AND e.public_key IS NOT NULL \
     UNION ALL SELECT e.id, e.organization_id, e.project_id, f.kid, f.public_key, e.role_arns, \
     o.audiences, o.session_tags, o.source_identity, o.role_pin, o.name, p.name, e.name, \
     TRUE, f.ends_at FROM former_keys f JOIN environments e ON e.id = f.environment_id \
     JOIN organizations o ON o.id = e.organization_id \
     LEFT JOIN projects p ON p.id = e.project_id WHERE f.kid = $2 AND f.environment_id = $1";

pub(super) const INSERT_FORMER_KEY: &str = "INSERT INTO former_keys (kid, environment_id, \
     public_key, replaced_at, ends_at) SELECT kid, id, public_key, $2, $3 FROM environments \
     WHERE id = $1";

pub(super) const REPLACE_KEY: &str = "UPDATE environments SET kid = $2, public_key = $3, \
     enrolled_at = $4, key_unused = TRUE WHERE id = $1 RETURNING id, organization_id, project_id, \
     name, state, kid, created_at, enrolled_at, quarantined_at, stopped_at, role_arns";

/// Forgets the oldest former keys. The one that waits for its grace is not among them.
pub(super) const PRUNE_FORMER_KEYS: &str = "DELETE FROM former_keys WHERE environment_id = $1 \
     AND ends_at IS NOT NULL AND kid NOT IN (SELECT kid FROM former_keys \
     WHERE environment_id = $1 ORDER BY replaced_at DESC, kid LIMIT $2)";

pub(super) const DELETE_FORMER_KEYS: &str = "DELETE FROM former_keys WHERE environment_id = $1";

pub(super) const MARK_KEY_USED: &str =
    "UPDATE environments SET key_unused = FALSE WHERE id = $1 AND key_unused";

pub(super) const BEGIN_GRACE: &str =
    "UPDATE former_keys SET ends_at = $2 WHERE environment_id = $1 AND ends_at IS NULL";

pub(super) const QUARANTINE_ENVIRONMENT: &str = "UPDATE environments SET state = 'quarantined', \
     quarantined_at = $2 WHERE id = $1 AND state = 'enrolled' AND EXISTS (SELECT 1 \
     FROM former_keys f WHERE f.kid = $3 AND f.environment_id = $1 AND f.ends_at <= $2)";

pub(super) const RELEASE_ENVIRONMENT: &str = "UPDATE environments SET state = 'enrolled', \
     quarantined_at = NULL WHERE id = $1 AND state = 'quarantined' RETURNING id, organization_id, \
     project_id, name, state, kid, created_at, enrolled_at, quarantined_at, stopped_at, role_arns";

/// Where an environment and its key `$2` stand.
pub(super) const SELECT_KEY_STANDING: &str = "SELECT e.state, e.kid, e.key_unused, \
     f.kid IS NOT NULL AS former, f.ends_at FROM environments e LEFT JOIN former_keys f \
     ON f.environment_id = e.id AND f.kid = $2 WHERE e.id = $1";
