//! TLS towards AWS.

use std::{path::Path, path::PathBuf, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

/// Why there are no certificates to trust.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The system has none.
    #[error(
        "the system has no CA certificates{0}; install the package ca-certificates, or name a file with \
         SSL_CERT_FILE"
    )]
    System(String),
    /// The file of further ones.
    #[error("the CA certificates in {} cannot be used: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// Verifies against the system's certificates and those in `extra`; offers HTTP/2 and HTTP/1.1.
pub(super) fn client_config(extra: Option<&Path>) -> Result<ClientConfig, RootsError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    let (good, _) = roots.add_parsable_certificates(system.certs);
    if let Some(path) = extra {
        let failed = |reason: String| RootsError::File {
            path: path.to_owned(),
            reason,
        };
        let mut any = false;
        let certificates =
            CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| failed(error.to_string()))?;
            let added = roots.add(certificate);
            added.map_err(|error| failed(error.to_string()))?;
            any = true;
        }
        if !any {
            return Err(failed("it holds no certificate in PEM form".to_owned()));
        }
    } else if good == 0 {
        let reasons = system.errors.iter().map(|error| format!(" ({error})"));
        return Err(RootsError::System(reasons.collect()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
