//! Amazon S3, and what speaks like it: the four requests that this program needs, signed by `sigv4` and
//! sent by our own HTTP client. The SDK's S3 client would be larger than the rest of
//! the program.

mod answer;
mod credentials;
mod location;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use url::Url;

use self::credentials::Aws;
use super::{
    guard::Allow,
    http::{HttpAnswer, HttpClient, HttpError, HttpSettings},
};
use crate::{
    domain::{Clock, PathStyle, RequestTarget, SecretString, Timestamp},
    jose::sha256,
    ports::{Created, NewObject, ObjectError, ObjectStore},
    sigv4::{PayloadHash, Signable, SignatureVersion, Signer, SigningCredentials, SigningSettings},
};

pub use location::{S3Location, S3LocationError};

/// The longest object that is read: a checkpoint of some 200,000 chains.
const MAX_OBJECT: usize = 32 * 1024 * 1024;

/// How often a request is tried that S3 did not answer, or asked to send again later.
const TRIES: u32 = 3;

/// How long the second try waits; each further one waits twice as long.
const PAUSE: Duration = Duration::from_millis(200);

/// A place in S3.
pub struct S3Objects {
    location: S3Location,
    http: HttpClient,
    aws: Aws,
    /// The bucket's region: as configured, until S3 names another.
    region: RwLock<String>,
    clock: Arc<dyn Clock>,
    signer: Signer,
}

impl S3Objects {
    /// Reads region, endpoint and credentials as every AWS SDK reads them: from the environment, the
    /// shared files, and the services of the machine. `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` and
    /// the profile's endpoint lead elsewhere.
    pub async fn load(location: S3Location, http: HttpSettings, clock: Arc<dyn Clock>) -> Self {
        let settings = HttpSettings {
            max_body: MAX_OBJECT,
            ..http
        };
        let aws = Aws::load(settings.clone()).await;
        Self {
            region: RwLock::new(aws.region().to_owned()),
            http: HttpClient::new(settings, Allow::AnyAddress),
            location,
            aws,
            clock,
            signer: Signer::new(),
        }
    }

