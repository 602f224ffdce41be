//! `oxide:ci/containers`: images. The agent's [`ContainerEngine`] builds and pushes; what gets into a build context, and where
//! the values of secrets go, is decided here.
//!
//! [`ContainerEngine`]: crate::containers::ContainerEngine

mod context;
mod ignore;

use std::{
    io::{self, Read as _},
    sync::Arc,
};

use cap_std::fs::Dir;
use oxide_core::{grant::Trust, protocol::LogStream, quantity, secret::Placeholders};
use tokio::sync::mpsc;
use wasmtime::component::Resource;

use self::{
    context::{IGNORE_FILE, Packed},
    ignore::Ignored,
};
use super::{
    CapabilityError,
    bindings::oxide::ci::containers::{BuildOptions, Credentials as WitCredentials, Host, HostEngine, HostImage},
    workspace::refused,
};
use crate::{
    containers::{Account, BuildSpec, ContainerError, Credentials},
    environment::LogSink as _,
    state::State,
};

/// So many pieces of an archive wait for the engine.
const PIECES_WAITING_MAX: usize = 4;
/// A `.dockerignore` may have so many bytes.
const IGNORE_BYTES_MAX: u64 = 1 << 20;

/// The handle of the engine. There is one, so it holds nothing.
pub struct Engine;

/// The handle of an image: its id.
pub struct Image(String);

impl From<ContainerError> for CapabilityError {
    fn from(error: ContainerError) -> Self {
        match error {
            ContainerError::NotFound(text) => CapabilityError::NotFound(text),
            ContainerError::Denied(text) => CapabilityError::Denied(text),
            ContainerError::Invalid(text) => CapabilityError::Invalid(text),
            ContainerError::Log(limit) => limit.into(),
            ContainerError::Other(text) => CapabilityError::Other(text),
        }
    }
}

/// Refuses placeholders of secrets in what an image keeps.
fn refuse_secrets(options: &BuildOptions, secrets: &Placeholders) -> Result<(), CapabilityError> {
    let args =
        options.build_args.iter().flat_map(|(name, value)| [(name, "a build argument"), (value, "a build argument")]);
    let labels = options.labels.iter().flat_map(|(name, value)| [(name, "a label"), (value, "a label")]);
    let tags = options.tags.iter().map(|tag| (tag, "a tag"));
    let rest = [(&options.context, "the context")];
    let names =
        options.dockerfile.iter().chain(&options.target).map(|text| (text, "the name of a Dockerfile or stage"));
    for (text, place) in args.chain(labels).chain(tags).chain(rest).chain(names) {
        if let Some(secret) = secrets.named_in(text).next() {
            return Err(CapabilityError::Invalid(format!(
                "the secret `{}` stands in {place}, and who has the image could read it there; fetch what needs the secret \
                 in a step before this one, and copy the result into the image",
                secret.name
            )));
        }
    }
    Ok(())
}

/// What is built, and the directory that it is built from.
struct Prepared {
    context: Dir,
    ignored: Ignored,
}

/// Opens the context and reads what says what is part of it. Waits for the disk.
fn prepare(root: &Dir, context: &str, dockerfile: &str) -> Result<Prepared, CapabilityError> {
    let opened = root.open_dir(context).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => CapabilityError::NotFound(format!(
            "the context `{context}` is not in the workspace; put it there in a step before this one, such as \
             `uses: oxide/checkout@1`"
        )),
        _ => refused(context, &error),
    })?;
    match opened.metadata(dockerfile) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(CapabilityError::Invalid(format!("the Dockerfile `{dockerfile}` is not a regular file"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(CapabilityError::NotFound(format!(
                "there is no `{dockerfile}` in the context `{context}`; write `dockerfile: PATH` (relative to the context) \
                 or `context: DIRECTORY`, or put the files there in a step before this one, such as `uses: oxide/checkout@1`"
            )));
        }
        Err(error) => return Err(refused(dockerfile, &error)),
    }
    let ignored = match opened.open(IGNORE_FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ignored::default(),
        Err(error) => return Err(refused(IGNORE_FILE, &error)),
        Ok(file) => {
            let mut text = String::new();
            file.take(IGNORE_BYTES_MAX).read_to_string(&mut text).map_err(|error| refused(IGNORE_FILE, &error))?;
            Ignored::parse(&text).map_err(CapabilityError::Invalid)?
        }
    };
    Ok(Prepared { context: opened, ignored })
}

