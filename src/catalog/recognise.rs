//! From a request to its operation.

use std::borrow::Cow;

use http::{HeaderMap, Method, header};

use super::{
    body::Malformed,
    choose::{most_specific, only_known_queries},
    finish::finish,
    hosts::Candidate,
    recognised::{Incoming, Recognised, Unrecognised},
    route::Captures,
    service::Protocol,
    services::{self, Row},
    source::header,
    table::Entry,
};

/// An operation that fits.
pub(super) struct Match {
    pub(super) candidate: Candidate,
    pub(super) entry: &'static Entry,
    pub(super) protocol: Protocol,
    pub(super) captures: Captures,
}

/// What a request holds that may name its operation, read once.
struct Signs<'a> {
    /// `X-Amz-Target`.
    target: Option<&'a str>,
    /// The decoded segments of the path.
    path: Vec<&'a str>,
    /// The same as Amazon S3 sees them, where the host has the bucket: behind it.
    in_bucket: Option<Vec<&'a str>>,
    /// Every `Action` in the URL and a form, if the body was needed and read.
    actions: Vec<Cow<'a, str>>,
    versions: Vec<Cow<'a, str>>,
    body: BodyState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyState {
    None,
    Unread,
    /// Compressed, so nobody looks inside.
    Opaque,
    Read,
}

/// Tells which operation a request is, which IAM actions that needs and on what.
///
/// # Errors
/// [`Unrecognised`], where that is not certain. [`Unrecognised::NeedsBody`] asks for the body where
/// the operation is named there; without the body it is certain in all other cases, but perhaps not
/// [complete](Recognised::complete).
pub fn recognise(incoming: &Incoming<'_>) -> Result<Recognised, Unrecognised> {
    let signs = Signs::read(incoming)?;
    let mut matches: Vec<Match> = Vec::with_capacity(2);
    let mut needs_body = false;
    let mut refused = None;
    let candidates = incoming.endpoint.candidates();
    let mut of_scope = 0;
    for candidate in candidates {
        if !in_scope(incoming, *candidate) {
            continue;
        }
        of_scope += 1;
        match signs.operation(incoming, *candidate, candidates.len() > 1) {
            Ok(found) => matches.extend(found),
            Err(Unrecognised::NeedsBody) => needs_body = true,
            Err(error @ Unrecognised::Unknown { .. }) => refused = Some(error),
            Err(error) => return Err(error),
        }
    }
    if of_scope == 0 {
        return Err(out_of_scope(incoming));
    }
    if needs_body {
        return Err(Unrecognised::NeedsBody);
    }
    if let (true, Some(refused)) = (matches.is_empty(), refused) {
        return Err(refused);
    }
    let found = the_one(matches, incoming, &signs)?;
    let segments = signs.segments(found.candidate.is_s3());
    finish(incoming, found, segments, signs.body).map_err(Unrecognised::from)
}

/// The shape in which the client of a request reads errors, for one that is not recognised.
#[must_use]
pub fn protocol_of(incoming: &Incoming<'_>) -> Protocol {
    let form = incoming
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(FORM.as_bytes()));
    let speaks = |wanted: fn(&Protocol) -> bool| {
        incoming
            .endpoint
            .candidates()
            .iter()
            .flat_map(|one| &services::row(one.service).protocols)
            .copied()
            .find(wanted)
    };
    let segments = incoming.target.segments();
    if segments.len() == 4 && incoming.headers.contains_key("smithy-protocol") {
        return Protocol::Cbor;
    }
    if incoming.headers.contains_key(TARGET) {
        return Protocol::Json;
    }
    if (form || incoming.target.values("Action").next().is_some())
        && let Some(found) = speaks(|one| matches!(one, Protocol::Query | Protocol::Ec2))
    {
        return found;
    }
    speaks(|one| matches!(one, Protocol::RestJson | Protocol::RestXml { .. }))
        .or_else(|| speaks(|_| true))
        .unwrap_or(Protocol::RestJson)
}

const TARGET: &str = "x-amz-target";
const FORM: &str = "application/x-www-form-urlencoded";

