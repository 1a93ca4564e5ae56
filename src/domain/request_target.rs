//! The path and query of a request to AWS, in the one form that policy, signature and wire share.

use std::{fmt, fmt::Write as _, ops::Range};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// How a service reads paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathStyle {
    /// Every service but Amazon S3: dot segments and empty segments have no meaning of their own, so
    /// that two readers may understand them differently. They are refused.
    Plain,
    /// Amazon S3: a path is a key, in which `//`, `.` and `..` are characters as any other.
    S3,
}

/// Why a path or query has no form that everybody reads alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It does not begin with a slash.
    #[error("the path does not begin with \"/\"")]
    Relative,
    /// A character that a URI cannot hold.
    #[error("byte {at} of the path and query is not a character of a URI; percent-encode it")]
    Character {
        /// Where, in bytes from 0.
        at: usize,
    },
    /// A `%` that two hexadecimal digits do not follow.
    #[error("byte {at} of the path and query is a \"%\" without two hexadecimal digits")]
    Escape {
        /// Where, in bytes from 0.
        at: usize,
    },
    /// What is percent-encoded is not UTF-8.
    #[error("the path or query is not UTF-8 once it is decoded")]
    NotUtf8,
    /// `.` or `..`, encoded or not.
    #[error("the path has a segment \".\" or \"..\", which only Amazon S3 takes literally")]
    DotSegment,
    /// Two slashes in a row.
    #[error("the path has an empty segment (\"//\"), which only Amazon S3 takes literally")]
    EmptySegment,
}

/// A path and query, decoded once and encoded once in the canonical way of Signature Version 4: every
/// byte but RFC 3986's unreserved ones as `%XX`, the query sorted.
/// ([Create a signed request](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html))
///
/// An encoded slash stays encoded, because the path is cut at its slashes before it is decoded. In the
/// query, `+` is a space, as AWS reads it; in a path it is a plus.
///
/// Amazon S3 differs in both, because it takes the whole path for one key: it decodes it, `+` as a space,
/// encodes it again except for slashes, and expects the signature of that. So a slash is a slash, encoded
/// or not. (Seen in the canonical requests of its refusals: issues 853 of aws-sdk-js, 654 of aws-sdk-ruby
/// and 87 of `ngx_aws_auth`.)
#[derive(Clone, PartialEq, Eq)]
pub struct RequestTarget {
    style: PathStyle,
    path: String,
    query: String,
    decoded: String,
    segments: Vec<Range<usize>>,
    parameters: Vec<(String, String)>,
}

