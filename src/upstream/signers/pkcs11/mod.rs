//! Keys in a token that is reached through PKCS #11 (OASIS PKCS #11 v2.40): a hardware module, or
//! `SoftHSM` for trying it.

mod pin;
mod token;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use cryptoki::{
    mechanism::Mechanism,
    object::{Attribute, AttributeType, ObjectClass, ObjectHandle},
    session::Session,
};
use percent_encoding::percent_decode_str;

use self::token::{Fault, Token};
use crate::{
    config::Pkcs11Settings,
    domain::{Random, SigningAlgorithm},
    jose::{jwk_of_p256_point, jwk_of_rsa, sha256},
    ports::{ExternalKey, ExternalKeys, SignError},
};

/// What a stored reference of this keystore begins with: an URI (RFC 7512) with the key's `CKA_ID`.
pub(super) const PREFIX: &str = "pkcs11:id=";

/// The curve P-256 as `CKA_EC_PARAMS` has it: its object identifier in DER.
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// `DigestInfo` of SHA-256 up to the digest (RFC 8017 §9.2, note 1).
const SHA256_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

/// Whether a PIN can be read from that file.
///
/// # Errors
/// A sentence that names the file and holds nothing of the PIN.
pub fn check_pin_file(path: &Path) -> Result<(), String> {
    pin::read(path).map(|_| ())
}

/// A token. Every call runs on a thread where blocking is allowed.
#[derive(Clone)]
pub struct Pkcs11Keys {
    token: Arc<Token>,
    random: Arc<dyn Random>,
}

impl std::fmt::Debug for Pkcs11Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pkcs11Keys").field(&self.token).finish()
    }
}

impl Pkcs11Keys {
    /// A token that is looked for when it is needed first.
    #[must_use]
    pub fn new(settings: &Pkcs11Settings, random: Arc<dyn Random>) -> Self {
        Self {
            token: Arc::new(Token::new(settings.clone())),
            random,
        }
    }

    async fn run<T, F>(&self, work: F) -> Result<T, SignError>
    where
        T: Send + 'static,
        F: FnOnce(&Token) -> Result<T, Fault> + Send + 'static,
    {
        let token = self.token.clone();
        tokio::task::spawn_blocking(move || {
            work(&token).map_err(|fault| SignError::Failed(token.explain(&fault)))
        })
        .await
        .map_err(|error| SignError::Failed(format!("PKCS #11: {error}")))?
    }
}

#[async_trait]
impl ExternalKeys for Pkcs11Keys {
    async fn create(
        &self,
        algorithm: SigningAlgorithm,
        label: &str,
    ) -> Result<ExternalKey, SignError> {
        let mut id = [0; 16];
        self.random.fill(&mut id);
        let label = label.to_owned();
        self.run(move |token| {
            // Not twice: where the token fails half-way there may be a key already.
            token.once(|session| generate(session, algorithm, &id, &label))
        })
        .await
    }

    async fn sign(
        &self,
        reference: &str,
        algorithm: SigningAlgorithm,
        input: &[u8],
    ) -> Result<Vec<u8>, SignError> {
        let id = id_of(reference)?;
        let digest = sha256(input);
        self.run(move |token| {
            token.patiently(|session| {
                let key = token.private_key(session, &id)?;
                let signature = match algorithm {
                    SigningAlgorithm::Rs256 => {
                        let info = [&SHA256_INFO[..], &digest].concat();
                        session.sign(&Mechanism::RsaPkcs, key, &info)?
                    }
                    // `R || S`, as JWS has it too.
                    SigningAlgorithm::Es256 => session.sign(&Mechanism::Ecdsa, key, &digest)?,
                };
                let length = match algorithm {
                    SigningAlgorithm::Rs256 => 256,
                    SigningAlgorithm::Es256 => 64,
                };
                if signature.len() == length {
                    Ok(signature)
                } else {
                    Err(Fault::Odd("a signature of another length"))
                }
            })
        })
        .await
    }

