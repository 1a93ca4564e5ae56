//! Terraform text, with resources or with the modules of `terraform/modules`, as `terraform fmt` would
//! write it.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::{ActionsError, ManagedPolicyArn, RoleSettings, TrustPolicy};

/// A role, and what it is made with.
#[derive(Clone, Debug)]
pub struct TerraformRole<'a> {
    /// Whom it trusts.
    pub trust: &'a TrustPolicy,
    /// What it is.
    pub settings: &'a RoleSettings,
    /// The ARN of the account's provider for the issuer, where there is one already; else one is made.
    pub provider_arn: Option<&'a str>,
    /// The address of the directory that holds the modules, without a slash at its end; `None` writes
    /// the resources themselves.
    pub modules: Option<&'a str>,
}

/// A root module with the provider, the role, and the role's ARN as output. It loads nothing from
/// elsewhere unless modules are named.
///
/// # Errors
/// The actions do not fit into a policy.
pub fn terraform(role: &TerraformRole<'_>) -> Result<String, ActionsError> {
    let permissions = role
        .settings
        .actions
        .as_ref()
        .map(super::Actions::permission_policy)
        .transpose()?;
    Ok(match role.modules {
        Some(modules) => with_modules(role, modules, permissions.as_ref()),
        None => with_resources(role, permissions.as_ref()),
    })
}

/// Stands in a trust policy for the provider that the same text makes; no text of ours has it.
const MADE_HERE: &str = "\u{0}provider";

fn with_resources(role: &TerraformRole<'_>, permissions: Option<&Value>) -> String {
    let TerraformRole {
        trust, settings, ..
    } = role;
    let mut text = String::new();
    if role.provider_arn.is_none() {
        block(
            &mut text,
            "resource \"aws_iam_openid_connect_provider\" \"idp\"",
            &[&[
                ("url", quoted(trust.issuer.as_str())),
                ("client_id_list", list([trust.audience.as_str()])),
            ]],
        );
        text.push('\n');
    }
    let document = trust.document(&json!(role.provider_arn.unwrap_or(MADE_HERE)));
    let document = expression(&document, 2).replace(
        &quoted(MADE_HERE),
        "aws_iam_openid_connect_provider.idp.arn",
    );
    let mut attributes = vec![
        (
            "name",
            quoted(settings.role_name.as_deref().unwrap_or("idp")),
        ),
        (
            "max_session_duration",
            settings.max_session_duration.to_string(),
        ),
    ];
    let boundary = settings.permission_boundary.as_ref();
    attributes.extend(boundary.map(|boundary| ("permissions_boundary", quoted(boundary.as_str()))));
    block(
        &mut text,
        "resource \"aws_iam_role\" \"idp\"",
        &[
            &attributes,
            &[("assume_role_policy", format!("jsonencode({document})"))],
        ],
    );
    if let Some(policy) = permissions {
        text.push('\n');
        block(
            &mut text,
            "resource \"aws_iam_role_policy\" \"permissions\"",
            &[
                &[
                    ("name", quoted("permissions")),
                    ("role", "aws_iam_role.idp.name".to_owned()),
                ],
                &[("policy", format!("jsonencode({})", expression(policy, 2)))],
            ],
        );
    }
    let managed = list(
        settings
            .managed_policies
            .iter()
            .map(ManagedPolicyArn::as_str),
    );
    if !settings.managed_policies.is_empty() {
        text.push('\n');
        block(
            &mut text,
            "resource \"aws_iam_role_policy_attachment\" \"managed\"",
            &[
                &[("for_each", format!("toset({managed})"))],
                &[
                    ("role", "aws_iam_role.idp.name".to_owned()),
                    ("policy_arn", "each.value".to_owned()),
                ],
            ],
        );
    }
    text.push_str("\noutput \"role_arn\" {\n  value = aws_iam_role.idp.arn\n}\n");
    text
}

fn with_modules(role: &TerraformRole<'_>, modules: &str, permissions: Option<&Value>) -> String {
    let trust = role.trust;
    let mut text = String::new();
    if role.provider_arn.is_none() {
        block(
            &mut text,
            "module \"idp_provider\"",
            &[
                &[("source", quoted(&source(modules, "oidc-provider")))],
                &[
                    ("issuer", quoted(trust.issuer.as_str())),
                    ("audiences", list([trust.audience.as_str()])),
                ],
            ],
        );
        text.push('\n');
    }
    let policy = permissions.map(|policy| {
        (
            "permission_policy",
            format!("jsonencode({})", expression(policy, 2)),
        )
    });
    let policy: Vec<_> = policy.into_iter().collect();
    block(
        &mut text,
        "module \"idp_role\"",
        &[
            &[("source", quoted(&source(modules, "role")))],
            &role_attributes(role),
            &policy,
        ],
    );
    text.push_str("\noutput \"role_arn\" {\n  value = module.idp_role.arn\n}\n");
    text
}

