//! The record of one request, from its head to the end of its answer.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, request::Parts};
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::{Engine, metrics::Metrics, refusals::Refusals};
use crate::{
    catalog::{Access, Recognised},
    domain::RequestId,
    ports::{AwsSession, LogError, RequestLog, RequestPhase, RequestRecord},
    proxy::{
        BodyError, Opening, Tunnelled, TurnedAway, Way, answer::Refusal, outgoing::Progress,
        upstream::UpstreamBody,
    },
};

/// Resources that a record names; few requests act on more.
const MOST_RESOURCES: usize = 100;

/// The longest text of a record that a client chooses, in bytes, and the most that all of a request's
/// resources may have: a record has to stay small whatever is sent. Of Amazon S3's paths, whose keys have up
/// to 1,024 bytes, nothing is lost.
const LONGEST: usize = 4096;
const LONGEST_RESOURCES: usize = 64 * 1024;

/// The record of a request that is being answered. However the request ends, one record of its end is
/// written: where this is dropped before, the client has gone away.
pub(super) struct Account {
    pub(super) record: Box<RequestRecord>,
    log: Arc<dyn RequestLog>,
    refusals: Arc<Refusals>,
    metrics: &'static Metrics,
    started: Instant,
    uploaded: Uploaded,
    downloaded: u64,
    is_open: bool,
    /// Whether it was sent, as far as is known: that it ended is then recorded whatever happens.
    has_begun: bool,
}

/// What is known of the bytes that went to AWS.
pub(super) enum Uploaded {
    /// They are sent in one piece.
    Whole(u64),
    /// They are counted as they go; not where the body is empty.
    Streamed(Option<Arc<Progress>>),
}

impl Account {
    pub(super) fn open(
        engine: &Engine,
        way: &Way,
        parts: &Parts,
        peer: SocketAddr,
        request_id: RequestId,
    ) -> Self {
        let mut record = record(engine, request_id, peer);
        record.way = way.name();
        way.host().unwrap_or_default().clone_into(&mut record.host);
        parts.method.as_str().clone_into(&mut record.method);
        record.path = bounded(parts.uri.path());
        Self {
            record: Box::new(record),
            log: Arc::clone(&engine.log),
            refusals: Arc::clone(&engine.refusals),
            metrics: engine.metrics,
            started: Instant::now(),
            uploaded: Uploaded::Streamed(None),
            downloaded: 0,
            is_open: true,
            has_begun: false,
        }
    }

    /// The request is for this host and path.
    pub(super) fn is_for(&mut self, host: &str, path: &str) {
        host.clone_into(&mut self.record.host);
        self.record.path = bounded(path);
    }

    /// The catalog says what the request does.
    pub(super) fn recognised(&mut self, recognised: &Recognised) {
        let record = &mut self.record;
        record.service = Some(recognised.service.id());
        record.operation = Some(recognised.operation.name());
        recognised.host.as_ref().clone_into(&mut record.host);
        record.actions.clear();
        let actions = recognised.actions.iter();
        record
            .actions
            .extend(actions.map(|action| action.to_string().into()));
        record.resources.clear();
        let mut room = LONGEST_RESOURCES;
        for one in recognised.resources.iter().take(MOST_RESOURCES) {
            let Some(left) = room.checked_sub(one.arn().len().min(LONGEST)) else {
                break;
            };
            room = left;
            record.resources.push(bounded(one.arn()));
        }
        let more = recognised.resources.len() - record.resources.len();
        if more > 0 {
            record.resources.push(format!("and {more} more"));
        }
    }

    /// It is signed with this session.
    pub(super) fn signed_with(&mut self, session: &AwsSession) {
        let record = &mut self.record;
        record.subject.clone_from(&session.subject);
        record.session = Some(session.session_name().to_owned());
    }

    /// It is about to be sent: before anything that changes state is, this is on the disk.
    pub(super) async fn begin(&mut self, region: &str, access: Access) -> Result<(), LogError> {
        self.has_begun = true;
        self.record.region = Some(region.to_owned());
        self.record.phase = RequestPhase::Sending;
        let written = if access == Access::Read {
            self.log.later(&self.record);
            Ok(())
        } else {
            self.log.durable(&self.record).await
        };
        self.record.phase = RequestPhase::Answered;
        written
    }

    /// Its body goes on.
    pub(super) fn uploads(&mut self, uploaded: Uploaded) {
        self.uploaded = uploaded;
    }

    /// It is not answered by AWS.
    pub(super) fn refused(mut self, refusal: &Refusal, status: StatusCode) {
        self.record.reason = Some(bounded(&refusal.message));
        self.record.status = Some(status.as_u16());
        if refusal.is_decision() {
            self.record.decision = "block";
        }
        self.metrics.refused(self.record.service, refusal);
        self.finish();
    }