impl From<Malformed> for Unrecognised {
    fn from(Malformed(why): Malformed) -> Self {
        Self::Ambiguous { why }
    }
}

/// Whether the client's own signature, if it has one, is for this candidate.
fn in_scope(incoming: &Incoming<'_>, candidate: Candidate) -> bool {
    incoming.endpoint.is_scoped()
        || incoming.scope.is_none_or(|(name, region)| {
            candidate.allows_scope(name, region, incoming.endpoint.region())
        })
}

fn out_of_scope(incoming: &Incoming<'_>) -> Unrecognised {
    let (name, region) = incoming.scope.unwrap_or_default();
    let host = incoming.endpoint.host();
    Unrecognised::Ambiguous {
        why: format!("it is signed for {name:?} in {region:?}, which {host} is not"),
    }
}

impl<'a> Signs<'a> {
    fn read(incoming: &Incoming<'a>) -> Result<Self, Unrecognised> {
        let path: Vec<&str> = incoming.target.segments().collect();
        let in_bucket = incoming.endpoint.bucket().map(|bucket| {
            let bare = incoming.target.path() == "/";
            let mut segments = Vec::with_capacity(path.len() + 1);
            segments.push(bucket);
            segments.extend(path.iter().filter(|_| !bare));
            segments
        });
        let body = body_state(incoming);
        let mut signs = Self {
            target: header(incoming, TARGET)?,
            path,
            in_bucket,
            actions: parameter(incoming, "Action"),
            versions: parameter(incoming, "Version"),
            body,
        };
        let forms = incoming
            .endpoint
            .candidates()
            .iter()
            .any(|one| speaks_forms(services::row(one.service)));
        if let (true, BodyState::Read, Some(body)) = (forms, body, incoming.body)
            && signs.target.is_none()
            && signs.rpc_path().is_none()
        {
            for (name, value) in url::form_urlencoded::parse(body) {
                match name.as_ref() {
                    "Action" => signs.actions.push(value),
                    "Version" => signs.versions.push(value),
                    _ => {}
                }
            }
        }
        Ok(signs)
    }

    /// The path's segments as a service sees them.
    fn segments(&self, is_s3: bool) -> &[&'a str] {
        match &self.in_bucket {
            Some(segments) if is_s3 => segments,
            _ => &self.path,
        }
    }

    /// Service and operation of `/service/SERVICE/operation/OPERATION`.
    fn rpc_path(&self) -> Option<(&'a str, &'a str)> {
        match self.path[..] {
            ["service", service, "operation", operation] => Some((service, operation)),
            _ => None,
        }
    }

    /// The operation of one candidate that the request is, if it is one.
    fn operation(
        &self,
        incoming: &Incoming<'_>,
        candidate: Candidate,
        several: bool,
    ) -> Result<Option<Match>, Unrecognised> {
        let row = services::row(candidate.service);
        let found = |entry, protocol| {
            Ok(Some(Match {
                candidate,
                entry,
                protocol,
                captures: Captures::new(),
            }))
        };
        for protocol in row.protocols.iter().copied() {
            match protocol {
                Protocol::RestXml { .. } | Protocol::RestJson => {
                    return self.rest(incoming, candidate, row, protocol);
                }
                Protocol::Cbor => {
                    if let Some((service, operation)) = self.rpc_path()
                        && service == row.target
                        && incoming.method == Method::POST
                        && let Some(entry) = services::table(candidate.service).named(operation)
                    {
                        Self::agree(self.target.is_some() || !self.actions.is_empty())?;
                        return found(entry, protocol);
                    }
                }
                Protocol::Json => {
                    let operation = self
                        .target
                        .and_then(|target| target.strip_prefix(row.target)?.strip_prefix('.'));
                    if let Some(operation) = operation
                        && incoming.method == Method::POST
                        && incoming.target.path() == "/"
                        && let Some(entry) = services::table(candidate.service).named(operation)
                    {
                        Self::agree(!self.actions.is_empty())?;
                        return found(entry, protocol);
                    }
                }
                Protocol::Query | Protocol::Ec2 => {
                    if let Some(entry) = self.query(incoming, candidate, row, several)? {
                        return found(entry, protocol);
                    }
                }
            }
        }
        Ok(None)
    }

