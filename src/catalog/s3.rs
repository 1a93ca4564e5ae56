//! Amazon S3's hosts stand for a bucket, an access point or more, and its ARNs follow them.

use percent_encoding::percent_decode_str;

use super::{
    Resource,
    fill::Place,
    kind::{Fields, Maker, anything},
    resource::ResourceActions,
};
use crate::domain::Partition;

/// What the host of a request to Amazon S3 stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// It is not Amazon S3, or not about buckets.
    None,
    /// Buckets, whose ARNs have neither region nor account.
    Bucket,
    /// An access point: `NAME-ACCOUNT`.
    AccessPoint,
    /// A multi-region access point: `ALIAS.mrap`.
    MultiRegion,
    /// An object lambda access point: `NAME-ACCOUNT`.
    ObjectLambda,
    /// An access point on an outpost: `NAME-ACCOUNT.OUTPOST`.
    Outposts,
    /// A directory bucket.
    Express,
}

impl Form {
    /// Tells it by the name that signs and the row of the host.
    pub(super) fn of(signing_name: &str, row: &str) -> Self {
        match signing_name {
            "s3-object-lambda" => Self::ObjectLambda,
            "s3-outposts" => Self::Outposts,
            "s3express" => Self::Express,
            _ if row.contains("s3-accesspoint") => Self::AccessPoint,
            _ if row.contains("accesspoint.s3-global") => Self::MultiRegion,
            _ => Self::Bucket,
        }
    }
}

/// Makes the ARN of a bucket (one hole) or object (two) behind a host of that form. Whether it did: a
/// plain bucket's is made from its kind.
pub(super) fn fill(
    holes_wanted: usize,
    holes: &[Option<&str>],
    place: &Place<'_>,
    made: &mut Maker,
) -> bool {
    let (service, kind) = match place.s3 {
        Form::None | Form::Bucket => return false,
        Form::AccessPoint | Form::MultiRegion => ("s3", "accesspoint"),
        Form::ObjectLambda => ("s3-object-lambda", "accesspoint"),
        Form::Outposts => ("s3-outposts", "outpost"),
        Form::Express => ("s3express", "bucket"),
    };
    let name = holes.first().copied().flatten();
    let (mut name, mut account) = (name.unwrap_or_default(), None);
    let mut outpost = "";
    if place.s3 == Form::Outposts {
        (name, outpost) = name.split_once('.').unwrap_or((name, ""));
    }
    if !matches!(place.s3, Form::Express | Form::MultiRegion)
        && let Some((before, digits)) = name.rsplit_once('-')
        && digits.len() == 12
        && digits.bytes().all(|b| b.is_ascii_digit())
    {
        (name, account) = (before, Some(digits));
    }
    made.text("arn:");
    made.text(place.partition.as_str());
    made.text(":");
    made.text(service);
    made.text(":");
    if place.s3 != Form::MultiRegion {
        made.text(place.region);
    }
    made.text(":");
    match account {
        Some(account) => made.text(account),
        None => made.unknown(),
    }
    made.text(":");
    made.text(kind);
    made.text("/");
    if !outpost.is_empty() {
        made.text(outpost);
        made.text("/accesspoint/");
    }
    if name.is_empty() {
        made.is_named = false;
        made.unknown();
    } else {
        made.text(name);
    }
    let key = holes.get(1).copied().flatten();
    // An operation on an object of a directory bucket is authorised on the bucket.
    if holes_wanted > 1 && place.s3 != Form::Express {
        made.text("/object/");
        if let Some(key) = key {
            made.text(key);
        } else {
            made.is_named = false;
            made.unknown();
        }
    }
    if !matches!(place.s3, Form::Express | Form::Outposts) {
        let key = (holes_wanted > 1).then(|| key.unwrap_or("*"));
        behind(made, place.partition.as_str(), key);
    }
    true
}