    /// AWS begins to answer; the rest is noted as the answer goes on.
    pub(super) fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        const REQUEST_IDS: [&str; 3] = ["x-amzn-requestid", "x-amz-request-id", "x-amz-cf-id"];
        self.record.status = Some(status.as_u16());
        self.record.aws_request_id = REQUEST_IDS
            .into_iter()
            .find_map(|name| headers.get(name))
            .and_then(|value| value.to_str().ok())
            .map(|id| id.chars().take(200).collect());
        self.metrics.answered(self.record.service, status);
    }

    fn broken(&mut self, reason: &str) {
        if self.is_open {
            self.record.phase = RequestPhase::Broken;
            self.record.reason = Some(bounded(reason));
            self.metrics.broken();
            self.finish();
        }
    }

    /// Writes the record of the end, once.
    fn finish(&mut self) {
        if !std::mem::replace(&mut self.is_open, false) {
            return;
        }
        let sent = match &self.uploaded {
            Uploaded::Whole(length) => Some(*length),
            Uploaded::Streamed(progress) => progress.as_ref().map(|progress| progress.bytes()),
        };
        self.metrics.bytes(sent.unwrap_or(0), self.downloaded);
        self.record.bytes_in = sent;
        self.record.bytes_out = Some(self.downloaded);
        let duration = self.started.elapsed().as_millis();
        self.record.duration_ms = Some(u64::try_from(duration).unwrap_or(u64::MAX));
        if self.has_begun || self.refusals.admits(&self.record) {
            self.record.unrecorded = self.refusals.unrecorded();
            self.log.later(&self.record);
        } else {
            self.metrics.unrecorded();
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.broken("the client went away");
    }
}

/// The beginning of a text, marked where that is not all of it.
fn bounded(text: &str) -> String {
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(LONGEST);
    format!("{}… and {} bytes more", &text[..end], text.len() - end)
}

fn record(engine: &Engine, request_id: RequestId, peer: SocketAddr) -> RequestRecord {
    RequestRecord {
        time: engine.clock.now(),
        request_id,
        phase: RequestPhase::Answered,
        environment: Arc::clone(&engine.environment),
        subject: None,
        peer: peer.to_string(),
        way: "none",
        service: None,
        operation: None,
        actions: Vec::new(),
        resources: Vec::new(),
        decision: "block",
        rule: None,
        reason: None,
        unrecorded: None,
        role: None,
        session: None,
        region: None,
        host: String::new(),
        method: String::new(),
        path: String::new(),
        aws_request_id: None,
        status: None,
        bytes_in: None,
        bytes_out: None,
        duration_ms: None,
    }
}

/// Records a request that was not let in.
pub(super) fn record_turned_away(engine: &Engine, refusal: TurnedAway) {
    let mut record = record(engine, refusal.request_id, refusal.peer);
    if let Some(method) = &refusal.method {
        record.method = bounded(method.as_str());
    }
    record.host = refusal.host.unwrap_or_default();
    record.status = Some(refusal.status.as_u16());
    record.reason = Some(bounded(&refusal.reason));
    if engine.refusals.admits(&record) {
        record.unrecorded = engine.refusals.unrecorded();
        engine.log.later(&record);
    } else {
        engine.metrics.unrecorded();
    }
}

/// Records a tunnel to a host that is none of AWS's, before a byte goes through it.
pub(super) async fn record_opening(engine: &Engine, tunnel: &Opening) -> Result<(), LogError> {
    let mut record = of_tunnel(engine, tunnel);
    record.phase = RequestPhase::Sending;
    engine.log.durable(&record).await
}

fn of_tunnel(engine: &Engine, tunnel: &Opening) -> RequestRecord {
    let mut record = record(engine, tunnel.request_id, tunnel.peer);
    record.way = "tunnel";
    record.decision = "allow";
    "CONNECT".clone_into(&mut record.method);
    record.host.clone_from(&tunnel.host);
    record
}

/// Records the end of a tunnel.
pub(super) fn record_tunnel(engine: &Engine, tunnel: &Tunnelled) {
    let mut record = of_tunnel(engine, &tunnel.opening);
    if tunnel.bytes.is_none() {
        record.phase = RequestPhase::Broken;
    }
    record.bytes_in = tunnel.bytes.map(|(sent, _)| sent);
    record.bytes_out = tunnel.bytes.map(|(_, received)| received);
    record.duration_ms = u64::try_from(tunnel.duration.as_millis()).ok();
    engine.log.later(&record);
}

/// The body of AWS's answer, with the record of it.
pub(super) struct Answered {
    beginning: Bytes,
    /// `None` where all of it is in the beginning.
    rest: Option<UpstreamBody>,
    account: Account,
}

impl Answered {
    pub(super) fn new(beginning: Bytes, rest: Option<UpstreamBody>, account: Account) -> Self {
        let mut answered = Self {
            beginning,
            rest,
            account,
        };
        answered.note_end();
        answered
    }

    fn note(&mut self, data: Option<&Bytes>) {
        self.account.downloaded += data.map_or(0, |data| data.len() as u64);
        self.note_end();
    }

    fn note_end(&mut self) {
        if self.is_end_stream() {
            self.account.finish();
        }
    }
}

impl Body for Answered {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if !self.beginning.is_empty() {
            let beginning = std::mem::take(&mut self.beginning);
            self.note(Some(&beginning));
            return Poll::Ready(Some(Ok(Frame::data(beginning))));
        }
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(rest).poll_frame(context));
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                self.note(frame.data_ref());
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                self.account
                    .broken(&format!("AWS broke its answer off: {error}"));
                Some(Err(error.into()))
            }
            None => {
                self.account.finish();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.beginning.is_empty() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let beginning = self.beginning.len() as u64;
        let Some(rest) = &self.rest else {
            return SizeHint::with_exact(beginning);
        };
        let rest = rest.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(beginning));
        }
        hint.set_lower(rest.lower().saturating_add(beginning));
        hint
    }
}
