//! How services read the names of their resources.

use std::borrow::Cow;

/// How a value becomes the part of an ARN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// As it is.
    Plain,
    /// Only where it is an ARN: a plain name is of another kind.
    Arn,
    /// A queue's URL: its last segment, and the account before it.
    Url,
    /// A parameter of AWS Systems Manager: its slash in front and its selector are left out.
    Parameter,
    /// A function; where there is one more source, it is the function's qualifier.
    Function,
    /// A key or, behind `alias/`, an alias.
    Key,
    /// A secret, whose ARN may lack its last six characters.
    Secret,
    /// A log group, as the first part: its name, or its ARN with `:*` or without.
    LogGroup,
    /// A state machine, behind which a version or an alias may stand.
    Versioned,
    /// A task definition: `FAMILY`, or `FAMILY:REVISION`.
    Revision,
    /// A foundation model, or the inference profile of one, which has an area in front.
    Model,
    /// A query, which may name log groups.
    LogQuery,
    /// `BUCKET/KEY?versionId=…`, encoded.
    CopySource,
}

impl Way {
    /// The way that a table means by a word before the kind.
    pub(super) fn read(word: &str) -> Option<Self> {
        Some(match word {
            "arn" => Self::Arn,
            "url" => Self::Url,
            "parameter" => Self::Parameter,
            "function" => Self::Function,
            "key" => Self::Key,
            "secret" => Self::Secret,
            "loggroup" => Self::LogGroup,
            "versioned" => Self::Versioned,
            "revision" => Self::Revision,
            "model" => Self::Model,
            "logquery" => Self::LogQuery,
            "copy" => Self::CopySource,
            _ => return None,
        })
    }

    /// Whether the service takes an ARN in place of the name, wherever that stands.
    pub(super) const fn takes_arn(self) -> bool {
        matches!(self, Self::Function | Self::Key | Self::Arn)
    }
}

/// A queue of Amazon SQS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Queue<'a> {
    /// Twelve digits, where it is known.
    pub(super) account: Option<&'a str>,
    pub(super) name: &'a str,
}

impl<'a> Queue<'a> {
    /// Reads a queue's name or its URL, `https://HOST/ACCOUNT/NAME`. `None` where it is neither: what a
    /// service makes of other URLs is not known here.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let Some((_, behind)) = text.split_once("://") else {
            return Self::named(None, text);
        };
        let (_, path) = behind.split_once('/')?;
        let (account, name) = path.split_once('/')?;
        Self::at(account, name)
    }

    /// The queue at `/ACCOUNT/NAME`.
    pub(super) fn at(account: &'a str, name: &'a str) -> Option<Self> {
        Self::named(Some(account).filter(|one| is_account(one)), name)
    }

    /// A name has up to 80 characters.
    /// ([CreateQueue](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html))
    fn named(account: Option<&'a str>, name: &'a str) -> Option<Self> {
        let plain = name.strip_suffix(".fifo").unwrap_or(name);
        let fits = (1..=80).contains(&name.len()) && is_of(plain, "-_");
        fits.then_some(Self { account, name })
    }
}

/// A function of AWS Lambda.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Function<'a> {
    pub(super) region: Option<&'a str>,
    pub(super) account: Option<&'a str>,
    pub(super) name: &'a str,
    pub(super) qualifier: Option<&'a str>,
}

impl<'a> Function<'a> {
    /// Reads what AWS takes as a function's name:
    /// `(arn:PARTITION:lambda:)?(REGION:)?(ACCOUNT:)?(function:)?NAME(:QUALIFIER)?`, in every way that it
    /// can be read, since a name may be `function` or twelve digits. None where it is none.
    /// ([Invoke](https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html))
    pub(super) fn read(text: &'a str, partition: &str) -> Vec<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let mut found = Vec::new();
        match parts[..] {
            [
                "arn",
                part,
                "lambda",
                region,
                account,
                "function",
                ref name @ ..,
            ] => {
                if part == partition && is_region(region) && is_account(account) {
                    found.extend(Self::named(Some(region), Some(account), name));
                }
            }
            ["arn", ..] => {}
            // The documented form of a partial ARN has one reading.
            [account, "function", ref name @ ..] if is_account(account) => {
                found.extend(Self::named(None, Some(account), name));
            }
            ref all => {
                let (region, rest) = match all {
                    [region, rest @ ..] if is_region(region) && !rest.is_empty() => {
                        (Some(*region), rest)
                    }
                    _ => (None, all),
                };
                found.extend(Self::named(None, None, all));
                for (account, rest) in [(None, rest)].into_iter().chain(match rest {
                    [account, rest @ ..] if is_account(account) => Some((Some(*account), rest)),
                    _ => None,
                }) {
                    found.extend(Self::named(region, account, rest));
                    if let ["function", rest @ ..] = rest {
                        found.extend(Self::named(region, account, rest));
                    }
                }
            }
        }
        found.dedup();
        found
    }

