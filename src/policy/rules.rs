//! The rules of one file.

use std::{sync::Arc, time::Duration};

use super::{
    Decision, Explanation, Finding, Question, Role, RulesError, glob::Glob, index::Index, rule::Rule,
};
use crate::domain::RoleArn;

/// The rules of one file, compiled. Cheap to ask: neither the number of rules nor that of their
/// resources costs much.
#[derive(Clone, Debug)]
pub struct Rules {
    pub(super) rules: Vec<Rule>,
    pub(super) index: Index,
    pub(super) roles: Vec<Arc<Role>>,
    pub(super) default_region: Option<String>,
    pub(super) session_name: Option<String>,
    pub(super) customer_hosts: Vec<Glob>,
    pub(super) tunnel_hosts: Vec<Glob>,
    pub(super) ask_hold: Duration,
    pub(super) findings: Vec<Finding>,
}
