//! Places for objects: a directory, or S3.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    client::atomic_file::atomic_write,
    domain::Clock,
    ports::{Created, NewObject, ObjectError, ObjectStore},
    upstream::{
        http::HttpSettings,
        s3::{S3Location, S3LocationError, S3Objects},
    },
};

/// As many names as S3 lists at once.
const LISTED: usize = 1_000;

/// Opens `s3://bucket/prefix`, or a directory, which is made where it is missing.
///
/// # Errors
/// It begins as a place in S3 and is none.
pub async fn open_objects(
    place: &str,
    http: HttpSettings,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn ObjectStore>, S3LocationError> {
    if place.starts_with("s3://") {
        let location: S3Location = place.parse()?;
        Ok(Arc::new(S3Objects::load(location, http, clock).await))
    } else {
        Ok(Arc::new(Directory(PathBuf::from(place))))
    }
}

/// A directory whose files are the objects.
struct Directory(PathBuf);

impl Directory {
    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The path of a file that is to be written, in a directory that is there.
    fn place_for(&self, name: &str) -> Result<PathBuf, ObjectError> {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed(parent))?;
        }
        Ok(path)
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> ObjectError {
    let place = path.display().to_string();
    move |error| ObjectError::Refused {
        place,
        reason: error.to_string(),
    }
}

#[async_trait]
impl ObjectStore for Directory {
    fn place(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    async fn put(&self, object: NewObject) -> Result<(), ObjectError> {
        let path = self.place_for(&object.name)?;
        atomic_write(&path, &object.body, 0o644).map_err(|error| ObjectError::Refused {
            place: path.display().to_string(),
            reason: error.to_string(),
        })
    }

    async fn create(&self, object: NewObject) -> Result<Created, ObjectError> {
        let path = self.place_for(&object.name)?;
        let directory = path.parent().unwrap_or(&self.0);
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            file.write_all(&object.body)?;
            file.as_file().sync_all()?;
            // A link, which fails where there is such a name.
            match file.persist_noclobber(&path) {
                Ok(_) => {}
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                    return Ok(Created::Exists);
                }
                Err(error) => return Err(error.error),
            }
            fs::File::open(directory)?.sync_all()?;
            Ok(Created::Done)
        };
        write().map_err(failed(&path))
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>, ObjectError> {
        let path = self.path(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&path)(error)),
        }
    }

    async fn list(&self, after: &str) -> Result<Vec<String>, ObjectError> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(&self.0)(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed(&self.0))?;
            // A name that is not text is none of ours.
            if let Ok(name) = entry.file_name().into_string()
                && name.as_str() > after
                && entry.file_type().is_ok_and(|kind| kind.is_file())
            {
                names.push(name);
            }
        }
        names.sort_unstable();
        names.truncate(LISTED);
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, body: &'static [u8]) -> NewObject {
        NewObject {
            name: name.to_owned(),
            body: Bytes::from_static(body),
            content_type: "text/plain",
            cache_control: None,
        }
    }

    #[tokio::test]
    async fn a_directory_holds_objects() {
        let parent = tempfile::tempdir().unwrap();
        let objects = Directory(parent.path().join("made/later"));
        assert_eq!(objects.list("").await.unwrap(), Vec::<String>::new());
        assert_eq!(objects.get("a").await.unwrap(), None);
        assert_eq!(
            objects.create(object("b", b"1")).await.unwrap(),
            Created::Done
        );
        assert_eq!(
            objects.create(object("b", b"2")).await.unwrap(),
            Created::Exists
        );
        assert_eq!(objects.get("b").await.unwrap().unwrap(), "1");
        objects.put(object("a", b"3")).await.unwrap();
        objects.put(object("b", b"4")).await.unwrap();
        objects.put(object("sub/c", b"5")).await.unwrap();
        assert_eq!(objects.list("").await.unwrap(), ["a", "b"]);
        assert_eq!(objects.list("a").await.unwrap(), ["b"]);
        assert_eq!(objects.get("b").await.unwrap().unwrap(), "4");
    }

    #[tokio::test]
    async fn what_cannot_be_written_names_the_path() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        let objects = Directory(file.clone());
        let error = objects.create(object("a", b"1")).await.unwrap_err();
        assert!(
            error.to_string().contains(&file.display().to_string()),
            "{error}"
        );
    }
}
