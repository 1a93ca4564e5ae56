//! What a rules file says for all requests, and its roles.

use std::{sync::Arc, time::Duration};

use super::{
    ReadFile, hosts,
    reader::{Findings, Section, Text, shown},
    rules,
};
use crate::{
    domain::{RoleArn, parse_duration},
    iam::SessionPolicy,
    policy::{Role, glob::Glob, rules::Settings},
};

/// How long a request that asks is held by default: shorter than any SDK's read time-out.
const ASK_HOLD: Duration = Duration::from_secs(15);

/// The longest hold: Rust's SDK gives up an upload that stalls after 20 s, Java's a read after 30 s and
/// botocore's after 60 s.
const LONGEST_HOLD: Duration = Duration::from_secs(45);

pub(super) fn read(
    root: &mut Section<'_, '_>,
    read_file: ReadFile<'_>,
    findings: &mut Findings<'_>,
) -> Settings {
    let default_region = root
        .text("default_region", findings)
        .filter(|text| rules::is_region("default_region", text, false, findings))
        .map(|text| text.text);
    let session_name = root.text("session_name", findings).and_then(|text| {
        let fits = (2..=64).contains(&text.text.len())
            && text
                .text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b));
        if !fits {
            findings.error(
                text.at,
                format!("session_name {} is no role session name", shown(&text.text)),
                "write 2 to 64 letters, digits and _ + = , . @ -",
            );
        }
        fits.then_some(text.text)
    });
    let session_policy = session_policy(root, read_file, findings);
    let compile_session_policy = root.flag("compile_session_policy", true, findings);
    let ask_hold = root
        .text("ask_hold", findings)
        .map_or(ASK_HOLD, |text| hold(&text, findings));
    let customer_hosts = hosts::of_customers(root.list("customer_hosts", findings), findings);
    let tunnel_hosts = hosts::of_tunnels(root.list("tunnel_hosts", findings), findings);
    Settings {
        default_region,
        session_name,
        session_policy,
        compile_session_policy,
        customer_hosts,
        tunnel_hosts,
        ask_hold,
    }
}

fn hold(text: &Text, findings: &mut Findings<'_>) -> Duration {
    match parse_duration(&text.text) {
        Ok(hold) if hold <= LONGEST_HOLD => hold,
        Ok(_) => {
            findings.error(
                text.at,
                format!("ask_hold {} is longer than clients wait", shown(&text.text)),
                "write at most 45s",
            );
            ASK_HOLD
        }
        Err(problem) => {
            findings.error(
                text.at,
                format!("ask_hold {}: {problem}", shown(&text.text)),
                "write seconds, such as 15s",
            );
            ASK_HOLD
        }
    }
}

/// The session policy that a section names, as compact JSON.
fn session_policy(
    section: &mut Section<'_, '_>,
    read_file: ReadFile<'_>,
    findings: &mut Findings<'_>,
) -> Option<Arc<str>> {
    let name = section.text("session_policy_file", findings)?;
    let text = match read_file(&name.text) {
        Ok(text) => text,
        Err(problem) => {
            findings.error(
                name.at,
                format!(
                    "session_policy_file {} cannot be read: {problem}",
                    shown(&name.text)
                ),
                "a relative name counts from the directory of the rules file",
            );
            return None;
        }
    };
    let policy = match SessionPolicy::parse(&text) {
        Ok(policy) => policy,
        Err(error) => {
            findings.error(
                name.at,
                format!("session_policy_file {}: {error}", shown(&name.text)),
                "correct it there",
            );
            return None;
        }
    };
    let json = policy.to_json();
    let length = json.chars().count();
    if length > SessionPolicy::MOST_CHARACTERS {
        findings.error(
            name.at,
            format!(
                "session_policy_file {} has {length} characters without spaces, and STS takes {}",
                shown(&name.text),
                SessionPolicy::MOST_CHARACTERS
            ),
            "shorten it, for instance with wildcards",
        );
        return None;
    }
    Some(json.into())
}

pub(super) fn roles(
    root: &mut Section<'_, '_>,
    read_file: ReadFile<'_>,
    settings: &Settings,
    findings: &mut Findings<'_>,
) -> Vec<Role> {
    let mut roles = Vec::new();
    for mut section in root.tables("role", "[[role]]", findings) {
        let line = findings.line(section.at);
        let arn = section
            .required("arn", "\"arn:aws:iam::123456789012:role/NAME\"", findings)
            .and_then(|text| role_arn("arn", &text, findings));
        let accounts = accounts(section.list("accounts", findings), findings);
        let buckets = section
            .list("buckets", findings)
            .into_iter()
            .filter_map(|text| bucket(&text, findings))
            .collect();
        let facets = rules::facets(&mut section, findings);
        let own = session_policy(&mut section, read_file, findings);
        section.finish(findings);
        if let Some(arn) = arn {
            roles.push(Role {
                arn,
                accounts,
                buckets,
                facets,
                session_policy: own.or_else(|| settings.session_policy.clone()),
                line: Some(line),
            });
        }
    }
    roles
}

pub(super) fn role_arn(field: &str, text: &Text, findings: &mut Findings<'_>) -> Option<RoleArn> {
    text.text
        .parse()
        .map_err(|error| findings.error(text.at, format!("{field}: {error}"), ""))
        .ok()
}

fn accounts(texts: Vec<Text>, findings: &mut Findings<'_>) -> Vec<Box<str>> {
    let mut accounts: Vec<Box<str>> = Vec::new();
    for text in texts {
        if text.text.len() == 12 && text.text.bytes().all(|b| b.is_ascii_digit()) {
            accounts.push(text.text.into());
        } else {
            findings.error(
                text.at,
                format!("accounts has {}, which is no account id", shown(&text.text)),
                "write twelve digits in quotes",
            );
        }
    }
    accounts
}

fn bucket(text: &Text, findings: &mut Findings<'_>) -> Option<Glob> {
    let is_name = !text.text.is_empty()
        && text
            .text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._*?".contains(&b));
    if !is_name {
        findings.error(
            text.at,
            format!(
                "buckets has {}, which is no bucket's name",
                shown(&text.text)
            ),
            "write names as they are, without arn:aws:s3::: and keys; * and ? are wildcards",
        );
    }
    is_name.then(|| Glob::new(&text.text))
}
