//! Which key a request shows: the proxy's, none, or one that is somebody else's.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, Uri,
    header::{AUTHORIZATION, PROXY_AUTHORIZATION},
};
use zeroize::Zeroizing;

use super::ProxyKey;

/// What a request shows of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// The proxy's key.
    Key,
    /// No key.
    Nothing,
    /// A key that is not the proxy's: the request would act as somebody else, or its sender means
    /// another proxy.
    Foreign(Foreign),
}

/// A key that is not the proxy's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    /// In `Proxy-Authorization`.
    Proxy,
    /// The access key id of a signature; as text where it has the form of AWS's, which are no secrets.
    AccessKey(Option<String>),
    /// A bearer token or another scheme in `Authorization`.
    Authorization,
    /// `Authorization` or `Proxy-Authorization` several times.
    Repeated,
}

impl Foreign {
    /// Why it is refused, and what to do.
    pub(super) fn reason(&self) -> String {
        const CURE: &str = "unset AWS credentials, profiles and tokens and use what `idp proxy env` \
             prints, or run the program with `idp proxy exec`";
        match self {
            Self::Proxy => {
                "the key in Proxy-Authorization is not this proxy's; take the address from \
                 `idp proxy env` once more, a proxy that was started anew by `idp proxy exec` has \
                 another key"
                    .to_owned()
            }
            Self::AccessKey(Some(id)) => format!(
                "the request is signed with the access key {id}, which is not this proxy's key, and \
                 the proxy signs for nobody else; {CURE}"
            ),
            Self::AccessKey(None) => format!(
                "the request is signed with an access key that is not this proxy's key, and the proxy \
                 signs for nobody else; {CURE}"
            ),
            Self::Authorization => format!(
                "the request has an Authorization that is neither this proxy's key nor a signature \
                 made with it (AWS_BEARER_TOKEN_… makes such); {CURE}"
            ),
            Self::Repeated => {
                "the request has several Authorization or Proxy-Authorization headers; \
                 send one"
                    .to_owned()
            }
        }
    }
}

/// Looks at every place where a key can be. One foreign key outweighs the proxy's own.
pub(super) fn shown(key: &ProxyKey, headers: &HeaderMap, uri: &Uri) -> Shown {
    let mut all = [
        in_header(key, headers, PROXY_AUTHORIZATION.as_str(), true),
        in_header(key, headers, AUTHORIZATION.as_str(), false),
        in_query(key, uri.query().unwrap_or_default()),
    ];
    let worst = all
        .iter()
        .position(|one| matches!(one, Shown::Foreign(_)))
        .or_else(|| all.iter().position(|one| *one == Shown::Key));
    worst.map_or(Shown::Nothing, |at| {
        std::mem::replace(&mut all[at], Shown::Nothing)
    })
}

/// Takes the proxy's key out where it is not part of a signature.
pub(super) fn remove(key: &ProxyKey, headers: &mut HeaderMap) {
    headers.remove(PROXY_AUTHORIZATION);
    let plain = headers.get(AUTHORIZATION).is_some_and(|value| {
        credentials(value.as_bytes()).is_some_and(|shown| key.matches(&shown))
    });
    if plain {
        headers.remove(AUTHORIZATION);
    }
}

fn in_header(key: &ProxyKey, headers: &HeaderMap, name: &str, proxy: bool) -> Shown {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Shown::Nothing;
    };
    if values.next().is_some() {
        return Shown::Foreign(Foreign::Repeated);
    }
    let value = value.as_bytes();
    if let Some(shown) = credentials(value) {
        return judge(
            key.matches(&shown),
            if proxy {
                Foreign::Proxy
            } else {
                Foreign::Authorization
            },
        );
    }
    if proxy {
        return Shown::Foreign(Foreign::Proxy);
    }
    match access_key(value) {
        Some(id) => judge(key.matches(id), foreign_id(id)),
        None => Shown::Foreign(Foreign::Authorization),
    }
}

fn judge(matches: bool, foreign: Foreign) -> Shown {
    if matches {
        Shown::Key
    } else {
        Shown::Foreign(foreign)
    }
}

