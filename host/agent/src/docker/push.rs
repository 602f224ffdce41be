//! Pushing an image: what the engine tells meanwhile, and what its words mean.

use bollard::{Docker, auth::DockerCredentials, models::PushImageInfo};
use oxide_core::quantity;
use oxide_runtime::containers::{ContainerError, Credentials};

use super::image_name::ImageName;

/// What came of a push so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pushed: u32,
    were_there: u32,
    /// The digest of the manifest, once the registry has it.
    pub(super) digest: Option<String>,
}

impl Progress {
    /// Takes one word of the engine; answers with the line that it is worth in the log.
    pub(super) fn take(&mut self, info: &PushImageInfo) -> Option<String> {
        let status = info.status.as_deref()?.trim();
        match status {
            "Pushed" => self.pushed += 1,
            "Layer already exists" => self.were_there += 1,
            _ if status.starts_with("Mounted from") => self.were_there += 1,
            _ => {}
        }
        if let Some(digest) = digest_in(status) {
            self.digest = Some(digest.to_owned());
            return None;
        }
        // What the engine says when a registry does not answer is worth a line; layers under way are not.
        status.starts_with("Retrying in").then(|| format!("the registry does not answer; {}\n", status.to_lowercase()))
    }

    /// What was done, as a line of the log.
    pub(super) fn summary(&self, reference: &str) -> String {
        let layers = |count: u32| quantity::how_many(count.into(), "layer");
        let digest = self.digest.as_deref().unwrap_or("?");
        format!("pushed {reference}: {}, {} were there; {digest}\n", layers(self.pushed), self.were_there)
    }
}

/// The digest in the last word of a push, `1.2: digest: sha256:… size: 528`.
fn digest_in(status: &str) -> Option<&str> {
    let digest = status.split_once("digest: ")?.1.split(' ').next()?;
    let hexadecimal = digest.strip_prefix("sha256:")?;
    (hexadecimal.len() == 64 && hexadecimal.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(digest)
}

/// What the engine's words about a push that failed mean, and what to do.
pub(super) fn refusal(reference: &str, registry: Option<&str>, has_account: bool, words: &str) -> ContainerError {
    let lower = words.to_lowercase();
    let registry = registry.unwrap_or("the registry");
    let says = |what: &[&str]| what.iter().any(|word| lower.contains(word));
    if says(&["unauthorized", "no basic auth", "authentication required", "401"]) {
        let what_to_do = match has_account {
            true => "check the user name and the password or token, and whether it has expired",
            false => "give an account: a user name, and a password from a secret",
        };
        ContainerError::Denied(format!(
            "{registry} refuses the account for `{reference}` (not authenticated): {words}; {what_to_do}"
        ))
    } else if says(&["denied", "forbidden", "403"]) {
        ContainerError::Denied(format!(
            "{registry} does not let this account push `{reference}`: {words}; does the repository exist, and may the \
             account write to it?"
        ))
    } else {
        ContainerError::Other(format!(
            "the push of `{reference}` broke off: {words}; try again: {registry} keeps the layers that it has"
        ))
    }
}

/// The account as the engine wants it.
pub(super) fn docker_credentials(credentials: &Credentials, name: &ImageName) -> DockerCredentials {
    DockerCredentials {
        username: Some(credentials.username.expose().to_owned()),
        password: Some(credentials.password.expose().to_owned()),
        serveraddress: name.registry().map(str::to_owned),
        ..Default::default()
    }
}

/// The engine reads the account in the alphabet of base64 for URLs and takes none where it cannot; the library writes it
/// in the other one. They differ in two signs, which few passwords bring out.
pub(super) fn with_readable_credentials(docker: Docker) -> Docker {
    docker.with_request_modifier(|mut request| {
        if let Some(header) = request.headers_mut().get_mut("x-registry-auth")
            && let Ok(text) = header.to_str()
            && let Ok(readable) = text.replace('+', "-").replace('/', "_").parse()
        {
            *header = readable;
            header.set_sensitive(true);
        }
        request
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(text: &str) -> PushImageInfo {
        PushImageInfo { status: Some(text.to_owned()), ..Default::default() }
    }

    #[test]
    fn the_digest_comes_with_the_last_word() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let mut progress = Progress::default();
        let last = format!("1.2: digest: {digest} size: 528");
        let lines: Vec<String> =
            ["The push refers to repository [a]", "Pushing", "Pushed", "Layer already exists", &last]
                .iter()
                .filter_map(|text| progress.take(&status(text)))
                .collect();
        assert_eq!(lines, Vec::<String>::new());
        assert_eq!(progress.digest.as_deref(), Some(digest.as_str()));
        assert_eq!(progress.summary("a:1.2"), format!("pushed a:1.2: 1 layer, 1 were there; {digest}\n"));
        assert_eq!(
            progress.take(&status("Retrying in 5 seconds")).unwrap(),
            "the registry does not answer; retrying in 5 seconds\n"
        );
        assert_eq!(digest_in("digest: sha256:short size: 1"), None);
    }

    #[test]
    fn what_the_registry_said_becomes_what_to_do() {
        let said = |words: &str, has_account| refusal("r.example/a:1", Some("r.example"), has_account, words);
        for (words, has_account, part) in [
            ("unauthorized: authentication required", true, "check the user name"),
            ("no basic auth credentials", false, "give an account"),
            ("denied: requested access to the resource is denied", true, "may the account write to it?"),
        ] {
            let error = said(words, has_account);
            assert!(matches!(&error, ContainerError::Denied(text) if text.contains(part)), "{error:?}");
        }
        let error = said("EOF", true);
        assert!(
            matches!(&error, ContainerError::Other(text) if text.contains("broke off: EOF; try again")),
            "{error:?}"
        );
    }
}