/// Everything but RFC 3986's unreserved characters.
const ENCODED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl RequestTarget {
    /// Reads `PATH[?QUERY]` as it came over the wire.
    ///
    /// # Errors
    /// [`TargetError`], where readers could differ over what it means.
    pub fn parse(raw: &str, style: PathStyle) -> Result<Self, TargetError> {
        check_characters(raw)?;
        let (path, query) = raw.split_once('?').unwrap_or((raw, ""));
        let mut target = Self {
            style,
            path: String::with_capacity(path.len() + 8),
            query: String::new(),
            decoded: String::with_capacity(path.len()),
            segments: Vec::with_capacity(8),
            parameters: Vec::new(),
        };
        target.read_path(path)?;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            target
                .parameters
                .push((decode_parameter(name)?, decode_parameter(value)?));
        }
        target.write_query();
        Ok(target)
    }

    fn read_path(&mut self, path: &str) -> Result<(), TargetError> {
        let path = path.strip_prefix('/').ok_or(TargetError::Relative)?;
        if self.style == PathStyle::S3 {
            return self.read_key(path);
        }
        let count = path.bytes().filter(|b| *b == b'/').count();
        for (index, segment) in path.split('/').enumerate() {
            let start = self.decoded.len();
            if segment.contains('%') {
                let plain = percent_decode_str(segment)
                    .decode_utf8()
                    .map_err(|_| TargetError::NotUtf8)?;
                self.decoded.push_str(&plain);
            } else {
                self.decoded.push_str(segment);
            }
            let plain = &self.decoded[start..];
            // A label may hold encoded slashes, and behind them what a careless reader walks up.
            if plain
                .split(['/', '\\'])
                .any(|part| matches!(part, "." | ".."))
            {
                return Err(TargetError::DotSegment);
            }
            // Nothing behind the last slash is a trailing slash, which some operations have.
            if plain.is_empty() && index < count {
                return Err(TargetError::EmptySegment);
            }
            self.write_segment(start);
        }
        Ok(())
    }

    /// Reads a path as S3 does, from behind its first slash.
    fn read_key(&mut self, path: &str) -> Result<(), TargetError> {
        let key = decode_parameter(path)?;
        for segment in key.split('/') {
            let start = self.decoded.len();
            self.decoded.push_str(segment);
            self.write_segment(start);
        }
        Ok(())
    }

    /// Encodes what was decoded from `start` on.
    fn write_segment(&mut self, start: usize) {
        self.path.push('/');
        let plain = &self.decoded[start..];
        let _ = write!(self.path, "{}", utf8_percent_encode(plain, &ENCODED));
        self.segments.push(start..self.decoded.len());
    }

    fn write_query(&mut self) {
        // Of a repeated parameter, some read the first. It has to be the same one for all.
        self.parameters
            .sort_by_cached_key(|(name, value)| (encode(name), encode(value)));
        self.query.clear();
        for (name, value) in &self.parameters {
            if !self.query.is_empty() {
                self.query.push('&');
            }
            let [name, value] = [name, value].map(|text| utf8_percent_encode(text, &ENCODED));
            let _ = write!(self.query, "{name}={value}");
        }
    }

    /// How the path was read.
    #[must_use]
    pub const fn style(&self) -> PathStyle {
        self.style
    }

    /// The path as it is sent, from its first slash.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query as it is sent and signed, without `?`; empty where there is none.
    #[must_use]
    pub fn query(&self) -> &str {
        &self.query
    }

    /// The decoded segments. `/` has one, which is empty; so is the last one of `/a/`.
    #[must_use]
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator + Clone {
        self.segments
            .iter()
            .map(|range| &self.decoded[range.clone()])
    }

    /// The decoded parameters of the query, in the order in which they are sent.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The decoded values of a parameter; several where it is repeated.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.parameters()
            .filter(move |(other, _)| *other == name)
            .map(|(_, value)| value)
    }

    /// Takes the parameters out whose decoded names `unwanted` says.
    pub fn remove(&mut self, mut unwanted: impl FnMut(&str) -> bool) {
        let before = self.parameters.len();
        self.parameters.retain(|(name, _)| !unwanted(name));
        if self.parameters.len() != before {
            self.write_query();
        }
    }
}

impl fmt::Display for RequestTarget {
    /// `PATH` or `PATH?QUERY`, as it is sent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if self.query.is_empty() {
            return Ok(());
        }
        write!(f, "?{}", self.query)
    }
}

impl fmt::Debug for RequestTarget {
    /// Without the query's values: a presigned URL's are as good as a credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.parameters().map(|(name, _)| name).collect();
        f.debug_struct("RequestTarget")
            .field("style", &self.style)
            .field("path", &self.path)
            .field("parameters", &names)
            .finish_non_exhaustive()
    }
}

fn check_characters(raw: &str) -> Result<(), TargetError> {
    let bytes = raw.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'%' => {
                let digits = bytes.get(at + 1..at + 3);
                if !digits.is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit)) {
                    return Err(TargetError::Escape { at });
                }
            }
            b'#' => return Err(TargetError::Character { at }),
            0x21..=0x7e => {}
            _ => return Err(TargetError::Character { at }),
        }
    }
    Ok(())
}