/// Adds the bucket behind an access point, which nobody here knows: a rule that blocks a bucket, or a key
/// in it, may be about that.
fn behind(made: &mut Maker, partition: &str, key: Option<&str>) {
    let slash = if key.is_some() { "/" } else { "" };
    let key = key.unwrap_or_default();
    made.spelling(format!("arn:{partition}:s3:::*{slash}{key}"), false);
}

/// The endings of the names that access points have as buckets.
/// ([Aliases](https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-naming.html))
const ALIASES: [&str; 3] = ["-s3alias", "--ol-s3", "--op-s3"];

/// Adds what may be behind a bucket whose name is an access point's.
pub(super) fn spelled(made: &mut Maker, bucket: Option<&str>) {
    let is_alias = |bucket: &&str| ALIASES.iter().any(|end| bucket.ends_with(end));
    let Some(bucket) = bucket.filter(is_alias) else {
        return;
    };
    let arn = made.so_far().to_owned();
    let Some((front, last)) = arn.split_once(":::") else {
        return;
    };
    let partition = front.split(':').nth(1).unwrap_or_default();
    let key = last[bucket.len()..].strip_prefix('/');
    behind(made, partition, key);
}

/// What `x-amz-copy-source` names: `BUCKET/KEY` or an access point's ARN, percent-encoded, perhaps behind a
/// slash, with `?versionId=` at its end.
/// ([CopyObject](https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html))
pub(super) fn copy_source(value: &str, partition: Partition, actions: ResourceActions) -> Resource {
    let (value, query) = value.split_once('?').unwrap_or((value, ""));
    let plain = percent_decode_str(value).decode_utf8_lossy();
    let plain = plain.strip_prefix('/').unwrap_or(&plain);
    // A plus may be read as a space, what is not UTF-8 in any way, and a question mark as part of a key.
    let readable = !value.contains('+')
        && !plain.contains(char::REPLACEMENT_CHARACTER)
        && (query.is_empty() || query.starts_with("versionId="));
    let mut made = Maker::new(actions.clone());
    if plain.starts_with("arn:") {
        let point = Fields::of(plain).filter(|fields| {
            readable
                && fields.resource.contains("accesspoint/")
                && ["s3", "s3-outposts"]
                    .iter()
                    .any(|service| fields.is_of(service, partition))
        });
        let Some((_, key)) = point.and_then(|fields| fields.resource.split_once("/object/")) else {
            return anything(actions);
        };
        made.text(plain);
        behind(&mut made, partition.as_str(), Some(key));
        return made.done();
    }
    made.text("arn:");
    made.text(partition.as_str());
    made.text(":s3:::");
    match plain.split_once('/') {
        Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {
            made.text(bucket);
            made.text("/");
            if readable {
                made.text(key);
            } else {
                made.unknown();
            }
            spelled(&mut made, Some(bucket));
        }
        _ => return anything(actions),
    }
    made.done()
}

/// The version that a copy's source names; `Some` also where nobody can say whether it does.
pub(super) fn copy_version(value: &str) -> Option<&str> {
    value.split_once('?').map(|(_, query)| query)
}

/// The host for a request that came to an overridden endpoint, signed as `name`; `own` is the bucket that
/// it had in its host.
pub(super) fn home(
    name: &str,
    own: Option<&str>,
    partition: Partition,
    region: &str,
    segments: &[&str],
) -> String {
    let (dns, _) = super::hosts::suffixes(partition);
    let bucket = own
        .or_else(|| segments.first().copied())
        .unwrap_or_default();
    // A directory bucket's name ends with its zone: `NAME--ZONE--x-s3`.
    let zone = bucket
        .strip_suffix("--x-s3")
        .and_then(|front| front.rsplit_once("--"))
        .map(|(_, zone)| zone);
    let host = match (name, zone) {
        ("s3express", Some(zone)) => format!("s3express-{zone}.{region}.{dns}"),
        ("s3express", None) => format!("s3express-control.{region}.{dns}"),
        ("s3-object-lambda" | "s3-outposts", _) => format!("{name}.{region}.{dns}"),
        _ => format!("s3.{region}.{dns}"),
    };
    match own {
        Some(own) => format!("{own}.{host}"),
        None => host,
    }
}
