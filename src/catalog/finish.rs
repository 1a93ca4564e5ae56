//! From an operation to its actions and resources.

use std::borrow::Cow;

use super::{
    action::Actions,
    body::{Body, Malformed, Values},
    cbor::Cbor,
    deletions,
    fill::{self, Place},
    found::Found,
    names::Queue,
    recognise::{BodyState, Match},
    recognised::{Incoming, Recognised, Signing},
    s3::Form,
    service::Protocol,
    services,
    source::{Request, Source},
    table::Entry,
};

/// Says of a request whose operation is found what it needs and acts on.
pub(super) fn finish(
    incoming: &Incoming<'_>,
    found: Match,
    segments: &[&str],
    state: BodyState,
) -> Result<Recognised, Malformed> {
    let Match {
        candidate,
        entry,
        protocol,
        captures,
    } = found;
    let endpoint = incoming.endpoint;
    let row = services::row(candidate.service);
    let asks_body = entry.resources.iter().any(fill::Spec::in_body)
        || entry.conditions.iter().flatten().any(Source::in_body);
    let form = if candidate.is_s3() {
        endpoint.form()
    } else {
        Form::None
    };
    let request = Request {
        incoming,
        segments,
        captures: &captures,
        body: if asks_body {
            body(incoming, entry, protocol, state)?
        } else {
            Body::Empty
        },
    };
    let complete = !(asks_body && state == BodyState::Unread);
    let mut chosen = 0;
    for (at, condition) in entry.conditions.iter().enumerate() {
        let mut needed = condition.is_empty();
        for source in condition {
            needed |= match request.values(source)? {
                Values::Unknown => true,
                Values::Known(values) => !values.is_empty(),
            };
        }
        chosen |= u64::from(needed) << at;
    }
    // An operation that needs something may not come out as needing nothing.
    if chosen == 0 {
        chosen = u64::MAX;
    }
    let actions = Actions::new(entry.operation.actions, chosen);
    let region: Cow<'static, str> = match (endpoint.region_for_keeps(), candidate.region) {
        (Some(region), _) => region.clone(),
        (None, Some(region)) if region != "*" => Cow::Borrowed(region),
        _ => Cow::Borrowed(endpoint.partition().default_region()),
    };
    let place = Place {
        partition: endpoint.partition(),
        region: &region,
        s3: form,
        queue: queue(candidate.name, protocol, segments),
    };
    let mut found = Found::default();
    for spec in &entry.resources {
        if actions.iter().any(|action| spec.concerns(action)) {
            spec.fill(&request, &place, &mut found)?;
        }
    }
    let resources = found.list();
    let host = if endpoint.is_scoped() {
        Cow::Owned(home(&request, entry, candidate, &region)?)
    } else {
        Cow::Owned(endpoint.host().to_owned())
    };
    let signing_region = match candidate.region {
        Some(region) => Cow::Borrowed(region),
        None => region.clone(),
    };
    Ok(Recognised {
        service: &row.service,
        operation: &entry.operation,
        actions,
        resources,
        complete,
        region,
        signing: Signing {
            name: candidate.name,
            region: signing_region,
            algorithm: candidate.algorithm,
        },
        protocol,
        host,
    })
}

fn body<'a>(
    incoming: &Incoming<'a>,
    entry: &Entry,
    protocol: Protocol,
    state: BodyState,
) -> Result<Body<'a>, Malformed> {
    let forms = matches!(protocol, Protocol::Query | Protocol::Ec2);
    let bytes = match state {
        BodyState::Unread => return Ok(Body::Unread),
        BodyState::Opaque => return Ok(Body::Opaque),
        BodyState::None if !forms => return Ok(Body::Empty),
        BodyState::None | BodyState::Read => incoming.body.unwrap_or_default(),
    };
    match protocol {
        Protocol::Json | Protocol::RestJson => Body::json(bytes),
        Protocol::Cbor => Cbor::read(bytes).map(Body::Cbor),
        Protocol::Query | Protocol::Ec2 => {
            let Body::Form(mut pairs) = Body::form(bytes) else {
                return Ok(Body::Opaque);
            };
            let url = incoming.target.parameters();
            pairs.extend(url.map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value))));
            Ok(Body::Form(pairs))
        }
        Protocol::RestXml { .. } if entry.operation.name() == "DeleteObjects" => {
            deletions::read(bytes).map(Body::Deletions)
        }
        Protocol::RestXml { .. } => Ok(Body::Opaque),
    }
}

/// Amazon SQS looks at the path of a form, which older clients send to the queue's own.
fn queue<'a>(name: &str, protocol: Protocol, segments: &[&'a str]) -> Option<Queue<'a>> {
    match *segments {
        [account, queue] if name == "sqs" && protocol == Protocol::Query => {
            Queue::at(account, queue)
        }
        _ => None,
    }
}

/// The host for a request that came to an overridden endpoint.
fn home(
    request: &Request<'_>,
    entry: &Entry,
    candidate: super::hosts::Candidate,
    region: &str,
) -> Result<String, Malformed> {
    let endpoint = request.incoming.endpoint;
    let partition = endpoint.partition();
    let home = services::home(candidate.service, partition, region);
    if candidate.is_s3() {
        return Ok(super::s3::home(
            candidate.name,
            endpoint.own(),
            partition,
            region,
            request.segments,
        ));
    }
    let mut prefix = entry.host_prefix.to_owned();
    if let Some(label) = &entry.host_label {
        let named = match request.values(label)? {
            Values::Known(mut values) if values.len() == 1 => values.pop(),
            _ => None,
        };
        let own = named.as_deref().or(endpoint.own()).unwrap_or_default();
        let fits = !own.is_empty()
            && own
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if !fits {
            return Err(Malformed(format!(
                "{} goes to a host of its own, and the request does not name it",
                entry.operation.name()
            )));
        }
        prefix = prefix.replace("{}", own);
    }
    Ok(format!("{prefix}{home}"))
}
