//! The file of certificate authorities that agents trust: the system's and the proxy's.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The system's certificates, as `SSL_CERT_FILE` and the platform name them, and `own` (PEM) behind them.
/// An agent needs the system's for hosts that connections pass through to.
pub(super) fn with_system_roots(own: &str) -> String {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "some of the system's certificate authorities cannot be read");
    }
    let mut bundle = String::with_capacity(found.certs.len() * 2048);
    for certificate in &found.certs {
        push_pem(&mut bundle, certificate);
    }
    bundle.push_str(own);
    bundle
}

/// A certificate in PEM (RFC 7468): lines of 64 characters.
fn push_pem(bundle: &mut String, der: &[u8]) {
    bundle.push_str("-----BEGIN CERTIFICATE-----\n");
    let text = STANDARD.encode(der);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        bundle.push_str(line);
        bundle.push('\n');
        rest = after;
    }
    bundle.push_str("-----END CERTIFICATE-----\n");
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};

    use super::*;

    #[test]
    fn is_read_as_it_was_written() {
        for length in [0, 47, 48, 49, 1000] {
            let der = vec![0x30; length];
            let mut pem = String::new();
            push_pem(&mut pem, &der);
            let read = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
            assert_eq!(&*read, &*der);
            assert!(pem.lines().all(|line| line.len() <= 64));
        }
    }

    #[test]
    fn the_own_authority_comes_last() {
        assert!(with_system_roots("own\n").ends_with("own\n"));
    }
}
