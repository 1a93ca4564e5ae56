//! A place for named objects: a directory, or an S3 bucket.

use async_trait::async_trait;
use bytes::Bytes;

/// Why an object was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// No connection, no answer in time, a service that is not well.
    #[error("{place} could not be reached: {reason}")]
    Unreachable {
        /// The object or the place.
        place: String,
        /// What happened.
        reason: String,
    },
    /// The place answered that it will not.
    #[error("{place}: {reason}")]
    Refused {
        /// The object or the place.
        place: String,
        /// What it said, and what to do.
        reason: String,
    },
}

/// An object to be written.
#[derive(Clone, Debug)]
pub struct NewObject {
    /// Its name below the place: letters, digits, `.`, `-`, `_`, and `/` between parts.
    pub name: String,
    /// Its bytes.
    pub body: Bytes,
    /// Its media type, where the place keeps one.
    pub content_type: &'static str,
    /// Its `Cache-Control`, where the place keeps one.
    pub cache_control: Option<&'static str>,
}

/// How a creation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// It is there now, durably.
    Done,
    /// There was an object of that name before; it is as it was.
    Exists,
}

/// Named objects below one place.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Where an object is, for messages: a path, or `s3://bucket/key`.
    fn place(&self, name: &str) -> String;

    /// Writes an object, whole and durably; one of that name is replaced.
    async fn put(&self, object: NewObject) -> Result<(), ObjectError>;

    /// Writes an object whose name is not taken: of several that try at once, one is [`Created::Done`].
    async fn create(&self, object: NewObject) -> Result<Created, ObjectError>;

    /// The bytes of an object; `None` where there is none.
    async fn get(&self, name: &str) -> Result<Option<Bytes>, ObjectError>;

    /// The names of the objects directly below the place that come after `after`, in the order of
    /// their bytes; at most a thousand, and fewer only where there are no more.
    async fn list(&self, after: &str) -> Result<Vec<String>, ObjectError>;
}
