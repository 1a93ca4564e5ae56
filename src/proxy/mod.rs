//! The signing proxy: how requests come in, and what becomes of them. An agent that holds no AWS
//! credential sends requests, plain or signed with a dummy key; the proxy says which of them may go
//! on, signs those and streams.
//!
//! - The ways in: `listener` takes connections, `guests` has places for them, `tunnel` ends the TLS of
//!   intercepted ones, `front` says who may ask and for which host. `certificate_authority` and `leaf` make
//!   certificates.
//! - The `engine` answers what was let in: it has the catalog say what a request does and the rules whether
//!   it may, signs it and sends it by `upstream`. `answer` writes refusals as each protocol has them,
//!   `collect` and `outgoing` are bodies on their way to AWS, `request_log` is the record of everything.

mod answer;
mod body;
mod certificate_authority;
mod collect;
mod engine;
mod framing;
mod front;
mod guests;
mod host;
mod inbound;
mod key;
mod leaf;
mod listener;
mod outgoing;
mod pace;
mod refusal;
pub mod request_log;
mod shown_key;
mod told;
mod tunnel;
pub mod upstream;

pub use body::{BodyError, ProxyBody, empty, full};
pub use certificate_authority::{
    AUTHORITY_LIFE, AWS_DOMAINS, Authorities, Authority, AuthorityError, LEAF_LIFE, in_aws,
};
pub use collect::SpoolSettings;
pub use engine::{Engine, EngineParts};
pub use front::{Tunnels, WaysIn};
pub use inbound::{Answer, Inbound, Opening, Tunnelled, TurnedAway, Way};
pub use key::{KeyError, ProxyKey};
pub use leaf::Leaves;
pub use listener::{Limits, NotLoopback, check_listen, serve};
pub use told::ToldHosts;
