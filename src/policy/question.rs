//! What is asked of the rules.

use http::Method;

use crate::{catalog::Recognised, domain::RequestTarget};

/// What is known of what a request does.
#[derive(Clone, Copy, Debug)]
pub enum Recognition<'a> {
    /// What the catalog says, from the head or from head and body
    /// ([`complete`](Recognised::complete) tells).
    Known(&'a Recognised),
    /// Nothing yet: a body that was not read yet says which operation it is.
    Body,
    /// No operation that the catalog has, or a tie between several.
    Unknown,
}

/// One request, as the rules see it.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What it does.
    pub recognition: Recognition<'a>,
    /// The host that it goes to: lower-case, without port.
    pub host: &'a str,
    /// Its method.
    pub method: &'a Method,
    /// Its path and query, as they will be signed and sent.
    pub target: &'a RequestTarget,
    /// The region of its host, for where the catalog does not say more; `None` where it has none.
    pub region: Option<&'a str>,
}

impl<'a> Question<'a> {
    /// What the catalog says of it, if anything.
    #[must_use]
    pub const fn recognised(&self) -> Option<&'a Recognised> {
        match self.recognition {
            Recognition::Known(recognised) => Some(recognised),
            Recognition::Body | Recognition::Unknown => None,
        }
    }
}
