//! `CloudFormation` templates, in JSON.

use serde_json::{Map, Value, json};

use super::{
    Actions, ActionsError, ExternalId, Hardening, ManagedPolicyArn, TrustPolicy, TrustedPrincipal,
    cross_account_trust, names::in_partition,
};

/// What a role is, its trust aside.
#[derive(Clone, Debug)]
pub struct RoleSettings {
    /// Its name; the stack's own invention if `None`.
    pub role_name: Option<String>,
    /// The longest session in seconds, 3600–43200.
    pub max_session_duration: u32,
    /// The policy that bounds what it may do, whatever it is granted.
    pub permission_boundary: Option<ManagedPolicyArn>,
    /// Managed policies.
    pub managed_policies: Vec<ManagedPolicyArn>,
    /// What it may do.
    pub actions: Option<Actions>,
}

/// The OIDC provider and a role that environments assume.
///
/// An account has one provider for an issuer. Where it is there already, the stack is made with
/// `CreateProvider` set to `false`.
///
/// # Errors
/// The actions do not fit into a policy.
pub fn role_template(trust: &TrustPolicy, settings: &RoleSettings) -> Result<Value, ActionsError> {
    let provider_arn = in_partition(&format!(
        "iam::${{AWS::AccountId}}:oidc-provider/{}",
        trust.issuer.provider()
    ));
    let federated = json!({
        "Fn::If": ["HasProviderHere", { "Ref": "Provider" }, provider_arn]
    });
    let mut parameters = common_parameters(settings);
    parameters.insert(
        "CreateProvider".to_owned(),
        json!({
            "Type": "String",
            "AllowedValues": ["true", "false"],
            "Default": "true",
            "Description": "false where the account has a provider for this issuer already",
        }),
    );
    let mut conditions = common_conditions();
    conditions.insert(
        "HasProviderHere".to_owned(),
        json!({ "Fn::Equals": [{ "Ref": "CreateProvider" }, "true"] }),
    );
    let provider = json!({
        "Type": "AWS::IAM::OIDCProvider",
        "Condition": "HasProviderHere",
        "Properties": { "Url": trust.issuer, "ClientIdList": [trust.audience] },
    });
    let managed = settings
        .managed_policies
        .iter()
        .map(ManagedPolicyArn::expression)
        .collect();
    Ok(json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": format!("A role for environments of {}", trust.issuer),
        "Parameters": parameters,
        "Conditions": conditions,
        "Resources": {
            "Provider": provider,
            "Role": role(&trust.document(&federated), managed, settings)?,
        },
        "Outputs": {
            "RoleArn": {
                "Description": "What `idp login aws --role-arn` takes",
                "Value": { "Fn::GetAtt": ["Role", "Arn"] },
            },
            "ProviderArn": {
                "Description": "The identity provider that the role trusts",
                "Value": federated,
            },
        },
    }))
}

/// A role that somebody in another account assumes with an external id.
#[derive(Clone, Debug)]
pub struct CrossAccountRole {
    /// Who.
    pub principal: TrustedPrincipal,
    /// What they have to name; it stands in the template as the parameter's default.
    pub external_id: ExternalId,
    /// What else is asked for.
    pub hardening: Hardening,
}

/// A role that somebody in another account assumes; with `ReadOnlyAccess` where `settings` grant
/// nothing.
///
/// # Errors
/// The actions do not fit into a policy.
pub fn cross_account_template(
    asked: &CrossAccountRole,
    settings: &RoleSettings,
) -> Result<Value, ActionsError> {
    let mut parameters = common_parameters(settings);
    parameters.insert(
        "ExternalId".to_owned(),
        json!({
            "Type": "String",
            "Default": asked.external_id.as_str(),
            "MinLength": 2,
            "MaxLength": 1224,
            "AllowedPattern": "[\\w+=,.@:\\/-]*",
            "Description": "What the caller has to name; different for every customer",
        }),
    );
    let trust = cross_account_trust(
        &asked.principal,
        &json!({ "Ref": "ExternalId" }),
        &asked.hardening,
    );
    let mut managed: Vec<_> = settings
        .managed_policies
        .iter()
        .map(ManagedPolicyArn::expression)
        .collect();
    if managed.is_empty() && settings.actions.is_none() {
        managed.push(in_partition("iam::aws:policy/ReadOnlyAccess"));
    }
    Ok(json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": format!("A role that {} assumes with an external id", asked.principal.as_str()),
        "Parameters": parameters,
        "Conditions": common_conditions(),
        "Resources": { "Role": role(&trust, managed, settings)? },
        "Outputs": {
            "RoleArn": {
                "Description": "The role to assume",
                "Value": { "Fn::GetAtt": ["Role", "Arn"] },
            },
            "ExternalId": {
                "Description": "What the caller has to name",
                "Value": { "Ref": "ExternalId" },
            },
        },
    }))
}

fn common_parameters(settings: &RoleSettings) -> Map<String, Value> {
    let boundary = settings.permission_boundary.as_ref();
    let parameters = json!({
        "RoleName": {
            "Type": "String",
            "Default": settings.role_name.as_deref().unwrap_or_default(),
            "MaxLength": 64,
            "AllowedPattern": "[\\w+=,.@-]*",
            "Description": "Name of the role; empty for one that CloudFormation makes up",
        },
        "MaxSessionDuration": {
            "Type": "Number",
            "Default": settings.max_session_duration,
            "MinValue": 3600,
            "MaxValue": 43_200,
            "Description": "The longest session in seconds",
        },
        "PermissionsBoundary": {
            "Type": "String",
            "Default": boundary.map(ManagedPolicyArn::as_str).unwrap_or_default(),
            "Description": "ARN of the policy that bounds the role; empty for none",
        },
    });
    match parameters {
        Value::Object(parameters) => parameters,
        _ => Map::new(),
    }
}

fn common_conditions() -> Map<String, Value> {
    let given = |name: &str| json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": name }, ""] }] });
    let mut conditions = Map::new();
    conditions.insert("HasRoleName".to_owned(), given("RoleName"));
    conditions.insert("HasBoundary".to_owned(), given("PermissionsBoundary"));
    conditions
}

fn role(
    trust: &Value,
    managed: Vec<Value>,
    settings: &RoleSettings,
) -> Result<Value, ActionsError> {
    let if_given = |condition: &str, name: &str| json!({ "Fn::If": [condition, { "Ref": name }, { "Ref": "AWS::NoValue" }] });
    let mut properties = Map::new();
    let mut set = |name: &str, value: Value| properties.insert(name.to_owned(), value);
    set("RoleName", if_given("HasRoleName", "RoleName"));
    set("AssumeRolePolicyDocument", trust.clone());
    set("MaxSessionDuration", json!({ "Ref": "MaxSessionDuration" }));
    set(
        "PermissionsBoundary",
        if_given("HasBoundary", "PermissionsBoundary"),
    );
    if !managed.is_empty() {
        set("ManagedPolicyArns", Value::Array(managed));
    }
    if let Some(actions) = &settings.actions {
        let policy = json!({
            "PolicyName": "permissions",
            "PolicyDocument": actions.permission_policy()?,
        });
        set("Policies", json!([policy]));
    }
    Ok(json!({ "Type": "AWS::IAM::Role", "Properties": properties }))
}
