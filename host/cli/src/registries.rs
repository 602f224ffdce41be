//! What all commands share that talk to registries: client, store, the lock of the project, and what is known of a plugin.

use std::path::{Path, PathBuf};

use oxide_core::{cause::in_one_line, plugin::PluginDescription};
use oxide_planner::{
    Registries,
    supply::{self, FetchError},
};
use oxide_registry::{
    Lock, PluginStore,
    lock::{self, file::LockFileError},
    oci::{Client, MoveError, OciError, OciReference, Publication, ServerLogin, publication},
    policy::{Policy, Signer, VerifyError},
    signature::KeptSignatures,
};

use rustix::fs::{FlockOperation, flock};

use crate::{
    failure::Failure,
    project,
    remote::{settings::Home, usual_server},
    terminal::without_controls,
};

/// How registries are reached.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RegistryArguments {
    /// A registry that is reached over http without encryption, as HOST or HOST:PORT; may be given several times (also
    /// OXIDE_INSECURE_REGISTRIES, separated by commas). This machine needs none.
    #[arg(long = "insecure-registry", value_name = "HOST")]
    insecure: Vec<String>,
}

impl RegistryArguments {
    /// A client with the accounts of the user.
    pub fn client(&self) -> Result<Client, Failure> {
        client(&self.registries())
    }

    /// The same for who makes clients.
    pub fn registries(&self) -> Registries {
        Registries { insecure_hosts: self.insecure.clone(), logins: logins(), ..Registries::default() }
    }
}

/// Where the user has signed in. Most registries need none of it, so what cannot be read is told and no more.
fn logins() -> Vec<ServerLogin> {
    // Who has no home has signed in nowhere.
    let read = Home::find().map_or(Ok(Vec::new()), |home| home.logins());
    let kept = read.unwrap_or_else(|failure| {
        failure.print();
        Vec::new()
    });
    let token = std::env::var("OXIDE_TOKEN").ok().filter(|token| !token.is_empty());
    with_given(kept, usual_server().zip(token))
}

/// For the server that is meant, the token of the environment goes before the one that is kept, as it does for its API.
fn with_given(mut logins: Vec<ServerLogin>, given: Option<(String, String)>) -> Vec<ServerLogin> {
    if let Some((server, token)) = given {
        logins.retain(|login| login.server != server);
        logins.push(ServerLogin { server, token });
    }
    logins
}

/// A client for these registries.
pub fn client(registries: &Registries) -> Result<Client, Failure> {
    registries.client().map_err(|error| of_registry(&error))
}

/// A plugin in a registry and what it is.
pub struct Published {
    /// As it was found.
    pub publication: Publication,
    /// What it asks for, takes and gives.
    pub description: PluginDescription,
}

/// Where plugins of registries are kept on this machine.
pub fn store(data: &Path) -> PluginStore {
    supply::store(data)
}

/// The signatures that are kept on this machine.
pub fn kept_signatures(data: &Path) -> KeptSignatures {
    supply::kept_signatures(data)
}

/// Reads a reference of the command line.
pub fn parse(text: &str) -> Result<OciReference, Failure> {
    OciReference::parse(text.trim()).map_err(|error| {
        Failure::usage(format!("could not use the reference `{}`", text.escape_debug())).because(&error)
    })
}

/// The project of the current directory, which the lock belongs to.
pub fn project() -> Result<PathBuf, Failure> {
    project::of_current_directory().ok_or_else(|| {
        Failure::usage("there is no pipeline here, so there is no project whose `oxide.lock` could be meant")
            .hint("go to the project, or begin one with `oxide init`")
    })
}

/// The lock of a project.
pub fn read_lock(project: &Path) -> Result<Lock, Failure> {
    lock::file::read(project).map_err(|error| of_lock(&error))
}

/// Changes the lock of a project: it is read anew and written while no other `oxide` does so.
pub fn change_lock(project: &Path, change: impl FnOnce(&mut Lock)) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::trouble(format!("could not keep others from {}", project.display())).because(&error)
    };
    // The folder itself is what processes wait for: there is no file to leave behind.
    let folder = std::fs::File::open(project).map_err(failed)?;
    flock(&folder, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
    let mut lock = read_lock(project)?;
    change(&mut lock);
    lock::file::write(project, &lock).map_err(|error| of_lock(&error))
}

