//! The variables that lead a program to the signing proxy, and those that would lead it past.

use std::{ffi::OsStr, net::SocketAddr, path::Path};

use crate::domain::{ExposeSecret as _, SecretString};

/// Stands where a secret access key has to be; it signs nothing that anybody checks.
const DUMMY_SECRET: &str = "the-signing-proxy-signs-instead";

/// Hosts that are never reached by a proxy: the proxy itself is there.
const LOCAL: [&str; 3] = ["127.0.0.1", "localhost", "::1"];

/// Which proxy, and what else a program has to know.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    /// Where the proxy listens.
    pub address: SocketAddr,
    /// Its key.
    pub key: &'a SecretString,
    /// The bundle: the system's certificate authorities and the proxy's.
    pub bundle: &'a Path,
    /// The proxy's certificate authorities alone.
    pub ca: &'a Path,
    /// The region of requests that name none.
    pub region: &'a str,
    /// Whether SDKs are told to send requests to the proxy as if it was AWS. Some, such as the one for
    /// JavaScript, know no `HTTPS_PROXY`.
    pub endpoint_url: bool,
    /// Hosts that programs reach without a proxy already, as `NO_PROXY` has them; those of AWS are not among
    /// them.
    pub direct: &'a str,
    /// Empty files in the place of the AWS tools' config and credentials files.
    pub aws_files: Option<(&'a Path, &'a Path)>,
}

impl Route<'_> {
    /// The variables, in the order in which they are shown.
    ///
    /// `AWS_ACCESS_KEY_ID` is the proxy's key: a signature made with it shows the key and is thrown away.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, SecretString)> {
        let key = self.key.expose_secret();
        let proxy = format!("http://idp:{key}@{}", self.address);
        let path = |path: &Path| path.display().to_string();
        let mut direct = LOCAL.join(",");
        for host in self.direct.split([',', ' ']) {
            if !host.is_empty() && !LOCAL.contains(&host) {
                direct.push(',');
                direct.push_str(host);
            }
        }
        let mut all = vec![
            ("HTTPS_PROXY", proxy.clone()),
            ("https_proxy", proxy),
            ("NO_PROXY", direct.clone()),
            ("no_proxy", direct),
        ];
        for name in [
            "AWS_CA_BUNDLE",
            "SSL_CERT_FILE",
            "REQUESTS_CA_BUNDLE",
            "CURL_CA_BUNDLE",
        ] {
            all.push((name, path(self.bundle)));
        }
        all.extend([
            // Node.js adds them to its own.
            ("NODE_EXTRA_CA_CERTS", path(self.ca)),
            ("AWS_ACCESS_KEY_ID", key.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", DUMMY_SECRET.to_owned()),
            ("AWS_REGION", self.region.to_owned()),
            // boto3 and the AWS CLI know only this one.
            ("AWS_DEFAULT_REGION", self.region.to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]);
        if self.endpoint_url {
            all.push(("AWS_ENDPOINT_URL", format!("http://{}", self.address)));
        }
        if let Some((config, credentials)) = self.aws_files {
            all.push(("AWS_CONFIG_FILE", path(config)));
            all.push(("AWS_SHARED_CREDENTIALS_FILE", path(credentials)));
        }
        all.into_iter()
            .map(|(name, value)| (name, SecretString::from(value)))
            .collect()
    }
}

/// Whether a variable is taken away from a program that goes through the proxy: credentials of AWS and
/// whatever leads to them, addresses of endpoints, and everything that is `idp`'s own.
#[must_use]
pub fn is_removed(name: &str) -> bool {
    if name.starts_with("IDP_") {
        return true;
    }
    let Some(rest) = name.strip_prefix("AWS_") else {
        // boto's first version, and old spellings of the SDK for Java and of tools.
        return matches!(name, "AMAZON_ACCESS_KEY_ID" | "AMAZON_SECRET_ACCESS_KEY");
    };
    [
        "ACCESS_KEY",
        "SECRET",
        "TOKEN",
        "CREDENTIAL",
        "PROFILE",
        "ROLE_",
        "SSO_",
        "ENDPOINT_URL",
        "CONFIG_FILE",
    ]
    .iter()
    .any(|part| rest.contains(part))
}

