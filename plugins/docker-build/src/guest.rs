//! Speaks to the host: lets it build, name and push what the inputs say.

use crate::request::{self, Source, Wanted};
use oxide::ci::{
    containers::{self, BuildOptions, Credentials},
    secrets,
    types::Error,
};

wit_bindgen::generate!({ path: ["../../wit", "wit"], world: "oxide:docker-build/docker-build", generate_all });

struct DockerBuild;

export!(DockerBuild);

impl Guest for DockerBuild {
    fn run(inputs: Inputs) -> Result<Outputs, Failure> {
        let wanted = Wanted {
            tags: inputs.tags.unwrap_or_default(),
            push: inputs.push.unwrap_or(false),
            username: inputs.username,
            password: inputs.password,
        };
        request::check(&wanted).map_err(Failure::InvalidInput)?;
        let account = match wanted.push {
            true => account(&wanted)?,
            false => None,
        };
        let engine = containers::open().map_err(failure)?;
        let image = engine
            .build(&BuildOptions {
                context: inputs.context.unwrap_or_else(|| ".".to_owned()),
                dockerfile: inputs.dockerfile,
                target: inputs.target,
                build_args: inputs.build_args.unwrap_or_default(),
                labels: inputs.labels.unwrap_or_default(),
                tags: wanted.tags.clone(),
                no_cache: inputs.no_cache.unwrap_or(false),
            })
            .map_err(failure)?;
        let mut digests = Vec::new();
        if wanted.push {
            for tag in wanted.tags {
                let digest = image.push(&tag, account.as_ref()).map_err(failure)?;
                digests.push((tag, digest));
            }
        }
        Ok(Outputs { image_id: image.id(), digest: digests.first().map(|(_, digest)| digest.clone()), digests })
    }
}

/// The account that pushes, with placeholders in the place of secrets.
fn account(wanted: &Wanted) -> Result<Option<Credentials>, Failure> {
    let decided = request::account(wanted, &secrets::names()).map_err(Failure::InvalidInput)?;
    let text = |source: Source| match source {
        Source::Text(text) => Ok(text),
        Source::Secret(name) => secrets::open(name).map(|secret| secret.placeholder()).map_err(failure),
    };
    match decided {
        None => Ok(None),
        Some(account) => Ok(Some(Credentials { username: text(account.username)?, password: text(account.password)? })),
    }
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Invalid(text) => Failure::InvalidInput(text),
        Error::NotFound(text) | Error::Denied(text) | Error::Limit(text) | Error::Other(text) => Failure::Other(text),
    }
}
