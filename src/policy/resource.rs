//! Patterns of resources, field by field, and the resources of a request.

use super::{glob::Glob, verdict::Verdict};
use crate::catalog::{Resource, Spelling};

/// A pattern of ARNs: `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`, in which every field but the
/// service may have wildcards. A wildcard ends where its field ends; the last field holds colons and
/// slashes as well. ([IAM JSON policy elements:
/// Resource](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html))
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResourcePattern {
    written: Box<str>,
    partition: Glob,
    service: Box<str>,
    region: Glob,
    account: Glob,
    resource: Glob,
}

/// Why a text is no pattern of ARNs, and what to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoPattern {
    pub(super) problem: String,
    pub(super) cure: String,
}

/// The partitions that there are.
const PARTITIONS: [&str; 8] = [
    "aws",
    "aws-cn",
    "aws-us-gov",
    "aws-eusc",
    "aws-iso",
    "aws-iso-b",
    "aws-iso-e",
    "aws-iso-f",
];

impl ResourcePattern {
    pub(super) fn parse(text: &str) -> Result<Self, NoPattern> {
        let wrong = |problem: &str, cure: &str| {
            Err(NoPattern {
                problem: problem.to_owned(),
                cure: cure.to_owned(),
            })
        };
        let fields: Vec<&str> = text.splitn(6, ':').collect();
        let [scheme, partition, service, region, account, resource] = fields[..] else {
            return wrong(
                "is no ARN: it has fewer than six fields",
                "write all of arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE, with * where a field \
                 does not matter, or \"*\" alone for every resource",
            );
        };
        if scheme != "arn" {
            return wrong(
                "is no ARN: it does not begin with \"arn:\"",
                "write arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE",
            );
        }
        if text.contains("${") {
            return wrong(
                "has a policy variable, which only AWS could resolve",
                "write the value itself, or *",
            );
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) && resource.trim() != resource
        {
            return wrong("begins or ends with a space", "take the space out");
        }
        let partitions = Glob::new(partition);
        if !PARTITIONS.iter().any(|known| partitions.covers(known)) {
            return wrong(
                &format!("can match nothing: {partition:?} is no partition"),
                "write aws, aws-cn, aws-us-gov or another one, or *",
            );
        }
        if service.is_empty() || service.contains(['*', '?']) {
            return wrong(
                "has no plain service in its third field, which IAM wants there",
                "write the service, such as s3",
            );
        }
        let digits = account.bytes().all(|b| b.is_ascii_digit());
        if !account.is_empty() && !account.contains(['*', '?']) && (account.len() != 12 || !digits)
        {
            return wrong(
                &format!("can match nothing: {account:?} is no account id"),
                "write twelve digits, or *",
            );
        }
        if resource.is_empty() {
            return wrong(
                "names nothing in its last field",
                "write the resource's name, or *",
            );
        }
        if service == "s3" && !(region.is_empty() && account.is_empty()) {
            let is_regional = [
                "accesspoint/",
                "job/",
                "storage-lens",
                "access-grants/",
                "async-",
            ]
            .iter()
            .any(|kind| resource.starts_with(kind) || resource.starts_with('*'));
            let is_open = Glob::new(region).covers("") && Glob::new(account).covers("");
            if !is_regional && !is_open {
                return wrong(
                    "can match nothing: ARNs of buckets and objects have neither region nor account",
                    &format!("write arn:{partition}:s3:::{resource}"),
                );
            }
        }
        Ok(Self {
            written: text.into(),
            partition: partitions,
            service: service.into(),
            region: Glob::new(region),
            account: Glob::new(account),
            resource: Glob::new(resource),
        })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.written
    }

    pub(super) fn service(&self) -> &str {
        &self.service
    }

    /// The last field.
    pub(super) fn resource(&self) -> &Glob {
        &self.resource
    }

    /// Whether the pattern fits the resource: for sure, perhaps, or not.
    pub(super) fn fits(&self, arn: &ArnView<'_>) -> Verdict {
        if arn.written == Some(&*self.written) {
            return Verdict::Yes;
        }
        if arn.service != &*self.service && arn.service != "*" {
            return Verdict::No;
        }
        let fields = [
            (&self.resource, arn.resource),
            (&self.account, arn.account),
            (&self.region, arn.region),
            (&self.partition, arn.partition),
        ];
        let mut verdict = if arn.service == "*" {
            Verdict::Maybe
        } else {
            Verdict::Yes
        };
        for (glob, text) in fields {
            if glob.covers(text) {
                continue;
            }
            if !glob.touches(text) {
                return Verdict::No;
            }
            verdict = Verdict::Maybe;
        }
        verdict
    }

    /// Whether everything that fits the other pattern fits this one.
    pub(super) fn includes(&self, other: &Self) -> bool {
        self.service == other.service
            && [
                (&self.partition, &other.partition),
                (&self.region, &other.region),
                (&self.account, &other.account),
                (&self.resource, &other.resource),
            ]
            .into_iter()
            .all(|(mine, theirs)| mine.covers(&theirs.as_str().replace('?', "*")))
    }
}

/// The fields of a resource that a request acts on; `*` where a part is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ArnView<'a> {
    pub(super) partition: &'a str,
    pub(super) service: &'a str,
    pub(super) region: &'a str,
    pub(super) account: &'a str,
    pub(super) resource: &'a str,
    /// Whether the request gives the name.
    is_named: bool,
    /// How the request writes it, where it may mean something longer.
    written: Option<&'a str>,
}

impl<'a> ArnView<'a> {
    /// Nothing is known of it.
    const UNKNOWN: Self = Self {
        partition: "*",
        service: "*",
        region: "*",
        account: "*",
        resource: "*",
        is_named: false,
        written: None,
    };

    /// The fields of a resource's ARN.
    pub(super) fn of(resource: &'a Resource) -> Self {
        Self {
            is_named: resource.is_named(),
            written: resource.written(),
            ..Self::read(resource.arn())
        }
    }

    /// Those of another spelling of it.
    pub(super) fn spelled(spelling: &'a Spelling) -> Self {
        let fields = Self::read(spelling.arn());
        Self {
            is_named: !fields.resource.contains('*'),
            ..fields
        }
    }

    fn read(arn: &'a str) -> Self {
        let mut fields = arn.splitn(6, ':');
        let mut next = || fields.next();
        match (next(), next(), next(), next(), next(), next()) {
            (
                Some("arn"),
                Some(partition),
                Some(service),
                Some(region),
                Some(account),
                Some(resource),
            ) => Self {
                partition,
                service,
                region,
                account,
                resource,
                ..Self::UNKNOWN
            },
            _ => Self::UNKNOWN,
        }
    }

    /// The same with what a name without an account and region means: the caller's account and the
    /// region that is asked. Where the name itself is not known it may be an ARN of any account, so
    /// that nothing is filled in.
    pub(super) fn within(mut self, account: Option<&'a str>, region: Option<&'a str>) -> Self {
        if self.is_named {
            if self.account == "*" {
                self.account = account.unwrap_or("*");
            }
            if self.region == "*" {
                self.region = region.unwrap_or("*");
            }
        }
        self
    }
}
