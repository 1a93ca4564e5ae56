//! A private key outside of the database: as a JWK under a passphrase (RFC 7517 §7, PBES2 of RFC 7518
//! §4.8), and as the PEM files that other programs write.

use josekit::{
    jwe::{self, JweHeader, PBES2_HS512_A256KW},
    jwk::{
        Jwk,
        alg::{
            ec::{EcCurve, EcKeyPair},
            rsa::RsaKeyPair,
        },
    },
};
use rsa::{
    RsaPrivateKey,
    pkcs1::DecodeRsaPrivateKey as _,
    pkcs8::{
        DecodePrivateKey as _, EncodePrivateKey as _, EncryptedPrivateKeyInfo, PrivateKeyInfo,
        SecretDocument, der::Decode as _,
    },
    traits::{PrivateKeyParts as _, PublicKeyParts as _},
};
use zeroize::Zeroizing;

use super::{PrivateKey, base64url_decode, thumbprint};
use crate::domain::SigningAlgorithm;

/// OWASP's advice for PBKDF2 is 210,000 with SHA-512; josekit refuses more than a million.
const ITERATIONS: usize = 600_000;

/// The shortest passphrase that an export takes, in characters.
const SHORTEST: usize = 12;

/// Why a key was not exported or imported. Nothing of the key or the passphrase is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackupError {
    /// Too easy to guess.
    #[error("the passphrase is shorter than {SHORTEST} characters")]
    Passphrase,
    /// The passphrase does not open it, or it was altered.
    #[error("the passphrase does not open it, or the file was damaged")]
    Open,
    /// It is encrypted, and there is no passphrase.
    #[error("it is encrypted: a passphrase is needed")]
    NoPassphrase,
    /// Neither an export nor a PEM private key.
    #[error(
        "it is neither an export of a key nor a PEM file of one private key (PRIVATE KEY, ENCRYPTED \
         PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY)"
    )]
    Form,
    /// A private key, but not one to sign tokens with.
    #[error("the key cannot sign tokens: {0}")]
    Unfit(String),
    /// The library could not.
    #[error("the key could not be written: {0}")]
    Write(String),
}

/// The key as a JWK, as a compact JWE that `passphrase` opens.
///
/// # Errors
/// A passphrase of less than 12 characters; the library.
pub fn export_private_key(
    key: &PrivateKey,
    passphrase: &str,
) -> Result<Zeroizing<String>, BackupError> {
    if passphrase.chars().count() < SHORTEST {
        return Err(BackupError::Passphrase);
    }
    let failed = |error: josekit::JoseError| BackupError::Write(error.to_string());
    let pkcs8 = key
        .to_pkcs8()
        .map_err(|error| BackupError::Write(error.to_string()))?;
    let kid = thumbprint(key.public());
    let mut jwk = match key.algorithm() {
        SigningAlgorithm::Rs256 => RsaKeyPair::from_der(&*pkcs8)
            .map_err(failed)?
            .to_jwk_key_pair(),
        SigningAlgorithm::Es256 => EcKeyPair::from_der(&*pkcs8, Some(EcCurve::P256))
            .map_err(failed)?
            .to_jwk_key_pair(),
    };
    jwk.set_key_id(&kid);
    jwk.set_algorithm(key.algorithm().as_str());
    jwk.set_key_use("sig");
    let jwk = Zeroizing::new(jwk.to_string());
    let mut header = JweHeader::new();
    header.set_content_encryption("A256GCM");
    header.set_content_type("jwk+json");
    header.set_key_id(&kid);
    let mut encrypter = PBES2_HS512_A256KW
        .encrypter_from_bytes(passphrase.as_bytes())
        .map_err(failed)?;
    encrypter.set_iter_count(ITERATIONS);
    encrypter.set_salt_len(16);
    jwe::serialize_compact(jwk.as_bytes(), &header, &encrypter)
        .map(Zeroizing::new)
        .map_err(failed)
}

/// Whether the text is encrypted, so that [`import_private_key`] needs a passphrase.
#[must_use]
pub fn is_encrypted(text: &str) -> bool {
    let text = text.trim();
    is_export(text) || text.contains("BEGIN ENCRYPTED PRIVATE KEY")
}

fn is_export(text: &str) -> bool {
    text.starts_with("eyJ") && text.split('.').count() == 5
}

