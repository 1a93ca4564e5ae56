//! Enrolled environments, written into the database directly, and their token requests.

use std::{
    net::SocketAddr,
    rc::Rc,
    thread::{available_parallelism, scope},
};

use idp::{
    domain::{
        AssertionId, Clock as _, OrganizationId, ProjectId, SigningAlgorithm, SystemClock,
        SystemRandom,
    },
    jose::{PrivateKey, sign_compact, thumbprint},
};
use serde_json::json;
use sqlx::{
    ConnectOptions as _, Connection as _, SqliteConnection, query, query_scalar,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::site::Site;

/// What a database is to hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Tenants, each with one project.
    pub(crate) organizations: usize,
    /// Enrolled environments, dealt out to the organisations in turn.
    pub(crate) environments: usize,
    /// How many of them ask for tokens; evenly spread, a divisor of `environments`.
    pub(crate) minting: usize,
    /// Audit records of earlier mints, dealt out too; a multiple of `organizations`.
    pub(crate) records: usize,
}

/// Environments that can ask for tokens.
pub(crate) struct Environments {
    all: Vec<Client>,
    address: SocketAddr,
    issuer: String,
}

struct Client {
    id: String,
    kid: String,
    key: PrivateKey,
}

/// Ids grow with time, as real ones do, and `kid`s do not. Constants of the right length stand for what
/// nothing looks at: a database is filled with five million rows in the time that a bench may take.
const INSERT_ENVIRONMENTS: &str = "
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $1)
INSERT INTO environments (id, organization_id, project_id, name, state, kid, public_key, created_at,
    enrolled_at)
SELECT printf('%08x-%04x-7000-8000-%012x', ($3 + i) / 65536, ($3 + i) % 65536, i), o.id, o.project,
    'environment', 'enrolled', printf('%022x%021x', i * 2654435761 % 4294967296, i), o.key, $3, $3
FROM n CROSS JOIN o ON o.n = i % $2";

const CREATE_ORGANIZATIONS: &str = "
CREATE TEMP TABLE o (n INTEGER PRIMARY KEY, id TEXT, project TEXT, key TEXT, details TEXT)";

const NUMBER_ORGANIZATIONS: &str = "
INSERT INTO o SELECT m.key, v ->> 0, v ->> 1,
    printf('{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%043x\",\"y\":\"%043x\"}', m.key, m.key),
    printf('{\"jti\":\"%022x\",\"sub\":\"org:%s/prj:%s/env:%s\",\"aud\":\"sts.amazonaws.com\",\"exp\":%d,\"kid\":\"%043x\"}',
        m.key, v ->> 0, v ->> 1, v ->> 1, 1740514245, m.key)
FROM (SELECT key, value AS v FROM json_each($1)) m";

const GIVE_KEYS: &str = "
UPDATE environments SET kid = m.value ->> 0, public_key = m.value ->> 1
FROM json_each($1) m WHERE environments.rowid = m.key * $2 + 1";

const SELECT_MINTING: &str = "SELECT id FROM environments WHERE rowid % $1 = 1 % $1 ORDER BY rowid";

/// The hashes are random: nothing that is measured looks at a record before the last.
const INSERT_RECORDS: &str = "
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $1)
INSERT INTO audit (chain, seq, id, at, actor, action, target, outcome, request_id, source, details,
    hash)
SELECT o.id, i / $2 + 1, printf('%08x-%04x-7000-8000-%012x', ($3 + i) / 65536, ($3 + i) % 65536, i),
    $3 + i, 'environment:' || o.id, 'token.mint', o.id, 'success', o.id, '127.0.0.1', o.details,
    randomblob(32)
FROM n CROSS JOIN o ON o.n = i % $2";

const INSERT_HEADS: &str = "
INSERT INTO audit_heads (chain, seq, hash)
SELECT id, $1, (SELECT a.hash FROM audit a WHERE a.chain = o.id AND a.seq = $1) FROM o";

impl Site {
    /// Fills the database, which no server may have open.
    pub(crate) fn fill(&self, size: Size) -> Environments {
        let keys: Vec<PrivateKey> = (0..size.minting)
            .map(|_| PrivateKey::generate(SigningAlgorithm::Es256).expect("aws-lc makes keys"))
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime needs nothing here");
        let ids = runtime
            .block_on(self.write(size, &keys))
            .expect("the schema is the one that this fills");
        assert_eq!(ids.len(), size.minting);
        let all = ids.into_iter().zip(keys).map(|(id, key)| Client {
            id,
            kid: thumbprint(key.public()),
            key,
        });
        Environments {
            all: all.collect(),
            address: self.address,
            issuer: self.issuer.clone(),
        }
    }

