//! A real nginx in front of a real server: TLS ends there, the client's address arrives, and the key
//! set comes out of its cache.

use std::{fs, process::Stdio};

use idp::upstream::{
    guard::Allow,
    http::{HttpAnswer, HttpClient, HttpSettings},
};
use rcgen::{CertificateParams, KeyPair};

use super::{text, tool};
use crate::{
    e2e::{attackers::block_on, installation::Installation},
    support::{Running, clean_command, free_port},
};

/// A server behind nginx.
struct Fronted {
    installation: Installation,
    http: HttpClient,
    url: String,
    _nginx: Running,
}

impl Fronted {
    fn start() -> Option<Self> {
        tool("nginx", "-v")?;
        let mut installation = Installation::new(|port| {
            format!(
                "issuer = \"http://127.0.0.1:{port}\"\nlisten = \"127.0.0.1:{port}\"\n\
                 keys.algorithm = \"ES256\"\nlog.level = \"debug\"\n\
                 [limits]\ntrusted_proxies = [\"127.0.0.1\"]\naddress_rate = 1\naddress_burst = 5\n"
            )
        });
        installation.start();
        let dir = installation.path();
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key);
        let certificate = certificate.unwrap().pem();
        fs::write(dir.join("cert.pem"), &certificate).unwrap();
        fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
        let port = free_port();
        let live = "/etc/letsencrypt/live/idp.example.com";
        let here = dir.display();
        let site = text("examples/nginx/idp.conf")
            .replace("listen 443 ssl", &format!("listen 127.0.0.1:{port} ssl"))
            .replace(
                "127.0.0.1:8080",
                &format!("127.0.0.1:{}", installation.port()),
            )
            .replace(
                &format!("{live}/fullchain.pem"),
                &format!("{here}/cert.pem"),
            )
            .replace(&format!("{live}/privkey.pem"), &format!("{here}/key.pem"))
            .replace("/var/cache/nginx/idp", &format!("{here}/cache-of-nginx"));
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {here}/{kind};\n"))
            .concat();
        let config = format!(
            "daemon off; master_process off; user root; pid {here}/nginx.pid; error_log {here}/nginx-error.log;\n\
             events {{}}\nhttp {{\naccess_log off;\n{temporary}{site}\n}}\n"
        );
        // One process: the workers of a master that is killed would outlive it and the test.
        // Only root can change the user, and nobody else has to.
        let config = if rustix::process::geteuid().is_root() {
            config
        } else {
            config.replace("user root; ", "")
        };
        fs::write(dir.join("nginx.conf"), config).unwrap();
        let nginx = Running::start(
            clean_command("nginx")
                .arg("-e")
                .arg(dir.join("nginx-error.log"))
                .arg("-c")
                .arg(dir.join("nginx.conf"))
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
        // Another test of this process may have done it; under nextest there is none.
        rustls::crypto::aws_lc_rs::default_provider()
            .install_default()
            .ok();
        let settings = HttpSettings {
            roots: Some(dir.join("cert.pem")),
            ..HttpSettings::default()
        };
        let fronted = Self {
            http: HttpClient::new(settings, Allow::AnyAddress),
            url: format!("https://127.0.0.1:{port}"),
            installation,
            _nginx: nginx,
        };
        for _ in 0..500 {
            if fronted
                .try_get("/.well-known/openid-configuration")
                .is_some()
            {
                return Some(fronted);
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let log = fs::read_to_string(fronted.installation.path().join("nginx-error.log"));
        panic!("nginx does not answer: {log:?}");
    }

    fn try_get(&self, path: &str) -> Option<HttpAnswer> {
        let url = format!("{}{path}", self.url).parse().unwrap();
        block_on(self.http.get(&url)).ok()
    }

    #[track_caller]
    fn get(&self, path: &str) -> HttpAnswer {
        self.try_get(path).unwrap()
    }

    fn header(answer: &HttpAnswer, name: &str) -> String {
        let value = answer
            .headers
            .get(name)
            .map(|value| value.to_str().unwrap());
        value.unwrap_or_default().to_owned()
    }
}

#[test]
fn the_key_set_comes_from_the_cache_and_survives_the_server() {
    let Some(mut fronted) = Fronted::start() else {
        return;
    };
    let first = fronted.get("/.well-known/jwks.json");
    assert_eq!(first.status, 200);
    assert_eq!(
        Fronted::header(&first, "cache-control"),
        "public, max-age=300"
    );
    let second = fronted.get("/.well-known/jwks.json");
    assert_eq!(Fronted::header(&second, "x-cache-status"), "HIT");
    assert_eq!(second.body, first.body);
    assert!(fronted.installation.stop().success());
    let third = fronted.get("/.well-known/jwks.json");
    assert_eq!(third.body, first.body);
}

#[test]
fn the_clients_address_arrives_and_nothing_else() {
    let Some(fronted) = Fronted::start() else {
        return;
    };
    let answer = fronted.get("/enroll/nonce");
    assert_eq!(Fronted::header(&answer, "cache-control"), "no-store");
    // nginx vouches for 127.0.0.1, which is trusted itself, so that all is one client.
    let statuses: Vec<u16> = (0..8)
        .map(|number| {
            let mut request = http::Request::new(bytes::Bytes::new());
            *request.uri_mut() = format!("{}/enroll/nonce", fronted.url).parse().unwrap();
            let forged = format!("192.0.2.{number}").parse().unwrap();
            request.headers_mut().insert("x-forwarded-for", forged);
            let sent = block_on(fronted.http.send(request)).unwrap();
            sent.status.as_u16()
        })
        .collect();
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    let log = fronted.installation.log();
    assert!(log.contains("\"client\":\"127.0.0.1\""), "{log}");
    assert!(!log.contains("192.0.2."), "{log}");
}