    async fn destroy(&self, reference: &str) -> Result<(), SignError> {
        let id = id_of(reference)?;
        self.run(move |token| {
            token.forget(&id);
            token.patiently(|session| {
                for object in session.find_objects(&[Attribute::Id(id.clone())])? {
                    session.destroy_object(object)?;
                }
                Ok(())
            })
        })
        .await
    }
}

/// Makes a key pair whose private half cannot leave the token, and reads the public one.
fn generate(
    session: &Session,
    algorithm: SigningAlgorithm,
    id: &[u8],
    label: &str,
) -> Result<ExternalKey, Fault> {
    let common = [
        Attribute::Token(true),
        Attribute::Id(id.to_vec()),
        Attribute::Label(label.as_bytes().to_vec()),
    ];
    let private = [
        &common[..],
        &[
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
        ],
    ]
    .concat();
    let (mechanism, of_algorithm) = match algorithm {
        SigningAlgorithm::Rs256 => (
            Mechanism::RsaPkcsKeyPairGen,
            vec![
                Attribute::ModulusBits(2048.into()),
                Attribute::PublicExponent(vec![1, 0, 1]),
            ],
        ),
        SigningAlgorithm::Es256 => (
            Mechanism::EccKeyPairGen,
            vec![Attribute::EcParams(P256.to_vec())],
        ),
    };
    let public = [&common[..], &[Attribute::Verify(true)], &of_algorithm].concat();
    let (public, private) = session.generate_key_pair(&mechanism, &public, &private)?;
    let read = cannot_leave(session, private).and_then(|()| read(session, algorithm, public));
    match read {
        Ok(public) => Ok(ExternalKey {
            public,
            reference: reference(id),
        }),
        Err(fault) => {
            // Nobody would ever know of it again.
            for object in [public, private] {
                let _ = session.destroy_object(object);
            }
            Err(fault)
        }
    }
}

/// Some modules take a template for a proposal.
fn cannot_leave(session: &Session, key: ObjectHandle) -> Result<(), Fault> {
    let asked = [AttributeType::Sensitive, AttributeType::Extractable];
    match session.get_attributes(key, &asked)?[..] {
        [Attribute::Sensitive(true), Attribute::Extractable(false)] => Ok(()),
        _ => Err(Fault::Odd("a private key that can be taken out of it")),
    }
}

fn read(
    session: &Session,
    algorithm: SigningAlgorithm,
    key: ObjectHandle,
) -> Result<crate::domain::PublicJwk, Fault> {
    let asked = match algorithm {
        SigningAlgorithm::Rs256 => &[AttributeType::Modulus, AttributeType::PublicExponent][..],
        SigningAlgorithm::Es256 => &[AttributeType::EcPoint],
    };
    let odd = |_| Fault::Odd("a public key of another kind");
    match &session.get_attributes(key, asked)?[..] {
        [Attribute::Modulus(n), Attribute::PublicExponent(e)] => jwk_of_rsa(n, e).map_err(odd),
        [Attribute::EcPoint(point)] => jwk_of_p256_point(point).map_err(odd),
        _ => Err(Fault::Odd("a public key without its attributes")),
    }
}

/// What finds the private half of a key.
fn private_half(id: &[u8]) -> [Attribute; 2] {
    [
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::Id(id.to_vec()),
    ]
}

fn reference(id: &[u8]) -> String {
    let mut reference = PREFIX.to_owned();
    for byte in hex::encode(id).as_bytes().chunks(2) {
        reference.push('%');
        reference.extend(byte.iter().copied().map(char::from));
    }
    reference
}

fn id_of(reference: &str) -> Result<Vec<u8>, SignError> {
    let id = reference.strip_prefix(PREFIX).ok_or_else(|| {
        SignError::Failed(format!("{reference:?} is not a key of a PKCS #11 token"))
    })?;
    Ok(percent_decode_str(id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_uris_of_rfc_7512() {
        let id = [0, 0x25, 0xff, b'a'];
        assert_eq!(reference(&id), "pkcs11:id=%00%25%ff%61");
        assert_eq!(id_of(&reference(&id)).unwrap(), id);
        assert!(id_of("aws-kms:arn").is_err());
    }
}