fn sent(packed: &Packed) -> String {
    format!("build context: {}, {}\n", quantity::how_many(packed.files, "file"), quantity::bytes(packed.bytes))
}

impl State {
    /// May the step give images names, here or in a registry?
    fn may_name(&self) -> Result<(), CapabilityError> {
        match self.trust {
            Trust::Full => Ok(()),
            Trust::Fork => Err(CapabilityError::Denied(
                "the run of a fork names and pushes no images; leave the step out there with `if:`, or push from a trusted run"
                    .to_owned(),
            )),
        }
    }

    async fn build_image(&mut self, options: BuildOptions) -> Result<String, CapabilityError> {
        refuse_secrets(&options, &self.secrets)?;
        let dockerfile = options.dockerfile.unwrap_or_else(|| "Dockerfile".to_owned());
        let root = self.workspace.root()?;
        let name = dockerfile.clone();
        let prepared = on_a_thread(move || prepare(&root, &options.context, &name)).await??;
        // What the plugin printed before it comes before what the build prints.
        self.log.flush().await?;
        let tags = match self.trust {
            Trust::Full => options.tags,
            Trust::Fork => Vec::new(),
        };
        if !self.trust.is_full() {
            // Under a name that others use, a stranger's image would run in their jobs.
            let note = "the run of a fork gives its images no names, and their builds no network\n";
            self.log.write(LogStream::Host, note.into()).await?;
        }

        let (sender, pieces) = mpsc::channel(PIECES_WAITING_MAX);
        let name = dockerfile.clone();
        let packing = on_a_thread(move || context::send(&prepared.context, &prepared.ignored, &name, sender));
        let log = Arc::clone(&self.log);
        let packing = async {
            let packed = packing.await?;
            if let Ok(packed) = &packed {
                log.write(LogStream::Host, sent(packed).into()).await?;
            }
            Ok::<_, CapabilityError>(packed)
        };
        let spec = BuildSpec {
            dockerfile,
            target: options.target,
            build_args: options.build_args,
            labels: options.labels,
            tags,
            no_cache: options.no_cache,
            network: self.trust.is_full(),
        };
        let building = self.containers.build(spec, pieces, Arc::<crate::step_log::StepLog>::clone(&self.log));
        let (built, packed) = tokio::join!(building, packing);
        match packed? {
            // An engine that has given up does not take the rest, and says why.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(CapabilityError::Other(format!("could not read the build context: {error}")))
            }
            _ => Ok(built?),
        }
    }
}

async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, CapabilityError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| CapabilityError::Trap(wasmtime::Error::new(error)))
}

impl Host for State {
    async fn open(&mut self) -> Result<Resource<Engine>, CapabilityError> {
        self.called("containers.open", &());
        self.containers.reach().await?;
        Ok(self.table.push(Engine)?)
    }
}

impl HostEngine for State {
    async fn build(
        &mut self,
        engine: Resource<Engine>,
        options: BuildOptions,
    ) -> Result<Resource<Image>, CapabilityError> {
        self.called("containers.build", &(engine.rep(), &options));
        let id = self.build_image(options).await?;
        Ok(self.table.push(Image(id))?)
    }

    async fn image(&mut self, engine: Resource<Engine>, reference: String) -> Result<Resource<Image>, CapabilityError> {
        self.called("containers.image", &(engine.rep(), &reference));
        let id = self.containers.find(&reference).await?;
        Ok(self.table.push(Image(id))?)
    }