    fn agree(contradicted: bool) -> Result<(), Unrecognised> {
        if contradicted {
            return Err(Unrecognised::Ambiguous {
                why: "it names operations in two ways (X-Amz-Target, path, Action)".to_owned(),
            });
        }
        Ok(())
    }

    fn query(
        &self,
        incoming: &Incoming<'_>,
        candidate: Candidate,
        row: &Row,
        several: bool,
    ) -> Result<Option<&'static Entry>, Unrecognised> {
        // Older clients of Amazon SQS send to a queue's own path.
        let place = incoming.target.path() == "/"
            || (row.service.id() == "sqs" && incoming.target.segments().len() == 2);
        let method = matches!(*incoming.method, Method::POST | Method::GET);
        if !place || !method || self.target.is_some() {
            return Ok(None);
        }
        match self.body {
            BodyState::Unread => return Err(Unrecognised::NeedsBody),
            // Also where the URL names one: the service would find another one there.
            BodyState::Opaque => {
                return Err(Unrecognised::Ambiguous {
                    why: "its body is compressed, and the operation is named there".to_owned(),
                });
            }
            _ => {}
        }
        let [action] = &self.actions[..] else {
            Self::agree(!self.actions.is_empty())?;
            return Ok(None);
        };
        let version = match &self.versions[..] {
            [] => None,
            [version] => Some(version),
            _ => {
                return Err(Unrecognised::Ambiguous {
                    why: "it has Version twice".to_owned(),
                });
            }
        };
        // Where services share a host, the version tells them apart; elsewhere older ones are still taken.
        if several && version.is_some_and(|version| version != row.version) {
            return Ok(None);
        }
        Ok(services::table(candidate.service).named(action))
    }

    fn rest(
        &self,
        incoming: &Incoming<'_>,
        candidate: Candidate,
        row: &Row,
        protocol: Protocol,
    ) -> Result<Option<Match>, Unrecognised> {
        let is_s3 = candidate.is_s3();
        let Some(segments) = self.routed(candidate) else {
            return Ok(None);
        };
        let table = services::table(candidate.service);
        let mut result = Ok(None);
        let mut accept = |operations: &[usize], captures: &Captures| {
            let entries = operations.iter().map(|at| &table.entries[*at]);
            match most_specific(entries, incoming) {
                Ok(None) => false,
                Ok(Some(entry)) => {
                    result = Ok(Some(Match {
                        candidate,
                        entry,
                        protocol,
                        captures: captures.clone(),
                    }));
                    true
                }
                Err(error) => {
                    result = Err(error);
                    true
                }
            }
        };
        let method = incoming.method.as_str();
        table.routes.find(method, &segments, &mut accept);
        if matches!(result, Ok(None)) && !is_s3 && segments.len() > 1 {
            // Models and SDKs differ over a slash at the end, and services take both.
            let other: Cow<'_, [&str]> = match segments.split_last() {
                Some((&"", front)) => Cow::Borrowed(front),
                _ => Cow::Owned(segments.iter().copied().chain([""]).collect()),
            };
            let mut accept = |operations: &[usize], captures: &Captures| {
                let entries = operations.iter().map(|at| &table.entries[*at]);
                let found = most_specific(entries, incoming);
                let done = !matches!(found, Ok(None));
                if done {
                    result = found.map(|entry| {
                        entry.map(|entry| Match {
                            candidate,
                            entry,
                            protocol,
                            captures: captures.clone(),
                        })
                    });
                }
                done
            };
            table.routes.find(method, &other, &mut accept);
        }
        let found = result?;
        if let Some(found) = &found
            && is_s3
        {
            only_known_queries(incoming, found.entry, row)?;
        }
        Ok(found)
    }

    /// The segments that an operation's route is looked for with; `None` where there can be none.
    fn routed(&self, candidate: Candidate) -> Option<Cow<'_, [&'a str]>> {
        let is_s3 = candidate.is_s3();
        let segments = self.segments(is_s3);
        if !is_s3 {
            return Some(Cow::Borrowed(segments));
        }
        if candidate.name == "s3-object-lambda"
            && segments.last() == Some(&"WriteGetObjectResponse")
        {
            return Some(Cow::Owned(vec!["WriteGetObjectResponse"]));
        }
        match *segments {
            [] | [""] => Some(Cow::Owned(vec![""])),
            ["" | "." | "..", ..] => None,
            [bucket, ..] if bucket.contains('/') => None,
            // `/bucket/` is the bucket.
            [bucket, ""] => Some(Cow::Owned(vec![bucket])),
            _ => Some(Cow::Borrowed(segments)),
        }
    }
}

