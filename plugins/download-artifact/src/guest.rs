//! Speaks to the host: lets it fetch what `request` decided.

use crate::request::{self, Download, Wanted};
use oxide::ci::{
    artifacts,
    log::{self, Level},
    types::Error,
};

wit_bindgen::generate!({ path: ["../../wit", "wit"], world: "oxide:download-artifact/download-artifact", generate_all });

struct DownloadArtifact;

export!(DownloadArtifact);

impl Guest for DownloadArtifact {
    fn run(inputs: Inputs) -> Result<Outputs, Failure> {
        let path = inputs.path.unwrap_or_else(|| ".".to_owned());
        let store = artifacts::open().map_err(|error| failure("could not open the artifacts of the run", error))?;
        let downloads = match request::wanted(inputs.name).map_err(Failure::InvalidInput)? {
            Wanted::One(name) => vec![Download { name, directory: path.clone() }],
            Wanted::Fitting(pattern) => {
                let known = store.list().map_err(|error| failure("could not list the artifacts of the run", error))?;
                let known: Vec<String> = known.into_iter().map(|artifact| artifact.name).collect();
                let fitting = request::fitting(&pattern, &known, &path);
                if fitting.is_empty() {
                    return Err(Failure::Other(format!("no artifact of the run fits `{pattern}`")));
                }
                fitting
            }
        };
        let (mut names, mut files) = (Vec::new(), 0);
        for Download { name, directory } in downloads {
            let artifact = store
                .download(&name, &directory)
                .map_err(|error| failure(&format!("could not get `{name}`"), error))?;
            let word = if artifact.files == 1 { "file" } else { "files" };
            log::write(Level::Info, &format!("put {} {word} of `{name}` into `{directory}`", artifact.files));
            files += artifact.files;
            names.push(name);
        }
        Ok(Outputs { names, files, path })
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