/// Reads what [`export_private_key`] wrote, or a PEM private key: PKCS #8 (RFC 5958), encrypted or not, PKCS #1 (RSA,
/// RFC 8017 §A.1.2) or SEC 1 (EC, RFC 5915). RSA keys have 2048 to 4096 bits and the exponent 65537, EC
/// keys are on P-256.
///
/// # Errors
/// See [`BackupError`].
pub fn import_private_key(text: &str, passphrase: Option<&str>) -> Result<PrivateKey, BackupError> {
    let text = text.trim();
    if is_export(text) {
        return import_export(text, passphrase.ok_or(BackupError::NoPassphrase)?);
    }
    if text.matches("-----BEGIN ").count() != 1 {
        return Err(BackupError::Form);
    }
    let (label, der) = SecretDocument::from_pem(text).map_err(|_| BackupError::Form)?;
    match label {
        "RSA PRIVATE KEY" => RsaPrivateKey::from_pkcs1_der(der.as_bytes())
            .map_err(|error| BackupError::Unfit(error.to_string()))
            .and_then(|key| rsa_key(&key)),
        "EC PRIVATE KEY" => PrivateKey::from_sec1(der.as_bytes())
            .map_err(|error| BackupError::Unfit(error.to_string())),
        "PRIVATE KEY" => pkcs8(der.as_bytes()),
        "ENCRYPTED PRIVATE KEY" => {
            let passphrase = passphrase.ok_or(BackupError::NoPassphrase)?;
            let sealed =
                EncryptedPrivateKeyInfo::from_der(der.as_bytes()).map_err(|_| BackupError::Form)?;
            let opened = sealed.decrypt(passphrase).map_err(|_| BackupError::Open)?;
            pkcs8(opened.as_bytes())
        }
        _ => Err(BackupError::Form),
    }
}

fn import_export(text: &str, passphrase: &str) -> Result<PrivateKey, BackupError> {
    let decrypter = PBES2_HS512_A256KW
        .decrypter_from_bytes(passphrase.as_bytes())
        .map_err(|_| BackupError::Open)?;
    let (jwk, _) = jwe::deserialize_compact(text, &decrypter).map_err(|_| BackupError::Open)?;
    let jwk = Jwk::from_bytes(Zeroizing::new(jwk).as_slice()).map_err(|_| BackupError::Form)?;
    let unfit = |error: josekit::JoseError| BackupError::Unfit(error.to_string());
    match jwk.key_type() {
        "RSA" => rsa_of_jwk(&jwk),
        "EC" => {
            let pair = EcKeyPair::from_jwk(&jwk).map_err(unfit)?;
            PrivateKey::from_sec1(&Zeroizing::new(pair.to_der_private_key()))
                .map_err(|error| BackupError::Unfit(error.to_string()))
        }
        other => Err(BackupError::Unfit(format!("its type is {other:?}"))),
    }
}

/// Member by member (RFC 7518 §6.3): a number that begins with a zero byte is none in DER, and josekit
/// copies the bytes as they are.
fn rsa_of_jwk(jwk: &Jwk) -> Result<PrivateKey, BackupError> {
    let number = |name: &str| {
        let text = jwk.parameter(name).and_then(|value| value.as_str());
        text.and_then(base64url_decode)
            .map(|bytes| rsa::BigUint::from_bytes_be(&Zeroizing::new(bytes)))
            .ok_or(BackupError::Form)
    };
    let primes = vec![number("p")?, number("q")?];
    RsaPrivateKey::from_components(number("n")?, number("e")?, number("d")?, primes)
        .map_err(|error| BackupError::Unfit(error.to_string()))
        .and_then(|key| rsa_key(&key))
}

fn pkcs8(der: &[u8]) -> Result<PrivateKey, BackupError> {
    let info = PrivateKeyInfo::from_der(der).map_err(|_| BackupError::Form)?;
    match info.algorithm.oid {
        rsa::pkcs1::ALGORITHM_OID => RsaPrivateKey::from_pkcs8_der(der)
            .map_err(|error| BackupError::Unfit(error.to_string()))
            .and_then(|key| rsa_key(&key)),
        _ => PrivateKey::from_pkcs8(SigningAlgorithm::Es256, der)
            .map_err(|error| BackupError::Unfit(format!("{error} on P-256"))),
    }
}

/// The `rsa` crate reads and checks; aws-lc signs.
fn rsa_key(key: &RsaPrivateKey) -> Result<PrivateKey, BackupError> {
    let unfit = |reason: String| BackupError::Unfit(reason);
    key.validate().map_err(|error| unfit(error.to_string()))?;
    let bits = key.n().bits();
    if !matches!(bits, 2048 | 3072 | 4096) {
        return Err(unfit(format!(
            "it has {bits} bits; 2048, 3072 or 4096 are taken"
        )));
    }
    if *key.e() != rsa::BigUint::from(65_537_u32) || key.primes().len() != 2 {
        return Err(unfit(
            "it is not an RSA key of two primes and the exponent 65537".to_owned(),
        ));
    }
    let der = key
        .to_pkcs8_der()
        .map_err(|error| unfit(error.to_string()))?;
    PrivateKey::from_pkcs8(SigningAlgorithm::Rs256, der.as_bytes())
        .map_err(|error| unfit(error.to_string()))
}

#[cfg(test)]
mod tests {
    use rsa::pkcs8::LineEnding;

    use super::*;

    const PASSPHRASE: &str = "correct horse battery";

    #[test]
    fn numbers_of_a_jwk_may_begin_with_zeros() {
        let key = PrivateKey::generate(SigningAlgorithm::Rs256).unwrap();
        let pair = RsaKeyPair::from_der(&*key.to_pkcs8().unwrap()).unwrap();
        let mut jwk = pair.to_jwk_private_key();
        for name in ["d", "p", "q", "dp", "dq", "qi"] {
            let text = jwk.parameter(name).unwrap().as_str().unwrap();
            let mut padded = vec![0];
            padded.extend(base64url_decode(text).unwrap());
            let padded = crate::jose::base64url_encode(&padded);
            jwk.set_parameter(name, Some(padded.into())).unwrap();
        }
        assert_eq!(rsa_of_jwk(&jwk).unwrap().public(), key.public());
    }