    async fn drop(&mut self, handle: Resource<Engine>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostImage for State {
    async fn id(&mut self, image: Resource<Image>) -> wasmtime::Result<String> {
        self.called("containers.id", &(image.rep(),));
        Ok(self.table.get(&image)?.0.clone())
    }

    async fn tag(&mut self, image: Resource<Image>, reference: String) -> Result<(), CapabilityError> {
        self.called("containers.tag", &(image.rep(), &reference));
        self.may_name()?;
        let id = self.table.get(&image)?.0.clone();
        Ok(self.containers.tag(&id, &reference).await?)
    }

    async fn push(
        &mut self,
        image: Resource<Image>,
        reference: String,
        credentials: Option<WitCredentials>,
    ) -> Result<String, CapabilityError> {
        self.called("containers.push", &(image.rep(), &reference, &credentials));
        self.may_name()?;
        let id = self.table.get(&image)?.0.clone();
        let credentials = credentials.map(|account| Credentials {
            username: Account::new(self.secrets.fill(&account.username)),
            password: Account::new(self.secrets.fill(&account.password)),
        });
        self.containers.tag(&id, &reference).await?;
        self.log.flush().await?;
        let log = Arc::<crate::step_log::StepLog>::clone(&self.log);
        Ok(self.containers.push(&reference, credentials, log).await?)
    }

    async fn drop(&mut self, handle: Resource<Image>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use oxide_core::secret::SecretValue;

    use super::*;

    fn options() -> BuildOptions {
        BuildOptions {
            context: ".".to_owned(),
            dockerfile: None,
            target: None,
            build_args: vec![("VERSION".to_owned(), "1".to_owned())],
            labels: Vec::new(),
            tags: vec!["a/b:1".to_owned()],
            no_cache: false,
        }
    }

    #[test]
    fn no_secret_gets_into_an_image() {
        let secrets = Placeholders::new([("TOKEN".to_owned(), SecretValue::new("hunter2").unwrap(), false)], || 7);
        refuse_secrets(&options(), &secrets).unwrap();
        let placeholder = secrets.get("TOKEN").unwrap().placeholder.clone();
        let pair = ("A".to_owned(), format!("x{placeholder}"));
        let with = [
            (BuildOptions { build_args: vec![pair.clone()], ..options() }, "a build argument"),
            (BuildOptions { labels: vec![pair], ..options() }, "a label"),
            (BuildOptions { tags: vec![placeholder.clone()], ..options() }, "a tag"),
            (BuildOptions { target: Some(placeholder), ..options() }, "stage"),
        ];
        for (options, place) in with {
            let error = refuse_secrets(&options, &secrets).unwrap_err();
            assert!(
                matches!(&error, CapabilityError::Invalid(text) if text.contains("`TOKEN`") && text.contains(place)),
                "{error:?}"
            );
        }
    }

    #[test]
    fn context_and_dockerfile_stay_where_they_belong() {
        let workspace = tempfile::tempdir().unwrap();
        let path = workspace.path();
        std::fs::create_dir(path.join("app")).unwrap();
        std::fs::create_dir(path.join("other")).unwrap();
        std::fs::write(path.join("Dockerfile"), "FROM scratch").unwrap();
        std::os::unix::fs::symlink("/etc", path.join("etc")).unwrap();
        std::os::unix::fs::symlink("../Dockerfile", path.join("other/Dockerfile")).unwrap();
        let root = Dir::open_ambient_dir(path, cap_std::ambient_authority()).unwrap();
        let error = |context: &str, dockerfile: &str| prepare(&root, context, dockerfile).err().unwrap();
        prepare(&root, ".", "Dockerfile").map(drop).unwrap();
        prepare(&root, "app/..", "Dockerfile").map(drop).unwrap();
        for (context, dockerfile) in [
            ("..", "Dockerfile"),
            ("/etc", "passwd"),
            ("etc", "passwd"),
            ("app", "../Dockerfile"),
            ("other", "Dockerfile"),
        ] {
            let error = error(context, dockerfile);
            assert!(matches!(error, CapabilityError::Denied(_)), "{context} {dockerfile}: {error:?}");
        }
        assert!(
            matches!(error("app", "Dockerfile"), CapabilityError::NotFound(text) if text.contains("no `Dockerfile` in the context `app`"))
        );
        assert!(
            matches!(error("nowhere", "Dockerfile"), CapabilityError::NotFound(text) if text.contains("oxide/checkout@1"))
        );
    }
}