/// The password of `Basic` (RFC 7617), the token of `Bearer` (RFC 6750).
fn credentials(value: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let at = value.iter().position(|b| *b == b' ')?;
    let (scheme, rest) = (&value[..at], value[at..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(Zeroizing::new(rest.to_vec()));
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    // What cannot be read is the password of nobody.
    let decoded = Zeroizing::new(STANDARD.decode(rest).unwrap_or_default());
    let password = decoded.iter().position(|b| *b == b':').map(|at| at + 1);
    Some(Zeroizing::new(
        decoded[password.unwrap_or(decoded.len())..].to_vec(),
    ))
}

/// The access key id of a signature in a header: `AWS4-… Credential=ID/…`, or Signature Version 2's
/// `AWS ID:…`.
fn access_key(value: &[u8]) -> Option<&[u8]> {
    if value.starts_with(b"AWS4-") {
        let text = value.windows(11).position(|at| at == b"Credential=")?;
        let id = &value[text + 11..];
        let end = id.iter().position(|b| matches!(b, b'/' | b',' | b' '));
        return Some(&id[..end.unwrap_or(id.len())]);
    }
    let id = value.strip_prefix(b"AWS ")?;
    let end = id.iter().position(|b| *b == b':')?;
    Some(&id[..end])
}

/// The access key id of a presigned URL, of either version of signatures.
fn in_query(key: &ProxyKey, query: &str) -> Shown {
    let mut found = Shown::Nothing;
    if query.is_empty() {
        return found;
    }
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let id = if name.eq_ignore_ascii_case("X-Amz-Credential") {
            value.split('/').next().unwrap_or_default()
        } else if name.eq_ignore_ascii_case("AWSAccessKeyId") {
            &value
        } else {
            continue;
        };
        match judge(key.matches(id.as_bytes()), foreign_id(id.as_bytes())) {
            Shown::Foreign(foreign) => return Shown::Foreign(foreign),
            other => found = other,
        }
    }
    found
}

/// Access key ids of AWS are no secrets; what stands in their place by mistake may be one.
fn foreign_id(id: &[u8]) -> Foreign {
    let shown = std::str::from_utf8(id).ok().filter(|id| {
        (16..=32).contains(&id.len())
            && (id.starts_with("AKIA") || id.starts_with("ASIA"))
            && id
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    });
    Foreign::AccessKey(shown.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::domain::SystemRandom;

    fn look(key: &ProxyKey, headers: &[(&'static str, String)], uri: &str) -> Shown {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        shown(key, &map, &uri.parse().unwrap())
    }

    fn basic(password: &str) -> String {
        format!("Basic {}", STANDARD.encode(format!("idp:{password}")))
    }

    #[test]
    fn the_key_is_found_wherever_it_may_be() {
        let key = ProxyKey::generate(&SystemRandom);
        let text = key.expose();
        let scope = format!("{text}/20261122/us-east-1/s3/aws4_request");
        for (headers, uri) in [
            (vec![("proxy-authorization", basic(text))], "/".to_owned()),
            (
                vec![("proxy-authorization", format!("bearer {text}"))],
                "/".to_owned(),
            ),
            (vec![("authorization", basic(text))], "/".to_owned()),
            (
                vec![(
                    "authorization",
                    format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"),
                )],
                "/".to_owned(),
            ),
            (
                vec![(
                    "authorization",
                    format!(
                        "AWS4-ECDSA-P256-SHA256 SignedHeaders=host,Credential={text}/20261122/s3/aws4_request,Signature=0"
                    ),
                )],
                "/".to_owned(),
            ),
            (
                vec![("authorization", format!("AWS {text}:sig"))],
                "/".to_owned(),
            ),
            (
                vec![],
                format!("/?X-Amz-Credential={}", scope.replace('/', "%2F")),
            ),
            (vec![], format!("/?AWSAccessKeyId={text}&Signature=x")),
        ] {
            assert_eq!(look(&key, &headers, &uri), Shown::Key, "{uri}");
        }
        assert_eq!(look(&key, &[], "/?list-type=2"), Shown::Nothing);
    }

    #[test]
    fn a_foreign_key_outweighs_the_own_one() {
        let key = ProxyKey::generate(&SystemRandom);
        let own = ("proxy-authorization", basic(key.expose()));
        let id = "AKIAIOSFODNN7EXAMPLE";
        let signed =
            |id: &str| format!("AWS4-HMAC-SHA256 Credential={id}/20261122/a/b/aws4_request");
        let known = Foreign::AccessKey(Some(id.to_owned()));
        let unknown = Foreign::AccessKey(None);
        for (headers, uri, foreign) in [
            (
                vec![own.clone(), ("authorization", signed(id))],
                "/".to_owned(),
                known.clone(),
            ),
            (
                vec![own.clone(), ("authorization", signed("hunter2"))],
                "/".to_owned(),
                unknown.clone(),
            ),
            (
                vec![own.clone(), ("authorization", format!("AWS {id}:x"))],
                "/".to_owned(),
                known.clone(),
            ),
            (
                vec![own.clone()],
                format!("/?X-Amz-Credential={id}%2Fx"),
                known.clone(),
            ),
            (
                vec![own.clone()],
                format!("/?x-amz-credential={id}/x"),
                known,
            ),
            (
                vec![own.clone(), ("authorization", "Bearer x".to_owned())],
                "/".to_owned(),
                Foreign::Authorization,
            ),
            (
                vec![own.clone(), ("authorization", "Negotiate x".to_owned())],
                "/".to_owned(),
                Foreign::Authorization,
            ),
            (
                vec![own.clone(), own.clone()],
                "/".to_owned(),
                Foreign::Repeated,
            ),
            (
                vec![("proxy-authorization", basic("x"))],
                "/".to_owned(),
                Foreign::Proxy,
            ),
            (
                vec![("proxy-authorization", "Basic !".to_owned())],
                "/".to_owned(),
                Foreign::Proxy,
            ),
            (
                vec![("proxy-authorization", "Digest x".to_owned())],
                "/".to_owned(),
                Foreign::Proxy,
            ),
        ] {
            assert_eq!(
                look(&key, &headers, &uri),
                Shown::Foreign(foreign.clone()),
                "{headers:?} {uri}"
            );
            let reason = foreign.reason();
            assert!(
                !reason.contains("hunter2") && !reason.contains(key.expose()),
                "{reason}"
            );
        }
    }

    #[test]
    fn the_key_goes_and_a_signature_stays() {
        let key = ProxyKey::generate(&SystemRandom);
        let mut headers = HeaderMap::new();
        headers.insert(PROXY_AUTHORIZATION, basic(key.expose()).parse().unwrap());
        headers.insert(AUTHORIZATION, basic(key.expose()).parse().unwrap());
        remove(&key, &mut headers);
        assert!(headers.is_empty());
        let signature = format!("AWS4-HMAC-SHA256 Credential={}/x", key.expose());
        headers.insert(AUTHORIZATION, signature.parse().unwrap());
        remove(&key, &mut headers);
        assert_eq!(headers.len(), 1);
    }
}
