//! Presets: rules that the catalog knows how to write.

use super::{file::nearest, resource::NoPattern, rule::ActionPattern, vocabulary};

const READ_ONLY: &str = "read-only:";

/// Reads that hand out secrets though IAM counts them as reads and their services' models do not mark
/// them: parameters that may be encrypted, passwords, keys, the addresses of code.
const SECRET_READS: [&str; 19] = [
    "appsync:ListApiKeys",
    "codeartifact:GetAuthorizationToken",
    "ec2:GetPasswordData",
    "glue:GetConnection",
    "glue:GetConnections",
    "kms:Decrypt",
    "lambda:GetFunction",
    "lambda:GetLayerVersion",
    "lambda:GetLayerVersionByArn",
    "lightsail:DownloadDefaultKeyPair",
    "lightsail:GetInstanceAccessDetails",
    "lightsail:GetRelationalDatabaseMasterUserPassword",
    "secretsmanager:BatchGetSecretValue",
    "secretsmanager:GetSecretValue",
    "ssm:GetCommandInvocation",
    "ssm:GetParameter",
    "ssm:GetParameterHistory",
    "ssm:GetParameters",
    "ssm:GetParametersByPath",
];

/// The actions of a preset: `read-only:PREFIX` has every action of an IAM prefix that reads or lists,
/// without those that hand out credentials or secrets.
pub(super) fn actions(preset: &str) -> Result<Vec<ActionPattern>, NoPattern> {
    let wrong = |problem: String, cure: String| Err(NoPattern { problem, cure });
    let Some(prefix) = preset.strip_prefix(READ_ONLY) else {
        return wrong(
            format!("there is no preset {:?}", short(preset)),
            "there is read-only:SERVICE, such as read-only:s3".to_owned(),
        );
    };
    let prefix = prefix.to_ascii_lowercase();
    if prefix == "*" {
        return wrong(
            "there is no preset for all services".to_owned(),
            "name them one by one: one for all would let in what services add later, unseen"
                .to_owned(),
        );
    }
    let Some(actions) = vocabulary::read_only(&prefix) else {
        let cure = nearest(&prefix, vocabulary::prefixes()).map_or_else(
            || "write the prefix of the service's IAM actions".to_owned(),
            |near| format!("did you mean read-only:{near}?"),
        );
        return wrong(
            format!(
                "there is no preset {:?}: no service has such IAM actions",
                short(preset)
            ),
            cure,
        );
    };
    let secret: Vec<_> = vocabulary::credential_actions(&prefix).collect();
    let patterns: Vec<ActionPattern> = actions
        .filter(|action| !secret.contains(action))
        .filter(|action| !SECRET_READS.contains(&&*action.to_string()))
        .map(ActionPattern::of)
        .collect();
    if patterns.is_empty() {
        return wrong(
            format!("the preset {:?} would be empty", short(preset)),
            "write a rule that names actions".to_owned(),
        );
    }
    Ok(patterns)
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}
