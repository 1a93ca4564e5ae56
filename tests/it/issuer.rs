//! The issuer as somebody tries it who wants to break in: a server on a database of its own, served
//! on loopback by the real listener under a clock that stands still, and clients that can say
//! anything.

/// Compares an answer with its snapshot, without what differs from run to run.
macro_rules! snapshot {
    ($name:expr, $answer:expr) => {{
        let shown = $answer.shown();
        insta::with_settings!({ filters => $crate::issuer::wire::REDACTIONS }, {
            insta::assert_snapshot!($name, shown);
        })
    }};
}

mod admin;
mod admin_tokens;
mod admitted;
mod assertions;
mod audit;
mod authentication;
mod aws_claims;
mod client;
mod defects;
mod documents;
mod enrolment;
mod environment_keys;
mod exports;
mod faults;
mod faulty;
mod forms;
mod fuzz;
mod heavy;
mod keys;
mod limits;
mod mints;
mod ops;
mod outsider;
mod replay;
mod rotation;
mod secrets;
mod start;
mod stop;
mod times;
mod unstored_keys;
mod vouching;
mod wire;
mod world;

use self::{
    client::{Environment, Key, Ticket},
    wire::{Answer, Request},
    world::{ISSUER, World},
};