fn of_lock(error: &LockFileError) -> Failure {
    match error {
        LockFileError::Text(text) => Failure::unusable(text.to_string()),
        other => Failure::of(other),
    }
}

/// Finds a plugin in a registry. What its config does not tell is read from its code, which is fetched then.
pub async fn find(client: &Client, reference: &OciReference, store: &PluginStore) -> Result<Published, Failure> {
    let publication = publication::find(client, reference).await.map_err(|error| of_move(&error))?;
    tell_notes(reference, &publication);
    let description = match &publication.promise.description {
        Some(description) => description.clone(),
        None => fetch(client, reference, &publication, store).await?,
    };
    Ok(Published { publication, description })
}

/// Says what is unusual about a plugin.
pub fn tell_notes(reference: &OciReference, publication: &Publication) {
    for note in &publication.contents.notes {
        eprintln!("note: `{reference}`: {}", without_controls(note));
    }
}

/// Fetches a plugin into the store, unless it is there, and reads what it really is.
pub async fn fetch(
    client: &Client,
    reference: &OciReference,
    publication: &Publication,
    store: &PluginStore,
) -> Result<PluginDescription, Failure> {
    supply::fetch(client, reference, publication, store).await.map_err(|error| of_fetch(&error))
}

fn of_fetch(error: &FetchError) -> Failure {
    match error {
        FetchError::Move(moving) => of_move(moving),
        FetchError::Store(cause) => Failure::of(cause),
        FetchError::NotAPlugin { reference, cause } => with_hint(
            Failure::unusable(format!("`{reference}` is not a plugin")).because(cause),
            cause.hint().map(str::to_owned),
        ),
        FetchError::NotAsPromised { .. } => with_hint(Failure::unusable(error.to_string()), error.hint()),
    }
}

/// May the project use this manifest, and who has signed it? The registry is asked only if what is kept here does not do.
pub async fn verify(
    policy: &Policy,
    reference: &OciReference,
    kept: &KeptSignatures,
    registries: &Registries,
) -> Result<Vec<Signer>, VerifyError> {
    supply::verify(policy, reference, kept, registries).await
}

/// The policy of a project.
pub fn policy(project: &Path) -> Result<Policy, Failure> {
    Policy::of_project(project)
        .map_err(|error| Failure::unusable("could not use the trust policy of the project").because(&error))
}

/// What a registry answered, with what to type.
pub fn of_registry(error: &OciError) -> Failure {
    with_hint(Failure::of(error), error.hint())
}

/// Why a plugin could not be moved, with what to type.
pub fn of_move(error: &MoveError) -> Failure {
    let failure = match error {
        MoveError::Layout { .. } => Failure::unusable(in_one_line(error)),
        MoveError::Registry(_) | MoveError::Store(_) => Failure::of(error),
    };
    with_hint(failure, error.hint())
}

/// Why a plugin may not be used, and what to type.
pub fn of_verify(error: &VerifyError) -> Failure {
    let failure = match error {
        VerifyError::Refused { found, .. } => Failure::unusable(format!("{error} ({})", found.join("; "))),
        VerifyError::Fetch { .. } | VerifyError::Offline { .. } | VerifyError::Keep { .. } => Failure::of(error),
    };
    with_hint(failure, error.hint())
}

fn with_hint(failure: Failure, hint: Option<String>) -> Failure {
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_the_environment_goes_before_the_one_that_is_kept() {
        let login =
            |server: &str, token: &str| ServerLogin { server: format!("https://{server}"), token: token.to_owned() };
        let shown =
            |logins: &[ServerLogin]| logins.iter().map(|l| format!("{} {}", l.server, l.token)).collect::<Vec<_>>();
        let kept = vec![login("a", "1"), login("b", "2")];
        assert_eq!(shown(&with_given(kept.clone(), None)), shown(&kept));
        let given = Some(("https://a".to_owned(), "3".to_owned()));
        assert_eq!(shown(&with_given(kept, given.clone())), ["https://b 2", "https://a 3"]);
        assert_eq!(shown(&with_given(Vec::new(), given)), ["https://a 3"]);
    }
}
