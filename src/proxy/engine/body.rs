//! What is sent of a request's body.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use hyper::body::Incoming;

use super::{Call, Engine, Head, decide::Decided};
use crate::{
    catalog::Protocol,
    proxy::{
        answer::{Kind, Refusal},
        collect::CollectError,
        outgoing::{Held, Outgoing},
    },
    sigv4::{BodyPlan, BodyRules, PayloadHash, Reframe, body_plan},
};

/// Bodies up to this size, in bytes, are read before they are sent, wherever they could be streamed: that is
/// one write to AWS, and it can be done again.
const SMALL: u64 = 64 * 1024;

/// A body that is ready to be sent, and what the signature says of it.
pub(super) struct Prepared {
    pub(super) payload: PayloadHash,
    source: Source,
}

enum Source {
    /// It can be sent again.
    Held(Held),
    Stream(Incoming),
    Reframe(Incoming, Reframe),
}

impl Prepared {
    const fn held(payload: PayloadHash, body: Bytes) -> Self {
        Self {
            payload,
            source: Source::Held(Held::Memory(body)),
        }
    }

    /// The body. One that is streamed is there once; after that it is empty.
    pub(super) fn take(&mut self) -> Outgoing {
        let nothing = Source::Held(Held::Memory(Bytes::new()));
        match std::mem::replace(&mut self.source, nothing) {
            Source::Held(held) => {
                let outgoing = Outgoing::held(&held);
                self.source = Source::Held(held);
                outgoing
            }
            Source::Stream(incoming) => Outgoing::stream(incoming),
            Source::Reframe(incoming, reframe) => {
                Outgoing::reframed(incoming, reframe.start(), reframe.length())
            }
        }
    }

    /// Its length, where it is here already and can be sent again.
    pub(super) fn held_length(&self) -> Option<u64> {
        match &self.source {
            Source::Held(held) => Some(held.length()),
            Source::Stream(_) | Source::Reframe(..) => None,
        }
    }
}

impl Engine {
    /// Plans the body and reads it, where it has to be hashed before it is sent. Makes the headers say what
    /// is sent.
    pub(super) async fn prepare(
        &self,
        call: &mut Call,
        head: &Head,
        decided: &Decided,
    ) -> Result<Prepared, Refusal> {
        let model = decided.recognised.operation.body();
        let rules = BodyRules {
            s3: decided.recognised.protocol == Protocol::RestXml { s3: true },
            unsigned_allowed: model.unsigned_allowed,
            event_stream: model.event_stream_input,
        };
        let plan = body_plan(head.presented.payload, rules, &call.headers)?;
        plan.prepare(&mut call.headers);
        if plan == BodyPlan::Empty {
            return Ok(Prepared::held(PayloadHash::EMPTY, Bytes::new()));
        }
        if let Some(body) = &decided.body {
            return call.prepare_read(&plan, body.clone());
        }
        let Some(mut incoming) = call.body.take() else {
            return Err(read_twice());
        };
        match plan {
            BodyPlan::Stream { payload, length }
                if length.is_some_and(|length| length <= SMALL) =>
            {
                match self.spool.read(&mut incoming, SMALL).await {
                    Ok(body) => Ok(Prepared::held(payload, body)),
                    Err(error) => Err(broken(&error)),
                }
            }
            BodyPlan::Hash { claimed, .. } => match self.spool.keep(&mut incoming).await {
                Ok((kept, hash)) => {
                    call.set_length(kept.length());
                    Ok(Prepared {
                        payload: PayloadHash::Sha256(claimed.unwrap_or(hash)),
                        source: Source::Held(kept),
                    })
                }
                Err(error) => {
                    call.body = Some(incoming);
                    Err(broken(&error))
                }
            },
            BodyPlan::Reframe(reframe) => Ok(Prepared {
                payload: reframe.payload(),
                source: Source::Reframe(incoming, reframe),
            }),
            BodyPlan::Stream { payload, .. } => Ok(Prepared {
                payload,
                source: Source::Stream(incoming),
            }),
            BodyPlan::Empty => Ok(Prepared::held(PayloadHash::EMPTY, Bytes::new())),
        }
    }
}

impl Call {
    /// A body that the decision has read already.
    fn prepare_read(&mut self, plan: &BodyPlan, body: Bytes) -> Result<Prepared, Refusal> {
        let payload = match plan {
            BodyPlan::Stream { payload, .. } => *payload,
            BodyPlan::Hash {
                claimed: Some(claimed),
                ..
            } => PayloadHash::Sha256(*claimed),
            BodyPlan::Hash { claimed: None, .. } => PayloadHash::of(&body),
            // A decision reads no body that is in chunks of its own.
            BodyPlan::Reframe(_) | BodyPlan::Empty => return Err(read_twice()),
        };
        self.set_length(body.len() as u64);
        Ok(Prepared::held(payload, body))
    }

    fn set_length(&mut self, length: u64) {
        self.headers
            .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}

fn read_twice() -> Refusal {
    Refusal::new(Kind::Internal, "the request's body was read already")
}

pub(super) fn broken(error: &CollectError) -> Refusal {
    match error {
        CollectError::TooLong(most) => Refusal::new(
            Kind::Invalid {
                code: "EntityTooLarge",
                status: StatusCode::PAYLOAD_TOO_LARGE,
            },
            format!(
                "the service wants the body's SHA-256 before the body, and the proxy keeps no more than \
                 {} MiB for that; set the client to send x-amz-content-sha256, or upload by way of \
                 Amazon S3",
                most / (1024 * 1024)
            ),
        ),
        CollectError::Client(_) => Refusal::invalid("IncompleteBody", error.to_string()),
        CollectError::Slow(_) => Refusal::new(
            Kind::Invalid {
                code: "RequestTimeout",
                status: StatusCode::BAD_REQUEST,
            },
            error.to_string(),
        ),
        CollectError::Full(_) | CollectError::NoMemory(_) => {
            Refusal::new(Kind::Unreachable, error.to_string())
        }
        CollectError::Spool { .. } => {
            tracing::error!(%error, "a request's body cannot be kept");
            Refusal::new(
                Kind::Unreachable,
                format!("the request's body has to be hashed before it is sent, but {error}"),
            )
        }
    }
}
