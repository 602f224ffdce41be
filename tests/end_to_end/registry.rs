//! The container registry that the test command started, where `OXIDE_TEST_REGISTRY` says how to reach it.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::oxide::{Project, docker};

/// The registry and an account that may push to it.
pub struct Registry {
    /// Host and port.
    pub address: String,
    /// The name of the account.
    pub username: String,
    /// Its password.
    pub password: String,
}

impl Registry {
    /// The registry of the tests; none where there is none, which nobody may skip in CI.
    pub fn of_tests() -> Option<Registry> {
        let variable = |name: &str| std::env::var(name).ok();
        let (Some(address), Some(_)) = (variable("OXIDE_TEST_REGISTRY"), docker()) else {
            assert!(variable("CI").as_deref() != Some("true"), "nothing is skipped in CI");
            eprintln!("SKIPPED: pushing needs Docker and a registry");
            return None;
        };
        let account = |part| variable(part).expect("the registry comes with an account");
        Some(Registry {
            address,
            username: account("OXIDE_TEST_REGISTRY_USERNAME"),
            password: account("OXIDE_TEST_REGISTRY_PASSWORD"),
        })
    }

    /// Lets the programs of a project use an account at these hosts, by Docker's settings. Answers with their folder.
    pub fn let_in(&self, project: &mut Project, hosts: &[&str], password: &str) -> PathBuf {
        let account = STANDARD.encode(format!("{}:{password}", self.username));
        let hosts = hosts.iter().map(|host| ((*host).to_owned(), json!({ "auth": account })));
        let settings = json!({ "auths": hosts.collect::<serde_json::Map<_, _>>() });
        let folder = project.path("docker");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config.json"), settings.to_string()).unwrap();
        project.set("DOCKER_CONFIG", folder.to_str().unwrap());
        folder
    }

    /// The digest that the registry itself tells for a tag.
    pub fn digest(&self, repository: &str, tag: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let account = STANDARD.encode(format!("{}:{}", self.username, self.password));
        write!(
            stream,
            "HEAD /v2/{repository}/manifests/{tag} HTTP/1.0\r\nHost: {}\r\nAuthorization: Basic {account}\r\nAccept: \
             application/vnd.docker.distribution.manifest.v2+json\r\n\r\n",
            self.address
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let header = answer.lines().find_map(|line| line.strip_prefix("Docker-Content-Digest: "));
        header.unwrap_or_else(|| panic!("the registry has no {repository}:{tag}: {answer}")).trim().to_owned()
    }
}
