//! An S3 server of the `s3s` crate, which verifies signatures and checksums and undoes every framing
//! of bodies, over objects in memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use s3s::{
    S3, S3Request, S3Response, S3Result,
    dto::{
        CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CopyObjectInput,
        CopyObjectOutput, CopyObjectResult, CopySource, CreateBucketInput, CreateBucketOutput,
        CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteObjectInput,
        DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, ETag, GetObjectInput,
        GetObjectOutput, HeadObjectInput, HeadObjectOutput, ListBucketsInput, ListBucketsOutput,
        ListObjectsV2Input, ListObjectsV2Output, Object, PutObjectInput, PutObjectOutput, Range,
        StreamingBlob, UploadPartInput, UploadPartOutput,
    },
    host::MultiDomain,
    s3_error,
    service::{S3Service, S3ServiceBuilder},
};

use super::{
    cloud::{Body, Service, whole},
    pattern,
    relay::Keyring,
};

/// Where buckets are labels in front of.
const HOSTS: [&str; 2] = ["s3.us-east-1.amazonaws.com", "s3.amazonaws.com"];

/// Objects that are larger are not kept, only measured.
const KEPT: usize = 32 << 20;

/// An object that was put.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) length: u64,
    pub(super) sha256: String,
    /// The content, where it is not too large.
    bytes: Option<Bytes>,
}

impl Stored {
    fn tag(&self) -> ETag {
        ETag::Strong(self.sha256.chars().take(32).collect())
    }
}

/// The server. `GET` of a key `pattern/LENGTH` gives that many bytes of [`pattern`].
#[derive(Clone, Default)]
pub(super) struct Bucket {
    objects: Arc<Mutex<BTreeMap<String, Stored>>>,
    parts: Arc<Mutex<BTreeMap<(String, i32), Bytes>>>,
}

impl Bucket {
    /// An object that was put; the bucket's name does not matter.
    pub(super) fn object(&self, key: &str) -> Option<Stored> {
        self.objects.lock().unwrap().get(key).cloned()
    }

    /// Puts an object there, by another way than the proxy's.
    pub(super) fn put(&self, key: &str, content: &str) {
        self.store(key, content.to_owned().into());
    }

    /// The server, where all of these keys are known.
    pub(super) fn server(&self, keys: &Keyring) -> Server {
        let mut builder = S3ServiceBuilder::new(self.clone());
        builder.set_auth(keys.clone());
        builder.set_host(MultiDomain::new(HOSTS).unwrap());
        Server(builder.build())
    }

    fn store(&self, key: &str, bytes: Bytes) -> ETag {
        let mut digest = Context::new(&SHA256);
        digest.update(&bytes);
        let stored = Stored {
            length: bytes.len() as u64,
            sha256: hex::encode(digest.finish()),
            bytes: Some(bytes),
        };
        let tag = stored.tag();
        self.objects.lock().unwrap().insert(key.to_owned(), stored);
        tag
    }

    fn found(&self, key: &str) -> S3Result<Stored> {
        if let Some(length) = key.strip_prefix("pattern/") {
            return Ok(Stored {
                length: length.parse().map_err(|_| s3_error!(NoSuchKey))?,
                sha256: String::new(),
                bytes: None,
            });
        }
        self.object(key).ok_or_else(|| s3_error!(NoSuchKey))
    }
}

#[async_trait]
impl S3 for Bucket {
    async fn create_bucket(
        &self,
        _: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        Ok(S3Response::new(CreateBucketOutput::default()))
    }

    async fn list_buckets(
        &self,
        _: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        Ok(S3Response::new(ListBucketsOutput::default()))
    }

