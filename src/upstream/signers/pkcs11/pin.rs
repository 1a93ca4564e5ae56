//! The user's PIN: read from its file for every login, never kept.

use std::{fs::File, io::Read as _, os::unix::fs::MetadataExt as _, path::Path};

use zeroize::Zeroizing;

/// No PIN is longer.
const LONGEST: u64 = 256;

/// Reads the PIN, which is the file's first line. The file must be out of reach for everybody else.
///
/// # Errors
/// A sentence that names the file and the cure, and holds nothing of the PIN.
pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, String> {
    let failed = |reason: &dyn std::fmt::Display| {
        format!("the PIN in {} cannot be read: {reason}", path.display())
    };
    // The open file is judged, not the path, so that the two cannot be different files.
    let file = File::open(path).map_err(|error| failed(&error))?;
    let metadata = file.metadata().map_err(|error| failed(&error))?;
    if metadata.mode() & 0o077 != 0 {
        return Err(format!(
            "the PIN in {} can be read by others (mode {:04o}); run: chmod 600 {}",
            path.display(),
            metadata.mode() & 0o7777,
            path.display()
        ));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(LONGEST)
        .read_to_string(&mut text)
        .map_err(|_| failed(&"it is not UTF-8 text"))?;
    let pin = text.lines().next().unwrap_or_default();
    if pin.is_empty() {
        return Err(format!("the PIN's file {} is empty", path.display()));
    }
    Ok(Zeroizing::new(pin.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn only_a_private_file_with_something_in_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pin");
        assert!(read(&path).unwrap_err().contains("cannot be read"));
        for (text, mode, expected) in [
            ("1234\n", 0o600, Ok("1234")),
            ("1234", 0o400, Ok("1234")),
            ("1234\n", 0o640, Err("chmod 600")),
            ("\n", 0o600, Err("is empty")),
        ] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            match (read(&path), expected) {
                (Ok(pin), Ok(expected)) => assert_eq!(*pin, expected),
                (Err(error), Err(says)) => {
                    assert!(error.contains(says) && !error.contains("1234"), "{error}");
                }
                (other, _) => panic!("{:?}", other.map(|_| ())),
            }
            fs::remove_file(&path).unwrap();
        }
    }
}
