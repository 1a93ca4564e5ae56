//! Terraform text that uses the modules of `terraform/modules`, as `terraform fmt` would write it.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::{ActionsError, ManagedPolicyArn, RoleSettings, TrustPolicy};

/// A role, and where the modules are.
#[derive(Clone, Debug)]
pub struct TerraformRole<'a> {
    /// Whom it trusts.
    pub trust: &'a TrustPolicy,
    /// What it is.
    pub settings: &'a RoleSettings,
    /// The address of the directory that holds the modules, without a slash at its end.
    pub modules: &'a str,
}

/// A root module with the provider, the role, and the role's ARN as output.
///
/// # Errors
/// The actions do not fit into a policy.
pub fn terraform(role: &TerraformRole<'_>) -> Result<String, ActionsError> {
    let trust = role.trust;
    let mut text = String::new();
    module(
        &mut text,
        "idp_provider",
        &[
            ("source", quoted(&source(role.modules, "oidc-provider"))),
            ("issuer", quoted(trust.issuer.as_str())),
            ("audiences", list([trust.audience.as_str()])),
        ],
        None,
    );
    text.push('\n');
    let permissions = role
        .settings
        .actions
        .as_ref()
        .map(super::Actions::permission_policy)
        .transpose()?;
    module(
        &mut text,
        "idp_role",
        &role_attributes(role),
        permissions.as_ref(),
    );
    text.push_str("\noutput \"role_arn\" {\n  value = module.idp_role.arn\n}\n");
    Ok(text)
}

fn role_attributes(role: &TerraformRole<'_>) -> Vec<(&'static str, String)> {
    let TerraformRole {
        trust, settings, ..
    } = role;
    let scope = &trust.scope;
    let hardening = &trust.hardening;
    let name = settings.role_name.as_deref().unwrap_or("idp");
    let mut attributes = vec![
        ("source", quoted(&source(role.modules, "role"))),
        ("name", quoted(name)),
        ("provider_arn", "module.idp_provider.arn".to_owned()),
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

fn module(
    text: &mut String,
    name: &str,
    attributes: &[(&str, String)],
    permissions: Option<&Value>,
) {
    let _ = writeln!(text, "module \"{name}\" {{");
    // A blank line ends what `terraform fmt` aligns: the source stands apart by custom.
    let (source, rest) = attributes.split_at(1);
    for group in [source, rest] {
        let width = group.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in group {
            let _ = writeln!(text, "  {name:width$} = {value}");
        }
        if group.len() == 1 && !rest.is_empty() && std::ptr::eq(group, source) {
            text.push('\n');
        }
    }
    if let Some(policy) = permissions {
        let _ = writeln!(
            text,
            "\n  permission_policy = jsonencode({})",
            expression(policy, 2)
        );
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
    // Only lines of one line each are aligned.
    let width = members
        .iter()
        .filter(|(_, value)| one_line(value))
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or(0);
    let mut text = "{\n".to_owned();
    for (name, value) in members {
        let width = if one_line(value) { width } else { 0 };
        let _ = writeln!(
            text,
            "{pad}  {name:width$} = {}",
            expression(value, indent + 2)
        );
    }
    text.push_str(&pad);
    text.push('}');
    text
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
