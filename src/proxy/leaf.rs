//! Certificates for the hosts that clients ask for, made when they are first needed.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use quick_cache::sync::Cache;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::PrivatePkcs8KeyDer,
    server::{ServerSessionMemoryCache, StoresServerSessions},
    sign::{CertifiedKey, SigningKey, SingleCertAndKey},
};

use super::certificate_authority::{Authority, AuthorityError, LEAF_LIFE};
use crate::domain::{Clock, Random, Timestamp};

/// How many hosts' certificates are kept. Buckets in host names make hosts many.
const HOSTS: usize = 1000;
/// How many TLS sessions can be resumed, over all hosts.
const SESSIONS: usize = 4096;

/// The TLS settings of one host.
#[derive(Clone)]
struct Leaf {
    config: Arc<ServerConfig>,
    renew_at: Timestamp,
}

/// The certificates of the hosts, each with TLS settings that speak HTTP/1.1 alone.
///
/// They share one key, made when the process starts and never stored.
pub struct Leaves {
    authority: RwLock<Arc<Authority>>,
    key: KeyPair,
    signing: Arc<dyn SigningKey>,
    provider: Arc<CryptoProvider>,
    sessions: Arc<dyn StoresServerSessions>,
    made: Cache<String, Leaf>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl fmt::Debug for Leaves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaves")
            .field("made", &self.made.len())
            .finish_non_exhaustive()
    }
}

impl Leaves {
    /// Certificates that `authority` signs.
    ///
    /// # Errors
    /// The key was not made.
    pub fn new(
        authority: Authority,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, AuthorityError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let der = PrivatePkcs8KeyDer::from(key.serialize_der());
        let signing = provider
            .key_provider
            .load_private_key(der.into())
            .map_err(|error| AuthorityError::Write(error.to_string()))?;
        Ok(Self {
            authority: RwLock::new(Arc::new(authority)),
            key,
            signing,
            provider,
            // A session is resumed only under the name that it was made for: rustls compares them.
            sessions: ServerSessionMemoryCache::new(SESSIONS),
            made: Cache::new(HOSTS),
            clock,
            random,
        })
    }

    /// Has this authority sign from now on, if it is another one.
    pub fn replace_authority(&self, authority: Authority) {
        let mut current = self
            .authority
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if current.pem() != authority.pem() {
            *current = Arc::new(authority);
            self.made.clear();
        }
    }

    /// TLS settings for a connection to `host`, a lower-case DNS name.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn config(&self, host: &str) -> Result<Arc<ServerConfig>, AuthorityError> {
        let now = self.clock.now();
        if let Some(leaf) = self.made.get(host)
            && now < leaf.renew_at
            // A clock that was set back far would find a leaf that is not valid yet.
            && leaf.renew_at.since(now) <= LEAF_LIFE
        {
            return Ok(leaf.config);
        }
        let leaf = self.make(host, now)?;
        let config = leaf.config.clone();
        self.made.insert(host.to_owned(), leaf);
        Ok(config)
    }

    fn make(&self, host: &str, now: Timestamp) -> Result<Leaf, AuthorityError> {
        let authority = self
            .authority
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let certificate = authority.leaf(host, &self.key, now, &*self.random)?;
        let certified = CertifiedKey::new(vec![certificate.der().clone()], self.signing.clone());
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| AuthorityError::Write(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.session_storage = self.sessions.clone();
        Ok(Leaf {
            config: Arc::new(config),
            // Connections that are made in the second half still get a certificate that lasts.
            renew_at: now.plus(LEAF_LIFE / 2),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::{SimulatedClock, SystemRandom};

    #[test]
    fn a_hosts_certificate_is_made_once_and_anew_in_time() {
        let clock = Arc::new(SimulatedClock::new(Timestamp::from_secs(1_795_350_000)));
        let authority = Authority::generate(clock.now(), &SystemRandom).unwrap();
        let leaves = Leaves::new(authority, clock.clone(), Arc::new(SystemRandom)).unwrap();
        let host = "s3.amazonaws.com";
        let first = leaves.config(host).unwrap();
        assert_eq!(first.alpn_protocols, [b"http/1.1".to_vec()]);
        assert!(Arc::ptr_eq(&first, &leaves.config(host).unwrap()));
        let other = leaves.config("sqs.eu-west-1.amazonaws.com").unwrap();
        assert!(!Arc::ptr_eq(&first, &other));
        clock.advance(Duration::from_hours(12));
        let second = leaves.config(host).unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        clock.set(Timestamp::from_secs(1_795_000_000));
        assert!(!Arc::ptr_eq(&second, &leaves.config(host).unwrap()));
        let third = leaves.config(host).unwrap();
        leaves.replace_authority(Authority::generate(clock.now(), &SystemRandom).unwrap());
        assert!(!Arc::ptr_eq(&third, &leaves.config(host).unwrap()));
    }
}
