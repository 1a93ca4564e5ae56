//! TLS from files, which are read again when they change.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use metrics::Counter;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::ListenError;
use crate::config::{Fault, TlsSettings};

/// How often the files are looked at.
pub(super) const POLL: Duration = Duration::from_secs(10);

/// The certificate and key that handshakes use, and where they come from.
#[derive(Debug)]
pub(super) struct Certificates {
    settings: TlsSettings,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
    /// The files as they were when they were last read, whatever came of it.
    seen: Mutex<Stamp>,
    reloads: [Counter; 2],
}

/// What changes when a file does, or when a link on its way is pointed at another: Kubernetes swaps a
/// directory's link, certbot a file's.
type Stamp = [Option<(u64, u64, i64, i64, u64)>; 2];

impl Certificates {
    /// Reads the files.
    pub(super) fn load(settings: &TlsSettings) -> Result<Arc<Self>, ListenError> {
        metrics::describe_counter!(
            "idp_tls_reloads_total",
            "How often changed TLS files were read, and whether they were taken"
        );
        let reloads = |outcome: &'static str| metrics::counter!("idp_tls_reloads_total", "outcome" => outcome);
        let provider = Arc::new(aws_lc_rs::default_provider());
        // Taken before the files are read: a change in between is found at the next look.
        let seen = stamp(settings);
        Ok(Arc::new(Self {
            current: RwLock::new(Arc::new(read(settings, &provider)?)),
            settings: settings.clone(),
            provider,
            seen: Mutex::new(seen),
            reloads: [reloads("taken"), reloads("kept_old")],
        }))
    }

    /// For a listener that speaks HTTP/2 and HTTP/1.1.
    pub(super) fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, ListenError> {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(&self.settings.cert_file, error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Reads the files again where they changed, or where `asked` to. A pair that cannot be used
    /// leaves the old one in use; the log says why.
    pub(super) fn refresh(&self, asked: bool) {
        let now = stamp(&self.settings);
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if *seen == now && !asked {
                return;
            }
            *seen = now;
        }
        match read(&self.settings, &self.provider) {
            Ok(pair) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
                self.reloads[0].increment(1);
                tracing::info!(
                    cert_file = %self.settings.cert_file.display(),
                    "new connections use the TLS certificate that was read now"
                );
            }
            Err(error) => {
                self.reloads[1].increment(1);
                tracing::error!(
                    %error,
                    "the changed TLS files cannot be used; the certificate from before stays in use"
                );
            }
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(
            self.current
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        )
    }
}

fn stamp(settings: &TlsSettings) -> Stamp {
    [&settings.cert_file, &settings.key_file].map(|path| {
        let found = fs::metadata(path).ok()?;
        let (mtime, nanoseconds) = (found.mtime(), found.mtime_nsec());
        Some((found.dev(), found.ino(), mtime, nanoseconds, found.len()))
    })
}

/// What is wrong with the files.
pub(super) fn faults(settings: &TlsSettings) -> Vec<Fault> {
    let fault = |setting, error: ListenError, cure: &str| Fault {
        setting,
        problem: format!("cannot be used: {error}"),
        cure: cure.to_owned(),
    };
    let TlsSettings {
        cert_file,
        key_file,
    } = settings;
    let chain = read_chain(cert_file);
    let key = read_key(key_file);
    if chain.is_ok() && key.is_ok() {
        let pair = read(settings, &aws_lc_rs::default_provider()).err();
        let cure = "name the key that the certificate was made for";
        return pair
            .map(|error| fault("tls.key_file", error, cure))
            .into_iter()
            .collect();
    }
    let chain = chain.err().map(|error| {
        let cure =
            "name a PEM file that the server's user can read, with the server's certificate first";
        fault("tls.cert_file", error, cure)
    });
    let key = key.err().map(|error| {
        let cure =
            "name a PEM file that the server's user can read, with the certificate's private key";
        fault("tls.key_file", error, cure)
    });
    chain.into_iter().chain(key).collect()
}

fn read(settings: &TlsSettings, provider: &CryptoProvider) -> Result<CertifiedKey, ListenError> {
    let TlsSettings {
        cert_file,
        key_file,
    } = settings;
    let (chain, key) = (read_chain(cert_file)?, read_key(key_file)?);
    CertifiedKey::from_der(chain, key, provider).map_err(|error| {
        wrong(
            key_file,
            format!("not the key of {}: {error}", cert_file.display()),
        )
    })
}

fn read_chain(cert_file: &Path) -> Result<Vec<CertificateDer<'static>>, ListenError> {
    let chain = CertificateDer::pem_slice_iter(&bytes(cert_file)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(cert_file, format!("no PEM certificates: {error}")))?;
    if chain.is_empty() {
        return Err(wrong(cert_file, "no PEM certificate in it".to_owned()));
    }
    Ok(chain)
}

