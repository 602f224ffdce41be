//! Where the store is: a directory, or a bucket with what is needed to reach it.

use std::{fmt, path::PathBuf, str::FromStr};

use object_store::aws::AmazonS3ConfigKey;

/// Where caches and artifacts are kept.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A directory of this machine.
    Directory(PathBuf),
    /// A bucket of an S3-compatible store.
    S3(Bucket),
}

/// A bucket, the folder in it, and the settings of the client, credentials among them.
#[derive(Clone, PartialEq, Eq)]
pub struct Bucket {
    pub(crate) name: String,
    pub(crate) prefix: String,
    pub(crate) settings: Vec<(AmazonS3ConfigKey, String)>,
}

/// The ways to credentials that the client of a bucket knows; for each the settings that it needs.
const CREDENTIALS: [&[AmazonS3ConfigKey]; 6] = [
    &[AmazonS3ConfigKey::AccessKeyId, AmazonS3ConfigKey::SecretAccessKey],
    &[AmazonS3ConfigKey::WebIdentityTokenFile, AmazonS3ConfigKey::RoleArn],
    &[AmazonS3ConfigKey::ContainerCredentialsRelativeUri],
    &[AmazonS3ConfigKey::ContainerCredentialsFullUri, AmazonS3ConfigKey::ContainerAuthorizationTokenFile],
    &[AmazonS3ConfigKey::MetadataEndpoint],
    &[AmazonS3ConfigKey::SkipSignature],
];

/// Why a location cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no place for caches and artifacts: {problem}")]
pub struct LocationError {
    text: String,
    problem: String,
}

impl Location {
    /// Reads a location: `s3://BUCKET/PREFIX`, or a directory.
    ///
    /// The client of a bucket is set up as others are, by variables: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
    /// `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL` and the rest. `endpoint` goes before the variables. An
    /// endpoint without TLS (`http://`) is used only because it was named. Without credentials, or the variables that say
    /// where a cloud gives them out, the bucket is refused: the client would ask the network for them.
    ///
    /// # Errors
    /// A [`LocationError`] that says what to write.
    pub fn parse(
        text: &str,
        endpoint: Option<&str>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Location, LocationError> {
        let refuse = |problem: &str| LocationError { text: text.to_owned(), problem: problem.to_owned() };
        let Some((scheme, rest)) = text.split_once("://") else {
            return match text.trim() {
                "" => Err(refuse("write a directory, or s3://BUCKET/PREFIX")),
                path => Ok(Location::Directory(PathBuf::from(path))),
            };
        };
        if scheme != "s3" {
            return Err(refuse("write a directory, or s3://BUCKET/PREFIX"));
        }
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_matches('/');
        let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if name.is_empty() || !name.chars().all(is_good) {
            return Err(refuse("the name of the bucket is missing or not usable; write s3://BUCKET/PREFIX"));
        }
        if prefix.split('/').any(|part| !prefix.is_empty() && (part.is_empty() || !part.chars().all(is_good))) {
            return Err(refuse("the prefix may hold letters, digits, `.`, `-`, `_` and single slashes"));
        }
        let mut settings: Vec<(AmazonS3ConfigKey, String)> = variables
            .into_iter()
            .filter(|(variable, value)| variable.starts_with("AWS_") && !value.is_empty())
            .filter_map(|(variable, value)| {
                // What the tools of S3 call the endpoint of this one service.
                let variable = if variable == "AWS_ENDPOINT_URL_S3" { "AWS_ENDPOINT_URL" } else { variable.as_str() };
                AmazonS3ConfigKey::from_str(&variable.to_ascii_lowercase()).ok().map(|key| (key, value))
            })
            // The bucket is the one that was named.
            .filter(|(key, _)| *key != AmazonS3ConfigKey::Bucket)
            .collect();
        settings.extend(endpoint.map(|endpoint| (AmazonS3ConfigKey::Endpoint, endpoint.to_owned())));
        let has = |wanted: &AmazonS3ConfigKey| settings.iter().any(|(key, _)| key == wanted);
        if !CREDENTIALS.iter().any(|keys| keys.iter().all(has)) {
            return Err(refuse("it has no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"));
        }
        Ok(Location::S3(Bucket { name: name.to_owned(), prefix: prefix.to_owned(), settings }))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Directory(path) => write!(f, "{}", path.display()),
            Location::S3(bucket) if bucket.prefix.is_empty() => write!(f, "s3://{}", bucket.name),
            Location::S3(bucket) => write!(f, "s3://{}/{}", bucket.name, bucket.prefix),
        }
    }
}

/// Without the settings, which hold credentials.
impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Location, LocationError> {
        let keys = [("AWS_ACCESS_KEY_ID", "me"), ("AWS_SECRET_ACCESS_KEY", "hush")];
        let variables = keys.into_iter().chain([("AWS_REGION", ""), ("AWS_BUCKET", "other"), ("HOME", "/")]);
        Location::parse(text, Some("http://127.0.0.1:9"), variables.map(|(n, v)| (n.to_owned(), v.to_owned())))
    }

    #[test]
    fn a_bucket_has_a_prefix_and_settings_that_are_not_shown() {
        let location = parse("s3://ci-blobs/team/a/").unwrap();
        let Location::S3(bucket) = &location else { panic!("no bucket") };
        assert_eq!((bucket.name.as_str(), bucket.prefix.as_str()), ("ci-blobs", "team/a"));
        let keys: Vec<_> = bucket.settings.iter().map(|(key, _)| *key).collect();
        let expected =
            [AmazonS3ConfigKey::AccessKeyId, AmazonS3ConfigKey::SecretAccessKey, AmazonS3ConfigKey::Endpoint];
        assert_eq!(keys, expected);
        assert_eq!(format!("{location:?}"), "Location(s3://ci-blobs/team/a)");
    }

    #[test]
    fn a_bucket_needs_credentials() {
        let with = |names: &[&str]| {
            Location::parse("s3://b", None, names.iter().map(|name| ((*name).to_owned(), "x".to_owned())))
        };
        for names in [&[] as &[&str], &["AWS_ACCESS_KEY_ID"], &["AWS_WEB_IDENTITY_TOKEN_FILE"]] {
            let error = with(names).unwrap_err().to_string();
            assert!(error.contains("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"), "{error}");
        }
        assert!(with(&["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]).is_ok());
        assert!(with(&["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"]).is_ok());
    }

    #[test]
    fn anything_without_a_scheme_is_a_directory() {
        assert_eq!(parse("/var/blobs"), Ok(Location::Directory("/var/blobs".into())));
    }

    #[test]
    fn what_is_neither_is_refused_with_what_to_write() {
        for text in ["", " ", "gs://b", "s3://", "s3:///x", "s3://b c", "s3://b/a//b", "s3://b/a#b"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
