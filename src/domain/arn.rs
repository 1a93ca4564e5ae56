//! Amazon Resource Names, as far as trust and login need them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A group of regions with its own accounts, names and endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Partition {
    /// The commercial regions.
    Aws,
    /// China.
    AwsCn,
    /// The United States' government cloud.
    AwsUsGov,
    /// The European sovereign cloud.
    AwsEusc,
    /// The isolated partitions.
    AwsIso,
    /// The isolated partition B.
    AwsIsoB,
    /// The isolated partition E.
    AwsIsoE,
    /// The isolated partition F.
    AwsIsoF,
}

impl Partition {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Aws,
        Self::AwsCn,
        Self::AwsUsGov,
        Self::AwsEusc,
        Self::AwsIso,
        Self::AwsIsoB,
        Self::AwsIsoE,
        Self::AwsIsoF,
    ];

    /// The second field of its ARNs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::AwsCn => "aws-cn",
            Self::AwsUsGov => "aws-us-gov",
            Self::AwsEusc => "aws-eusc",
            Self::AwsIso => "aws-iso",
            Self::AwsIsoB => "aws-iso-b",
            Self::AwsIsoE => "aws-iso-e",
            Self::AwsIsoF => "aws-iso-f",
        }
    }

    /// A region that stands in where the user named none, since STS is asked regionally.
    #[must_use]
    pub const fn default_region(self) -> &'static str {
        match self {
            Self::Aws => "us-east-1",
            Self::AwsCn => "cn-north-1",
            Self::AwsUsGov => "us-gov-west-1",
            Self::AwsEusc => "eusc-de-east-1",
            Self::AwsIso => "us-iso-east-1",
            Self::AwsIsoB => "us-isob-east-1",
            Self::AwsIsoE => "eu-isoe-west-1",
            Self::AwsIsoF => "us-isof-south-1",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.as_str() == name)
    }
}

/// `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Arn {
    /// The partition.
    pub partition: Partition,
    /// The service's namespace, such as `iam`.
    pub service: String,
    /// The region; empty for global services.
    pub region: String,
    /// The account's twelve digits; empty where a resource has none.
    pub account: String,
    /// The rest, colons and slashes included.
    pub resource: String,
}

/// Why a text is not the ARN that was wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArnError {
    /// Not six fields that begin with `arn`.
    #[error("{0:?} is not an ARN; a role's looks like arn:aws:iam::123456789012:role/NAME")]
    Shape(String),
    /// A partition nobody knows.
    #[error("{0:?} is not an AWS partition (aws, aws-cn, aws-us-gov, aws-eusc, aws-iso…)")]
    Partition(String),
    /// Not twelve digits.
    #[error("{0:?} is not an AWS account id: twelve digits")]
    Account(String),
    /// An ARN of something other than an IAM role.
    #[error("{0} names no IAM role; a role's ARN looks like arn:aws:iam::123456789012:role/NAME")]
    NotARole(String),
}

impl FromStr for Arn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let shape = || ArnError::Shape(text.chars().take(200).collect());
        let mut fields = text.splitn(6, ':');
        let mut next = || fields.next().ok_or_else(shape);
        if next()? != "arn" {
            return Err(shape());
        }
        let partition = next()?;
        let (service, region, account, resource) = (next()?, next()?, next()?, next()?);
        if service.is_empty()
            || resource.is_empty()
            || text.chars().any(|c| c.is_whitespace() || c.is_control())
        {
            return Err(shape());
        }
        if !account.is_empty()
            && (account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()))
        {
            return Err(ArnError::Account(account.to_owned()));
        }
        Ok(Self {
            partition: Partition::from_name(partition)
                .ok_or_else(|| ArnError::Partition(partition.to_owned()))?,
            service: service.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            resource: resource.to_owned(),
        })
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "arn:{}:{}:{}:{}:{}",
            self.partition.as_str(),
            self.service,
            self.region,
            self.account,
            self.resource
        )
    }
}

/// The ARN of an IAM role: `arn:PARTITION:iam::ACCOUNT:role/[PATH/]NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleArn(Arn);

impl RoleArn {
    /// The role's partition.
    #[must_use]
    pub const fn partition(&self) -> Partition {
        self.0.partition
    }

    /// The account that owns the role.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.0.account
    }

    /// The role's name, without its path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.resource.rsplit('/').next().unwrap_or_default()
    }
}

impl FromStr for RoleArn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let arn: Arn = text.parse()?;
        let name = arn
            .resource
            .strip_prefix("role/")
            .and_then(|path| path.rsplit('/').next());
        let is_role = arn.service == "iam"
            && arn.region.is_empty()
            && !arn.account.is_empty()
            && text.len() <= 2048
            && name.is_some_and(|name| {
                (1..=64).contains(&name.len())
                    && name
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b))
            });
        if is_role {
            Ok(Self(arn))
        } else {
            Err(ArnError::NotARole(text.chars().take(200).collect()))
        }
    }
}

impl TryFrom<String> for RoleArn {
    type Error = ArnError;

    fn try_from(text: String) -> Result<Self, ArnError> {
        text.parse()
    }
}

impl From<RoleArn> for String {
    fn from(arn: RoleArn) -> Self {
        arn.to_string()
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_roles_of_every_partition() {
        for (text, account, name) in [
            (
                "arn:aws:iam::123456789012:role/demo",
                "123456789012",
                "demo",
            ),
            (
                "arn:aws-cn:iam::123456789012:role/a/b/c",
                "123456789012",
                "c",
            ),
            (
                "arn:aws-us-gov:iam::000000000000:role/x+=,.@-_",
                "000000000000",
                "x+=,.@-_",
            ),
        ] {
            let role: RoleArn = text.parse().unwrap();
            assert_eq!((role.account(), role.name()), (account, name));
            assert_eq!(role.to_string(), text);
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, says) in [
            ("demo", "is not an ARN"),
            ("arn:aws:iam::123456789012", "is not an ARN"),
            ("arn:aws:iam::123456789012:role/a b", "is not an ARN"),
            (
                "arn:amazon:iam::123456789012:role/a",
                "not an AWS partition",
            ),
            ("arn:aws:iam::1234:role/a", "twelve digits"),
            ("arn:aws:iam::123456789012:user/a", "names no IAM role"),
            (
                "arn:aws:sts::123456789012:assumed-role/a/b",
                "names no IAM role",
            ),
            ("arn:aws:iam::123456789012:role/", "names no IAM role"),
            (
                "arn:aws:iam:eu-west-1:123456789012:role/a",
                "names no IAM role",
            ),
        ] {
            let error = text.parse::<RoleArn>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