fn read_key(key_file: &Path) -> Result<PrivateKeyDer<'static>, ListenError> {
    PrivateKeyDer::from_pem_slice(&bytes(key_file)?)
        .map_err(|error| wrong(key_file, format!("no PEM private key: {error}")))
}

fn bytes(path: &Path) -> Result<Vec<u8>, ListenError> {
    fs::read(path).map_err(|error: io::Error| wrong(path, error.to_string()))
}

fn wrong(path: &Path, reason: String) -> ListenError {
    ListenError::Tls {
        path: PathBuf::from(path),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// Writes a new pair into a new directory.
    fn pair(dir: &Path) {
        fs::create_dir_all(dir).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        fs::write(dir.join("tls.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(dir.join("tls.key"), key.serialize_pem()).unwrap();
    }

    fn settings(dir: &Path) -> TlsSettings {
        TlsSettings {
            cert_file: dir.join("tls.crt"),
            key_file: dir.join("tls.key"),
        }
    }

    fn in_use(certificates: &Certificates) -> Vec<u8> {
        certificates.current.read().unwrap().cert[0].to_vec()
    }

    fn on_disk(dir: &Path) -> Vec<u8> {
        CertificateDer::from_pem_file(dir.join("tls.crt"))
            .unwrap()
            .to_vec()
    }

    #[test]
    fn a_swapped_link_is_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        pair(&at("one"));
        pair(&at("two"));
        symlink("one", at("..data")).unwrap();
        let certificates = Certificates::load(&settings(&at("..data"))).unwrap();
        let first = in_use(&certificates);
        certificates.refresh(false);
        assert_eq!(in_use(&certificates), first);
        // As the kubelet does it.
        symlink("two", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        certificates.refresh(false);
        assert_eq!(in_use(&certificates), on_disk(&at("two")));
        assert_ne!(in_use(&certificates), first);
    }

    #[test]
    fn what_cannot_be_used_leaves_the_old_pair_until_it_can() {
        let dir = tempfile::tempdir().unwrap();
        let (live, next) = (dir.path().join("live"), dir.path().join("next"));
        pair(&live);
        pair(&next);
        let certificates = Certificates::load(&settings(&live)).unwrap();
        let first = in_use(&certificates);
        // The certificate is there before its key.
        fs::copy(next.join("tls.crt"), live.join("tls.crt")).unwrap();
        certificates.refresh(false);
        assert_eq!(in_use(&certificates), first);
        for broken in ["", "-----BEGIN CERTIFICATE-----\nAA", "hello"] {
            fs::write(live.join("tls.crt"), broken).unwrap();
            certificates.refresh(true);
            assert_eq!(in_use(&certificates), first);
        }
        fs::remove_file(live.join("tls.crt")).unwrap();
        certificates.refresh(false);
        assert_eq!(in_use(&certificates), first);
        fs::copy(next.join("tls.crt"), live.join("tls.crt")).unwrap();
        fs::copy(next.join("tls.key"), live.join("tls.key")).unwrap();
        certificates.refresh(false);
        assert_eq!(in_use(&certificates), on_disk(&next));
    }

    #[test]
    fn a_first_pair_that_does_not_fit_names_both_files() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        pair(&one);
        pair(&two);
        let mixed = TlsSettings {
            cert_file: one.join("tls.crt"),
            key_file: two.join("tls.key"),
        };
        let error = Certificates::load(&mixed).unwrap_err().to_string();
        assert!(error.contains("two/tls.key: not the key of"), "{error}");
        assert!(error.contains("one/tls.crt"), "{error}");
    }
}
