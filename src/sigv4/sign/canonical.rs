//! The canonical request and the string to sign, of a request that goes out.

use std::ops::Range;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Signable, sha256};
use crate::{domain::PathStyle, sigv4::SignatureVersion};

/// In what services differ.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// Whether the path is encoded once more.
    pub(super) encode_again: bool,
    /// Whether `X-Amz-Content-Sha256` is sent.
    pub(super) with_payload: bool,
    /// Which headers are signed, `Host` apart.
    pub(super) signs: fn(&HeaderName) -> bool,
}

impl Form {
    pub(super) fn of(style: PathStyle) -> Self {
        Self {
            encode_again: style == PathStyle::Plain,
            with_payload: true,
            signs: is_signed,
        }
    }
}

fn is_signed(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-amz-") || matches!(name, "content-type" | "content-md5" | "range")
}

/// A canonical request, and then the string to sign in its place.
pub(super) struct Canonical {
    text: Vec<u8>,
    signed: Range<usize>,
    to_sign: usize,
}

impl Canonical {
    pub(super) fn write(
        request: &Signable<'_>,
        headers: &HeaderMap,
        payload: &HeaderValue,
        form: Form,
    ) -> Self {
        let mut names = Vec::with_capacity(16);
        names.push("host");
        names.extend(
            headers
                .keys()
                .filter(|name| *name != http::header::HOST && (form.signs)(name))
                .map(HeaderName::as_str),
        );
        names.sort_unstable();

        // The longest thing in it is the session token, of some 1,000 bytes.
        let mut text = Vec::with_capacity(2048);
        text.extend_from_slice(request.method.as_str().as_bytes());
        text.push(b'\n');
        write_path(&mut text, request.target.path(), form.encode_again);
        text.push(b'\n');
        text.extend_from_slice(request.target.query().as_bytes());
        text.push(b'\n');
        for name in &names {
            text.extend_from_slice(name.as_bytes());
            text.push(b':');
            if *name == "host" {
                text.extend_from_slice(request.host.as_bytes());
            } else {
                write_values(&mut text, headers, name);
            }
            text.push(b'\n');
        }
        text.push(b'\n');
        let begin = text.len();
        for (index, name) in names.iter().enumerate() {
            if index > 0 {
                text.push(b';');
            }
            text.extend_from_slice(name.as_bytes());
        }
        let signed = begin..text.len();
        text.push(b'\n');
        text.extend_from_slice(payload.as_bytes());
        let to_sign = text.len();
        Self {
            text,
            signed,
            to_sign,
        }
    }

    pub(super) fn write_string_to_sign(
        &mut self,
        version: SignatureVersion,
        stamp: &[u8],
        scope: &[u8],
    ) {
        let hash = sha256(&self.text[..self.to_sign]);
        let mut digits = [0; 64];
        // 32 bytes are 64 digits.
        let _ = hex::encode_to_slice(hash, &mut digits);
        for part in [
            version.algorithm().as_bytes(),
            b"\n",
            stamp,
            b"\n",
            scope,
            b"\n",
            &digits,
        ] {
            self.text.extend_from_slice(part);
        }
    }

    #[cfg(test)]
    pub(super) fn request(&self) -> &[u8] {
        &self.text[..self.to_sign]
    }

    pub(super) fn string_to_sign(&self) -> &[u8] {
        &self.text[self.to_sign..]
    }

    /// The names of the signed headers, as the `Authorization` header lists them.
    pub(super) fn signed_headers(&self) -> &[u8] {
        &self.text[self.signed.clone()]
    }
}

/// A [`RequestTarget`](crate::domain::RequestTarget)'s path holds unreserved characters, slashes and
/// escapes. To encode it once more is to encode its percent signs.
fn write_path(out: &mut Vec<u8>, path: &str, encode_again: bool) {
    if !encode_again {
        out.extend_from_slice(path.as_bytes());
        return;
    }
    for (index, part) in path.as_bytes().split(|byte| *byte == b'%').enumerate() {
        if index > 0 {
            out.extend_from_slice(b"%25");
        }
        out.extend_from_slice(part);
    }
}

/// All values of a header with commas between them, each without spaces around it and with one in place
/// of several inside of it. Amazon S3 leaves other blanks as they are, as `aws-sigv4` notes.
fn write_values(out: &mut Vec<u8>, headers: &HeaderMap, name: &str) {
    for (index, value) in headers.get_all(name).iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let value = value.as_bytes();
        if memchr::memchr(b' ', value).is_none() {
            out.extend_from_slice(value);
            continue;
        }
        let words = value
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty());
        for (index, word) in words.enumerate() {
            if index > 0 {
                out.push(b' ');
            }
            out.extend_from_slice(word);
        }
    }
}
