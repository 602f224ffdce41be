//! Speaks to the host: lets it keep the files and tells what was kept.

use crate::request::{self, files};
use oxide::ci::{
    artifacts,
    log::{self, Level},
    types::Error,
};

wit_bindgen::generate!({ path: ["../../wit", "wit"], world: "oxide:upload-artifact/upload-artifact", generate_all });

struct UploadArtifact;

export!(UploadArtifact);

impl Guest for UploadArtifact {
    fn run(inputs: Inputs) -> Result<Outputs, Failure> {
        let name = inputs.name;
        request::check(&name, &inputs.paths).map_err(Failure::InvalidInput)?;
        let if_missing = match inputs.if_missing {
            None => request::IfMissing::default(),
            Some(IfMissing::Fail) => request::IfMissing::Fail,
            Some(IfMissing::Warn) => request::IfMissing::Warn,
            Some(IfMissing::Ignore) => request::IfMissing::Ignore,
        };
        let store = artifacts::open().map_err(|error| failure("could not open the artifacts of the run", error))?;
        match (store.upload(&name, &inputs.paths, inputs.retention_days), if_missing) {
            (Ok(artifact), _) => {
                log::write(Level::Info, &format!("kept {} as `{name}`", files(artifact.files)));
                let (files, size) = (artifact.files, artifact.size);
                Ok(Outputs { name, files, size, digest: Some(artifact.digest) })
            }
            (Err(Error::NotFound(text)), request::IfMissing::Warn | request::IfMissing::Ignore) => {
                let level = if if_missing == request::IfMissing::Warn { Level::Warning } else { Level::Info };
                log::write(level, &format!("nothing is kept: {text}"));
                Ok(Outputs { name, files: 0, size: 0, digest: None })
            }
            (Err(error), _) => Err(failure(&format!("could not keep `{name}`"), error)),
        }
    }
}

fn failure(what: &str, error: Error) -> Failure {
    match error {
        Error::Invalid(text) => Failure::InvalidInput(format!("{what}: {text}")),
        Error::NotFound(text) | Error::Denied(text) | Error::Limit(text) | Error::Other(text) => {
            Failure::Other(format!("{what}: {text}"))
        }
    }
}
