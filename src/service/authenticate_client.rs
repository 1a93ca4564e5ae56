//! Clients: environments that prove their enrolled key with an assertion (RFC 7523 §2.2).

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Service, assertion::ASSERTION_TYPE, credentials::Known, issue_token::TokenRefusal};
use crate::{
    domain::{EnvironmentId, PublicJwk},
    jose::{Jws, VerifyingKey},
};

/// A client that proved its key, and what it said with it. Nothing of the claims is checked yet.
pub(super) struct Client {
    pub(super) known: Arc<Known>,
    pub(super) claims: Map<String, Value>,
}

impl Service {
    /// Finds the client and verifies the assertion's signature, once; nothing else is believed
    /// before.
    pub(super) async fn authenticate_client(
        &self,
        assertion: &str,
        client_id: Option<&str>,
    ) -> Result<Client, TokenRefusal> {
        let jws = Jws::parse(assertion).map_err(malformed)?;
        let (client, kid) = named_client(&jws)?;
        if client_id.is_some_and(|id| id != client.to_string()) {
            return Err(malformed("iss is not the client_id of the request"));
        }
        let found = self.credential(client, &kid).await?;
        let keys = self.keys.clone();
        self.pool
            .run_brief(move || verify(found, jws, keys.decoys()))
            .await?
    }
}

/// Who the assertion claims to be from and signed by, where all that can be told without its key is
/// in order.
fn named_client(jws: &Jws) -> Result<(EnvironmentId, String), TokenRefusal> {
    let header = jws.header();
    if !matches!(&*header.alg, "ES256" | "EdDSA") {
        return Err(malformed("its algorithm must be ES256 or EdDSA"));
    }
    if header.typ.as_deref() != Some(ASSERTION_TYPE) {
        return Err(malformed(
            "its header's typ must be \"client-authentication+jwt\"",
        ));
    }
    let kid = header
        .kid
        .clone()
        .ok_or_else(|| malformed("its header lacks \"kid\", the thumbprint of the enrolled key"))?;
    let client = jws
        .unverified_issuer()
        .and_then(|issuer| issuer.parse().ok())
        .ok_or_else(|| malformed("iss must be the client id, which is an environment's id"))?;
    Ok((client, kid))
}

/// Verifies one signature whoever asks: where there is no such client, or its key is another than
/// the header says, against a key that signs nothing, so that the answer takes as long.
pub(super) fn verify(
    found: Option<Arc<Known>>,
    jws: Jws,
    decoys: &Decoys,
) -> Result<Client, TokenRefusal> {
    let header = jws.header();
    let known = found.filter(|known| {
        known.key.algorithm() == header.alg && header.kid.as_deref() == Some(&known.credential.kid)
    });
    let key = known
        .as_ref()
        .map_or_else(|| decoys.key(&header.alg), |known| &known.key);
    let claims = jws.verified_claims(key);
    // That a decoy verified something means nothing.
    match (known, claims) {
        (Some(known), Some(claims)) => Ok(Client { known, claims }),
        _ => Err(not_authenticated()),
    }
}

fn malformed(error: impl std::fmt::Display) -> TokenRefusal {
    TokenRefusal::InvalidClient(format!("client_assertion: {error}"))
}

/// One answer for an unknown client, another client's key and a bad signature: who proved nothing
/// learns nothing.
pub(super) fn not_authenticated() -> TokenRefusal {
    malformed("the client is unknown, or the assertion is not signed by its enrolled key")
}

/// Keys that stand in where there is none, one for each algorithm of an assertion.
#[derive(Debug)]
pub(super) struct Decoys {
    es256: VerifyingKey,
    eddsa: VerifyingKey,
}

impl Decoys {
    /// The public keys of the examples in RFC 7515 §A.3 and RFC 8037 §A.2. Their private halves are
    /// public, but what they verify authenticates nobody.
    pub(super) fn new() -> Result<Self, String> {
        let parse = |jwk| VerifyingKey::from_jwk(&jwk).map_err(|error| error.to_string());
        Ok(Self {
            es256: parse(PublicJwk::Ec {
                crv: "P-256".to_owned(),
                x: "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU".to_owned(),
                y: "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0".to_owned(),
            })?,
            eddsa: parse(PublicJwk::Okp {
                crv: "Ed25519".to_owned(),
                x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".to_owned(),
            })?,
        })
    }

