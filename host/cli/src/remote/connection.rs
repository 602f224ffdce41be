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
        let is_signed_in = token.is_some();
        // First, for it says what is wrong with the address.
        let client = Client::new(&server, token, settings.ca_file.as_deref()).map_err(|error| refused(&error))?;
        if !is_signed_in {
            return Err(Failure::usage(format!("you are not signed in to {server}"))
                .hint(format!("sign in with `oxide login {server}`, or set OXIDE_TOKEN")));
        }
        Ok(Remote { client, server, project: self.project.clone().or(settings.project) })
    }
}

/// A refusal of the server in the words of a command.
pub fn refused(error: &ClientError) -> Failure {
    let failure = Failure::of(error);
    match hint(error) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// What to type when there is no such thing.
const NOT_FOUND: [(&str, &str); 5] = [
    ("project", "name one that you may see: `--project NAME`, or `oxide config set project NAME`"),
    ("pipeline", "store it there first: `oxide run --remote --upload`"),
    ("run", "`oxide runs --remote` lists those that you may see"),
    ("approval", "`oxide approvals list` lists those that wait"),
    ("secret", "`oxide secrets list` lists the names"),
];

/// What to type. A server speaks to programs of all kinds; this one has commands for some of what it suggests.
fn hint(error: &ClientError) -> Option<String> {
    match error {
        ClientError::Address { url, .. } if !url.contains("://") => {
            Some(format!("say how to speak to it, too: `http://{url}` or `https://{url}`"))
        }
        ClientError::Refused { status, suggestions, .. }
            if status.as_u16() == 401 && suggestions.iter().all(|text| text.starts_with("send `Authorization")) =>
        {
            Some("sign in with `oxide login URL`, or set OXIDE_TOKEN to another token".to_owned())
        }
        ClientError::Refused { status, message, .. } if status.as_u16() == 404 => {
            let known = NOT_FOUND.iter().find(|(what, _)| message.starts_with(&format!("there is no {what} `")));
            known.map(|(_, hint)| (*hint).to_owned()).or_else(|| error.hint())
        }
        ClientError::Refused { message, .. } if message.starts_with("the pipeline has no repository") => {
            Some("give it one: `oxide run --remote --upload --repository URL`".to_owned())
        }
        other => other.hint(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_scheme_is_completed() {
        let Err(error) = Client::new("127.0.0.1:7780", None, None) else { panic!("it is no address") };
        let told = hint(&error).unwrap_or_default();
        assert!(told.contains("`http://127.0.0.1:7780`"), "{told}");
    }
}