/// Those of `names` that are taken away.
pub fn removed<'a>(names: impl Iterator<Item = &'a OsStr>) -> Vec<&'a str> {
    let mut found: Vec<_> = names
        .filter_map(OsStr::to_str)
        .filter(|name| is_removed(name))
        .collect();
    found.sort_unstable();
    found
}

/// Lines for a POSIX shell to evaluate: what to unset, then what to export.
#[must_use]
pub fn export_lines(unset: &[&str], variables: &[(&'static str, SecretString)]) -> SecretString {
    let mut lines = String::new();
    if !unset.is_empty() {
        lines.push_str("unset ");
        lines.push_str(&unset.join(" "));
        lines.push('\n');
    }
    for (name, value) in variables {
        let value = value.expose_secret().replace('\'', "'\\''");
        lines.push_str("export ");
        lines.push_str(name);
        lines.push_str("='");
        lines.push_str(&value);
        lines.push_str("'\n");
    }
    SecretString::from(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(key: &SecretString) -> Route<'_> {
        Route {
            address: "127.0.0.1:8888".parse().unwrap(),
            key,
            bundle: Path::new("/b/it's.pem"),
            ca: Path::new("/b/ca.pem"),
            region: "eu-central-1",
            endpoint_url: true,
            direct: "localhost,.corp.example, 10.0.0.0/8",
            aws_files: Some((Path::new("/b/config"), Path::new("/b/credentials"))),
        }
    }

    #[test]
    fn names_the_proxy_its_key_and_its_certificates() {
        let key = SecretString::from("idp_proxy_k");
        let all = route(&key).variables();
        let value = |name: &str| {
            let found = all.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.expose_secret().to_owned())
        };
        for (name, wanted) in [
            ("HTTPS_PROXY", "http://idp:idp_proxy_k@127.0.0.1:8888"),
            ("AWS_ACCESS_KEY_ID", "idp_proxy_k"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:8888"),
            ("AWS_DEFAULT_REGION", "eu-central-1"),
            ("NODE_EXTRA_CA_CERTS", "/b/ca.pem"),
            (
                "no_proxy",
                "127.0.0.1,localhost,::1,.corp.example,10.0.0.0/8",
            ),
            ("AWS_CONFIG_FILE", "/b/config"),
        ] {
            assert_eq!(value(name).as_deref(), Some(wanted), "{name}");
        }
        let less = Route {
            endpoint_url: false,
            aws_files: None,
            ..route(&key)
        };
        assert_eq!(less.variables().len() + 3, all.len());
    }

    #[test]
    fn real_credentials_and_what_leads_to_them_go() {
        for name in [
            "AWS_ACCESS_KEY_ID",
            "AWS_ACCESS_KEY",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SECRET_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_SECURITY_TOKEN",
            "AWS_PROFILE",
            "AWS_DEFAULT_PROFILE",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_ROLE_ARN",
            "AWS_ROLE_SESSION_NAME",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            "AWS_CREDENTIAL_EXPIRATION",
            "AWS_BEARER_TOKEN_BEDROCK",
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_S3",
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
            "AWS_SHARED_CREDENTIALS_FILE",
            "AWS_CONFIG_FILE",
            "AWS_SSO_ACCOUNT_ID",
            "IDP_JOIN_TOKEN",
            "IDP_HOME",
        ] {
            assert!(is_removed(name), "{name}");
        }
        for name in [
            "AWS_REGION",
            "AWS_MAX_ATTEMPTS",
            "AWS_RETRY_MODE",
            "AWS_PAGER",
            "AWS_USE_FIPS_ENDPOINT",
            "PATH",
            "HOME",
        ] {
            assert!(!is_removed(name), "{name}");
        }
        let names = ["PATH", "AWS_PROFILE", "AWS_ACCESS_KEY_ID"].map(OsStr::new);
        assert_eq!(
            removed(names.into_iter()),
            ["AWS_ACCESS_KEY_ID", "AWS_PROFILE"]
        );
    }

    #[test]
    fn a_shell_reads_the_lines_back() {
        let key = SecretString::from("k");
        let lines = export_lines(&["AWS_PROFILE", "HOME"], &route(&key).variables());
        let script = format!(
            "{}printf '%s|%s|%s' \"$AWS_CA_BUNDLE\" \"$AWS_REGION\" \"${{HOME-unset}}\"",
            lines.expose_secret()
        );
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            "/b/it's.pem|eu-central-1|unset"
        );
    }
}
