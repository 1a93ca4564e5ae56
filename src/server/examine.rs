//! Opening what a configuration names before anything is started: all that is wrong is told at once, and nothing
//! is made.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    path::Path,
};

use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use super::{KeyFileError, key_file, tls};
use crate::{
    config::{Fault, Named, SignerSettings},
    upstream::{s3::S3Location, signers::check_pin_file},
};

/// What is wrong with the files and places that a configuration names.
#[must_use]
pub fn examine(named: &Named<'_>) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Some(path) = named.sqlite {
        faults.extend(database(named.database_setting, path));
    }
    if let Some(path) = named.encryption_key_file {
        faults.extend(encryption_key(path));
    }
    if let Some(settings) = named.tls {
        faults.extend(tls::faults(settings));
    }
    signer(named.signer, &mut faults);
    if let Some(place) = named.checkpoints {
        faults.extend(checkpoints(place));
    }
    faults
}

fn fault(setting: &'static str, problem: impl Into<String>, cure: impl Into<String>) -> Fault {
    Fault {
        setting,
        problem: problem.into(),
        cure: cure.into(),
    }
}

fn database(setting: &'static str, path: &Path) -> Option<Fault> {
    let shown = path.display();
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            return Some(fault(
                setting,
                format!("names {shown}, which is not a file"),
                "name a file, like \"sqlite:/var/lib/idp/idp.db\"",
            ));
        }
        Ok(_) => {
            // Closed at once, and before this process has the database open: closing drops locks.
            if let Err(error) = OpenOptions::new().read(true).write(true).open(path) {
                return Some(fault(
                    setting,
                    format!("names {shown}, which cannot be read and written: {error}"),
                    "give the server's user the file and its directory (chown)",
                ));
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            return Some(fault(
                setting,
                format!("names {shown}, which cannot be reached: {error}"),
                "give the server's user the directories on the way to it",
            ));
        }
    }
    let directory = directory_of(path);
    writable(directory).err().map(|problem| {
        fault(
            setting,
            format!("names {shown}, whose directory {problem}"),
            format!(
                "make the directory and give it to the server's user: mkdir -p {}",
                directory.display()
            ),
        )
    })
}

fn encryption_key(path: &Path) -> Option<Fault> {
    const SETTING: &str = "keys.encryption_key_file";

    let shown = path.display();
    let absent = matches!(fs::metadata(path), Err(error) if error.kind() == ErrorKind::NotFound);
    if absent {
        // The first start makes it.
        let directory = directory_of(path);
        return writable(directory).err().map(|problem| {
            fault(
                SETTING,
                format!(
                    "is {shown}, which is not there and cannot be made: its directory {problem}"
                ),
                "name the file that holds the key, or a place where the first start can make it",
            )
        });
    }
    let error = key_file::read(path).err()?;
    let cure = match &error {
        // They say so themselves.
        KeyFileError::Permissions { .. } | KeyFileError::Io { .. } => "",
        _ => "restore the file from its backup, or name the file that holds the key",
    };
    Some(fault(SETTING, format!("is wrong: {error}"), cure))
}

fn signer(settings: &SignerSettings, faults: &mut Vec<Fault>) {
    if let Some(path) = settings.kms.as_ref().and_then(|kms| kms.ca_file.as_deref()) {
        faults.extend(authorities(path).err().map(|problem| {
            fault(
                "aws_kms.ca_file",
                format!("names {}, {problem}", path.display()),
                "name a PEM file of CA certificates, or leave it out for the system's",
            )
        }));
    }
    let Some(token) = &settings.pkcs11 else {
        return;
    };
    if let Err(error) = readable_file(&token.module) {
        faults.push(fault(
            "pkcs11.module",
            format!(
                "names {}, which cannot be read: {error}",
                token.module.display()
            ),
            "install the module, or name its shared library",
        ));
    }
    if let Err(problem) = check_pin_file(&token.pin_file) {
        faults.push(fault(
            "pkcs11.pin_file",
            format!("is wrong: {problem}"),
            "write the user's PIN into a file that only the server's user can read",
        ));
    }
}

fn authorities(path: &Path) -> Result<(), String> {
    let unreadable = |error: io::Error| format!("which cannot be read: {error}");
    let text = fs::read(path).map_err(unreadable)?;
    let mut certificates = CertificateDer::pem_slice_iter(&text);
    match certificates.next() {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(format!("which holds no PEM certificates: {error}")),
        None => Err("which holds no PEM certificate".to_owned()),
    }
}

fn checkpoints(place: &str) -> Option<Fault> {
    const SETTING: &str = "audit.checkpoints";

    if place.starts_with("s3://") {
        let error = place.parse::<S3Location>().err()?;
        return Some(fault(SETTING, format!("is wrong: {error}"), ""));
    }
    // The first checkpoint makes the directory, with those above it.
    let there = Path::new(place)
        .ancestors()
        .map(|path| {
            if path == Path::new("") {
                Path::new(".")
            } else {
                path
            }
        })
        .find(|path| path.exists())?;
    writable(there).err().map(|problem| {
        fault(
            SETTING,
            format!(
                "names {place}, where nothing can be written: {} {problem}",
                there.display()
            ),
            "name a directory that the server's user can write, or s3://bucket/prefix",
        )
    })
}