fn role_attributes(role: &TerraformRole<'_>) -> Vec<(&'static str, String)> {
    let TerraformRole {
        trust, settings, ..
    } = role;
    let scope = &trust.scope;
    let hardening = &trust.hardening;
    let name = settings.role_name.as_deref().unwrap_or("idp");
    let mut attributes = vec![
        ("name", quoted(name)),
        (
            "provider_arn",
            role.provider_arn
                .map_or_else(|| "module.idp_provider.arn".to_owned(), quoted),
        ),
        ("issuer", quoted(trust.issuer.as_str())),
        ("audience", quoted(trust.audience.as_str())),
        ("organization_id", quoted(&scope.organization.to_string())),
    ];
    let mut add = |name, value: Option<String>| {
        attributes.extend(value.map(|value| (name, value)));
    };
    let on = |switch: bool| switch.then(|| "true".to_owned());
    let some =
        |items: &[String]| (!items.is_empty()).then(|| list(items.iter().map(String::as_str)));
    add(
        "project_id",
        scope.project.map(|id| quoted(&id.to_string())),
    );
    add(
        "environment_id",
        scope.environment.map(|id| quoted(&id.to_string())),
    );
    add("session_tags", on(trust.claims.session_tags));
    add("source_identity", on(trust.claims.source_identity));
    add("require_role_pin", on(hardening.requires_role_pin()));
    add("source_ips", some(&hardening.source_ips()));
    add("source_vpces", some(hardening.source_vpces()));
    add(
        "max_session_duration",
        Some(settings.max_session_duration.to_string()),
    );
    let boundary = settings.permission_boundary.as_ref();
    add(
        "permissions_boundary_arn",
        boundary.map(|arn| quoted(arn.as_str())),
    );
    let managed: Vec<_> = settings
        .managed_policies
        .iter()
        .map(ManagedPolicyArn::as_str)
        .map(str::to_owned)
        .collect();
    add("managed_policy_arns", some(&managed));
    attributes
}

fn source(modules: &str, name: &str) -> String {
    // In an address with a query the directory comes before it.
    match modules.split_once('?') {
        Some((address, query)) => format!("{address}/{name}?{query}"),
        None => format!("{modules}/{name}"),
    }
}

/// A block of groups of attributes. A blank line between groups ends what `terraform fmt` aligns.
fn block(text: &mut String, head: &str, groups: &[&[(&str, String)]]) {
    let _ = writeln!(text, "{head} {{");
    for (index, group) in groups.iter().filter(|group| !group.is_empty()).enumerate() {
        if index > 0 {
            text.push('\n');
        }
        let width = group.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in *group {
            let _ = writeln!(text, "  {name:width$} = {value}");
        }
    }
    text.push_str("}\n");
}

/// JSON as an expression that begins at `indent` spaces.
fn expression(value: &Value, indent: usize) -> String {
    let pad = " ".repeat(indent);
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            list(items.iter().filter_map(Value::as_str))
        }
        Value::Array(items) => {
            let mut text = "[\n".to_owned();
            for item in items {
                let _ = writeln!(text, "{pad}  {},", expression(item, indent + 2));
            }
            text.push_str(&pad);
            text.push(']');
            text
        }
        Value::Object(members) => object(members, indent),
        other => other.to_string(),
    }
}

fn object(members: &Map<String, Value>, indent: usize) -> String {
    let pad = " ".repeat(indent);
    let one_line = |value: &Value| {
        !matches!(value, Value::Object(_))
            && value
                .as_array()
                .is_none_or(|items| items.iter().all(Value::is_string))
    };
    // Only neighbours of one line each are aligned.
    let members: Vec<_> = members
        .iter()
        .map(|(name, value)| (key(name), value))
        .collect();
    let mut text = "{\n".to_owned();
    for run in members.chunk_by(|(_, one), (_, next)| one_line(one) && one_line(next)) {
        let width = run.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in run {
            let _ = writeln!(
                text,
                "{pad}  {name:width$} = {}",
                expression(value, indent + 2)
            );
        }
    }
    text.push_str(&pad);
    text.push('}');
    text
}

/// A key of an object: as it is where it is an identifier.
fn key(name: &str) -> String {
    let identifier = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if identifier {
        name.to_owned()
    } else {
        quoted(name)
    }
}

fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let items: Vec<_> = items.into_iter().map(quoted).collect();
    format!("[{}]", items.join(", "))
}

/// A string literal without templates.
fn quoted(text: &str) -> String {
    json!(text)
        .to_string()
        .replace("${", "$${")
        .replace("%{", "%%{")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_hold_no_templates() {
        assert_eq!(quoted("a\"${b}%{c}\n\\"), r#""a\"$${b}%%{c}\n\\""#);
    }

    #[test]
    fn keys_that_are_no_identifiers_are_quoted_and_neighbours_aligned() {
        let value =
            json!({ "idp.example.com:aud": "a", "Effect": "b", "C": { "x": 1 }, "Long": [] });
        assert_eq!(
            expression(&value, 0),
            "{\n  \"idp.example.com:aud\" = \"a\"\n  Effect                = \"b\"\n  C = {\n    x = 1\n  }\n  \
             Long = []\n}"
        );
    }

    #[test]
    fn the_directory_comes_before_the_query() {
        assert_eq!(source("./modules", "role"), "./modules/role");
        assert_eq!(
            source(
                "git::https://example.com/idp.git//terraform/modules?ref=v1",
                "role"
            ),
            "git::https://example.com/idp.git//terraform/modules/role?ref=v1"
        );
    }
}