    #[test]
    fn an_export_comes_back_with_its_passphrase_only() {
        for algorithm in [SigningAlgorithm::Rs256, SigningAlgorithm::Es256] {
            let key = PrivateKey::generate(algorithm).unwrap();
            let text = export_private_key(&key, PASSPHRASE).unwrap();
            assert!(is_encrypted(&text));
            let header = crate::jose::base64url_decode(text.split('.').next().unwrap()).unwrap();
            let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
            assert_eq!(header["alg"], "PBES2-HS512+A256KW");
            assert_eq!(header["cty"], "jwk+json");
            assert_eq!(header["kid"], thumbprint(key.public()));
            assert!(header["p2c"].as_u64().unwrap() >= 600_000);
            let again = import_private_key(&format!("{}\n", *text), Some(PASSPHRASE)).unwrap();
            assert_eq!(again.public(), key.public());
            assert_eq!(
                import_private_key(&text, Some("another passphrase")).err(),
                Some(BackupError::Open)
            );
            assert_eq!(
                import_private_key(&text, None).err(),
                Some(BackupError::NoPassphrase)
            );
            let damaged = format!("{}AAAA", &text[..text.len() - 4]);
            assert_eq!(
                import_private_key(&damaged, Some(PASSPHRASE)).err(),
                Some(BackupError::Open)
            );
        }
    }

    #[test]
    fn a_short_passphrase_is_refused() {
        let key = PrivateKey::generate(SigningAlgorithm::Es256).unwrap();
        assert_eq!(
            export_private_key(&key, "hunter2").err(),
            Some(BackupError::Passphrase)
        );
    }

    #[test]
    fn reads_the_pem_that_others_write() {
        let key = PrivateKey::generate(SigningAlgorithm::Rs256).unwrap();
        let rsa = RsaPrivateKey::from_pkcs8_der(&key.to_pkcs8().unwrap()).unwrap();
        let pkcs1 = rsa::pkcs1::EncodeRsaPrivateKey::to_pkcs1_pem(&rsa, LineEnding::LF).unwrap();
        let pkcs8 = rsa.to_pkcs8_pem(LineEnding::CRLF).unwrap();
        for pem in [pkcs1, pkcs8] {
            assert!(!is_encrypted(&pem));
            assert_eq!(
                import_private_key(&pem, None).unwrap().public(),
                key.public()
            );
        }
        let ec = PrivateKey::generate(SigningAlgorithm::Es256).unwrap();
        let pair = EcKeyPair::from_der(&*ec.to_pkcs8().unwrap(), Some(EcCurve::P256)).unwrap();
        for pem in [
            pair.to_pem_private_key(),
            pair.to_traditional_pem_private_key(),
        ] {
            let pem = String::from_utf8(pem).unwrap();
            assert_eq!(
                import_private_key(&pem, None).unwrap().public(),
                ec.public(),
                "{}",
                &pem[..30]
            );
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let key = PrivateKey::generate(SigningAlgorithm::Rs256).unwrap();
        let rsa = RsaPrivateKey::from_pkcs8_der(&key.to_pkcs8().unwrap()).unwrap();
        let pem = rsa.to_pkcs8_pem(LineEnding::LF).unwrap().to_string();
        let public =
            rsa::pkcs8::EncodePublicKey::to_public_key_pem(&rsa.to_public_key(), LineEnding::LF);
        for bad in [
            String::new(),
            "hunter2".to_owned(),
            public.unwrap(),
            format!("{pem}{pem}"),
            pem.replace("PRIVATE", "CERTIFICATE"),
            pem[..pem.len() / 2].to_owned(),
            pem.replacen('M', "N", 3),
            "eyJ.a.b.c".to_owned(),
        ] {
            let error = import_private_key(&bad, Some(PASSPHRASE)).unwrap_err();
            assert!(!error.to_string().contains("MII"), "{error}");
        }
        let p384 = EcKeyPair::generate(EcCurve::P384).unwrap();
        let p384 = String::from_utf8(p384.to_pem_private_key()).unwrap();
        assert!(matches!(
            import_private_key(&p384, None),
            Err(BackupError::Unfit(_))
        ));
        let short = RsaKeyPair::generate(1024).unwrap();
        let short = String::from_utf8(short.to_pem_private_key()).unwrap();
        let error = import_private_key(&short, None).unwrap_err().to_string();
        assert!(error.contains("it has 1024 bits"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn garbage_never_panics(text in ".{0,300}", label in "(RSA |EC |ENCRYPTED )?PRIVATE KEY", body in "[A-Za-z0-9+/]{0,200}") {
            let _ = import_private_key(&text, Some(PASSPHRASE));
            let pem = format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
            let _ = import_private_key(&pem, Some(PASSPHRASE));
        }
    }
}
