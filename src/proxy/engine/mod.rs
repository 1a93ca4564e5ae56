//! The engine: what becomes of a request after it has come in.
//!
//! Its stages are those of [`Engine::run`]: `head` says whom it is for and what it presented, `decide`
//! what it does and whether it may, `body` what is sent of its body, `send` signs and sends it. A request
//! that is refused at one stage touches nothing of the next: no byte of its body is read that the decision
//! does not need, no credential is asked for before the decision, and nothing is sent before it is recorded:
//! what changes anything, on the disk. `account` keeps the record of each.

mod account;
mod body;
mod decide;
mod head;
mod metrics;
mod refusals;
mod sampler;
mod send;
mod sign;

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Response, Uri, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};

use self::{
    account::{Account, Answered},
    head::Head,
    metrics::Metrics,
    refusals::Refusals,
    sampler::Sampler,
    send::Received,
    sign::Signing,
};
use super::{
    Answer, Inbound, Opening, ProxyBody, ProxyKey, Tunnelled, TurnedAway, Way,
    answer::{Refusal, refuse},
    body::read_over,
    collect::{Spool, SpoolSettings},
    upstream::Upstream,
};
use crate::{
    catalog::Protocol,
    domain::{Clock, RequestId},
    policy::Rules,
    ports::{CredentialSource, LogError, RequestLog},
};

/// What the engine is made of.
pub struct EngineParts {
    /// The environment whose proxy it is, for the records.
    pub environment: Arc<str>,
    /// What requests may do.
    pub rules: Arc<Rules>,
    /// The proxy's key, which a dummy signature names.
    pub key: Arc<ProxyKey>,
    /// Where sessions come from.
    pub credentials: Arc<dyn CredentialSource>,
    /// Where requests are recorded.
    pub log: Arc<dyn RequestLog>,
    /// The connections to AWS.
    pub upstream: Upstream,
    /// For signatures and records.
    pub clock: Arc<dyn Clock>,
    /// How bodies are kept that have to be hashed before they are sent.
    pub spool: SpoolSettings,
}

/// Answers requests: decides, signs, sends, records.
pub struct Engine {
    environment: Arc<str>,
    rules: Arc<Rules>,
    key: Arc<ProxyKey>,
    log: Arc<dyn RequestLog>,
    upstream: Upstream,
    clock: Arc<dyn Clock>,
    spool: Spool,
    signing: Signing,
    strangers: Sampler,
    refusals: Arc<Refusals>,
    metrics: &'static Metrics,
}

/// A request that is being answered.
struct Call {
    way: Way,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    /// Whether the client waits to be asked for the body (`Expect: 100-continue`).
    waits: bool,
    /// `None` once it was read or sent.
    body: Option<Incoming>,
    /// The shape in which its client reads errors, as far as that is known.
    protocol: Protocol,
    request_id: RequestId,
    account: Account,
}

impl Engine {
    /// Puts it together.
    #[must_use]
    pub fn new(parts: EngineParts) -> Self {
        Self {
            environment: parts.environment,
            rules: parts.rules,
            key: parts.key,
            log: parts.log,
            upstream: parts.upstream,
            spool: Spool::new(parts.spool),
            signing: Signing::new(parts.credentials, Arc::clone(&parts.clock)),
            clock: parts.clock,
            strangers: Sampler::default(),
            refusals: Arc::default(),
            metrics: Metrics::get(),
        }
    }

    async fn run(&self, call: &mut Call) -> Result<Received, Refusal> {
        let head = Head::read(call, &self.rules, &self.key)?;
        call.account.is_for(head.host(), head.target.path());
        let decided = self.decide(call, &head).await?;
        self.log.room()?;
        let prepared = self.prepare(call, &head, &decided).await?;
        let session = self.signing.session(&decided.allowed).await?;
        call.account.signed_with(&session);
        let region = &decided.recognised.signing.region;
        let access = decided.recognised.operation.access();
        call.account.begin(region, access).await?;
        self.send(call, &head.target, &decided, prepared, session)
            .await
    }
}

impl Answer for Engine {
    async fn answer(&self, inbound: Inbound) -> Response<ProxyBody> {
        let (parts, body) = inbound.request.into_parts();
        let account = Account::open(self, &inbound.way, &parts, inbound.peer, inbound.request_id);
        let waits = parts.headers.contains_key(header::EXPECT);
        let was_empty = body.is_end_stream();
        let mut call = Call {
            protocol: head::protocol_by_guess(&parts.headers),
            waits,
            way: inbound.way,
            method: parts.method,
            uri: parts.uri,
            headers: parts.headers,
            body: Some(body),
            request_id: inbound.request_id,
            account,
        };
        let (mut answer, refused) = match self.run(&mut call).await {
            Ok(received) => (call.hand_on(received), false),
            Err(refusal) => (call.refuse(&refusal), true),
        };
        // botocore takes the status line of an answer without "100 Continue" for that of the next one on the
        // same connection. Nobody is asked for a body that is empty or refused.
        if waits && (was_empty || refused) {
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(header::CONNECTION, close);
        }
        answer
    }

    fn turned_away(&self, refusal: TurnedAway) {
        self.metrics.turned_away(refusal.known);
        // Who did not show the key can be anybody, and may not take the agent's room.
        if refusal.known || self.strangers.admits(self.clock.now()) {
            account::record_turned_away(self, refusal);
        } else {
            self.metrics.unrecorded();
        }
    }

    async fn tunnel_opens(&self, tunnel: &Opening) -> Result<(), LogError> {
        account::record_opening(self, tunnel).await
    }

    fn tunnelled(&self, tunnel: Tunnelled) {
        account::record_tunnel(self, &tunnel);
    }
}

impl Call {
    fn hand_on(mut self, received: Received) -> Response<ProxyBody> {
        let Received {
            answer,
            beginning,
            rest,
        } = received;
        self.account.answered(answer.status(), answer.headers());
        answer.map(|()| Answered::new(beginning, rest, self.account).boxed_unsync())
    }

    fn refuse(mut self, refusal: &Refusal) -> Response<ProxyBody> {
        let answer = refuse(
            refusal,
            self.protocol,
            &self.method,
            &self.headers,
            self.request_id,
        );
        self.account.refused(refusal, answer.status());
        if let Some(rest) = self.body.take().filter(|_| !self.waits) {
            read_over(rest);
        }
        answer
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("environment", &self.environment)
            .finish_non_exhaustive()
    }
}
