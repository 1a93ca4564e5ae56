//! Services and operations, as AWS's service models have them.

use std::fmt;

use super::Action;

/// How a service speaks, which is also the shape in which its clients read errors.
/// ([AWS protocols](https://smithy.io/2.0/aws/protocols/index.html))
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// REST with XML bodies. Amazon S3 puts its `<Error>` at the root, others in an `<ErrorResponse>`.
    RestXml {
        /// Whether it is Amazon S3's.
        s3: bool,
    },
    /// A form with `Action` and `Version`, answered in XML.
    Query,
    /// As [`Self::Query`], with Amazon EC2's lists and errors.
    Ec2,
    /// `X-Amz-Target` and a JSON body.
    Json,
    /// REST with JSON bodies.
    RestJson,
    /// `POST /service/SERVICE/operation/OPERATION` with a CBOR body (Smithy RPC v2).
    Cbor,
}

/// Whether an operation changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// All of its actions read or list.
    Read,
    /// It changes something, or nobody knows.
    Write,
}

/// What has to be known of an operation's body to sign and stream it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts of a model, each of which stands alone"
)]
pub struct BodyRule {
    /// The model lets the body go unsigned (`UNSIGNED-PAYLOAD`).
    pub unsigned_allowed: bool,
    /// The body is an event stream, each event of which would have to be signed.
    pub event_stream_input: bool,
    /// The body is a blob of any size that SDKs stream.
    pub streaming: bool,
    /// The body's length has to be known before it is sent.
    pub requires_length: bool,
}

/// A service, as one of botocore's models has it.
pub struct Service {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) signing_name: &'static str,
    pub(super) prefix: &'static str,
    pub(super) protocol: Protocol,
}

impl Service {
    /// botocore's name for it, by which `boto3.client` finds it: `s3`, `elbv2`.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        self.id
    }

    /// AWS's name for it, for people: `Amazon Simple Storage Service`.
    #[must_use]
    pub const fn title(&self) -> &'static str {
        self.title
    }

    /// Its name in a credential scope. [`Signing`](super::Signing) says what a request is signed with,
    /// which an endpoint may change.
    #[must_use]
    pub const fn signing_name(&self) -> &'static str {
        self.signing_name
    }

    /// The prefix of most of its IAM actions; an operation's actions may have others.
    #[must_use]
    pub const fn prefix(&self) -> &'static str {
        self.prefix
    }

    /// How its newest SDKs speak to it.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

/// An operation of a service's API.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts of a model, each of which stands alone"
)]
pub struct Operation {
    pub(super) name: &'static str,
    pub(super) access: Access,
    pub(super) returns_credentials: bool,
    pub(super) inferred: bool,
    pub(super) mapped: bool,
    pub(super) signed: bool,
    pub(super) body: BodyRule,
    pub(super) actions: &'static [&'static Action],
}

impl Operation {
    /// Its name in the API: `ListObjectsV2`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it changes anything.
    #[must_use]
    pub const fn access(&self) -> Access {
        self.access
    }

    /// Whether its answer holds something that authenticates: keys, session tokens, passwords. Such an
    /// operation is allowed only by a rule that names its action without a wildcard.
    #[must_use]
    pub const fn returns_credentials(&self) -> bool {
        self.returns_credentials
    }

    /// Whether its actions were not found under its own name but by AWS's documentation or a general
    /// rule. Nobody has compared them with what IAM asks for.
    #[must_use]
    pub const fn inferred(&self) -> bool {
        self.inferred
    }

    /// Whether its IAM actions are known. One that is not mapped matches no allow rule.
    #[must_use]
    pub const fn mapped(&self) -> bool {
        self.mapped
    }

    /// Whether it takes a signature. One that does not is authenticated by what it carries (a web identity
    /// token, a bearer token), so the proxy has no say over who makes it.
    #[must_use]
    pub const fn signed(&self) -> bool {
        self.signed
    }

    /// How its body may be sent.
    #[must_use]
    pub const fn body(&self) -> BodyRule {
        self.body
    }

    /// Every action that it may need, whatever its parameters are.
    pub fn every_action(&self) -> impl Iterator<Item = &'static Action> + Clone + use<> {
        self.actions.iter().copied()
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
