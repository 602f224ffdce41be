//! Builds with a real engine, where `OXIDE_TEST_DOCKER_HOST` says how to reach it.

use std::{
    io,
    sync::Mutex,
    time::{Duration, Instant},
};

use bollard::query_parameters::{ListContainersOptions, ListImagesOptions};
use bytes::Bytes;
use oxide_runtime::environment::LogLimitReached;
use tokio::sync::mpsc;

use super::*;

#[derive(Default)]
struct Lines(Mutex<String>);

impl Lines {
    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl LogSink for Lines {
    async fn write(&self, _: LogStream, bytes: Bytes) -> Result<(), LogLimitReached> {
        self.0.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes));
        Ok(())
    }
}

fn engine() -> Option<DockerEngine> {
    let host = std::env::var("OXIDE_TEST_DOCKER_HOST").ok().filter(|host| !host.is_empty())?;
    Some(DockerEngine::new(Some(host)))
}

/// A context of one Dockerfile, as a tar archive.
fn context(dockerfile: &str) -> ContextPieces {
    let mut header = [0_u8; 512];
    header[..10].copy_from_slice(b"Dockerfile");
    header[100..107].copy_from_slice(b"0000644");
    header[124..135].copy_from_slice(format!("{:011o}", dockerfile.len()).as_bytes());
    header[136..147].copy_from_slice(b"00000000000");
    header[148..156].fill(b' ');
    header[156] = b'0';
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut archive = header.to_vec();
    archive.extend(dockerfile.as_bytes());
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    let (sender, pieces) = mpsc::channel::<io::Result<Bytes>>(1);
    sender.try_send(Ok(archive.into())).unwrap();
    pieces
}

fn spec() -> BuildSpec {
    BuildSpec { dockerfile: "Dockerfile".to_owned(), network: true, ..BuildSpec::default() }
}

async fn containers(docker: &Docker) -> usize {
    let options = ListContainersOptions { all: true, ..Default::default() };
    let found = docker.list_containers(Some(options)).await.unwrap();
    found
        .iter()
        .filter(|container| container.command.as_deref().is_some_and(|line| line.contains("sleep 4711")))
        .count()
}

async fn images(docker: &Docker) -> Vec<String> {
    let options = ListImagesOptions { all: true, ..Default::default() };
    docker.list_images(Some(options)).await.unwrap().into_iter().map(|image| image.id).collect()
}

async fn wait_for(what: &str, mut is_there: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_there().await {
        assert!(began.elapsed() < Duration::from_secs(120), "waited 120 s for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_dropped_ends_at_once_and_leaves_neither_container_nor_layer() {
    let Some(engine) = engine() else { return };
    let docker = engine.docker().await.unwrap().clone();
    let unique = std::process::id();
    let dockerfile = format!("FROM oxide-test/busybox:1\nRUN echo {unique} > /made\nRUN echo ready; sleep 4711\n");
    let log = Arc::new(Lines::default());
    let sink = Arc::clone(&log);
    let before = images(&docker).await;
    let building = tokio::spawn(async move { engine.build(spec(), context(&dockerfile), sink).await });
    wait_for("the second command", async || log.text().contains("ready\n")).await;
    assert_eq!(containers(&docker).await, 1);
    let layer = log.text().lines().filter_map(|line| line.strip_prefix(" ---> ")).next_back().unwrap().to_owned();
    assert!(layer.starts_with("Running in"), "{layer}");
    building.abort();
    wait_for("the container to go", async || containers(&docker).await == 0).await;
    let is_new = |image: &String| !before.contains(image);
    wait_for("the layer to go", async || {
        let mut made = Vec::new();
        for image in images(&docker).await.into_iter().filter(is_new) {
            let history = docker.image_history(&image).await.unwrap_or_default();
            made.extend(history.into_iter().filter(|step| step.created_by.contains(&format!("echo {unique} "))));
        }
        made.is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_built_alike_and_found_by_its_names() {
    let Some(engine) = engine() else { return };
    let log = Arc::new(Lines::default());
    let tag = "oxide-test/built:x".to_owned();
    let wished = BuildSpec {
        build_args: vec![("NAME".to_owned(), "Ada & Grace".to_owned())],
        labels: vec![("who".to_owned(), "me".to_owned())],
        tags: vec![tag.clone()],
        target: Some("first".to_owned()),
        ..spec()
    };
    let dockerfile = "FROM oxide-test/busybox:1 AS first\nARG NAME\nRUN echo \"for $NAME\"\nFROM first\nRUN exit 9\n";
    let id = engine.build(wished.clone(), context(dockerfile), log.clone()).await.unwrap();
    assert!(log.text().contains("for Ada & Grace\n"), "{}", log.text());
    assert_eq!(engine.find(&tag).await.unwrap(), id);
    assert_eq!(engine.build(wished, context(dockerfile), log.clone()).await.unwrap(), id);
    assert!(log.text().contains("Using cache"));
    let docker = engine.docker().await.unwrap();
    let labels = docker.inspect_image(&id).await.unwrap().config.and_then(|config| config.labels).unwrap();
    assert_eq!((labels["who"].as_str(), labels[BUILT_LABEL].as_str()), ("me", "true"));

    engine.tag(&id, "oxide-test/built:y").await.unwrap();
    assert_eq!(engine.find("oxide-test/built:y").await.unwrap(), id);
    assert!(matches!(engine.find("oxide-test/built:z").await, Err(ContainerError::NotFound(_))));
    let failed = engine.build(spec(), context("FROM oxide-test/busybox:1\nRUN exit 9\n"), log.clone()).await;
    let Err(ContainerError::Other(text)) = failed else { panic!("{failed:?}") };
    assert!(text.contains("returned a non-zero code: 9"), "{text}");
    let failed = engine.build(BuildSpec { tags: vec!["A".to_owned()], ..spec() }, context(dockerfile), log).await;
    assert!(matches!(failed, Err(ContainerError::Invalid(_))), "{failed:?}");
    for tag in ["x", "y"] {
        docker.remove_image(&format!("oxide-test/built:{tag}"), None::<RemoveImageOptions>, None).await.unwrap();
    }
}

#[tokio::test]
async fn no_engine_says_what_to_do() {
    let engine = DockerEngine::new(Some("unix:///nowhere/socket".to_owned()));
    let error = engine.reach().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "could not reach Docker at unix:///nowhere/socket: there is no socket /nowhere/socket; is Docker installed and \
         running, and may this user use it?"
    );
}
