//! Patterns of hosts and of paths.

use std::{fmt::Write as _, net::IpAddr};

use super::reader::{Findings, Text, shown};
use crate::policy::{Severity, glob::Glob, rules::in_aws};

/// Patterns of hosts that a rule is about.
pub(super) fn of_rule(texts: Vec<Text>, findings: &mut Findings<'_>) -> Vec<Glob> {
    texts
        .into_iter()
        .filter_map(|text| pattern("hosts", &text, findings))
        .collect()
}

/// Patterns of hosts at which customers of AWS answer.
pub(super) fn of_customers(texts: Vec<Text>, findings: &mut Findings<'_>) -> Vec<Glob> {
    let mut globs = Vec::new();
    for text in texts {
        let Some(glob) = pattern("customer_hosts", &text, findings) else {
            continue;
        };
        let literal_end = glob.as_str().rsplit(['*', '?']).next().unwrap_or_default();
        if !in_aws(literal_end.trim_start_matches('.')) || !has_dot_before(&glob) {
            findings.error(
                text.at,
                format!(
                    "customer_hosts has {}, which is in no domain of AWS",
                    shown(&text.text)
                ),
                "name hosts such as abc123.execute-api.eu-west-1.amazonaws.com; hosts of others go \
                 into tunnel_hosts, where nothing is signed",
            );
            continue;
        }
        if !glob.is_literal() {
            findings.add(
                Severity::Warning,
                text.at,
                format!(
                    "customer_hosts has {}: anybody can make such a host, and would receive signed \
                     requests",
                    shown(&text.text)
                ),
                "name the hosts one by one",
            );
        }
        globs.push(glob);
    }
    globs
}

/// A wildcard ends at a dot, so that `*amazonaws.com` does not fit a stranger's host.
fn has_dot_before(glob: &Glob) -> bool {
    let tail = glob.as_str().rsplit(['*', '?']).next().unwrap_or_default();
    glob.is_literal() || tail.starts_with('.')
}

/// Patterns of hosts to which connections pass through.
pub(super) fn of_tunnels(texts: Vec<Text>, findings: &mut Findings<'_>) -> Vec<Glob> {
    let mut globs = Vec::new();
    for text in texts {
        let Some(glob) = pattern("tunnel_hosts", &text, findings) else {
            continue;
        };
        let plain = glob.as_str().strip_prefix("*.").unwrap_or(glob.as_str());
        let problem = if plain.contains(['*', '?']) || !plain.contains('.') && plain != "localhost"
        {
            Some(("is wider than a domain", "write a host, or *.DOMAIN"))
        } else if in_aws(plain) {
            Some((
                "is in a domain of AWS, whose requests are signed or refused",
                "take it out; rules say what is allowed there",
            ))
        } else if plain.parse::<IpAddr>().is_ok() {
            Some(("is an address", "write the host's name"))
        } else {
            None
        };
        match problem {
            None => globs.push(glob),
            Some((problem, cure)) => findings.error(
                text.at,
                format!("tunnel_hosts has {}, which {problem}", shown(&text.text)),
                cure,
            ),
        }
    }
    globs
}

fn pattern(field: &str, text: &Text, findings: &mut Findings<'_>) -> Option<Glob> {
    let lower = text.text.to_ascii_lowercase();
    let is_host = !lower.is_empty()
        && lower.len() <= 253
        && lower
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.*?".contains(&b));
    if is_host && !lower.ends_with('.') {
        return Some(Glob::new(&lower));
    }
    findings.error(
        text.at,
        format!("{field} has {}, which is no host", shown(&text.text)),
        "write a host name without scheme, port and path; * and ? are wildcards",
    );
    None
}

/// Patterns of paths, in the encoding in which paths are signed.
pub(super) fn paths(texts: Vec<Text>, findings: &mut Findings<'_>) -> Vec<Glob> {
    let mut globs = Vec::new();
    for text in texts {
        if !text.text.starts_with(['/', '*']) {
            findings.error(
                text.at,
                format!(
                    "paths has {}, which does not begin with \"/\"",
                    shown(&text.text)
                ),
                format!(
                    "write \"/{}\"",
                    text.text.chars().take(80).collect::<String>()
                ),
            );
            continue;
        }
        match signed_form(&text.text) {
            Some(signed) => globs.push(Glob::new(&signed)),
            None => findings.error(
                text.at,
                format!(
                    "paths has {}, in which a \"%\" is not followed by two hexadecimal digits",
                    shown(&text.text)
                ),
                "write %25 for a percent sign",
            ),
        }
    }
    globs
}

/// Every byte but slashes, wildcards and RFC 3986's unreserved ones as `%XX`, as
/// [`RequestTarget`](crate::domain::RequestTarget) has it.
fn signed_form(pattern: &str) -> Option<String> {
    let mut signed = String::with_capacity(pattern.len());
    let mut bytes = pattern.bytes();
    while let Some(byte) = bytes.next() {
        let (byte, escaped) = if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            if digits.starts_with('+') {
                return None;
            }
            (u8::from_str_radix(digits, 16).ok()?, true)
        } else {
            (byte, false)
        };
        let is_plain = byte.is_ascii_alphanumeric()
            || b"-._~".contains(&byte)
            || (!escaped && b"/*?".contains(&byte));
        if is_plain {
            signed.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(signed, "%{byte:02X}");
        }
    }
    Some(signed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{PathStyle, RequestTarget};

    #[test]
    fn paths_are_compared_as_they_are_signed() {
        for (written, signed) in [
            ("/functions/*", "/functions/*"),
            ("/model/a:1/invoke", "/model/a%3A1/invoke"),
            ("/a%3a1", "/a%3A1"),
            ("/a%2Fb", "/a%2Fb"),
            ("/a%2Ab", "/a%2Ab"),
            ("/%7Ex", "/~x"),
            ("/é", "/%C3%A9"),
        ] {
            assert_eq!(signed_form(written).as_deref(), Some(signed));
        }
        assert_eq!(signed_form("/a%2"), None);
        assert_eq!(signed_form("/a%+1"), None);
    }

    proptest! {
        #[test]
        fn a_path_without_wildcards_is_signed_like_a_request(path in "/[ -)+->@-~é]{0,20}") {
            let raw: String = path.chars().filter(|c| c.is_ascii_graphic() && *c != '#').collect();
            if let Ok(target) = RequestTarget::parse(&raw, PathStyle::Plain)
                && let Some(signed) = signed_form(&raw)
            {
                prop_assert_eq!(target.path(), signed);
            }
        }
    }
}
