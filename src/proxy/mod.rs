//! The signing proxy: how requests come in, and what becomes of them. An agent that holds no AWS
//! credential sends requests, plain or signed with a dummy key; the proxy says which of them may go
//! on, signs those and streams.
//!
//! - The ways in: `listener` takes connections, `tunnel` ends the TLS of intercepted ones, `front` says
//!   who may ask and for which host. `certificate_authority` and `leaf` make certificates.

mod body;
mod certificate_authority;
mod framing;
mod front;
mod host;
mod inbound;
mod key;
mod leaf;
mod listener;
mod refusal;
mod shown_key;
mod tunnel;

pub use body::{BodyError, ProxyBody, empty, full};
pub use certificate_authority::{
    AUTHORITY_LIFE, AWS_DOMAINS, Authorities, Authority, AuthorityError, LEAF_LIFE, in_aws,
};
pub use front::{Tunnels, WaysIn};
pub use inbound::{Answer, Inbound, Tunnelled, TurnedAway, Way};
pub use key::{KeyError, ProxyKey};
pub use leaf::Leaves;
pub use listener::{Limits, NotLoopback, check_listen, serve};
