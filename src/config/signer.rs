//! `[keys] backend` and the sections of keystores outside the process.

use std::{path::PathBuf, time::Duration};

use url::Url;

use super::reader::Reader;

/// Where the private halves of an issuer's new keys are made and kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyBackend {
    /// Sealed in the database.
    #[default]
    SealedFile,
    /// In AWS KMS.
    AwsKms,
    /// In a token that is reached through PKCS #11.
    Pkcs11,
}

impl KeyBackend {
    const ALL: [Self; 3] = [Self::SealedFile, Self::AwsKms, Self::Pkcs11];

    /// The name in the settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SealedFile => "sealed-file",
            Self::AwsKms => "aws-kms",
            Self::Pkcs11 => "pkcs11",
        }
    }
}

/// Keystores outside the process. One that is configured signs with the keys that it holds, also
/// where new keys are made elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignerSettings {
    /// Where new keys are made.
    pub backend: KeyBackend,
    /// `[aws_kms]`
    pub kms: Option<KmsSettings>,
    /// `[pkcs11]`
    pub pkcs11: Option<Pkcs11Settings>,
    /// How long a signature outside the process may take.
    pub timeout: Duration,
    /// How many requests at once a keystore gets.
    pub concurrency: usize,
}

impl Default for SignerSettings {
    fn default() -> Self {
        Self {
            backend: KeyBackend::default(),
            kms: None,
            pkcs11: None,
            timeout: Duration::from_secs(5),
            concurrency: 32,
        }
    }
}

/// `[aws_kms]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KmsSettings {
    /// The region; where every AWS SDK finds it if `None`.
    pub region: Option<String>,
    /// The endpoint; the region's own if `None`.
    pub endpoint_url: Option<Url>,
    /// A PEM file of CA certificates that replaces the system's.
    pub ca_file: Option<PathBuf>,
    /// How many days a retired key can still be saved from deletion, 7 to 30.
    pub deletion_days: u8,
}

/// `[pkcs11]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pkcs11Settings {
    /// The shared library.
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// The file with the user's PIN.
    pub pin_file: PathBuf,
}

pub(super) fn read(reader: &mut Reader<'_>) -> SignerSettings {
    let default = SignerSettings::default();
    let backend = reader.optional_with("keys.backend", |text| {
        KeyBackend::ALL
            .into_iter()
            .find(|backend| backend.as_str() == text)
            .ok_or_else(|| "is neither \"sealed-file\" nor \"aws-kms\" nor \"pkcs11\"".to_owned())
    });
    let backend = backend.unwrap_or_default();
    SignerSettings {
        backend,
        kms: read_kms(reader, backend),
        pkcs11: read_pkcs11(reader, backend),
        timeout: reader
            .optional_with("keys.signer_timeout", |text| match text.parse() {
                Ok(number) if (1..=60).contains(&number) => Ok(Duration::from_secs(number)),
                _ => Err("is not a number of seconds from 1 to 60".to_owned()),
            })
            .unwrap_or(default.timeout),
        concurrency: reader
            .optional_with("keys.signer_concurrency", |text| match text.parse() {
                Ok(number) if (1..=256).contains(&number) => Ok(number),
                _ => Err("is not a number from 1 to 256".to_owned()),
            })
            .unwrap_or(default.concurrency),
    }
}

/// KMS needs no setting of its own, so the section may be missing.
fn read_kms(reader: &mut Reader<'_>, backend: KeyBackend) -> Option<KmsSettings> {
    let region = reader.optional_with("aws_kms.region", |text| {
        let fits = (1..=63).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if fits {
            Ok(text.to_owned())
        } else {
            Err("is no region such as \"eu-central-1\"".to_owned())
        }
    });
    let endpoint_url =
        reader.optional_with("aws_kms.endpoint_url", |text| match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
            _ => Err("is no URL such as \"https://kms.eu-central-1.amazonaws.com\"".to_owned()),
        });
    let ca_file = reader.optional_path("aws_kms.ca_file");
    let deletion_days = reader.optional_with("aws_kms.deletion_days", |text| match text.parse() {
        Ok(days) if (7..=30).contains(&days) => Ok(days),
        _ => Err("is not a number of days from 7 to 30, which are KMS's own limits".to_owned()),
    });
    let configured = backend == KeyBackend::AwsKms
        || region.is_some()
        || endpoint_url.is_some()
        || ca_file.is_some()
        || deletion_days.is_some();
    configured.then(|| KmsSettings {
        region,
        endpoint_url,
        ca_file,
        deletion_days: deletion_days.unwrap_or(7),
    })
}

