//! `s3://bucket/prefix`, and the URLs of what is there.

use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

/// What S3 leaves as it is in a key when it computes a signature: RFC 3986's unreserved characters,
/// and the slash.
const KEY: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// The same in a query, where the slash is not left.
const QUERY: AsciiSet = KEY.add(b'/');

/// A bucket, and what the names of all objects there begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Location {
    bucket: String,
    /// Empty, or ends in a slash.
    prefix: String,
}

/// Why a text is not a [`S3Location`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a place in S3; write one like s3://bucket or s3://bucket/prefix")]
pub struct S3LocationError(String);

impl FromStr for S3Location {
    type Err = S3LocationError;

    /// The bucket's name has to be one that S3 allows for new buckets
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>).
    fn from_str(text: &str) -> Result<Self, S3LocationError> {
        let error = || S3LocationError(text.to_owned());
        let rest = text.strip_prefix("s3://").ok_or_else(error)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = bucket.as_bytes();
        let good = (3..=63).contains(&bytes.len())
            && edge(bytes.first())
            && edge(bytes.last())
            && bytes
                .iter()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-'))
            && !bucket.contains("..");
        let prefix = prefix.trim_end_matches('/');
        // A key may hold nearly everything, but an empty or relative part is a mistake.
        let parts = prefix.is_empty()
            || prefix
                .split('/')
                .all(|part| !matches!(part, "" | "." | "..") && !part.contains(char::is_control));
        if !good || !parts || prefix.len() > 512 {
            return Err(error());
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            prefix: if prefix.is_empty() {
                String::new()
            } else {
                format!("{prefix}/")
            },
        })
    }
}

impl S3Location {
    /// An object as users of the AWS CLI write it.
    pub(super) fn uri(&self, name: &str) -> String {
        format!("s3://{}/{}{name}", self.bucket, self.prefix)
    }

    pub(super) fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The key of an object.
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The URL of an object: in a host of the bucket's own, or below `endpoint`, where that is set
    /// or the bucket has a dot, which no certificate of S3 covers.
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html>)
    pub(super) fn object_url(
        &self,
        endpoint: Option<&str>,
        region: &str,
        name: &str,
    ) -> Result<Url, url::ParseError> {
        let key = self.key(name);
        let key = utf8_percent_encode(&key, &KEY);
        self.url(endpoint, region, &format!("/{key}"))
    }

    /// The URL of a listing (`ListObjectsV2`) of what comes after `after`, directly below the prefix.
    pub(super) fn list_url(
        &self,
        endpoint: Option<&str>,
        region: &str,
        after: &str,
    ) -> Result<Url, url::ParseError> {
        let encode = |text: &str| utf8_percent_encode(text, &QUERY).to_string();
        let prefix = encode(&self.prefix);
        let after = if after.is_empty() {
            String::new()
        } else {
            format!("&start-after={}", encode(&self.key(after)))
        };
        let query = format!("/?delimiter=%2F&encoding-type=url&list-type=2&prefix={prefix}{after}");
        self.url(endpoint, region, &query)
    }

    fn url(
        &self,
        endpoint: Option<&str>,
        region: &str,
        rest: &str,
    ) -> Result<Url, url::ParseError> {
        let suffix = if region.starts_with("cn-") {
            "amazonaws.com.cn"
        } else {
            "amazonaws.com"
        };
        let bucket = &self.bucket;
        Url::parse(&match endpoint {
            Some(endpoint) => format!("{}/{bucket}{rest}", endpoint.trim_end_matches('/')),
            None if bucket.contains('.') => format!("https://s3.{region}.{suffix}/{bucket}{rest}"),
            None => format!("https://{bucket}.s3.{region}.{suffix}{rest}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_places_and_refuses_others() {
        let place: S3Location = "s3://my-bucket/a/b/".parse().unwrap();
        assert_eq!(place.uri("c"), "s3://my-bucket/a/b/c");
        let bare: S3Location = "s3://my-bucket".parse().unwrap();
        assert_eq!(bare.uri("c"), "s3://my-bucket/c");
        for bad in [
            "",
            "my-bucket",
            "s3://",
            "s3://ab",
            "s3://My-Bucket",
            "s3://-bucket",
            "s3://a..b",
            "s3://bucket//a",
            "s3://bucket/../a",
            "s3://bucket/a\nb",
            "https://bucket",
        ] {
            assert!(bad.parse::<S3Location>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn urls_are_those_of_s3() {
        let place: S3Location = "s3://my-bucket/a b".parse().unwrap();
        let url = |endpoint, region| place.object_url(endpoint, region, "c.jws").unwrap();
        assert_eq!(
            url(None, "eu-central-1").as_str(),
            "https://my-bucket.s3.eu-central-1.amazonaws.com/a%20b/c.jws"
        );
        assert_eq!(
            url(None, "cn-north-1").as_str(),
            "https://my-bucket.s3.cn-north-1.amazonaws.com.cn/a%20b/c.jws"
        );
        assert_eq!(
            url(Some("http://127.0.0.1:5000/"), "us-east-1").as_str(),
            "http://127.0.0.1:5000/my-bucket/a%20b/c.jws"
        );
        let dotted: S3Location = "s3://my.bucket".parse().unwrap();
        assert_eq!(
            dotted.list_url(None, "us-east-1", "x/y").unwrap().as_str(),
            "https://s3.us-east-1.amazonaws.com/my.bucket/?delimiter=%2F&encoding-type=url\
             &list-type=2&prefix=&start-after=x%2Fy"
        );
    }
}
