//! Answers in the query protocol's XML.

use super::{Refusal, claims::WebIdentity, session::Session, xml::Xml};
use crate::domain::{ExposeSecret as _, SecretString, Timestamp};

/// An answer, ready to be sent.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The XML. Where it grants a session it holds that session's secrets.
    pub body: String,
    /// The request's id, for `x-amzn-RequestId`.
    pub request_id: String,
    /// Why it was refused, where it was.
    pub refusal: Option<Refusal>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("request_id", &self.request_id)
            .field("refusal", &self.refusal)
            .finish_non_exhaustive()
    }
}

/// What `AssumeRoleWithWebIdentity` grants.
pub(super) struct Granted<'a> {
    pub(super) session: Session,
    pub(super) token: SecretString,
    pub(super) secret: SecretString,
    pub(super) identity: WebIdentity,
    /// The provider's ARN.
    pub(super) provider: &'a str,
    /// Percent of what session policies and tags may take.
    pub(super) packed: usize,
}

/// What `AssumeRole` grants.
pub(super) struct ChainGranted {
    pub(super) session: Session,
    pub(super) token: SecretString,
    pub(super) secret: SecretString,
    /// Percent of what session policies and tags may take.
    pub(super) packed: usize,
}

/// What an operation answers.
pub(super) enum Outcome<'a> {
    Granted(Box<Granted<'a>>),
    Chained(Box<ChainGranted>),
    Caller(Session),
    /// The account of an access key.
    Account(String),
}

impl Answer {
    pub(super) fn new(outcome: Result<Outcome<'_>, Refusal>, request_id: String) -> Self {
        let (status, body, refusal) = match outcome {
            Ok(Outcome::Granted(granted)) => (200, granted.xml(&request_id), None),
            Ok(Outcome::Chained(granted)) => (200, granted.xml(&request_id), None),
            Ok(Outcome::Account(account)) => (200, key_info(&account, &request_id), None),
            Ok(Outcome::Caller(session)) => (200, caller(&session, &request_id), None),
            Err(refusal) => (refusal.status, error(&refusal, &request_id), Some(refusal)),
        };
        Self {
            status,
            body,
            request_id,
            refusal,
        }
    }
}

impl Granted<'_> {
    fn xml(&self, request_id: &str) -> String {
        let mut xml = Xml::new();
        xml.root("AssumeRoleWithWebIdentityResponse", |xml| {
            xml.element("AssumeRoleWithWebIdentityResult", |xml| self.result(xml));
            metadata(xml, request_id);
        });
        xml.finish()
    }

    fn result(&self, xml: &mut Xml) {
        let Self {
            session, identity, ..
        } = self;
        xml.text("Audience", &identity.audience)
            .element("AssumedRoleUser", |xml| user(xml, session))
            .text("Provider", self.provider)
            .element("Credentials", |xml| {
                credentials(xml, session, &self.secret, &self.token);
            })
            .text("SubjectFromWebIdentityToken", &identity.subject)
            .text("PackedPolicySize", &self.packed.to_string());
        if let Some(source_identity) = &identity.source_identity {
            xml.text("SourceIdentity", source_identity);
        }
    }
}

impl ChainGranted {
    fn xml(&self, request_id: &str) -> String {
        let session = &self.session;
        let mut xml = Xml::new();
        xml.root("AssumeRoleResponse", |xml| {
            xml.element("AssumeRoleResult", |xml| {
                xml.element("AssumedRoleUser", |xml| user(xml, session))
                    .element("Credentials", |xml| {
                        credentials(xml, session, &self.secret, &self.token);
                    })
                    .text("PackedPolicySize", &self.packed.to_string());
                if let Some(source_identity) = &session.source_identity {
                    xml.text("SourceIdentity", source_identity);
                }
            });
            metadata(xml, request_id);
        });
        xml.finish()
    }
}

fn user(xml: &mut Xml, session: &Session) {
    xml.text("AssumedRoleId", &session.user_id())
        .text("Arn", &session.arn());
}

fn credentials(xml: &mut Xml, session: &Session, secret: &SecretString, token: &SecretString) {
    xml.text("AccessKeyId", &session.access_key_id)
        .text("SecretAccessKey", secret.expose_secret())
        .text("SessionToken", token.expose_secret())
        .text(
            "Expiration",
            &Timestamp::from_secs(session.expires).to_string(),
        );
}

fn key_info(account: &str, request_id: &str) -> String {
    let mut xml = Xml::new();
    xml.root("GetAccessKeyInfoResponse", |xml| {
        xml.element("GetAccessKeyInfoResult", |xml| {
            xml.text("Account", account);
        });
        metadata(xml, request_id);
    });
    xml.finish()
}

fn caller(session: &Session, request_id: &str) -> String {
    let mut xml = Xml::new();
    xml.root("GetCallerIdentityResponse", |xml| {
        xml.element("GetCallerIdentityResult", |xml| {
            xml.text("Arn", &session.arn())
                .text("UserId", &session.user_id())
                .text("Account", &session.account);
        });
        metadata(xml, request_id);
    });
    xml.finish()
}

fn metadata(xml: &mut Xml, request_id: &str) {
    xml.element("ResponseMetadata", |xml| {
        xml.text("RequestId", request_id);
    });
}

fn error(refusal: &Refusal, request_id: &str) -> String {
    let mut xml = Xml::new();
    xml.root("ErrorResponse", |xml| {
        xml.element("Error", |xml| {
            xml.text("Type", refusal.fault())
                .text("Code", refusal.code)
                .text("Message", &refusal.message);
        })
        .text("RequestId", request_id);
    });
    xml.finish()
}
