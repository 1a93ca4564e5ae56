//! How a request's body goes on.

mod payload;
mod plan;
mod reframe;
mod refusal;

pub use payload::{PayloadHash, PresentedPayload};
pub use plan::{BodyPlan, BodyRules, body_plan};
pub use reframe::{Reframe, Reframer};
pub use refusal::BodyRefusal;