    async fn list_objects_v2(
        &self,
        _: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let objects = self.objects.lock().unwrap();
        let contents = objects.keys().map(|key| Object {
            key: Some(key.clone()),
            ..Object::default()
        });
        Ok(S3Response::new(ListObjectsV2Output {
            key_count: i32::try_from(objects.len()).ok(),
            contents: Some(contents.collect()),
            ..ListObjectsV2Output::default()
        }))
    }

    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        let mut digest = Context::new(&SHA256);
        let (mut length, mut kept) = (0_u64, Vec::new());
        let mut body = input.body.ok_or_else(|| s3_error!(IncompleteBody))?;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|_| s3_error!(IncompleteBody))?;
            digest.update(&chunk);
            length += chunk.len() as u64;
            if kept.len() + chunk.len() <= KEPT {
                kept.extend_from_slice(&chunk);
            }
        }
        let stored = Stored {
            length,
            sha256: hex::encode(digest.finish()),
            bytes: (kept.len() as u64 == length).then(|| kept.into()),
        };
        let tag = stored.tag();
        self.objects.lock().unwrap().insert(input.key, stored);
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(tag),
            ..PutObjectOutput::default()
        }))
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let stored = self.found(&request.input.key)?;
        let (body, length, range) = match (stored.bytes, request.input.range) {
            (Some(bytes), Some(range)) => {
                let part = range.check(stored.length)?;
                let text = format!("bytes {}-{}/{}", part.start, part.end - 1, stored.length);
                let part = usize::try_from(part.start).unwrap()..usize::try_from(part.end).unwrap();
                (
                    once(bytes.slice(part.clone())),
                    part.len() as u64,
                    Some(text),
                )
            }
            (Some(bytes), None) => (once(bytes), stored.length, None),
            (None, None::<Range>) => {
                let chunks = pattern::chunks(stored.length).map(Ok::<_, std::io::Error>);
                let body = StreamingBlob::wrap(stream::iter(chunks));
                (body, stored.length, None)
            }
            (None, Some(_)) => return Err(s3_error!(NotImplemented)),
        };
        Ok(S3Response::new(GetObjectOutput {
            body: Some(body),
            content_length: i64::try_from(length).ok(),
            content_range: range,
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let stored = self.found(&request.input.key)?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: i64::try_from(stored.length).ok(),
            ..HeadObjectOutput::default()
        }))
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let CopySource::Bucket { key, .. } = &request.input.copy_source else {
            return Err(s3_error!(NotImplemented));
        };
        let stored = self.found(key)?;
        let result = CopyObjectResult {
            e_tag: Some(stored.tag()),
            ..CopyObjectResult::default()
        };
        let mut objects = self.objects.lock().unwrap();
        objects.insert(request.input.key, stored);
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(result),
            ..CopyObjectOutput::default()
        }))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.objects.lock().unwrap().remove(&request.input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let mut objects = self.objects.lock().unwrap();
        for object in request.input.delete.objects {
            objects.remove(&object.key);
        }
        Ok(S3Response::new(DeleteObjectsOutput::default()))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(request.input.bucket),
            upload_id: Some(request.input.key.clone()),
            key: Some(request.input.key),
            ..CreateMultipartUploadOutput::default()
        }))
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let input = request.input;
        let mut body = input.body.ok_or_else(|| s3_error!(IncompleteBody))?;
        let mut bytes = Vec::new();
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk.map_err(|_| s3_error!(IncompleteBody))?);
        }
        let mut parts = self.parts.lock().unwrap();
        parts.insert((input.upload_id, input.part_number), bytes.into());
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(ETag::Strong(format!("part-{}", input.part_number))),
            ..UploadPartOutput::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = request.input;
        let parts = self.parts.lock().unwrap();
        let of_this = parts.iter().filter(|((id, _), _)| *id == input.upload_id);
        let whole: Vec<u8> = of_this.flat_map(|(_, bytes)| bytes.to_vec()).collect();
        let tag = self.store(&input.key, whole.into());
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(tag),
            ..CompleteMultipartUploadOutput::default()
        }))
    }
}

fn once(bytes: Bytes) -> StreamingBlob {
    StreamingBlob::wrap(stream::iter([Ok::<_, std::io::Error>(bytes)]))
}

/// A [`Bucket`] that can answer.
pub(super) struct Server(S3Service);

#[async_trait]
impl Service for Server {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        match hyper::service::Service::call(&self.0, request).await {
            Ok(response) => response.map(|body| body.map_err(Into::into).boxed_unsync()),
            Err(error) => whole(500, format!("{error:?}")),
        }
    }
}
