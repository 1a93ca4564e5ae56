//! What a request does, and whether it may.

use bytes::Bytes;
use http::header;

use super::{Call, Engine, Head, body::broken};
use crate::{
    catalog::{Recognised, Unrecognised, recognise},
    policy::{Allowed, Decision, Question, Recognition},
    proxy::{
        answer::Refusal,
        collect::{CollectError, Spool},
    },
    sigv4::PresentedPayload,
};

/// The longest body that a decision is made on, in bytes.
const LONGEST: u64 = 1024 * 1024;

/// A request that may be signed.
pub(super) struct Decided {
    pub(super) recognised: Recognised,
    pub(super) allowed: Allowed,
    /// Its body, where the decision needed it.
    pub(super) body: Option<Bytes>,
}

impl Engine {
    /// Decides on the head, and where the body can tell more, on head and body.
    pub(super) async fn decide(&self, call: &mut Call, head: &Head) -> Result<Decided, Refusal> {
        match recognise(&head.incoming(call, None)) {
            Ok(recognised) => {
                call.recognised(&recognised);
                let decision = self.ask(call, head, Recognition::Known(&recognised));
                if !matches!(decision, Decision::NeedsBody) {
                    let allowed = call.settle(decision)?;
                    return Ok(Decided {
                        recognised,
                        allowed,
                        body: None,
                    });
                }
            }
            Err(Unrecognised::NeedsBody) => {
                // A rule may refuse whatever the body says.
                let decision = self.ask(call, head, Recognition::Body);
                if matches!(decision, Decision::Block(_)) {
                    call.settle(decision)?;
                }
            }
            Err(error) => return Err(Refusal::denied(error.to_string())),
        }
        let body = read(call, head, &self.spool).await?;
        let recognised = recognise(&head.incoming(call, Some(&body)))
            .map_err(|error| Refusal::denied(error.to_string()))?;
        call.recognised(&recognised);
        let decision = self.ask(call, head, Recognition::Known(&recognised));
        let allowed = call.settle(decision)?;
        Ok(Decided {
            recognised,
            allowed,
            body: Some(body),
        })
    }

    fn ask(&self, call: &Call, head: &Head, recognition: Recognition<'_>) -> Decision {
        let host = match recognition {
            Recognition::Known(recognised) => &recognised.host,
            Recognition::Body | Recognition::Unknown => head.host(),
        };
        self.rules.decide(&Question {
            recognition,
            host,
            method: &call.method,
            target: &head.target,
            region: head.endpoint.region(),
        })
    }
}

impl Call {
    fn recognised(&mut self, recognised: &Recognised) {
        self.protocol = recognised.protocol;
        self.account.recognised(recognised);
    }

    /// Notes a decision and gives the permission, where it is one.
    fn settle(&mut self, decision: Decision) -> Result<Allowed, Refusal> {
        let record = &mut self.account.record;
        match decision {
            Decision::Allow(allowed) => {
                record.decision = "allow";
                record.rule = Some(allowed.rule().clone());
                record.role = Some(allowed.role().to_string());
                Ok(allowed)
            }
            Decision::Ask(asked) => {
                record.rule = Some(asked.rule().clone());
                Err(Refusal::denied(asked.reason().to_owned()))
            }
            Decision::Block(blocked) => {
                record.rule.clone_from(&blocked.rule);
                Err(Refusal::denied(blocked.reason))
            }
            Decision::NeedsBody => Err(Refusal::denied(
                "neither the request's head nor its body says what it does",
            )),
        }
    }
}

/// Reads a body that the decision needs, as far as the decision can use it.
async fn read(call: &mut Call, head: &Head, spool: &Spool) -> Result<Bytes, Refusal> {
    let chunked = matches!(
        head.presented.payload,
        PresentedPayload::UnsignedTrailer | PresentedPayload::SignedChunks { .. }
    );
    if chunked || call.headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Refusal::denied(
            "what this request does depends on its body, which is encoded and is not looked into; send it \
             without Content-Encoding and without aws-chunked, or allow the operation on all resources",
        ));
    }
    let Some(body) = &mut call.body else {
        return Ok(Bytes::new());
    };
    match spool.read(body, LONGEST).await {
        Ok(bytes) => {
            call.body = None;
            Ok(bytes)
        }
        Err(CollectError::TooLong(_)) => Err(Refusal::denied(
            "what this request does depends on its body, which is longer than 1 MiB and is not looked \
             into; allow the operation on all resources, or send smaller requests",
        )),
        Err(error) => Err(broken(&error)),
    }
}
