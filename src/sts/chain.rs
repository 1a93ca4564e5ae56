//! `AssumeRole` by a session of this STS: role chaining.

use super::{
    Refusal,
    constraint::{
        ARN, EXTERNAL_ID, POLICY, SERIAL_NUMBER, SESSION_NAME, TAG_KEY, TAG_VALUE, TOKEN_CODE,
        Violations,
    },
    packed,
    params::{DURATION, POLICY_MAX, Params, check_policies, policy_arns},
    roles::{Role, Roles},
    session::Session,
    trust::{Facts, clauses},
};
use crate::{
    domain::{Random, RoleArn},
    iam::{Context, Principal, Request},
};

/// The longest session of a role that another role's session assumes, in seconds.
const LONGEST: u32 = 3600;
/// The most tags that a session can have.
const MOST_TAGS: usize = 50;

/// The parameters of `AssumeRole`, each by itself valid.
pub(super) struct ChainRequest<'a> {
    role_arn: &'a str,
    pub(super) session_name: &'a str,
    duration: Option<u32>,
    policy: Option<&'a str>,
    policy_arns: Vec<&'a str>,
    tags: Vec<(&'a str, &'a str)>,
    transitive: Vec<&'a str>,
    external_id: Option<&'a str>,
    source_identity: Option<&'a str>,
}

impl<'a> ChainRequest<'a> {
    /// Validates all parameters and reports every violation together.
    pub(super) fn read(params: &'a Params) -> Result<Self, Refusal> {
        let mut found = Violations::default();
        let get = |name| params.get(name);
        let role_arn = found.required("roleArn", get("RoleArn"), 20..=2048, ARN);
        let session_name = found.required(
            "roleSessionName",
            get("RoleSessionName"),
            2..=64,
            SESSION_NAME,
        );
        let policy = found.optional("policy", get("Policy"), 1..=POLICY_MAX, POLICY);
        let external_id = found.optional("externalId", get("ExternalId"), 2..=1224, EXTERNAL_ID);
        let source_identity = found.optional(
            "sourceIdentity",
            get("SourceIdentity"),
            2..=64,
            SESSION_NAME,
        );
        found.optional("serialNumber", get("SerialNumber"), 9..=256, SERIAL_NUMBER);
        found.optional("tokenCode", get("TokenCode"), 6..=6, TOKEN_CODE);
        let duration = found.number(DURATION, get("DurationSeconds"), 900..=43_200)?;
        let policy_arns = policy_arns(params, &mut found);
        let tags = tags(params, &mut found);
        let transitive = params.members("TransitiveTagKeys", "");
        found.list("transitiveTagKeys", transitive.len(), MOST_TAGS);
        for (index, key) in transitive.iter().enumerate() {
            let name = format!("transitiveTagKeys.{}.member", index + 1);
            found.optional(&name, Some(key), 1..=128, TAG_KEY);
        }
        found.none()?;
        check_policies(policy, &policy_arns)?;
        Ok(Self {
            role_arn: role_arn.unwrap_or_default(),
            session_name: session_name.unwrap_or_default(),
            duration,
            policy,
            policy_arns,
            tags,
            transitive,
            external_id,
            source_identity,
        })
    }
}

fn tags<'a>(params: &'a Params, found: &mut Violations) -> Vec<(&'a str, &'a str)> {
    let keys = params.members("Tags", ".Key");
    let values = params.members("Tags", ".Value");
    found.list("tags", keys.len().max(values.len()), MOST_TAGS);
    for index in 0..keys.len().max(values.len()) {
        let name = |part: &str| format!("tags.{}.member.{part}", index + 1);
        let (key, value) = (keys.get(index).copied(), values.get(index).copied());
        found.required(&name("key"), key, 1..=128, TAG_KEY);
        found.required(&name("value"), value, 0..=256, TAG_VALUE);
    }
    keys.into_iter().zip(values).collect()
}

/// A chained session.
pub(super) struct Chained {
    pub(super) session: Session,
    /// Percent of what session policies and tags may take.
    pub(super) packed: usize,
}

/// Lets `caller` assume the role that is asked for, or says why not.
pub(super) fn assume(
    roles: &Roles,
    asked: &ChainRequest<'_>,
    caller: &Session,
    facts: &Facts<'_>,
    random: &dyn Random,
) -> Result<Chained, Refusal> {
    if asked.role_arn.parse::<RoleArn>().is_err() {
        return Err(Refusal::new(
            "ValidationError",
            400,
            "Request ARN is invalid",
            format!("{:?} is not the ARN of a role", asked.role_arn),
        ));
    }
    let role = roles.role(asked.role_arn).ok_or_else(|| {
        denied(
            "sts:AssumeRole",
            caller,
            asked,
            format!(
                "this STS has no role {}; it has {}",
                asked.role_arn,
                roles.role_arns().join(", ")
            ),
        )
    })?;
    let carried = Carried::new(asked, caller)?;
    authorise(role, roles, asked, caller, &carried, facts)?;
    let duration = asked.duration.unwrap_or(LONGEST);
    if duration > LONGEST {
        return Err(Refusal::validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by \
             role chaining",
        ));
    }
    let packed = packed::size(
        asked.policy,
        &asked.policy_arns,
        &carried.tags,
        carried.source_identity.as_deref(),
    )?;
    let expires = facts.now.secs() + i64::from(duration);
    let mut session = Session::new(role.arn(), asked.session_name, expires, random);
    session.tags = carried.tags;
    session.transitive = carried.transitive;
    session.source_identity = carried.source_identity;
    Ok(Chained { session, packed })
}

