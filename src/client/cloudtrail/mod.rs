//! Joining `CloudTrail`'s record of role sessions with the issuer's record of tokens.
//!
//! `CloudTrail` does not record a token's `jti`. It records the subject and, where the token has one,
//! the source identity, so a session is explained by a token of that subject that was good at the
//! time of the event.

mod event;
mod join;
mod read;

pub use event::SessionEvent;
pub use join::{Joined, RecordedMint, Verdict, explain, window};
pub use read::{ReadError, read_events};
