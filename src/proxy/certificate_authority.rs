//! The certificate authority that ends TLS for AWS hosts: one key, good for AWS's domains alone.

use std::{fmt, time::Duration};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use zeroize::{Zeroize, Zeroizing};

use crate::domain::{Random, Timestamp};

/// The domains of AWS's endpoints in all partitions (the `dnsSuffix` and `dualStackDnsSuffix` of
/// botocore's `partitions.json`, and `on.aws`). A certificate for anything else fails in every client
/// that checks name constraints (RFC 5280 §4.2.1.10), even if somebody stole the key.
pub const AWS_DOMAINS: [&str; 15] = [
    "amazonaws.com",
    "api.aws",
    "on.aws",
    "amazonaws.com.cn",
    "api.amazonwebservices.com.cn",
    "on.amazonwebservices.com.cn",
    "amazonaws.eu",
    "api.amazonwebservices.eu",
    "c2s.ic.gov",
    "api.aws.ic.gov",
    "sc2s.sgov.gov",
    "api.aws.scloud",
    "cloud.adc-e.uk",
    "api.cloud-aws.adc-e.uk",
    "csp.hci.ic.gov",
];

/// How long a certificate authority lasts.
pub const AUTHORITY_LIFE: Duration = Duration::from_hours(24 * 730);
/// With less time than this left it gets a successor, which goes into the bundle but signs nothing yet.
const SUCCESSOR_AT: Duration = Duration::from_hours(24 * 365);
/// With less time than this left its successor signs. Programs that read the bundle in the eleven months
/// in between trust both.
const HANDOVER_AT: Duration = Duration::from_hours(24 * 30);
/// How long a leaf lasts.
pub const LEAF_LIFE: Duration = Duration::from_hours(24);
/// How far a client's clock may be behind.
const SKEW: Duration = Duration::from_hours(1);

