//! Policies and principals by name, as templates write them.

use std::str::FromStr;

use serde_json::{Value, json};

use crate::domain::Arn;

/// `arn:PARTITION:iam::ACCOUNT:policy/NAME`, where the account of AWS's own policies is `aws`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedPolicyArn(String);

impl ManagedPolicyArn {
    /// The ARN.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The ARN in a template: AWS's own policies exist in every partition.
    pub(super) fn expression(&self) -> Value {
        let own = self
            .0
            .strip_prefix("arn:")
            .and_then(|rest| rest.split_once(":iam::aws:"));
        own.map_or_else(
            || json!(self.0),
            |(_, policy)| in_partition(&format!("iam::aws:{policy}")),
        )
    }
}

impl FromStr for ManagedPolicyArn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let arn: Result<Arn, _> = text
            .replacen(":iam::aws:", ":iam::000000000000:", 1)
            .parse();
        let fits = arn.is_ok_and(|arn| {
            arn.service == "iam"
                && arn.region.is_empty()
                && !arn.account.is_empty()
                && arn.resource.strip_prefix("policy/").is_some_and(is_path)
        });
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(
                "a managed policy's ARN looks like arn:aws:iam::123456789012:policy/NAME or \
                 arn:aws:iam::aws:policy/ReadOnlyAccess"
                    .to_owned(),
            )
        }
    }
}

fn is_path(text: &str) -> bool {
    !text.is_empty()
        && !text.ends_with('/')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_+=,.@/-".contains(&b))
}

/// Who may assume a cross-account role: an account, or a role or user of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedPrincipal(String);

impl TrustedPrincipal {
    /// The principal as the user wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn expression(&self) -> Value {
        if self.0.starts_with("arn:") {
            json!(self.0)
        } else {
            in_partition(&format!("iam::{}:root", self.0))
        }
    }
}

impl FromStr for TrustedPrincipal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_account = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
        let is_arn = || {
            text.parse::<Arn>().is_ok_and(|arn| {
                arn.service == "iam"
                    && arn.region.is_empty()
                    && !arn.account.is_empty()
                    && (arn.resource == "root"
                        || ["role/", "user/"]
                            .into_iter()
                            .filter_map(|kind| arn.resource.strip_prefix(kind))
                            .any(is_path))
            })
        };
        if is_account || is_arn() {
            Ok(Self(text.to_owned()))
        } else {
            Err(
                "name an account (twelve digits) or a role or user, such as \
                 arn:aws:iam::123456789012:role/NAME; wildcards would trust everybody"
                    .to_owned(),
            )
        }
    }
}

/// `arn:PARTITION:` and the rest, in the partition where the stack is made.
pub(super) fn in_partition(rest: &str) -> Value {
    json!({ "Fn::Sub": format!("arn:${{AWS::Partition}}:{rest}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_policies_and_principals_are_checked() {
        for good in [
            "arn:aws:iam::aws:policy/ReadOnlyAccess",
            "arn:aws-cn:iam::123456789012:policy/team/Boundary",
        ] {
            good.parse::<ManagedPolicyArn>().unwrap();
        }
        for bad in [
            "ReadOnlyAccess",
            "arn:aws:iam::aws:policy/",
            "arn:aws:iam::aws:policy/*",
            "arn:aws:iam::aws:role/x",
            "arn:aws:iam::aws:policy/${x}",
        ] {
            bad.parse::<ManagedPolicyArn>().unwrap_err();
        }
        for good in [
            "222233334444",
            "arn:aws:iam::222233334444:root",
            "arn:aws:iam::222233334444:role/path/Caller",
        ] {
            good.parse::<TrustedPrincipal>().unwrap();
        }
        for bad in [
            "*",
            "",
            "2222",
            "arn:aws:iam::222233334444:role/*",
            "arn:aws:iam::222233334444:group/x",
            "arn:aws:s3:::x",
        ] {
            bad.parse::<TrustedPrincipal>().unwrap_err();
        }
    }

    #[test]
    fn policies_of_aws_are_found_in_every_partition() {
        let policy: ManagedPolicyArn = "arn:aws-cn:iam::aws:policy/ReadOnlyAccess".parse().unwrap();
        assert_eq!(
            policy.expression(),
            json!({ "Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/ReadOnlyAccess" })
        );
    }
}