fn speaks_forms(row: &Row) -> bool {
    row.protocols
        .iter()
        .any(|one| matches!(one, Protocol::Query | Protocol::Ec2))
}

fn parameter<'a>(incoming: &Incoming<'a>, name: &str) -> Vec<Cow<'a, str>> {
    incoming
        .target
        .parameters()
        .filter(|(other, _)| *other == name)
        .map(|(_, value)| Cow::Borrowed(value))
        .collect()
}

fn body_state(incoming: &Incoming<'_>) -> BodyState {
    if incoming.body.is_some_and(<[u8]>::is_empty) || has_no_body(incoming.headers, incoming.body) {
        return BodyState::None;
    }
    let encoded = incoming
        .headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
        .any(|one| !one.is_empty() && one != b"identity" && one != b"aws-chunked");
    match incoming.body {
        _ if encoded => BodyState::Opaque,
        Some(_) => BodyState::Read,
        None => BodyState::Unread,
    }
}

fn has_no_body(headers: &HeaderMap, body: Option<&[u8]>) -> bool {
    body.is_none()
        && !headers.contains_key(header::TRANSFER_ENCODING)
        && headers
            .get(header::CONTENT_LENGTH)
            .is_none_or(|length| length == "0")
}

/// The one operation of all candidates'. Where several services have an operation of one name and action,
/// it is one operation of which they have a model each, and the first candidate's is as good as any.
fn the_one(
    matches: Vec<Match>,
    incoming: &Incoming<'_>,
    signs: &Signs<'_>,
) -> Result<Match, Unrecognised> {
    let mut matches = matches.into_iter();
    let Some(mut first) = matches.next() else {
        return Err(unknown(incoming, signs));
    };
    for other in matches {
        // They sign with one name, so only a scoped endpoint has both: Amazon S3 has no such header, and its
        // control operations have to have it.
        let control =
            |one: &Match| services::row(one.candidate.service).service.id() == "s3control";
        if control(&first) != control(&other) {
            if control(&other) == incoming.headers.contains_key("x-amz-account-id") {
                first = other;
            }
            continue;
        }
        let main = |one: &Match| one.entry.operation.every_action().next();
        let same = first.entry.operation.name() == other.entry.operation.name()
            && main(&first) == main(&other)
            && first.candidate.name == other.candidate.name;
        if !same {
            let named = |one: &Match| {
                let id = services::row(one.candidate.service).service.id();
                format!("{id}:{}", one.entry.operation.name())
            };
            return Err(Unrecognised::Tied {
                first: named(&first),
                second: named(&other),
            });
        }
    }
    Ok(first)
}

fn unknown(incoming: &Incoming<'_>, signs: &Signs<'_>) -> Unrecognised {
    let what = match (signs.target, &signs.actions[..]) {
        (Some(target), _) => format!("X-Amz-Target {target:?}"),
        (None, [action, ..]) => format!("Action {action:?}"),
        _ => {
            let mut what = format!("{} {}", incoming.method, incoming.target.path());
            for (index, (name, _)) in incoming.target.parameters().enumerate() {
                what.push(if index == 0 { '?' } else { '&' });
                what.push_str(name);
            }
            what
        }
    };
    Unrecognised::Unknown {
        host: incoming.endpoint.host().to_owned(),
        what,
    }
}
