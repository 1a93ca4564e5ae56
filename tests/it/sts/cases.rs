//! The record of AWS's answers, case by case.

use serde_json::{Map, Value, json};

use super::{
    keys::KEYS,
    world::{Reply, World},
};

/// Cases that do not pass yet, with the reason.
const NOT_YET: [(&str, &str); 0] = [];

#[tokio::test]
async fn answers_as_aws_did() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../../data/sts-oidc-cases.json")).unwrap();
    assert_eq!(cases.len(), 120);
    let mut world = World::new().await;
    let mut wrong = Vec::new();
    for case in &cases {
        let id = case["id"].as_str().unwrap();
        let skipped = NOT_YET.iter().any(|(other, _)| *other == id);
        let outcome = run(&mut world, id, case).await;
        match (outcome, skipped) {
            (Ok(()), false) | (Err(_), true) => {}
            (Ok(()), true) => wrong.push(format!("{id} passes: take it off the list")),
            (Err(why), false) => wrong.push(format!("{id}: {why}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What explain says of a token, its signature and the keys has to be what AWS said.
#[tokio::test]
async fn explain_is_of_one_opinion_with_aws() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../../data/sts-oidc-cases.json")).unwrap();
    let world = World::new().await;
    let (mut compared, mut wrong) = (0, Vec::new());
    for case in &cases {
        // A parameter of other providers' tokens, which explain does not ask for.
        if case["request"].get("ProviderId").is_some() {
            continue;
        }
        compared += 1;
        let id = case["id"].as_str().unwrap();
        let name = id.split_once('/').map_or(id, |(_, name)| name);
        *world.issued.jwks.lock().unwrap() = jwks(case["jwks"].as_str().unwrap(), name);
        let report = explained(&world, case, &token(&world, &case["jwt"], name), true).await;
        if report.allowed != (case["expect"]["ok"] == true) {
            wrong.push(format!("{id}: wanted {}\n{report}", case["expect"]));
        }
    }
    assert!(compared >= 115, "{compared}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Headers that are not in the record, and signatures that are not the key's.
#[tokio::test]
async fn explain_and_the_local_sts_agree_about_forged_tokens() {
    let mut world = World::new().await;
    let policy = world.baseline();
    world.trust(&policy);
    let case = json!({ "request": {} });
    let good = token(&world, &json!({}), "good");
    let (input, signature) = good.rsplit_once('.').unwrap();
    let payload = input.split_once('.').unwrap().1;
    let with = |header: &str| format!("{}.{payload}.{signature}", super::keys::b64(header));
    let damaged = if signature.starts_with('A') { "B" } else { "A" };
    for (token, online_only, code) in [
        (
            format!("{input}.{damaged}{}", &signature[1..]),
            true,
            "signature",
        ),
        (format!("{input}."), true, "signature"),
        (with(r#"{"alg":"ES256","kid":"k1"}"#), true, "signature"),
        (with(r#"{"alg":"none","kid":"k1"}"#), false, "algorithm"),
        (with(r#"{"alg":"HS256","kid":"k1"}"#), false, "algorithm"),
        (with(r#"{"alg":"EdDSA","kid":"k1"}"#), false, "algorithm"),
        (
            with(r#"{"alg":"RS256","kid":"k1","crit":["b64"]}"#),
            false,
            "not-a-jwt",
        ),
        (with(r#"{"alg":"RS256","kid":7}"#), false, "not-a-jwt"),
        (format!("{good}="), false, "not-a-jwt"),
    ] {
        let reply = world.assume(&token, &[]).await;
        assert_eq!(reply.refusal().0, "InvalidIdentityToken", "{token}");
        let report = explained(&world, &case, &token, true).await;
        assert!(!report.allowed, "{token}");
        assert_eq!(report.causes[0].code, code, "{token}: {report}");
        assert_eq!(report.sts_code.as_deref(), Some("InvalidIdentityToken"));
        let offline = explained(&world, &case, &token, false).await;
        assert_eq!(offline.allowed, online_only, "{token}: {offline}");
    }
    let report = explained(&world, &case, &good, true).await;
    assert!(report.allowed, "{report}");
}

async fn explained(
    world: &World,
    case: &Value,
    token: &str,
    online: bool,
) -> idp::client::explain::Report {
    use idp::client::explain::{Presented, Question, check_header, check_keys, explain};

    let policy = match &case["trust_policy"] {
        Value::Null => world.baseline(),
        policy => {
            serde_json::from_str(&policy.to_string().replace("ISSUER_HOST", &world.host)).unwrap()
        }
    };
    let document = idp::iam::Document::parse(&policy.to_string()).unwrap();
    let payload = token.split('.').nth(1).unwrap();
    let payload = idp::jose::base64url_decode(payload).unwrap();
    let mut token_causes = check_header(token);
    if online {
        let issuer = format!("http://{}", world.host).parse().unwrap();
        let presented = Presented::Token(token);
        let fetch = world.fetch();
        token_causes.extend(check_keys(&issuer, presented, &*fetch, &*world.clock).await);
    }
    explain(Question {
        document: &document,
        claims: &serde_json::from_slice(&payload).unwrap(),
        role: Some(super::world::ROLE.parse().unwrap()),
        session_name: Some(
            case["request"]["RoleSessionName"]
                .as_str()
                .unwrap_or("oidc-probe")
                .to_owned(),
        ),
        duration_seconds: None,
        source_ip: None,
        registered_audiences: Some(vec!["client-a".to_owned(), "client-b".to_owned()]),
        refusal: None,
        token_causes,
        not_checked: Vec::new(),
        now: idp::domain::Timestamp::from_secs(world.now()),
    })
}

async fn run(world: &mut World, id: &str, case: &Value) -> Result<(), String> {
    let name = id.split_once('/').map_or(id, |(_, name)| name);
    *world.issued.jwks.lock().unwrap() = jwks(case["jwks"].as_str().unwrap(), name);
    let policy = match &case["trust_policy"] {
        Value::Null => world.baseline(),
        policy => serde_json::from_str(&policy.to_string().replace("ISSUER_HOST", &world.host))
            .map_err(|error| error.to_string())?,
    };
    world.trust(&policy);
    let token = token(world, &case["jwt"], name);
    let params: Vec<_> = case["request"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), text(value)))
        .collect();
    let params: Vec<_> = params
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let reply = world.assume(&token, &params).await;
    let seconds = case["expect"]["session_seconds"].as_i64().unwrap_or(3600);
    if case["expect"]["ok"] == true {
        granted(world, &case["expect"], &reply, seconds)
    } else {
        refused(&case["expect"], &reply)
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn granted(world: &World, expect: &Value, reply: &Reply, seconds: i64) -> Result<(), String> {
    let provider = world.provider_arn();
    let expires = idp::domain::Timestamp::from_secs(world.now() + seconds).to_string();
    for (field, wanted) in [
        ("Audience", expect["audience"].as_str()),
        ("SubjectFromWebIdentityToken", expect["subject"].as_str()),
        ("SourceIdentity", expect["source_identity"].as_str()),
        ("Provider", Some(provider.as_str())),
        ("Expiration", Some(expires.as_str())),
    ] {
        if reply.get(field) != wanted {
            return Err(format!("{field}: wanted {wanted:?}; {}", reply.body));
        }
    }
    Ok(())
}

fn refused(expect: &Value, reply: &Reply) -> Result<(), String> {
    let (code, message) = reply.refusal();
    let wanted_status = match expect["code"].as_str() {
        Some("AccessDenied") => 403,
        Some("InternalFailure") => 500,
        _ => 400,
    };
    let fits = expect["code"] == code
        && fits(expect["message"].as_str().unwrap(), message)
        && reply.status == wanted_status;
    if fits {
        Ok(())
    } else {
        Err(format!("wanted {expect}; {} {}", reply.status, reply.body))
    }
}

/// Whether a message fits one in which `<time>` stands for epoch seconds.
fn fits(pattern: &str, message: &str) -> bool {
    let mut rest = message;
    for (index, part) in pattern.split("<time>").enumerate() {
        if index > 0 {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if digits != 10 {
                return false;
            }
            rest = &rest[digits..];
        }
        match rest.strip_prefix(part) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.is_empty()
}

/// The key sets that the record describes in words.
fn jwks(kind: &str, name: &str) -> Value {
    let wrong = |jwk: &mut Value| {
        let n = jwk["n"].as_str().unwrap();
        jwk["n"] = json!(format!("{}AAAA", &n[..n.len() - 4]));
    };
    let right = || KEYS.rsa_jwk("k1", "RS256");
    let mut bad = right();
    wrong(&mut bad);
    match (kind, name) {
        ("six", _) => KEYS.six(),
        ("one", _) => KEYS.one(|_| {}),
        (_, "key-no-jwk-kid") => KEYS.one(|jwk| {
            jwk.as_object_mut().unwrap().remove("kid");
        }),
        (_, "key-encryption-use") => KEYS.one(|jwk| jwk["use"] = json!("enc")),
        (_, "key-ops-verify") => KEYS.one(|jwk| jwk["key_ops"] = json!(["verify"])),
        (_, "key-duplicate-identical") => json!({ "keys": [right(), right()] }),
        (_, "key-duplicate-wrong-first") => json!({ "keys": [bad, right()] }),
        (_, "key-duplicate-wrong-last") => json!({ "keys": [right(), bad] }),
        (_, "key-x5c-only") => json!({ "keys": [
            { "kty": "RSA", "kid": "k1", "x5c": [KEYS.x5c(false)] }] }),
        (_, "key-rsa-101") => {
            let extra = (0..100).map(|n| KEYS.rsa_jwk(&format!("extra{n}"), "RS256"));
            let keys: Vec<_> = std::iter::once(right())
                .chain(extra)
                .chain([KEYS.ec_jwk("ES256")])
                .collect();
            json!({ "keys": keys })
        }
        _ => panic!("no key set for {name}"),
    }
}

/// A token as a case describes it: the baseline with members changed and left out.
fn token(world: &World, jwt: &Value, name: &str) -> String {
    let header = members(
        &json!({ "alg": "RS256", "kid": "k1", "typ": "JWT" }),
        &jwt["header"],
        &jwt["header_removed"],
        world.now(),
    );
    let claims = members(
        &world.claims(),
        &jwt["claims_set"],
        &jwt["claims_removed"],
        world.now(),
    );
    let payload = match name {
        "duplicate-claim" => twice(&claims, "other"),
        "duplicate-same-claim" => twice(&claims, "client-a"),
        _ => Value::Object(claims).to_string(),
    };
    let alg = header["alg"].as_str().unwrap().to_owned();
    KEYS.sign(&alg, &Value::Object(header).to_string(), &payload)
}

fn members(base: &Value, set: &Value, removed: &Value, now: i64) -> Map<String, Value> {
    let mut members = base.as_object().unwrap().clone();
    for (name, value) in set.as_object().into_iter().flatten() {
        let is_time = matches!(name.as_str(), "iat" | "exp" | "nbf");
        let value = if is_time {
            time(value, now)
        } else {
            value.clone()
        };
        members.insert(name.clone(), value);
    }
    for name in removed.as_array().into_iter().flatten() {
        members.shift_remove(name.as_str().unwrap());
    }
    members
}

/// The record's notation for times relative to now.
fn time(value: &Value, now: i64) -> Value {
    match value {
        Value::String(offset) => json!(now + offset.parse::<i64>().unwrap()),
        Value::Object(form) => {
            if let Some(offset) = form.get("$str").and_then(Value::as_str) {
                return json!((now + offset.parse::<i64>().unwrap()).to_string());
            }
            let offset: f64 = form["$num"].as_str().unwrap().parse().unwrap();
            #[expect(clippy::cast_precision_loss, reason = "epoch seconds fit")]
            let at = now as f64 + offset;
            json!(at)
        }
        other => other.clone(),
    }
}

/// The payload with a second `aud` at its end, and the separators that the record had there.
fn twice(claims: &Map<String, Value>, audience: &str) -> String {
    let mut parts: Vec<_> = claims
        .iter()
        .map(|(name, value)| format!("\"{name}\": {value}"))
        .collect();
    parts.push(format!("\"aud\": \"{audience}\""));
    format!("{{{}}}", parts.join(", "))
}