    async fn write(&self, size: Size, keys: &[PrivateKey]) -> Result<Vec<String>, sqlx::Error> {
        // A crash here loses a database that is thrown away anyway.
        let mut database = SqliteConnectOptions::new()
            .filename(self.database())
            .foreign_keys(false)
            .journal_mode(SqliteJournalMode::Off)
            .synchronous(SqliteSynchronous::Off)
            .pragma("cache_size", "-1048576")
            .pragma("temp_store", "MEMORY")
            .connect()
            .await?;
        let now = SystemClock.now().ms();
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        insert_organizations(&mut database, size.organizations, now).await?;
        query(INSERT_ENVIRONMENTS)
            .bind(number(size.environments))
            .bind(number(size.organizations))
            .bind(now)
            .execute(&mut database)
            .await?;
        let public: Vec<_> = keys
            .iter()
            .map(|key| {
                let jwk = serde_json::to_string(key.public()).expect("a JWK is JSON");
                (thumbprint(key.public()), jwk)
            })
            .collect();
        let stride = number(size.environments / size.minting);
        query(GIVE_KEYS)
            .bind(serde_json::to_string(&public).expect("texts are JSON"))
            .bind(stride)
            .execute(&mut database)
            .await?;
        if size.records > 0 {
            query(INSERT_RECORDS)
                .bind(number(size.records))
                .bind(number(size.organizations))
                .bind(now)
                .execute(&mut database)
                .await?;
            query(INSERT_HEADS)
                .bind(number(size.records / size.organizations))
                .execute(&mut database)
                .await?;
        }
        let ids = query_scalar(SELECT_MINTING)
            .bind(stride)
            .fetch_all(&mut database)
            .await?;
        database.close().await?;
        Ok(ids)
    }
}

/// Makes organisations and projects, and a temporary table that numbers them.
async fn insert_organizations(
    database: &mut SqliteConnection,
    count: usize,
    now: i64,
) -> Result<(), sqlx::Error> {
    let ids: Vec<_> = (0..count)
        .map(|_| {
            (
                OrganizationId::new(&SystemClock, &SystemRandom).to_string(),
                ProjectId::new(&SystemClock, &SystemRandom).to_string(),
            )
        })
        .collect();
    query(CREATE_ORGANIZATIONS).execute(&mut *database).await?;
    query(NUMBER_ORGANIZATIONS)
        .bind(serde_json::to_string(&ids).expect("texts are JSON"))
        .execute(&mut *database)
        .await?;
    query(
        "INSERT INTO organizations (id, name, audiences, created_at) \
         SELECT id, 'organisation', '[\"sts.amazonaws.com\"]', $1 FROM o",
    )
    .bind(now)
    .execute(&mut *database)
    .await?;
    query(
        "INSERT INTO projects (id, organization_id, name, created_at) \
         SELECT project, id, 'project', $1 FROM o",
    )
    .bind(now)
    .execute(&mut *database)
    .await?;
    Ok(())
}

impl Environments {
    /// Token requests as `idp token` makes them, each with an assertion of its own that holds for two
    /// minutes from now, of all environments in turn.
    pub(crate) fn requests(&self, count: usize) -> Rc<[Vec<u8>]> {
        let threads = available_parallelism().map_or(1, usize::from);
        scope(|scope| {
            let parts: Vec<_> = (0..threads)
                .map(|thread| {
                    let numbers = (count * thread / threads)..(count * (thread + 1) / threads);
                    scope.spawn(move || {
                        numbers
                            .map(|number| self.request(&self.all[number % self.all.len()]))
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            parts
                .into_iter()
                .flat_map(|part| part.join().expect("every key signs"))
                .collect()
        })
    }

    fn request(&self, client: &Client) -> Vec<u8> {
        let now = SystemClock.now().secs();
        let claims = json!({
            "iss": client.id, "sub": client.id, "aud": self.issuer, "iat": now, "exp": now + 120,
            "jti": AssertionId::new(&SystemClock, &SystemRandom),
        });
        let assertion = sign_compact(
            &client.key,
            "client-authentication+jwt",
            &client.kid,
            claims.to_string().as_bytes(),
        )
        .expect("every key signs");
        let body = format!(
            "grant_type=client_credentials&client_assertion_type=\
             urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
             &client_assertion={assertion}&client_id={}&audience=sts.amazonaws.com",
            client.id
        );
        format!(
            "POST /oauth2/token HTTP/1.1\r\nhost: {}\r\naccept: */*\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .into_bytes()
    }
}
