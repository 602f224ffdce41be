//! Speaks to the host: lets it fetch what `request` decided and returns the facts.

use crate::request::{self, About, Wanted};
use oxide::ci::{
    git::{self, FetchOptions},
    log::{self, Level},
    run_info,
    types::Error,
};

wit_bindgen::generate!({ path: ["../../wit", "wit"], world: "oxide:checkout/checkout", generate_all });

struct Checkout;

export!(Checkout);

impl Guest for Checkout {
    fn run(inputs: Inputs) -> Result<Outputs, Failure> {
        let info = run_info::get();
        let wanted =
            Wanted { repository: inputs.repository, reference: inputs.ref_, depth: inputs.depth, path: inputs.path };
        let about = About { repository: info.repository, commit: info.commit, reference: info.ref_ };
        let request = request::decide(wanted, about).map_err(Failure::InvalidInput)?;
        let shown = request::shown(&request.repository);

        let repository = git::open(&request.repository)
            .map_err(|error| failure(&format!("could not open the repository {shown}"), error))?;
        let options = FetchOptions {
            ref_: request.reference,
            depth: request.depth,
            submodules: inputs.submodules.unwrap_or(false),
            sparse: inputs.sparse.unwrap_or_default(),
        };
        let commit = repository
            .checkout(&request.path, &options)
            .map_err(|error| failure(&format!("could not check out {shown}"), error))?;

        let short = request::short(&commit.id);
        log::write(Level::Info, &format!("{short} {} ({})", commit.subject, commit.author_name));
        Ok(Outputs {
            commit: commit.id,
            short,
            branch: commit.branch.or(request.branch),
            tag: commit.tag.or(request.tag),
            author_name: commit.author_name,
            author_email: commit.author_email,
            subject: commit.subject,
            committed_at: commit.committed_at,
            path: request.path,
        })
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
