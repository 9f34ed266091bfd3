//! A lake in an S3 bucket, or in one of a server that speaks S3's protocol: what it is reached by, how a file gets there,
//! and what is wrong where it does not.

use std::{io, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, Certificate, ClientOptions, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    client::{HttpError, HttpErrorKind},
    path::Path as StorePath,
    prefix::PrefixStore,
};
use secrecy::ExposeSecret;
use tokio::{runtime::Handle, task::JoinHandle};
use workflow::project::S3;

use super::{Lake, store_path, unusable};
use crate::error::WarehouseError;

/// Bytes of one part of a longer file, all but the last: 10,000 of them, the most that S3 takes, are 80 GB.
const PART: usize = 8 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a server may be silent. A long file may take as long as it takes.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// A blip is bridged here; what lasts longer is for the task's own retries, which everybody can see.
const RETRIES: usize = 3;
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);

const NO_SERVER: &str = "start it, or set `s3.endpoint` in sluice.yaml to where it is";
const NO_BUCKET: &str = "make the bucket, or name another one in `lake`";
const NO_KEY: &str = "set `s3.access_key` and `s3.secret_key` in sluice.yaml, or AWS_ACCESS_KEY_ID and \
                      AWS_SECRET_ACCESS_KEY in the environment";

/// Which bucket, for what is said about it.
#[derive(Debug)]
pub(super) struct Bucket {
    /// `s3://bucket/prefix`.
    url: String,
    /// The endpoint, or AWS with its region.
    at: String,
}

/// The bucket's store, its prefix taken off. Connects to nothing.
pub(super) fn open(
    url: &str,
    s3: &S3,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<(Arc<dyn ObjectStore>, Bucket), WarehouseError> {
    let rest = url.strip_prefix("s3://").unwrap_or_default();
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if name.is_empty() {
        return Err(unusable(url, "it names no bucket: s3://bucket/prefix"));
    }
    let mut builder = AmazonS3Builder::new();
    for (name, value) in environment {
        let known = name.starts_with("AWS_").then(|| AmazonS3ConfigKey::from_str(&name.to_ascii_lowercase()).ok());
        if let Some(key) = known.flatten() {
            builder = builder.with_config(key, value);
        }
    }
    builder = builder.with_bucket_name(name);
    if let Some(endpoint) = &s3.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = &s3.region {
        builder = builder.with_region(region);
    }
    if let Some(key) = &s3.access_key {
        builder = builder.with_access_key_id(key.expose_secret());
    }
    if let Some(secret) = &s3.secret_key {
        builder = builder.with_secret_access_key(secret.expose_secret());
    }
    let set = |key: AmazonS3ConfigKey| builder.get_config_value(&key);
    let at = set(AmazonS3ConfigKey::Endpoint).unwrap_or_else(|| {
        let region = set(AmazonS3ConfigKey::Region).unwrap_or_else(|| "us-east-1".to_owned());
        format!("AWS in {region}")
    });
    let plain = set(AmazonS3ConfigKey::Client(object_store::ClientConfigKey::AllowHttp));
    let plain = s3.allow_http || plain.is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1");
    if at.starts_with("http://") && !plain {
        return Err(unusable(url, format!("{at} is not encrypted; use https, or set `s3.allow_http: true`")));
    }
    let store = builder
        .with_client_options(client(url, s3.ca.as_ref())?.with_allow_http(plain))
        .with_retry(RetryConfig {
            max_retries: RETRIES,
            retry_timeout: RETRY_TIMEOUT,
            backoff: BackoffConfig::default(),
        })
        .build()
        .map_err(|error| unusable(url, error.to_string()))?;
    let store: Arc<dyn ObjectStore> = match prefix.trim_matches('/') {
        "" => Arc::new(store),
        prefix => Arc::new(PrefixStore::new(store, store_path(prefix)?)),
    };
    Ok((store, Bucket { url: url.to_owned(), at }))
}

fn client(url: &str, ca: Option<&PathBuf>) -> Result<ClientOptions, WarehouseError> {
    let mut options = ClientOptions::new()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_timeout_disabled()
        .with_read_timeout(READ_TIMEOUT);
    if let Some(file) = ca {
        let pem = std::fs::read(file)
            .map_err(|error| unusable(url, format!("cannot read `s3.ca: {}`: {error}", file.display())))?;
        let certificates = Certificate::from_pem_bundle(&pem)
            .map_err(|error| unusable(url, format!("{} holds no certificates: {error}", file.display())))?;
        for certificate in certificates {
            options = options.with_root_certificate(certificate);
        }
    }
    Ok(options)
}

impl Bucket {
    /// What a failed request at `path` means.
    pub(super) fn fault(&self, path: &str, error: object_store::Error) -> WarehouseError {
        let said = error.to_string();
        let code = code(&said).unwrap_or_default().to_owned();
        let refused = |problem: String, hint| WarehouseError::Refused {
            what: self.url.clone(),
            at: self.at.clone(),
            problem,
            hint,
        };
        if code == "NoSuchBucket" {
            return refused("there is no such bucket".to_owned(), NO_BUCKET);
        }
        // Where no key is set, the machine itself is asked for its role, at AWS' own address for that.
        if said.contains("169.254.169.254") {
            return refused("no key is set, and this machine has no role".to_owned(), NO_KEY);
        }
        match error {
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                let code = if code.is_empty() { String::new() } else { format!(" ({code})") };
                refused(format!("the key was refused{code}"), NO_KEY)
            }
            // A multipart upload that is gone is no missing file.
            object_store::Error::NotFound { .. } if code != "NoSuchUpload" => WarehouseError::Missing(path.to_owned()),
            error if no_answer(&error) => WarehouseError::Unreachable {
                service: "S3",
                at: format!("{} for {}", self.at, self.url),
                hint: NO_SERVER,
                source: error.into(),
            },
            source => WarehouseError::Lake { path: format!("{}/{path}", self.url), source },
        }
    }
}

