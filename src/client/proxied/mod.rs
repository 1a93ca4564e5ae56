//! Programs that reach AWS through the signing proxy: the variables that lead them there, and running
//! one, as another user where there is to be a boundary.

mod child;
mod user;
mod variables;

pub use child::{ChildError, run};
pub use user::{UnixUser, UserError};
pub use variables::{Route, export_lines, is_removed, removed};
