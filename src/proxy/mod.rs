//! The signing proxy: how requests come in, and what becomes of them. An agent that holds no AWS
//! credential sends requests, plain or signed with a dummy key; the proxy says which of them may go
//! on, signs those and streams.

mod body;
mod inbound;
mod key;

pub use body::{BodyError, ProxyBody, empty, full};
pub use inbound::{Answer, Inbound, TurnedAway, Way};
pub use key::{KeyError, ProxyKey};