fn read_pkcs11(reader: &mut Reader<'_>, backend: KeyBackend) -> Option<Pkcs11Settings> {
    let module = reader.optional_path("pkcs11.module");
    let token = reader.optional("pkcs11.token");
    let pin_file = reader.optional_path("pkcs11.pin_file");
    let configured = module.is_some() || token.is_some() || pin_file.is_some();
    if !configured && backend != KeyBackend::Pkcs11 {
        return None;
    }
    for (name, found, cure) in [
        (
            "pkcs11.module",
            module.is_some(),
            "name the module's shared library, for example \"/usr/lib/softhsm/libsofthsm2.so\"",
        ),
        ("pkcs11.token", token.is_some(), "name the token's label"),
        (
            "pkcs11.pin_file",
            pin_file.is_some(),
            "name the file with the user's PIN, which only the server can read",
        ),
    ] {
        if !found {
            reader.note(name, "is missing", cure);
        }
    }
    Some(Pkcs11Settings {
        module: module?,
        token: token?,
        pin_file: pin_file?,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{super::Settings, *};

    fn load(text: &str) -> Result<SignerSettings, String> {
        let text = format!("issuer = \"https://i.example\"\ndatabase.url = \"sqlite:a\"\n{text}");
        Settings::load(Some((Path::new("/etc/idp.toml"), &text)), &|_| None)
            .map(|settings| settings.keys.signer)
            .map_err(|errors| errors.to_string())
    }

    #[test]
    fn keys_are_sealed_in_the_database_unless_it_is_said_otherwise() {
        assert_eq!(load("").unwrap(), SignerSettings::default());
        let kms = load("keys.backend = \"aws-kms\"").unwrap();
        assert_eq!(kms.backend, KeyBackend::AwsKms);
        assert_eq!(
            kms.kms,
            Some(KmsSettings {
                region: None,
                endpoint_url: None,
                ca_file: None,
                deletion_days: 7
            })
        );
        assert_eq!(kms.pkcs11, None);
        let both = load(
            "[keys]\nbackend = \"pkcs11\"\nsigner_timeout = 2\nsigner_concurrency = 4\n\
             [aws_kms]\nregion = \"eu-central-1\"\ndeletion_days = 30\n\
             [pkcs11]\nmodule = \"lib.so\"\ntoken = \"idp\"\npin_file = \"pin\"",
        )
        .unwrap();
        assert_eq!(both.kms.unwrap().deletion_days, 30);
        let pkcs11 = both.pkcs11.unwrap();
        assert_eq!(pkcs11.module, Path::new("/etc/lib.so"));
        assert_eq!(pkcs11.pin_file, Path::new("/etc/pin"));
        assert_eq!(both.timeout, Duration::from_secs(2));
        assert_eq!(both.concurrency, 4);
    }

    #[test]
    fn mistakes_are_named_with_their_cure() {
        for (text, says) in [
            ("keys.backend = \"hsm\"", "is neither \"sealed-file\""),
            ("keys.backend = \"pkcs11\"", "pkcs11.module is missing"),
            ("keys.backend = \"pkcs11\"", "pkcs11.token is missing"),
            (
                "keys.backend = \"pkcs11\"",
                "pkcs11.pin_file is missing; name",
            ),
            ("pkcs11.token = \"t\"", "pkcs11.module is missing"),
            ("aws_kms.deletion_days = 6", "from 7 to 30"),
            ("aws_kms.region = \"EU\"", "is no region"),
            ("aws_kms.endpoint_url = \"kms\"", "is no URL"),
            ("keys.signer_timeout = 0", "from 1 to 60"),
            ("keys.signer_concurrency = 1000", "from 1 to 256"),
            ("pkcs11.pin = \"1234\"", "pkcs11.pin is not a setting"),
        ] {
            let error = load(text).unwrap_err();
            assert!(error.contains(says), "{says} in\n{error}");
            assert!(!error.contains("1234"), "{error}");
        }
    }
}
