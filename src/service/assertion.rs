//! What a client assertion must say (RFC 7523 §3, and the tighter rules of this server).

use serde_json::{Map, Value};

use crate::domain::{EnvironmentId, Issuer, Timestamp};

/// The `typ` of a client assertion.
pub(super) const ASSERTION_TYPE: &str = "client-authentication+jwt";

/// The longest life of an assertion.
const MAX_LIFE_SECS: i64 = 120;

/// How far a client's clock may be off.
const LEEWAY_SECS: i64 = 60;

/// The parts of a valid assertion that the mint needs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Assertion {
    pub(super) jti: String,
    /// When the client says it made it; at most a minute ahead of our clock.
    pub(super) issued_at: Timestamp,
    /// Until when the `jti` could be replayed.
    pub(super) replayable_until: Timestamp,
}

/// Checks the claims of an assertion whose signature holds. The answer is for somebody who proved
/// the key and may know what is wrong.
pub(super) fn check(
    claims: &Map<String, Value>,
    client: EnvironmentId,
    issuer: &Issuer,
    now: Timestamp,
) -> Result<Assertion, String> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let client = client.to_string();
    for name in ["iss", "sub"] {
        if text(name) != Some(&client) {
            return Err(format!(
                "client_assertion: {name} must be the client id, {client}"
            ));
        }
    }
    if text("aud") != Some(issuer.as_str()) {
        return Err(format!(
            "client_assertion: aud must be the issuer as one string, {issuer:?}"
        ));
    }
    let exp = seconds(claims, "exp")?;
    let iat = seconds(claims, "iat")?;
    let now = now.secs();
    if exp.saturating_sub(iat) > MAX_LIFE_SECS {
        return Err(format!(
            "client_assertion: exp is {} s after iat, at most {MAX_LIFE_SECS} s are allowed",
            exp.saturating_sub(iat)
        ));
    }
    if exp <= iat {
        return Err("client_assertion: exp is not after iat".to_owned());
    }
    if now >= exp.saturating_add(LEEWAY_SECS) {
        return Err(format!(
            "client_assertion: exp passed {} s ago; compare the client's clock with the server's",
            now.saturating_sub(exp)
        ));
    }
    if iat > now.saturating_add(LEEWAY_SECS) {
        return Err(format!(
            "client_assertion: iat lies {} s in the future; compare the client's clock with the server's",
            iat.saturating_sub(now)
        ));
    }
    if claims.contains_key("nbf") && seconds(claims, "nbf")? > now.saturating_add(LEEWAY_SECS) {
        return Err("client_assertion: nbf lies in the future".to_owned());
    }
    let jti = text("jti").filter(|jti| (8..=255).contains(&jti.len()));
    Ok(Assertion {
        jti: jti
            .ok_or("client_assertion: jti must be a string of 8 to 255 bytes, used once")?
            .to_owned(),
        issued_at: Timestamp::from_secs(iat),
        replayable_until: Timestamp::from_secs(exp.saturating_add(LEEWAY_SECS)),
    })
}

/// A time as whole seconds. Strings, fractions and numbers beyond 64 bits are not times.
fn seconds(claims: &Map<String, Value>, name: &str) -> Result<i64, String> {
    claims
        .get(name)
        .and_then(Value::as_i64)
        .filter(|seconds| (0..=253_402_300_799).contains(seconds))
        .ok_or_else(|| {
            format!("client_assertion: {name} must be a whole number of seconds since the epoch")
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_740_514_245;
    const CLIENT: &str = "019527e4-75d5-704d-a5a4-a2b52cf56196";

    fn run(change: impl FnOnce(&mut Map<String, Value>)) -> Result<Assertion, String> {
        let claims = json!({
            "iss": CLIENT, "sub": CLIENT, "aud": "https://idp.example.com",
            "iat": NOW, "exp": NOW + 60, "jti": "0123456789"
        });
        let Value::Object(mut claims) = claims else {
            unreachable!("written as an object above")
        };
        change(&mut claims);
        check(
            &claims,
            CLIENT.parse().unwrap(),
            &"https://idp.example.com".parse().unwrap(),
            Timestamp::from_secs(NOW),
        )
    }

    fn set(name: &str, value: Value) -> Result<Assertion, String> {
        run(|claims| {
            claims.insert(name.to_owned(), value);
        })
    }

    #[test]
    fn a_good_one_is_remembered_until_it_cannot_be_replayed() {
        assert_eq!(
            run(|_| ()).unwrap(),
            Assertion {
                jti: "0123456789".to_owned(),
                issued_at: Timestamp::from_secs(NOW),
                replayable_until: Timestamp::from_secs(NOW + 120)
            }
        );
    }

    #[test]
    fn leeway_is_sixty_seconds_both_ways() {
        let at = |iat: i64, exp: i64| {
            run(|claims| {
                claims.insert("iat".to_owned(), iat.into());
                claims.insert("exp".to_owned(), exp.into());
            })
        };
        assert!(at(NOW - 119, NOW - 59).is_ok());
        assert!(at(NOW - 120, NOW - 60).unwrap_err().contains("60 s ago"));
        assert!(at(NOW + 60, NOW + 180).is_ok());
        assert!(
            at(NOW + 61, NOW + 121)
                .unwrap_err()
                .contains("61 s in the future")
        );
        assert!(at(NOW, NOW + 121).unwrap_err().contains("at most 120 s"));
        assert!(at(NOW, NOW).unwrap_err().contains("not after iat"));
    }

    #[test]
    fn every_claim_is_checked_and_named() {
        for (name, value) in [
            ("iss", json!("019527e4-75d5-704d-a5a4-a2b52cf56197")),
            ("sub", json!(null)),
            ("aud", json!(["https://idp.example.com"])),
            ("aud", json!("https://idp.example.com/oauth2/token/")),
            ("exp", json!("1740514305")),
            ("exp", json!(1_740_514_305.5)),
            ("exp", json!(9_223_372_036_854_775_808_u64)),
            ("exp", json!(-1)),
            ("iat", json!(null)),
            ("nbf", json!(NOW + 61)),
            ("nbf", json!("x")),
            ("jti", json!("short")),
            ("jti", json!("x".repeat(256))),
            ("jti", json!(1)),
        ] {
            let error = set(name, value.clone()).unwrap_err();
            assert!(error.contains(name), "{name} {value}: {error}");
        }
        for name in ["iss", "sub", "aud", "exp", "iat", "jti"] {
            let error = run(|claims| {
                claims.remove(name);
            })
            .unwrap_err();
            assert!(error.contains(name), "{error}");
        }
    }
}