    fn region(&self) -> String {
        self.region
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Sends a request until there is an answer that another try would not change.
    async fn send(&self, place: &str, what: &Asked<'_>) -> Result<HttpAnswer, ObjectError> {
        let mut pause = PAUSE;
        let mut tried = 1;
        loop {
            let region = self.region();
            let result = self.send_once(place, what, &region).await;
            let again = match &result {
                Ok(answer) if self.is_elsewhere(answer, &region) => true,
                Ok(answer) => answer.status.is_server_error(),
                Err(ObjectError::Unreachable { .. }) => true,
                Err(ObjectError::Refused { .. }) => false,
            };
            if !again || tried == TRIES {
                return result;
            }
            tracing::debug!(place, tried, "S3 is asked again");
            tokio::time::sleep(pause).await;
            pause *= 2;
            tried += 1;
        }
    }

    /// Whether S3 says that the bucket is in another region, which is asked from then on.
    fn is_elsewhere(&self, answer: &HttpAnswer, asked: &str) -> bool {
        let named = answer
            .headers
            .get("x-amz-bucket-region")
            .and_then(|region| region.to_str().ok())
            .filter(|region| *region != asked && !answer.status.is_success());
        if let Some(named) = named {
            named.clone_into(&mut self.region.write().unwrap_or_else(PoisonError::into_inner));
        }
        named.is_some()
    }

    async fn send_once(
        &self,
        place: &str,
        what: &Asked<'_>,
        region: &str,
    ) -> Result<HttpAnswer, ObjectError> {
        let refused = |reason: String| ObjectError::Refused {
            place: place.to_owned(),
            reason,
        };
        let url = what
            .url(&self.location, self.aws.endpoint(), region)
            .map_err(|error| refused(format!("the S3 endpoint is not a URL: {error}")))?;
        let mut request = what
            .request(&url)
            .map_err(|error| refused(error.to_string()))?;
        let credentials = self
            .aws
            .credentials(self.clock.now())
            .await
            .map_err(|reason| refused(format!("no AWS credentials: {reason}")))?;
        sign(
            &self.signer,
            &mut request,
            &credentials,
            region,
            self.clock.now(),
        )
        .map_err(&refused)?;
        self.http.send(request).await.map_err(|error| match error {
            HttpError::Unreachable { reason, .. } => ObjectError::Unreachable {
                place: place.to_owned(),
                reason,
            },
            other => refused(other.to_string()),
        })
    }
}

/// Signs a request to S3, whose body's hash goes with it.
fn sign(
    signer: &Signer,
    request: &mut Request<Bytes>,
    credentials: &Credentials,
    region: &str,
    now: Timestamp,
) -> Result<(), String> {
    let uri = request.uri();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let target = RequestTarget::parse(path, PathStyle::S3).map_err(|error| error.to_string())?;
    let name = uri.host().ok_or("the S3 endpoint has no host")?;
    let host = uri
        .port_u16()
        .map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
    let credentials = SigningCredentials::new(
        credentials.access_key_id().to_owned(),
        SecretString::from(credentials.secret_access_key()),
        credentials.session_token(),
    )
    .map_err(|error| error.to_string())?;
    let signable = Signable {
        method: &request.method().clone(),
        host: &host,
        target: &target,
        payload: PayloadHash::of(request.body()),
    };
    let settings = SigningSettings {
        name: "s3",
        region,
        version: SignatureVersion::V4,
    };
    signer
        .sign(
            &signable,
            request.headers_mut(),
            &settings,
            &credentials,
            now,
        )
        .map_err(|error| error.to_string())
}

/// One request.
enum Asked<'a> {
    Put { object: &'a NewObject, absent: bool },
    Get(&'a str),
    List(&'a str),
}

impl Asked<'_> {
    fn url(
        &self,
        location: &S3Location,
        endpoint: Option<&str>,
        region: &str,
    ) -> Result<Url, url::ParseError> {
        match self {
            Self::Put { object, .. } => location.object_url(endpoint, region, &object.name),
            Self::Get(name) => location.object_url(endpoint, region, name),
            Self::List(after) => location.list_url(endpoint, region, after),
        }
    }

    fn request(&self, url: &Url) -> Result<Request<Bytes>, http::Error> {
        let request = Request::builder().uri(url.as_str());
        let Self::Put { object, absent } = self else {
            return request.method(Method::GET).body(Bytes::new());
        };
        let mut request = request
            .method(Method::PUT)
            .header(header::CONTENT_TYPE, object.content_type)
            // A bucket with Object Lock takes nothing without a checksum.
            .header(
                "x-amz-checksum-sha256",
                BASE64_STANDARD.encode(sha256(&object.body)),
            );
        if let Some(value) = object.cache_control {
            request = request.header(header::CACHE_CONTROL, value);
        }
        if *absent {
            request = request.header(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        request.body(object.body.clone())
    }
}

fn explain(place: String, answer: &HttpAnswer) -> ObjectError {
    let status = answer.status.as_u16();
    let Some((code, message)) = answer::error(&answer.body) else {
        let reason = format!("it answered HTTP {status}, not as S3 does");
        return ObjectError::Unreachable { place, reason };
    };
    if answer.status.is_server_error() {
        let reason = format!("{code}: {message}");
        return ObjectError::Unreachable { place, reason };
    }
    let cure = match &*code {
        "AccessDenied" => {
            "; the credentials need s3:PutObject, s3:GetObject and s3:ListBucket there"
        }
        "NoSuchBucket" => "; make the bucket, or name another",
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken" | "InvalidToken" => {
            "; check which AWS credentials the server's user has (aws sts get-caller-identity)"
        }
        "RequestTimeTooSkewed" => "; set this machine's clock",
        _ => "",
    };
    ObjectError::Refused {
        place,
        reason: format!("S3 refused: {code}: {message}{cure}"),
    }
}

#[async_trait]
impl ObjectStore for S3Objects {
    fn place(&self, name: &str) -> String {
        self.location.uri(name)
    }

    async fn put(&self, object: NewObject) -> Result<(), ObjectError> {
        let place = self.place(&object.name);
        let put = Asked::Put {
            object: &object,
            absent: false,
        };
        let answer = self.send(&place, &put).await?;
        if answer.status.is_success() {
            Ok(())
        } else {
            Err(explain(place, &answer))
        }
    }

    /// By a conditional write
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>).
    async fn create(&self, object: NewObject) -> Result<Created, ObjectError> {
        let place = self.place(&object.name);
        let put = Asked::Put {
            object: &object,
            absent: true,
        };
        let answer = self.send(&place, &put).await?;
        match answer.status {
            status if status.is_success() => Ok(Created::Done),
            // Another one was written before, or is being written.
            StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => Ok(Created::Exists),
            _ => Err(explain(place, &answer)),
        }
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>, ObjectError> {
        let place = self.place(name);
        let answer = self.send(&place, &Asked::Get(name)).await?;
        if answer.status.is_success() {
            return Ok(Some(answer.body));
        }
        let missing = answer::error(&answer.body).is_some_and(|(code, _)| code == "NoSuchKey");
        if missing {
            Ok(None)
        } else {
            Err(explain(place, &answer))
        }
    }

    async fn list(&self, after: &str) -> Result<Vec<String>, ObjectError> {
        let place = self.place("");
        let answer = self.send(&place, &Asked::List(after)).await?;
        if !answer.status.is_success() {
            return Err(explain(place, &answer));
        }
        let keys = answer::keys(&answer.body).ok_or_else(|| ObjectError::Unreachable {
            reason: format!(
                "bucket {} did not answer with a listing",
                self.location.bucket()
            ),
            place,
        })?;
        let prefix = self.location.key("");
        Ok(keys
            .iter()
            .filter_map(|key| key.strip_prefix(&*prefix))
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect())
    }
}
