//! Reading a rules file: everything that is wrong with it, at once and with its place.

mod hosts;
mod reader;
mod rules;
mod settings;
mod sound;

use std::{collections::HashMap, sync::Arc};

use toml::de::DeTable;

use self::reader::{Findings, Section};
use super::{Role, Rules, RulesError, index::Index};

pub(super) use self::reader::{nearest, toml_text};

/// Reads a file that a rules file names, such as a session policy: its text, or why it cannot be read.
pub type ReadFile<'a> = &'a dyn Fn(&str) -> Result<String, String>;

impl Rules {
    /// Reads and compiles a rules file.
    ///
    /// `file` is how messages name it. `read_file` reads what it refers to.
    ///
    /// # Errors
    /// [`RulesError`] with every mistake and its place.
    pub fn parse(text: &str, file: &str, read_file: ReadFile<'_>) -> Result<Self, RulesError> {
        let mut findings = Findings::new(text);
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            findings.error(
                error.span().map_or(0, |span| span.start),
                error.message(),
                "see https://toml.io for the syntax",
            );
        }
        let mut root = Section::new("", 0, document.get_ref());
        let settings = settings::read(&mut root, read_file, &mut findings);
        let roles = settings::roles(&mut root, read_file, &settings, &mut findings);
        let rules = rules::read(&mut root, &mut findings);
        root.finish(&mut findings);
        sound::check(&rules, &mut findings);
        if findings.has_errors() {
            return Err(RulesError {
                file: file.to_owned(),
                findings: findings.sorted(),
            });
        }
        let mut own: HashMap<String, Role> = HashMap::new();
        for rule in &rules {
            if let Some(arn) = &rule.role {
                own.entry(arn.to_string()).or_insert_with(|| Role {
                    arn: arn.clone(),
                    accounts: Vec::new(),
                    buckets: Vec::new(),
                    facets: super::rule::Facets::default(),
                    session_policy: settings.session_policy.clone(),
                    line: Some(rule.line),
                });
            }
        }
        // A role that has a section of its own keeps what that says of its sessions.
        for (arn, role) in &mut own {
            if let Some(listed) = roles.iter().find(|listed| listed.arn.to_string() == *arn) {
                role.session_policy.clone_from(&listed.session_policy);
            }
        }
        let mut rule_roles: Vec<Role> = own.into_values().collect();
        rule_roles.sort_by_key(|role| role.line);
        let mut rules = Self {
            file: file.into(),
            index: Index::new(&rules),
            rules,
            roles: roles.into_iter().map(Arc::new).collect(),
            rule_roles: rule_roles.into_iter().map(Arc::new).collect(),
            settings,
            findings: findings.sorted(),
        };
        rules.compile_session_policies();
        Ok(rules)
    }
}

#[cfg(test)]
#[path = "../file_test.rs"]
mod tests;