/// S3's own word for what is wrong: `<Code>NoSuchBucket</Code>`.
fn code(said: &str) -> Option<&str> {
    said.split_once("<Code>")?.1.split_once("</Code>").map(|(code, _)| code)
}

/// Whether nobody answered, or not in time.
fn no_answer(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return matches!(http.kind(), HttpErrorKind::Connect | HttpErrorKind::Timeout);
        }
        next = error.source();
    }
    false
}

/// A file on its way into the bucket. A short one waits in memory and is one request; a longer one goes up in parts as
/// it grows. Either way it has its name with the last request, in [`Upload::place`]. Dropped before, it leaves nothing;
/// parts of a process that was killed are for the bucket's own rule on unfinished uploads.
pub(super) struct Upload {
    lake: Lake,
    path: String,
    target: StorePath,
    buffer: Vec<u8>,
    parts: Option<Parts>,
    bytes: u64,
    runtime: Handle,
}

struct Parts {
    upload: Box<dyn MultipartUpload>,
    /// One part is on its way while the next is gathered.
    under_way: Option<JoinHandle<object_store::Result<()>>>,
}

impl Upload {
    pub(super) fn new(lake: &Lake, path: &str) -> Result<Self, WarehouseError> {
        Ok(Self {
            lake: lake.clone(),
            path: path.to_owned(),
            target: store_path(path)?,
            buffer: Vec::new(),
            parts: None,
            bytes: 0,
            runtime: Handle::current(),
        })
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn runtime(&self) -> Handle {
        self.runtime.clone()
    }

    /// Adds these bytes; waits while two parts are ahead of the network.
    pub(super) async fn push(&mut self, mut bytes: &[u8]) -> Result<(), WarehouseError> {
        self.bytes += bytes.len() as u64;
        while self.buffer.len() + bytes.len() > PART {
            let (now, later) = bytes.split_at(PART - self.buffer.len());
            self.buffer.extend_from_slice(now);
            bytes = later;
            self.send_part().await?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// As [`Upload::push`], on a blocking thread.
    pub(super) fn push_blocking(&mut self, bytes: &[u8]) -> Result<(), WarehouseError> {
        // Parquet comes in many small pieces.
        if self.buffer.len() + bytes.len() <= PART {
            self.bytes += bytes.len() as u64;
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        self.runtime().block_on(self.push(bytes))
    }

    /// Waits until all but what fits into the last request is in the bucket.
    pub(super) async fn seal(&mut self) -> Result<(), WarehouseError> {
        if self.parts.is_some() {
            self.send_part().await?;
            self.wait().await?;
        }
        Ok(())
    }

    /// Gives the sealed file its name, over what was there.
    pub(super) async fn place(mut self) -> Result<(), WarehouseError> {
        let failed = self.lake.clone();
        let failed = failed.failed(&self.path);
        if let Some(parts) = &mut self.parts {
            parts.upload.complete().await.map_err(failed)?;
            self.parts = None;
        } else {
            let payload = PutPayload::from(std::mem::take(&mut self.buffer));
            self.lake.store.put(&self.target, payload).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn send_part(&mut self) -> Result<(), WarehouseError> {
        self.wait().await?;
        let part = std::mem::take(&mut self.buffer);
        if part.is_empty() {
            return Ok(());
        }
        let mut parts = if let Some(parts) = self.parts.take() {
            parts
        } else {
            let started = self.lake.store.put_multipart(&self.target).await;
            Parts { upload: started.map_err(self.lake.failed(&self.path))?, under_way: None }
        };
        parts.under_way = Some(self.runtime.spawn(parts.upload.put_part(part.into())));
        self.parts = Some(parts);
        Ok(())
    }

    async fn wait(&mut self) -> Result<(), WarehouseError> {
        let Some(under_way) = self.parts.as_mut().and_then(|parts| parts.under_way.take()) else { return Ok(()) };
        under_way.await?.map_err(self.lake.failed(&self.path))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(mut parts) = self.parts.take() else { return };
        self.runtime.spawn(async move {
            if let Some(under_way) = parts.under_way.take() {
                let _ = under_way.await;
            }
            // Nobody can read what is not complete; that it cannot be taken away costs its space, no more.
            let _ = parts.upload.abort().await;
        });
    }
}

/// A fault of the bucket on its way through a writer that knows I/O errors only.
pub(super) fn through(fault: WarehouseError, kept: &mut Option<WarehouseError>) -> io::Error {
    let error = io::Error::other(fault.to_string());
    *kept = Some(fault);
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(url: &str, s3: &S3) -> String {
        open(url, s3, []).expect_err("not usable").to_string()
    }

    #[test]
    fn what_cannot_be_a_bucket_says_why() {
        assert!(problem("s3://", &S3::default()).contains("names no bucket"));
        let plain = S3 { endpoint: Some("http://minio:9000".to_owned()), ..S3::default() };
        assert_eq!(
            problem("s3://lake/x", &plain),
            "the lake `s3://lake/x` is not usable: http://minio:9000 is not encrypted; use https, or set \
             `s3.allow_http: true`"
        );
        let absent = S3 { ca: Some("/nowhere/ca.pem".into()), ..S3::default() };
        assert!(problem("s3://lake", &absent).contains("/nowhere/ca.pem"));
    }

    #[test]
    fn settings_go_before_the_environment() {
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let environment = [variable("AWS_ENDPOINT_URL", "https://there"), variable("AWS_REGION", "eu-west-1")];
        let at = |s3: &S3| open("s3://lake", s3, environment.clone()).expect("usable").1.at;
        assert_eq!(at(&S3::default()), "https://there");
        assert_eq!(at(&S3 { endpoint: Some("https://here".to_owned()), ..S3::default() }), "https://here");
        let region = open("s3://lake", &S3::default(), environment[1..].to_vec()).expect("usable").1.at;
        assert_eq!(region, "AWS in eu-west-1");
    }
}
