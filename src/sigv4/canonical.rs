//! The canonical request: what both sides hash.

use std::fmt::Write as _;

use aws_lc_rs::digest;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use super::{Authorization, SignatureError};

/// A request as it came over the wire.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// The method.
    pub method: &'a str,
    /// The path as the client sent it, percent-encoding and all.
    pub path: &'a str,
    /// The query as the client sent it, without `?`.
    pub query: Option<&'a str>,
    /// The headers: names in any case, several of one name allowed.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

/// Everything but RFC 3986's unreserved characters.
const ENCODED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl SignedRequest<'_> {
    /// A header's value, where the request has exactly one of that name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.all(name);
        found.next().filter(|_| found.next().is_none())
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers
            .iter()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    /// The names of all headers.
    pub(super) fn header_names(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(|(name, _)| *name)
    }

    /// The canonical request's SHA-256, in hex.
    pub(super) fn canonical_hash(&self, signed: &Authorization) -> Result<String, SignatureError> {
        let mut text = String::with_capacity(512);
        text.push_str(self.method);
        text.push('\n');
        text.push_str(&canonical_path(self.path));
        text.push('\n');
        text.push_str(&canonical_query(self.query.unwrap_or_default()));
        text.push('\n');
        for name in &signed.signed_headers {
            let mut values = self.all(name).peekable();
            if values.peek().is_none() {
                return Err(SignatureError::SignatureDoesNotMatch);
            }
            text.push_str(name);
            for (index, value) in values.enumerate() {
                text.push(if index == 0 { ':' } else { ',' });
                for (index, word) in value
                    .split([' ', '\t'])
                    .filter(|word| !word.is_empty())
                    .enumerate()
                {
                    text.push_str(if index == 0 { "" } else { " " });
                    text.push_str(word);
                }
            }
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&signed.signed_headers.join(";"));
        text.push('\n');
        text.push_str(&sha256_hex(self.body));
        Ok(sha256_hex(text.as_bytes()))
    }
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

/// Dot segments and empty segments removed (RFC 3986 §5.2.4), then encoded a second time, as every
/// service but S3 has it.
fn canonical_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            other => segments.push(other),
        }
    }
    let mut text = String::with_capacity(path.len() + 1);
    for segment in &segments {
        let _ = write!(text, "/{}", percent_encode(segment.as_bytes(), &ENCODED));
    }
    if text.is_empty() || path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..") {
        text.push('/');
    }
    text
}

/// Names and values decoded, encoded in the one canonical way and sorted.
fn canonical_query(query: &str) -> String {
    let recode = |text: &str| {
        let plain: Vec<u8> = percent_decode_str(&text.replace('+', " ")).collect();
        percent_encode(&plain, &ENCODED).to_string()
    };
    let mut pairs: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (recode(name), recode(value))
        })
        .collect();
    pairs.sort_unstable();
    let mut text = String::with_capacity(query.len());
    for (name, value) in pairs {
        let separator = if text.is_empty() { "" } else { "&" };
        let _ = write!(text, "{separator}{name}={value}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised_and_encoded_twice() {
        for (path, canonical) in [
            ("", "/"),
            ("/", "/"),
            ("/sts", "/sts"),
            ("/sts/", "/sts/"),
            ("//sts//a", "/sts/a"),
            ("/a/./b/../c", "/a/c"),
            ("/a/..", "/"),
            ("/a%20b", "/a%2520b"),
            ("/a~b-c_d.e", "/a~b-c_d.e"),
        ] {
            assert_eq!(canonical_path(path), canonical, "{path}");
        }
    }

    #[test]
    fn queries_are_sorted_and_encoded_once() {
        for (query, canonical) in [
            ("", ""),
            ("b=2&a=1", "a=1&b=2"),
            ("a=2&a=1", "a=1&a=2"),
            ("a", "a="),
            ("a=b=c", "a=b%3Dc"),
            ("a=x%2fy&&b=%7E+z", "a=x%2Fy&b=~%20z"),
        ] {
            assert_eq!(canonical_query(query), canonical, "{query}");
        }
    }
}