fn directory_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Whether files can be made in a directory; one without a name is, and goes at once.
fn writable(directory: &Path) -> Result<(), String> {
    match fs::metadata(directory) {
        Ok(found) if !found.is_dir() => return Err("is not a directory".to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err("does not exist".to_owned());
        }
        Err(error) => return Err(format!("cannot be reached: {error}")),
    }
    match tempfile::tempfile_in(directory) {
        Ok(_) => Ok(()),
        // Its text names a file that nobody has asked for.
        Err(error) => Err(format!(
            "cannot be written: {}",
            io::Error::from(error.kind())
        )),
    }
}

fn readable_file(path: &Path) -> io::Result<()> {
    if File::open(path)?.metadata()?.is_file() {
        Ok(())
    } else {
        Err(io::Error::other("it is not a regular file"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::{
        config::{KmsSettings, Pkcs11Settings, Settings},
        domain::SystemRandom,
        jose::SealingKey,
    };

    /// What is wrong with a configuration in `dir`, a report a line.
    fn wrong(dir: &Path, text: &str) -> String {
        let file = dir.join("idp.toml");
        let text = format!("issuer = \"https://idp.example.com\"\n{text}");
        Settings::load_examined(Some((&file, &text)), &|_| None, &examine)
            .err()
            .map(|errors| errors.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn what_is_not_there_yet_and_can_be_made_is_right() {
        let dir = tempfile::tempdir().unwrap();
        let text = "database.url = \"sqlite:idp.db\"\naudit.checkpoints = \"a/b/c\"\n";
        assert_eq!(wrong(dir.path(), text), "");
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
        assert!(left.is_empty(), "nothing is made: {left:?}");
    }

    #[test]
    fn everything_wrong_is_told_at_once_with_its_line_and_cure() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let said = wrong(
            dir.path(),
            "listen = \"here\"\n\
             [database]\nurl = \"sqlite:/nonexistent/idp.db\"\n\
             [keys]\nencryption_key_file = \"/nonexistent/kek\"\n\
             [tls]\ncert_file = \"absent.pem\"\nkey_file = \"file\"\n\
             [audit]\ncheckpoints = \"file/checkpoints\"\n\
             [aws_kms]\nca_file = \"file\"\n\
             [pkcs11]\nmodule = \"absent.so\"\ntoken = \"t\"\npin_file = \"absent-pin\"\n",
        );
        for says in [
            "idp.toml:2: listen",
            "idp.toml:4: database.url names /nonexistent/idp.db, whose directory does not exist; make",
            "idp.toml:6: keys.encryption_key_file is /nonexistent/kek, which is not there and cannot be made",
            "idp.toml:8: tls.cert_file",
            "absent.pem",
            "idp.toml:9: tls.key_file",
            "no PEM private key",
            "idp.toml:11: audit.checkpoints names",
            "file is not a directory",
            "idp.toml:13: aws_kms.ca_file",
            "holds no PEM certificate",
            "idp.toml:15: pkcs11.module",
            "idp.toml:17: pkcs11.pin_file",
            "absent-pin cannot be read",
        ] {
            assert!(said.contains(says), "{says} in\n{said}");
        }
        assert_eq!(said.lines().count(), 9, "{said}");
        assert!(
            said.lines().skip(1).all(|line| line.contains("; ")),
            "{said}"
        );
    }

    #[test]
    fn a_key_encryption_key_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key-encryption-key");
        let text = "database.url = \"sqlite:idp.db\"\n";
        fs::write(&key, &*SealingKey::generate(&SystemRandom).to_text()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let said = wrong(dir.path(), text);
        assert!(said.contains("keys.encryption_key_file is wrong"), "{said}");
        assert!(said.contains("run: chmod 600"), "{said}");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(wrong(dir.path(), text), "");
        fs::write(&key, "hunter2").unwrap();
        let said = wrong(dir.path(), text);
        assert!(said.contains("restore the file from its backup"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }

    #[test]
    fn places_that_are_no_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        let said = wrong(dir.path(), "database.url = \"sqlite:d\"\n");
        assert!(said.contains("which is not a file"), "{said}");
        let said = wrong(dir.path(), "database.url = \"sqlite:/proc/idp.db\"\n");
        assert!(said.contains("directory cannot be written"), "{said}");
        let said = wrong(
            dir.path(),
            "database.url = \"sqlite:a.db\"\naudit.checkpoints = \"s3://\"\n",
        );
        assert!(said.contains("audit.checkpoints is wrong"), "{said}");
        let mut settings = SignerSettings {
            kms: Some(KmsSettings {
                region: None,
                endpoint_url: None,
                ca_file: Some(dir.path().join("d")),
                deletion_days: 7,
            }),
            pkcs11: Some(Pkcs11Settings {
                module: dir.path().join("d"),
                token: "t".to_owned(),
                pin_file: dir.path().join("d"),
            }),
            ..SignerSettings::default()
        };
        let mut faults = Vec::new();
        signer(&settings, &mut faults);
        assert_eq!(faults.len(), 3, "{faults:?}");
        (settings.kms, settings.pkcs11) = (None, None);
        faults.clear();
        signer(&settings, &mut faults);
        assert_eq!(faults, []);
    }
}
