//! A certificate authority that vouches for whatever name a client asks for.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::PrivateKeyDer,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

/// The authority, and the certificates that it has made so far.
#[derive(Debug)]
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    made: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // A certificate whose issuer has its own name would count as self-signed.
        params
            .distinguished_name
            .push(DnType::CommonName, "what stands for AWS");
        let key = KeyPair::generate().unwrap();
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
            made: Mutex::default(),
        }
    }

    pub(super) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// TLS for a server that has every name, speaking these protocols, the preferred one first.
    pub(super) fn server(self, protocols: &[&[u8]]) -> ServerConfig {
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(self));
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        config
    }

    fn certificate(&self, name: &str) -> CertifiedKey {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
        CertifiedKey::new(vec![certificate.der().clone()], key)
    }
}

impl ResolvesServerCert for Authority {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?;
        let mut made = self.made.lock().unwrap();
        let certificate = made
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(self.certificate(name)));
        Some(Arc::clone(certificate))
    }
}