/// What the new session has: its own tags, and what goes along a chain.
struct Carried {
    tags: Vec<(String, String)>,
    transitive: Vec<String>,
    source_identity: Option<String>,
}

impl Carried {
    /// Transitive tags and the source identity of the caller stay, and nobody can change them.
    fn new(asked: &ChainRequest<'_>, caller: &Session) -> Result<Self, Refusal> {
        let inherited: Vec<&(String, String)> = caller
            .tags
            .iter()
            .filter(|(key, _)| caller.transitive.contains(key))
            .collect();
        let mut tags: Vec<(String, String)> = Vec::new();
        for (key, value) in &asked.tags {
            let same = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(key);
            if inherited.iter().copied().any(|tag| same(&tag)) {
                return Err(Refusal::new(
                    "InvalidParameterValue",
                    400,
                    "One of the specified transitive tag keys can't be set because it conflicts \
                     with a transitive tag key from the calling session.",
                    format!("the tag {key:?} came along the chain and cannot be changed"),
                ));
            }
            if tags.iter().any(|tag| same(&tag)) {
                return Err(Refusal::new(
                    "InvalidParameterValue",
                    400,
                    "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
                    format!("the tag {key:?} is there twice"),
                ));
            }
            tags.push(((*key).to_owned(), (*value).to_owned()));
        }
        let own = |key: &&&str| !tags.iter().any(|(tag, _)| tag == **key);
        if let Some(key) = asked.transitive.iter().find(own) {
            return Err(Refusal::new(
                "InvalidParameterValue",
                400,
                "The specified transitive tag key must be included in the requested tags.",
                format!("the transitive key {key:?} is not among the tags"),
            ));
        }
        let mut transitive: Vec<String> = asked
            .transitive
            .iter()
            .map(|key| (*key).to_owned())
            .collect();
        transitive.extend(inherited.iter().map(|(key, _)| key.clone()));
        tags.extend(inherited.into_iter().cloned());
        let source_identity = asked.source_identity.map(str::to_owned);
        if let (Some(old), Some(new)) = (&caller.source_identity, &source_identity)
            && old != new
        {
            return Err(denied(
                "sts:SetSourceIdentity",
                caller,
                asked,
                format!("the source identity {old:?} came along the chain and cannot be changed"),
            ));
        }
        Ok(Self {
            tags,
            transitive,
            source_identity: caller.source_identity.clone().or(source_identity),
        })
    }
}

/// Asks the role's trust policy, as for a token: also for tags and source identity where the new
/// session has any. What the caller's own role permits it is not asked: roles here have no
/// permissions, only trust.
fn authorise(
    role: &Role,
    roles: &Roles,
    asked: &ChainRequest<'_>,
    caller: &Session,
    carried: &Carried,
    facts: &Facts<'_>,
) -> Result<(), Refusal> {
    let caller_role = roles
        .by_id(&caller.role_id)
        .map(|role| role.arn().to_string());
    let account = &caller.account;
    let mut names = vec![
        caller.arn(),
        account.clone(),
        format!("arn:aws:iam::{account}:root"),
    ];
    names.extend(caller_role.clone());
    let principal = Principal::Aws(names);
    let context = context(asked, caller, caller_role, carried, facts);
    let actions = [
        ("sts:AssumeRole", true),
        ("sts:TagSession", !carried.tags.is_empty()),
        ("sts:SetSourceIdentity", carried.source_identity.is_some()),
    ];
    for (action, _) in actions.into_iter().filter(|(_, needed)| *needed) {
        let evaluation = role.trust_policy().evaluate(&Request {
            action,
            principal: &principal,
            context: &context,
        });
        if !evaluation.decision.is_allowed() {
            let why = clauses(role, &caller.arn(), action, &evaluation);
            return Err(denied(action, caller, asked, why));
        }
    }
    Ok(())
}

fn context(
    asked: &ChainRequest<'_>,
    caller: &Session,
    caller_role: Option<String>,
    carried: &Carried,
    facts: &Facts<'_>,
) -> Context {
    let mut context = Context::new();
    if let Some(role) = caller_role {
        context.set("aws:PrincipalArn", role);
    }
    context.set("aws:PrincipalAccount", &caller.account);
    context.set("aws:PrincipalType", "AssumedRole");
    context.set("aws:userid", caller.user_id());
    context.set("aws:CurrentTime", facts.now.to_string());
    context.set("aws:EpochTime", facts.now.secs().to_string());
    context.set("sts:RoleSessionName", asked.session_name);
    if let Some(id) = asked.external_id {
        context.set("sts:ExternalId", id);
    }
    if let Some(source_ip) = facts.source_ip {
        context.set("aws:SourceIp", source_ip.to_string());
    }
    if let Some(source_identity) = &carried.source_identity {
        context.set("sts:SourceIdentity", source_identity);
    }
    if let Some(source_identity) = &caller.source_identity {
        context.set("aws:SourceIdentity", source_identity);
    }
    for (key, value) in &caller.tags {
        context.set(format!("aws:PrincipalTag/{key}"), value);
    }
    for (key, value) in &carried.tags {
        context.set(format!("aws:RequestTag/{key}"), value);
    }
    let keys = carried.tags.iter().map(|(key, _)| key.clone());
    context.set_all("aws:TagKeys", keys.collect());
    context.set_all("sts:TransitiveTagKeys", carried.transitive.clone());
    context
}

fn denied(action: &str, caller: &Session, asked: &ChainRequest<'_>, why: String) -> Refusal {
    Refusal::new(
        "AccessDenied",
        403,
        format!(
            "User: {} is not authorized to perform: {action} on resource: {}",
            caller.arn(),
            asked.role_arn
        ),
        why,
    )
}