/// Whether a host, in lower case, is in a domain of AWS.
#[must_use]
pub fn in_aws(host: &str) -> bool {
    AWS_DOMAINS.iter().any(|domain| {
        host.strip_suffix(domain)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

/// A certificate authority that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// Its record is not one.
    #[error("it is not the record of a certificate authority: {0}")]
    Record(String),
    /// A certificate was not written.
    #[error("a certificate cannot be written: {0}")]
    Write(String),
}

impl From<rcgen::Error> for AuthorityError {
    fn from(error: rcgen::Error) -> Self {
        Self::Write(error.to_string())
    }
}

/// What is kept, sealed, of an authority.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    /// The certificate's common name: leaves name their issuer by it.
    name: String,
    /// Its end, in milliseconds since 1970.
    not_after: i64,
    /// The certificate, PEM.
    certificate: String,
    /// The private key: PKCS #8 in standard base64.
    key: String,
}

impl Drop for Record {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// A certificate authority with its private key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    name: String,
    not_after: Timestamp,
    pem: String,
    der: CertificateDer<'static>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("name", &self.name)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes one whose life begins `now`.
    ///
    /// # Errors
    /// [`AuthorityError::Write`].
    pub fn generate(now: Timestamp, random: &dyn Random) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let not_after = now.plus(AUTHORITY_LIFE);
        // Two authorities of one name would confuse clients that look an issuer up by it.
        let mut tag = [0; 4];
        random.fill(&mut tag);
        let name = format!("idp signing proxy {}", hex::encode(tag));
        let mut params = named(&name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.name_constraints = Some(aws_only());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.serial_number = Some(serial(random));
        params.not_before = date(now.minus(SKEW))?;
        params.not_after = date(not_after)?;
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            pem: certificate.pem(),
            der: certificate.der().clone(),
            issuer: Issuer::new(named(&name), key),
            name,
            not_after,
        })
    }

    /// Everything there is to keep, the private key in the clear.
    ///
    /// # Errors
    /// [`AuthorityError::Record`].
    pub fn to_record(&self) -> Result<Zeroizing<Vec<u8>>, AuthorityError> {
        let record = Record {
            name: self.name.clone(),
            not_after: self.not_after.ms(),
            certificate: self.pem.clone(),
            key: STANDARD.encode(self.issuer.key().serialized_der()),
        };
        serde_json::to_vec(&record)
            .map(Zeroizing::new)
            .map_err(|error| AuthorityError::Record(error.to_string()))
    }

    /// Reads what [`Authority::to_record`] wrote.
    ///
    /// # Errors
    /// [`AuthorityError::Record`].
    pub fn from_record(record: &[u8]) -> Result<Self, AuthorityError> {
        let wrong = |what: &str| AuthorityError::Record(what.to_owned());
        let record: Record =
            serde_json::from_slice(record).map_err(|_| wrong("it is not such JSON"))?;
        let key = STANDARD
            .decode(&record.key)
            .map(Zeroizing::new)
            .map_err(|_| wrong("its key is not base64"))?;
        let key = PrivatePkcs8KeyDer::from(key.as_slice());
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256)
            .map_err(|_| wrong("its key is not a P-256 key"))?;
        let der = CertificateDer::from_pem_slice(record.certificate.as_bytes())
            .map_err(|_| wrong("its certificate is not PEM"))?;
        let public = key.subject_public_key_info();
        if !der.windows(public.len()).any(|at| at == public) {
            return Err(wrong("its certificate is that of another key"));
        }
        Ok(Self {
            issuer: Issuer::new(named(&record.name), key),
            name: record.name.clone(),
            not_after: Timestamp::from_ms(record.not_after),
            pem: record.certificate.clone(),
            der,
        })
    }

    /// The certificate's common name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When it ends.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 over the certificate's DER, in upper-case hex with colons, as OpenSSL shows it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let hash = digest::digest(&digest::SHA256, &self.der);
        let pairs: Vec<String> = hash.as_ref().iter().map(|b| format!("{b:02X}")).collect();
        pairs.join(":")
    }

    /// A certificate for a server at `host`, good for [`LEAF_LIFE`] from `now` on, over the key in `key`.
    ///
    /// # Errors
    /// [`AuthorityError::Write`], also where `host` is no DNS name.
    pub fn leaf(
        &self,
        host: &str,
        key: &impl PublicKeyData,
        now: Timestamp,
        random: &dyn Random,
    ) -> Result<Certificate, AuthorityError> {
        // The host is in the alternative names alone: a common name holds 64 characters at most.
        let mut params = named("AWS through the idp signing proxy");
        params.subject_alt_names = vec![SanType::DnsName(host.try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.serial_number = Some(serial(random));
        params.not_before = date(now.minus(SKEW))?;
        params.not_after = date(now.plus(LEAF_LIFE).min(self.not_after))?;
        params.use_authority_key_identifier_extension = true;
        Ok(params.signed_by(key, &self.issuer)?)
    }
}

/// The authorities of one proxy, the oldest first: the one that signs, and its successor near the end.
#[derive(Debug, Default)]
pub struct Authorities(Vec<Authority>);

impl Authorities {
    /// Takes them in any order, and leaves out those whose time is over.
    #[must_use]
    pub fn new(mut all: Vec<Authority>, now: Timestamp) -> Self {
        all.retain(|one| one.not_after > now);
        all.sort_by_key(|one| one.not_after);
        Self(all)
    }

    /// Whether one has to be made: there is none, or the last one's end is near.
    #[must_use]
    pub fn needs_another(&self, now: Timestamp) -> bool {
        self.0
            .last()
            .is_none_or(|last| last.not_after.since(now) < SUCCESSOR_AT)
    }

    /// Adds one that was just made.
    pub fn add(&mut self, authority: Authority) {
        self.0.push(authority);
    }

    /// All of them, for those who trust.
    #[must_use]
    pub fn all(&self) -> &[Authority] {
        &self.0
    }

    /// The one that signs.
    #[must_use]
    pub fn signing(self, now: Timestamp) -> Option<Authority> {
        let far = |one: &Authority| one.not_after.since(now) >= HANDOVER_AT;
        let at = self.0.iter().position(far);
        let at = at.or_else(|| self.0.len().checked_sub(1))?;
        self.0.into_iter().nth(at)
    }
}

/// A certificate's name, and what an issuer may do.
fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// A name in the domains, and no address at all: constraints on names leave addresses free
/// (RFC 5280 §4.2.1.10).
fn aws_only() -> NameConstraints {
    NameConstraints {
        permitted_subtrees: AWS_DOMAINS
            .iter()
            .map(|domain| GeneralSubtree::DnsName((*domain).to_owned()))
            .collect(),
        excluded_subtrees: vec![
            GeneralSubtree::IpAddress(CidrSubnet::V4([0; 4], [0; 4])),
            GeneralSubtree::IpAddress(CidrSubnet::V6([0; 16], [0; 16])),
        ],
    }
}

fn serial(random: &dyn Random) -> SerialNumber {
    let mut serial = [0; 16];
    random.fill(&mut serial);
    // Positive, and not shortened by a zero in front (RFC 5280 §4.1.2.2).
    serial[0] = serial[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&serial)
}

fn date(at: Timestamp) -> Result<OffsetDateTime, AuthorityError> {
    OffsetDateTime::from_unix_timestamp(at.secs())
        .map_err(|error| AuthorityError::Write(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SystemRandom;

    const NOW: Timestamp = Timestamp::from_secs(1_795_350_000);
    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn is_what_it_was_once_it_is_read_again() {
        let made = Authority::generate(NOW, &SystemRandom).unwrap();
        let read = Authority::from_record(&made.to_record().unwrap()).unwrap();
        assert_eq!(read.pem(), made.pem());
        assert_eq!(read.fingerprint(), made.fingerprint());
        assert_eq!(read.fingerprint().len(), 32 * 3 - 1);
        assert_eq!(read.not_after(), made.not_after());
        assert!(!format!("{read:?}").contains("key"));
    }

    #[test]
    fn a_certificate_of_another_key_is_refused() {
        let [one, two] = [0, 1].map(|_| {
            let record = Authority::generate(NOW, &SystemRandom)
                .unwrap()
                .to_record()
                .unwrap();
            serde_json::from_slice::<serde_json::Value>(&record).unwrap()
        });
        let mut mixed = one;
        mixed["key"] = two["key"].clone();
        let error = Authority::from_record(mixed.to_string().as_bytes()).unwrap_err();
        assert!(error.to_string().contains("another key"), "{error}");
        assert!(Authority::from_record(b"{}").is_err());
    }

    #[test]
    fn a_successor_is_trusted_before_it_signs() {
        let one = Authority::generate(NOW, &SystemRandom).unwrap();
        let (name, end) = (one.name().to_owned(), one.not_after());
        let mut all = Authorities::new(vec![one], NOW);
        assert!(!all.needs_another(NOW));
        let late = end.minus(DAY * 364);
        assert!(all.needs_another(late));
        all.add(Authority::generate(late, &SystemRandom).unwrap());
        assert!(!all.needs_another(late));
        assert_eq!(all.all().len(), 2);
        assert_eq!(all.signing(late).unwrap().name(), name);
    }

    #[test]
    fn a_successor_signs_before_the_end() {
        let one = Authority::generate(NOW, &SystemRandom).unwrap();
        let end = one.not_after();
        let two = Authority::generate(end.minus(DAY * 300), &SystemRandom).unwrap();
        let name = two.name().to_owned();
        let near = end.minus(DAY * 29);
        let all = Authorities::new(vec![two, one], near);
        assert_eq!(all.all().len(), 2);
        assert_eq!(all.signing(near).unwrap().name(), name);
        let over = Authorities::new(Vec::new(), end);
        assert!(over.needs_another(end));
        assert!(over.signing(end).is_none());
    }

    #[test]
    fn domains_are_whole_labels() {
        for host in [
            "s3.amazonaws.com",
            "amazonaws.com",
            "b.s3.eu-central-1.amazonaws.com.cn",
            "dsql.us-east-1.on.aws",
        ] {
            assert!(in_aws(host), "{host}");
        }
        for host in [
            "s3.amazonaws.com.evil.com",
            "evilamazonaws.com",
            "aws",
            "example.com",
        ] {
            assert!(!in_aws(host), "{host}");
        }
    }
}
