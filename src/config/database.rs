//! `[database]`, and the file with the key-encryption key, whose place depends on it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::reader::{Reader, Source};
use crate::domain::DatabaseUrl;

const URL: &str = "database.url";
const FILE: &str = "database.url_file";
const EXAMPLE: &str = "for example \"sqlite:/var/lib/idp/idp.db\" or \"postgres://idp@db.example.com/idp?sslmode=verify-full\"";

/// The most that a file with an address is read of.
const MAX_FILE: u64 = 16 * 1024;

/// The address of the database: `database.url`, or what the file `database.url_file` holds, so that a
/// password need not be in the configuration. A variable wins over the file's setting of either name.
pub(super) fn read_url(reader: &mut Reader<'_>) -> Option<DatabaseUrl> {
    let (url, file) = (reader.is_set(URL), reader.is_set(FILE));
    if url.is_some() && url == file {
        reader.note(FILE, "is set beside `database.url`", "keep one of them");
    }
    // Both are asked for, so that both are known settings.
    let in_file = reader.optional_path(FILE);
    let here = reader.secret::<DatabaseUrl>(URL);
    match setting(reader) {
        _ if url.is_none() && file.is_none() => {
            reader.missing(URL, EXAMPLE);
            None
        }
        FILE => read_file(reader, &in_file?),
        _ => here.map(|(url, base)| url.relative_to(base)),
    }
}

/// The setting that names the database, as [`read_url`] chooses.
pub(super) fn setting(reader: &Reader<'_>) -> &'static str {
    match (reader.is_set(URL), reader.is_set(FILE)) {
        (None, Some(_)) | (Some(Source::File), Some(Source::Environment)) => FILE,
        _ => URL,
    }
}

fn read_file(reader: &mut Reader<'_>, path: &Path) -> Option<DatabaseUrl> {
    let problem = match fs::metadata(path).map(|file| file.len()) {
        Ok(0..=MAX_FILE) => match fs::read_to_string(path) {
            Ok(text) => match text.trim().parse::<DatabaseUrl>() {
                Ok(url) => {
                    return Some(url.relative_to(path.parent().unwrap_or(Path::new(""))));
                }
                Err(error) => format!("names {}, whose content {error}", path.display()),
            },
            Err(error) => format!("names {}, which cannot be read: {error}", path.display()),
        },
        Ok(_) => format!("names {}, which is too long for an address", path.display()),
        Err(error) => format!("names {}, which cannot be read: {error}", path.display()),
    };
    reader.note(
        FILE,
        &problem,
        "name a file that holds the database's address and nothing else",
    );
    None
}

/// The key-encryption key's file: as set, or beside an SQLite database. Replicas on PostgreSQL have to
/// share it, so there it has no place by itself.
pub(super) fn read_key_file(reader: &mut Reader<'_>, database: Option<&DatabaseUrl>) -> PathBuf {
    const NAME: &str = "keys.encryption_key_file";
    if let Some(path) = reader.optional_path(NAME) {
        return path;
    }
    let beside = database
        .and_then(DatabaseUrl::sqlite_path)
        .and_then(Path::parent);
    if beside.is_none() && database.is_some() {
        reader.missing(
            NAME,
            "for example \"/etc/idp/key-encryption-key\", the same key on every replica",
        );
    }
    beside.unwrap_or(Path::new("")).join("key-encryption-key")
}
