//! Writing policies and the infrastructure around them: trust policies, permission policies,
//! CloudFormation templates, Terraform text.
//!
//! What is written admits exactly what was asked for. Values come as typed things (ids, issuers,
//! ARNs) or are checked here, so that none can bring a wildcard or a policy variable of its own.

mod actions;
mod cloudformation;
mod hardening;
mod names;
mod quick_create;
mod scope;
mod terraform;
mod trust;

pub use actions::{Actions, ActionsError};
pub use cloudformation::{CrossAccountRole, RoleSettings, cross_account_template, role_template};
pub use hardening::{ExternalId, Hardening, HardeningError};
pub use names::{ManagedPolicyArn, TrustedPrincipal};
pub use quick_create::QuickCreate;
pub use scope::Scope;
pub use terraform::{TerraformRole, terraform};
pub use trust::{TrustPolicy, cross_account_trust};
