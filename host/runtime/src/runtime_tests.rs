//! Loading: from memory, from the cache, and what is refused.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::*;
use crate::{
    describe::digest,
    testing::{MemoryLog, component, component_text},
};

fn runtime(home: &tempfile::TempDir) -> Runtime {
    Runtime::new(RuntimeConfig { cache_dir: home.path().join("cache"), compiler: Compiler::InProcess, blobs: None })
        .unwrap()
}

async fn load(
    runtime: &Runtime,
    digest: &str,
    bytes: impl FnOnce() -> io::Result<Cow<'static, [u8]>> + Send,
) -> Result<Arc<Plugin>, LoadError> {
    runtime.load(PluginToLoad { name: "p", digest, is_built_in: false }, bytes, &MemoryLog::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_share_one_compilation() {
    let home = tempfile::tempdir().unwrap();
    let runtime = runtime(&home);
    let bytes = component("run");
    let digest = digest(&bytes);
    let reads = AtomicUsize::new(0);
    let load_it = || {
        load(&runtime, &digest, || {
            reads.fetch_add(1, SeqCst);
            Ok(Cow::Owned(bytes.clone()))
        })
    };
    let (a, b, c) = tokio::join!(load_it(), load_it(), load_it());
    assert!(Arc::ptr_eq(&a.unwrap(), &b.unwrap()));
    c.unwrap();
    assert_eq!(reads.load(SeqCst), 1);
}

#[tokio::test]
async fn the_next_process_needs_no_bytes() {
    let home = tempfile::tempdir().unwrap();
    let bytes = component("greet");
    let digest = digest(&bytes);
    let before = load(&runtime(&home), &digest, move || Ok(Cow::Owned(bytes))).await.unwrap();
    let again = load(&runtime(&home), &digest, || panic!("it is in the cache")).await.unwrap();
    assert_eq!(again.description(), before.description());
}

#[tokio::test]
async fn other_bytes_than_asked_for_are_refused_and_the_next_load_may_succeed() {
    let home = tempfile::tempdir().unwrap();
    let runtime = runtime(&home);
    let bytes = component("run");
    let digest = digest(&bytes);
    let error = load(&runtime, &digest, || Ok(Cow::Owned(component("trap")))).await.err().unwrap();
    assert!(matches!(error, LoadError::Digest { .. }), "{error}");
    let error = load(&runtime, &digest, || Err(io::ErrorKind::NotFound.into())).await.err().unwrap();
    assert!(matches!(error, LoadError::Read(_)), "{error}");
    load(&runtime, &digest, || Ok(Cow::Owned(bytes))).await.unwrap();
}

#[tokio::test]
async fn imports_that_do_not_fit_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let runtime = runtime(&home);
    let cases = [
        (
            r#"(import "wasi:http/incoming-handler@0.2.0" (instance))"#,
            "the component imports `wasi:http/incoming-handler@0.2.0`, which",
        ),
        (r#"(import "oxide:ci/git@0.1.0" (instance (export "clone" (func))))"#, "the component does not fit this host"),
    ];
    for (import, message) in cases {
        let bytes = component(&component_text("run").replacen("(component", &format!("(component {import}"), 1));
        let error = load(&runtime, &digest(&bytes), || Ok(Cow::Owned(bytes.clone()))).await.err().unwrap();
        assert!(error.to_string().starts_with(message), "{error}");
        assert!(error.hint().is_some());
    }
}