    fn named(region: Option<&'a str>, account: Option<&'a str>, parts: &[&'a str]) -> Option<Self> {
        let (name, qualifier) = match *parts {
            [name] => (name, None),
            [name, qualifier] => (name, Some(qualifier)),
            _ => return None,
        };
        let fits = is_of(name, "-_.") && qualifier.is_none_or(|text| is_of(text, "-_$."));
        fits.then_some(Self {
            region,
            account,
            name,
            qualifier,
        })
    }
}

/// The name of a parameter as ARNs have it, behind `parameter/`: without the slash in front and without
/// the version or label behind a colon. `None` where no parameter can have it.
/// ([Parameter names](https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html))
pub(super) fn parameter(text: &str) -> Option<&str> {
    let name = text.split_once(':').map_or(text, |(name, _)| name);
    let name = name.strip_prefix('/').unwrap_or(name);
    (is_of(name, "-_./") && !name.starts_with('/') && !name.contains("//")).then_some(name)
}

/// The name of a log group, out of it or of its ARN's last field.
/// ([CreateLogGroup](https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html))
pub(super) fn log_group(resource: &str) -> Option<&str> {
    let name = resource.strip_suffix(":*").unwrap_or(resource);
    is_of(name, "-_./#").then_some(name)
}

/// The areas that stand before the model in the id of an inference profile.
/// ([Inference profiles](https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html))
const AREAS: [&str; 10] = [
    "us", "us-gov", "eu", "apac", "ap", "jp", "au", "ca", "sa", "global",
];

/// Whether an id is that of an inference profile, and what model it may be of.
pub(super) fn inference_profile(id: &str) -> (bool, Option<&str>) {
    match id.split_once('.') {
        Some((area, model)) if model.contains('.') => (AREAS.contains(&area), Some(model)),
        _ => (false, None),
    }
}

/// Whether a query may name log groups itself: `SOURCE` in the language of Logs Insights and of `OpenSearch`,
/// `FROM` in SQL. What else has such a word in it counts too.
/// ([SOURCE](https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax-Source.html))
pub(super) fn names_log_groups(query: &str) -> bool {
    query
        .split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| word.eq_ignore_ascii_case("source") || word.eq_ignore_ascii_case("from"))
}

/// What an ARN of the same service names that stands before another name: a cluster before its service.
pub(super) fn last_part(resource: &str) -> Cow<'_, str> {
    Cow::Borrowed(resource.rsplit(['/', ':']).next().unwrap_or(resource))
}

pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_region(text: &str) -> bool {
    let last = text.rsplit('-').next().unwrap_or_default();
    text.matches('-').count() >= 2
        && !last.is_empty()
        && last.bytes().all(|b| b.is_ascii_digit())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Whether a text is letters, digits and some other characters, one at least.
fn is_of(text: &str, others: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions(text: &str) -> Vec<String> {
        Function::read(text, "aws")
            .into_iter()
            .map(|one| {
                let part = |text: Option<&str>| text.unwrap_or("-").to_owned();
                format!(
                    "{} {} {} {}",
                    part(one.region),
                    part(one.account),
                    one.name,
                    part(one.qualifier)
                )
            })
            .collect()
    }

    #[test]
    fn functions_are_read_as_lambda_does() {
        for (text, readings) in [
            ("f", &["- - f -"][..]),
            ("f:1", &["- - f 1"]),
            ("f:$LATEST", &["- - f $LATEST"]),
            ("function:f", &["- - function f", "- - f -"]),
            ("function", &["- - function -"]),
            ("function:f:1", &["- - f 1"]),
            ("111122223333:function:f", &["- 111122223333 f -"]),
            ("111122223333:function:f:1", &["- 111122223333 f 1"]),
            (
                "111122223333:f",
                &["- - 111122223333 f", "- 111122223333 f -"],
            ),
            (
                "us-east-1:111122223333:function:f",
                &[
                    "us-east-1 111122223333 function f",
                    "us-east-1 111122223333 f -",
                ],
            ),
            (
                "arn:aws:lambda:us-east-1:111122223333:function:f:p",
                &["us-east-1 111122223333 f p"],
            ),
            ("arn:aws-cn:lambda:us-east-1:111122223333:function:f", &[]),
            ("arn:aws:lambda:us-east-1:111122223333:layer:f", &[]),
            ("arn:aws:s3:us-east-1:111122223333:function:f", &[]),
            ("a b", &[]),
            ("a/b", &[]),
            ("", &[]),
            ("f:", &[]),
            ("f*", &[]),
        ] {
            assert_eq!(functions(text), readings, "{text}");
        }
    }

    #[test]
    fn names_are_read_as_their_services_do() {
        for (text, name) in [
            ("a", Some("a")),
            ("/a/b", Some("a/b")),
            ("/a/b:3", Some("a/b")),
            ("a:label", Some("a")),
            ("//a", None),
            ("/a//b", None),
            ("a b", None),
            (":1", None),
        ] {
            assert_eq!(parameter(text), name, "{text}");
        }
        assert_eq!(log_group("/aws/lambda/f:*"), Some("/aws/lambda/f"));
        assert_eq!(log_group("g:log-stream:s"), None);
        assert_eq!(
            inference_profile("us.anthropic.claude"),
            (true, Some("anthropic.claude"))
        );
        assert_eq!(inference_profile("anthropic.claude"), (false, None));
        assert!(names_log_groups(
            "# x\nsource logGroups(x) | fields @message"
        ));
        assert!(!names_log_groups("fields @message | filter resource = 1"));
    }
}