    fn key(&self, algorithm: &str) -> &VerifyingKey {
        match algorithm {
            "EdDSA" => &self.eddsa,
            _ => &self.es256,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        domain::{AwsProfile, Credential, SigningAlgorithm, Subject},
        jose::{PrivateKey, base64url_decode, base64url_encode, sign_compact, thumbprint},
        ports::KeyStanding,
    };

    const CLIENT: &str = "019527e4-75d5-704d-a5a4-a2b52cf56196";

    fn known(key: &PrivateKey) -> Arc<Known> {
        let id = "0191e223-1c3c-7607-badf-303c98b52d2f";
        Arc::new(Known {
            credential: Credential {
                subject: Subject {
                    organization: id.parse().unwrap(),
                    project: None,
                    environment: CLIENT.parse().unwrap(),
                },
                kid: thumbprint(key.public()),
                public: key.public().clone(),
                audiences: Vec::new(),
                aws: AwsProfile::default(),
            },
            standing: KeyStanding::Present,
            key: VerifyingKey::from_jwk(key.public()).unwrap(),
        })
    }

    fn assertion(key: &PrivateKey, kid: &str) -> String {
        let claims = json!({ "iss": CLIENT }).to_string();
        sign_compact(key, ASSERTION_TYPE, kid, claims.as_bytes()).unwrap()
    }

    fn run(found: Option<Arc<Known>>, assertion: &str) -> Result<Client, TokenRefusal> {
        let jws = Jws::parse(assertion).unwrap();
        named_client(&jws).unwrap();
        verify(found, jws, &Decoys::new().unwrap())
    }

    #[test]
    fn whoever_asks_one_signature_of_the_headers_algorithm_is_verified() {
        let decoys = Decoys::new().unwrap();
        for algorithm in ["ES256", "EdDSA"] {
            assert_eq!(decoys.key(algorithm).algorithm(), algorithm);
        }
    }

    #[test]
    fn the_enrolled_key_authenticates_and_no_other() {
        let key = PrivateKey::generate(SigningAlgorithm::Es256).unwrap();
        let other = PrivateKey::generate(SigningAlgorithm::Es256).unwrap();
        let kid = thumbprint(key.public());
        let good = assertion(&key, &kid);
        assert!(run(Some(known(&key)), &good).is_ok());
        for (found, bad) in [
            (None, good.clone()),
            (Some(known(&other)), good),
            (Some(known(&key)), assertion(&other, &kid)),
            (Some(known(&key)), assertion(&key, "another")),
        ] {
            assert_eq!(run(found, &bad).err(), Some(not_authenticated()));
        }
    }

    /// The private half of the example in RFC 7515 §A.3 is printed there.
    #[test]
    fn the_decoys_own_signature_authenticates_nobody() {
        let header = json!({
            "alg": "ES256", "typ": ASSERTION_TYPE, "kid": "another",
        });
        let input = format!(
            "{}.{}",
            base64url_encode(header.to_string()),
            base64url_encode(json!({ "iss": CLIENT }).to_string())
        );
        let scalar = base64url_decode("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI").unwrap();
        let mut point = vec![4];
        for coordinate in [
            "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        ] {
            point.extend(base64url_decode(coordinate).unwrap());
        }
        let signing = &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = aws_lc_rs::signature::EcdsaKeyPair::from_private_key_and_public_key(
            signing, &scalar, &point,
        )
        .unwrap();
        #[expect(
            clippy::disallowed_methods,
            reason = "aws-lc takes this argument and draws its nonces from its own generator"
        )]
        let random = aws_lc_rs::rand::SystemRandom::new();
        let signature = pair.sign(&random, input.as_bytes()).unwrap();
        let forged = format!("{input}.{}", base64url_encode(signature));

        let decoys = Decoys::new().unwrap();
        assert!(Jws::parse(&forged).unwrap().is_signed_by(&decoys.es256));
        let key = PrivateKey::generate(SigningAlgorithm::Es256).unwrap();
        for found in [None, Some(known(&key))] {
            assert_eq!(run(found, &forged).err(), Some(not_authenticated()));
        }
    }

    #[test]
    fn what_is_malformed_is_named() {
        let compact = |header: Value, payload: &str| {
            format!(
                "{}.{}.AA",
                base64url_encode(header.to_string()),
                base64url_encode(payload)
            )
        };
        let header = json!({ "alg": "ES256", "typ": ASSERTION_TYPE, "kid": "k" });
        for (text, says) in [
            (compact(json!({ "alg": "none" }), "{}"), "its algorithm"),
            (compact(json!({ "alg": "ES256" }), "{}"), "typ"),
            (
                compact(json!({ "alg": "ES256", "typ": ASSERTION_TYPE }), "{}"),
                "kid",
            ),
            (compact(header.clone(), "{}"), "iss must be"),
            (compact(header.clone(), r#"{"iss":1}"#), "iss must be"),
            (
                compact(header, r#"{"iss":"a","iss":"b"}"#),
                "\"iss\" occurs twice",
            ),
        ] {
            let error = Jws::parse(&text)
                .map_err(malformed)
                .and_then(|jws| named_client(&jws))
                .unwrap_err()
                .to_string();
            assert!(error.starts_with("client_assertion: "), "{error}");
            assert!(error.contains(says), "{error}");
        }
    }
}
