//! A container engine that builds nothing: each call is expected once, in the order of the script.

use std::sync::Arc;

use oxide_core::protocol::LogStream;
use oxide_runtime::{
    containers::{BuildSpec, ContainerEngine, ContainerError, ContextPieces, Credentials},
    environment::{LogSink, async_trait},
};

use super::{Problems, Script};
use crate::plugin_case::{
    case::{ContainerAsk, ContainerCall},
    difference,
};

/// Answers as a script says.
pub struct ScriptedContainers {
    calls: Script<ContainerCall>,
    problems: Problems,
}

impl ScriptedContainers {
    /// With these calls.
    pub fn new(calls: Vec<ContainerCall>, problems: Problems) -> ScriptedContainers {
        ScriptedContainers { calls: Script::new(calls), problems }
    }

    /// Notes the calls that were not made.
    pub fn finish(&self) {
        for call in self.calls.left() {
            let message = format!("`{}` was not asked of the container engine", lines_of(&call.ask)[0]);
            self.problems.add(message, Some(call.span), Vec::new());
        }
    }

    /// The call that fits; its log is written.
    async fn answer(&self, got: ContainerAsk, log: Option<Arc<dyn LogSink>>) -> Result<String, ContainerError> {
        let answer = self.calls.next(|expected| match fits(&expected.ask, &got) {
            true => (true, Ok(expected.clone())),
            // To push an image is to give it the name first.
            false if names_what_is_pushed(&expected.ask, &got) => {
                (false, Ok(ContainerCall { answer: Ok(String::new()), log: Vec::new(), ..expected.clone() }))
            }
            false => (false, Err((expected.ask.clone(), expected.span))),
        });
        let shown = lines_of(&got);
        match answer {
            Some(Ok(call)) => {
                if let Some(log) = log.filter(|_| !call.log.is_empty()) {
                    log.write(LogStream::Stdout, call.log.into()).await?;
                }
                call.answer.map_err(ContainerError::Other)
            }
            Some(Err((expected, span))) => {
                let message =
                    format!("`{}` was asked of the container engine, and the script expects another", shown[0]);
                let lines = difference::lines(&lines_of(&expected).join("\n"), &shown.join("\n"));
                self.problems.add(message.clone(), Some(span), lines);
                Err(ContainerError::Other(format!("the case expects another call: {message}")))
            }
            None => {
                let message = format!("`{}` was asked of the container engine, and no call is left", shown[0]);
                self.problems.add(message.clone(), None, Vec::new());
                Err(ContainerError::Other(format!("the case does not expect it: {message}")))
            }
        }
    }
}

/// Is the image given the name under which the script expects it to be pushed?
fn names_what_is_pushed(expected: &ContainerAsk, got: &ContainerAsk) -> bool {
    match (expected, got) {
        (ContainerAsk::Push { reference: pushed, .. }, ContainerAsk::Tag { reference, .. }) => pushed == reference,
        _ => false,
    }
}

/// What was not written may be anything.
fn fits(expected: &ContainerAsk, got: &ContainerAsk) -> bool {
    fn same<T: PartialEq>(expected: &Option<T>, got: &Option<T>) -> bool {
        expected.is_none() || expected == got
    }
    match (expected, got) {
        (
            ContainerAsk::Build { dockerfile, target, tags, build_args, labels },
            ContainerAsk::Build { dockerfile: d, target: t, tags: g, build_args: b, labels: l },
        ) => same(dockerfile, d) && same(target, t) && same(tags, g) && same(build_args, b) && same(labels, l),
        (ContainerAsk::Tag { image, reference }, ContainerAsk::Tag { image: i, reference: r }) => {
            same(image, i) && reference == r
        }
        (
            ContainerAsk::Push { reference, username, password },
            ContainerAsk::Push { reference: r, username: u, password: p },
        ) => reference == r && same(username, u) && same(password, p),
        (expected, got) => expected == got,
    }
}

/// A call for people: what is asked, and a line for each part.
fn lines_of(ask: &ContainerAsk) -> Vec<String> {
    let part = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name}: {value}"));
    let all = |name: &str, values: &Option<Vec<(String, String)>>| {
        values.iter().flatten().map(|(key, value)| format!("{name}: {key}={value}")).collect::<Vec<_>>()
    };
    match ask {
        ContainerAsk::Build { dockerfile, target, tags, build_args, labels } => {
            let mut lines = vec!["build".to_owned()];
            lines.extend(part("dockerfile", dockerfile).into_iter().chain(part("target", target)));
            lines.extend(tags.iter().flatten().map(|tag| format!("tag: {tag}")));
            lines.extend(all("build_arg", build_args).into_iter().chain(all("label", labels)));
            lines
        }
        ContainerAsk::Image(reference) => vec![format!("image {reference}")],
        ContainerAsk::Tag { image, reference } => {
            [format!("tag {reference}")].into_iter().chain(part("image", image)).collect()
        }
        ContainerAsk::Push { reference, username, password } => {
            let parts = part("username", username).into_iter().chain(part("password", password));
            [format!("push {reference}")].into_iter().chain(parts).collect()
        }
    }
}

#[async_trait]
impl ContainerEngine for ScriptedContainers {
    async fn reach(&self) -> Result<(), ContainerError> {
        Ok(())
    }

    async fn build(
        &self,
        spec: BuildSpec,
        mut context: ContextPieces,
        log: Arc<dyn LogSink>,
    ) -> Result<String, ContainerError> {
        // The whole context is made, as for an engine: a link that leads out of it is found.
        while let Some(piece) = context.recv().await {
            piece.map_err(|error| ContainerError::Other(format!("the build context: {error}")))?;
        }
        let ask = ContainerAsk::Build {
            dockerfile: Some(spec.dockerfile),
            target: spec.target,
            tags: Some(spec.tags),
            build_args: Some(spec.build_args),
            labels: Some(spec.labels),
        };
        self.answer(ask, Some(log)).await
    }

    async fn find(&self, reference: &str) -> Result<String, ContainerError> {
        let found = self.answer(ContainerAsk::Image(reference.to_owned()), None).await;
        found.map_err(|error| ContainerError::NotFound(error.to_string()))
    }

    async fn tag(&self, image: &str, reference: &str) -> Result<(), ContainerError> {
        let ask = ContainerAsk::Tag { image: Some(image.to_owned()), reference: reference.to_owned() };
        self.answer(ask, None).await.map(drop)
    }

    async fn push(
        &self,
        reference: &str,
        credentials: Option<Credentials>,
        log: Arc<dyn LogSink>,
    ) -> Result<String, ContainerError> {
        let ask = ContainerAsk::Push {
            reference: reference.to_owned(),
            username: credentials.as_ref().map(|account| account.username.expose().to_owned()),
            password: credentials.as_ref().map(|account| account.password.expose().to_owned()),
        };
        self.answer(ask, Some(log)).await
    }
}
