//! Which server is meant, and as whom.

use oxide_client::{Client, ClientError};

use super::settings::{Home, without_last_slash};
use crate::failure::Failure;

/// Which server is meant, for commands that speak to one.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RemoteArguments {
    /// The address of the server; else what `oxide login` kept.
    #[arg(long, value_name = "URL", env = "OXIDE_SERVER")]
    pub server: Option<String>,
    /// The project; else what `oxide config set project NAME` kept.
    #[arg(long, value_name = "NAME", env = "OXIDE_PROJECT")]
    pub project: Option<String>,
}

/// A server that was found, and how to speak to it.
pub struct Remote {
    /// Speaks to it.
    pub client: Client,
    /// Its address.
    pub server: String,
    /// The project that is meant, if one was named.
    pub project: Option<String>,
}

impl RemoteArguments {
    /// The server that is meant, if one is known at all.
    pub fn known_server(&self) -> Result<Option<String>, Failure> {
        let server = match &self.server {
            Some(server) => Some(server.clone()),
            None => Home::find()?.settings()?.server,
        };
        Ok(server.map(|server| without_last_slash(&server)))
    }

    /// A client for the server that is meant, signed in.
    pub fn connect(&self) -> Result<Remote, Failure> {
        let home = Home::find()?;
        let settings = home.settings()?;
        let server = self.known_server()?.ok_or_else(|| {
            Failure::usage("no server is known").hint("sign in with `oxide login URL`, or name one with `--server URL`")
        })?;
        let given = std::env::var("OXIDE_TOKEN").ok().filter(|token| !token.is_empty());
        let token = match given {
            Some(token) => Some(token),
            None => home.token(&server)?,
        };
        if token.is_none() {
            return Err(Failure::usage(format!("you are not signed in to {server}"))
                .hint(format!("sign in with `oxide login {server}`, or set OXIDE_TOKEN")));
        }
        let client = Client::new(&server, token, settings.ca_file.as_deref()).map_err(|error| refused(&error))?;
        Ok(Remote { client, server, project: self.project.clone().or(settings.project) })
    }
}

/// A refusal of the server in the words of a command.
pub fn refused(error: &ClientError) -> Failure {
    let failure = Failure::of(error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