fn decode_parameter(text: &str) -> Result<String, TargetError> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| TargetError::NotUtf8)
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, &ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn s3(raw: &str) -> String {
        RequestTarget::parse(raw, PathStyle::S3)
            .unwrap()
            .to_string()
    }

    #[test]
    fn s3_keys_keep_their_characters() {
        for (raw, sent) in [
            ("/", "/"),
            ("/b/a%20b", "/b/a%20b"),
            ("/b/a+b", "/b/a%20b"),
            ("/b/a%2Bb", "/b/a%2Bb"),
            ("/b/%c3%a9", "/b/%C3%A9"),
            ("/b/a//b", "/b/a//b"),
            ("/b//a", "/b//a"),
            ("/b/a/../c", "/b/a/../c"),
            ("/b/%2e%2e/c", "/b/../c"),
            ("/b/a%2Fb", "/b/a/b"),
            ("/b%2f%2Fa", "/b//a"),
            ("/b/a%252Fb", "/b/a%252Fb"),
            ("/b/@=:~$", "/b/%40%3D%3A~%24"),
        ] {
            assert_eq!(s3(raw), sent, "{raw}");
        }
    }

    /// Whoever reads the first of several reads the same one as S3, which reads what is sent.
    #[test]
    fn repeated_parameters_have_one_order() {
        let target = RequestTarget::parse("/k?v=b&v=a&a=%20&a=%00", PathStyle::S3).unwrap();
        assert_eq!(target.query(), "a=%00&a=%20&v=a&v=b");
        assert_eq!(target.values("v").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(target.values("a").collect::<Vec<_>>(), ["\0", " "]);
    }

    #[test]
    fn queries_are_sorted_and_encoded_once() {
        for (raw, sent) in [
            ("/b?acl", "/b?acl="),
            ("/b?acl=", "/b?acl="),
            ("/b?b=2&a=1&a=0", "/b?a=0&a=1&b=2"),
            ("/b?prefix=a+b%2fc&&x", "/b?prefix=a%20b%2Fc&x="),
            ("/b?", "/b"),
            ("/b?a=b?c=d", "/b?a=b%3Fc%3Dd"),
        ] {
            assert_eq!(s3(raw), sent, "{raw}");
        }
    }

    #[test]
    fn other_services_have_no_segments_to_walk() {
        use TargetError::{DotSegment, EmptySegment};
        for (raw, error) in [
            ("/a/../b", DotSegment),
            ("/a/%2E%2e/b", DotSegment),
            ("/.", DotSegment),
            ("/a/x%2F..%2Fy", DotSegment),
            ("/a/x%5C..", DotSegment),
            ("//a", EmptySegment),
            ("/a//b", EmptySegment),
            ("/a//", EmptySegment),
        ] {
            assert_eq!(
                RequestTarget::parse(raw, PathStyle::Plain),
                Err(error),
                "{raw}"
            );
        }
        for (raw, sent) in [
            ("/2015-03-31/functions/", "/2015-03-31/functions/"),
            (
                "/model/anthropic.claude-v2:1/invoke",
                "/model/anthropic.claude-v2%3A1/invoke",
            ),
            (
                "/functions/arn%3Aaws%3Alambda/x...y",
                "/functions/arn%3Aaws%3Alambda/x...y",
            ),
        ] {
            let target = RequestTarget::parse(raw, PathStyle::Plain).unwrap();
            assert_eq!(target.to_string(), sent);
        }
    }

    #[test]
    fn what_no_uri_holds_is_refused() {
        use TargetError::{Character, Escape, NotUtf8, Relative};
        for (raw, error) in [
            ("", Relative),
            ("a", Relative),
            ("/a b", Character { at: 2 }),
            ("/é", Character { at: 1 }),
            ("/a#b", Character { at: 2 }),
            ("/a%2", Escape { at: 2 }),
            ("/a?b=%zz", Escape { at: 5 }),
            ("/%ff", NotUtf8),
            ("/a?b=%ff", NotUtf8),
        ] {
            assert_eq!(
                RequestTarget::parse(raw, PathStyle::S3),
                Err(error),
                "{raw}"
            );
        }
    }

    #[test]
    fn parameters_go_from_the_query_too() {
        let mut target =
            RequestTarget::parse("/k?X-Amz-Signature=s&b=1&a=2", PathStyle::S3).unwrap();
        assert!(!format!("{target:?}").contains("=s"));
        target.remove(|name| name.starts_with("X-Amz-"));
        assert_eq!(target.to_string(), "/k?a=2&b=1");
        assert_eq!(target.values("b").collect::<Vec<_>>(), ["1"]);
        assert_eq!(target.segments().collect::<Vec<_>>(), ["k"]);
    }

    proptest! {
        /// Reading what was written changes nothing, and nobody sees other segments than were signed.
        #[test]
        fn what_is_sent_is_what_was_judged(raw in "/[ -~]{0,60}") {
            for style in [PathStyle::Plain, PathStyle::S3] {
                let Ok(target) = RequestTarget::parse(&raw, style) else { continue };
                let again = RequestTarget::parse(&target.to_string(), style).unwrap();
                prop_assert_eq!(again.path(), target.path());
                prop_assert_eq!(again.query(), target.query());
                prop_assert!(again.segments().eq(target.segments()));
                prop_assert!(again.parameters().eq(target.parameters()));
            }
        }
    }
}
