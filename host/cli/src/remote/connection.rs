//! Which server is meant, and as whom.

use oxide_client::{Client, ClientError};

use super::settings::{Home, without_last_slash};
use crate::{failure::Failure, terminal::without_controls};

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

/// The server that is meant where no command line names one; none if there is none, or nobody can say. For hints.
pub fn usual_server() -> Option<String> {
    let server = std::env::var("OXIDE_SERVER").ok().filter(|server| !server.is_empty());
    RemoteArguments { server, project: None }.known_server().ok().flatten()
}

/// A refusal of the server in the words of a command. Mistakes in a pipeline are told as a whole, as if it was checked here.
pub fn refused(error: &ClientError) -> Failure {
    if let Some(mistakes) = mistakes(error) {
        return Failure::invalid_pipeline(mistakes);
    }
    let failure = Failure::of(error);
    match hint(error) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// What is wrong with a pipeline that the server cannot use, with its places; none if something else was refused.
pub fn mistakes(error: &ClientError) -> Option<String> {
    match error {
        ClientError::Refused { status, message, details: Some(details), .. }
            if status.as_u16() == 422 && message.starts_with("the pipeline cannot be used: ") =>
        {
            Some(format!("{}\n", without_controls(details.trim_end())))
        }
        _ => None,
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
        // What stands before a server answers for it while it is away.
        ClientError::Foreign { .. } if error.is_passing() => {
            Some("is the server running? What stands before it answered; try again in a moment".to_owned())
        }
        ClientError::Refused { suggestions, .. } if error.is_passing() && suggestions.is_empty() => {
            Some("try again in a moment".to_owned())
        }
        other => other.hint(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_code::Exit;

    #[test]
    fn an_address_without_a_scheme_is_completed() {
        let Err(error) = Client::new("127.0.0.1:7780", None, None) else { panic!("it is no address") };
        let told = hint(&error).unwrap_or_default();
        assert!(told.contains("`http://127.0.0.1:7780`"), "{told}");
    }

    fn answer(status: u16, message: &str, details: Option<&str>, suggestion: Option<&str>) -> ClientError {
        ClientError::Refused {
            status: status.try_into().unwrap(),
            error: String::new(),
            message: message.to_owned(),
            details: details.map(str::to_owned),
            suggestions: suggestion.map(str::to_owned).into_iter().collect(),
        }
    }

    #[test]
    fn all_mistakes_of_a_pipeline_are_told_and_nothing_else_is_taken_for_one() {
        let message = "the pipeline cannot be used: 2 mistakes, the first at 9:5: no";
        let both = "error: no\n --> oxide.yaml:9:5\n\nerror: nor this\u{1b}[2J\n";
        let told = mistakes(&answer(422, message, Some(both), Some("a hint of the first")));
        assert_eq!(told.as_deref(), Some("error: no\n --> oxide.yaml:9:5\n\nerror: nor this [2J\n"));
        assert_eq!(refused(&answer(422, message, Some(both), None)).exit, Exit::InvalidPipeline);
        assert_eq!(refused(&answer(422, "`priority` is too high", Some("x"), None)).exit, Exit::Trouble);
        assert_eq!(refused(&answer(422, message, None, None)).exit, Exit::Trouble);
    }

    #[test]
    fn what_may_pass_says_so() {
        let hint = |error: &ClientError| hint(error).unwrap_or_default();
        assert_eq!(hint(&answer(429, "too many requests", None, Some("wait 3 s"))), "wait 3 s");
        assert_eq!(hint(&answer(503, "the orchestrator has ended", None, None)), "try again in a moment");
        let (url, problem) = ("http://x/api".to_owned(), "<html>".to_owned());
        let proxy = ClientError::Foreign { url, status: 503_u16.try_into().unwrap(), problem };
        assert!(hint(&proxy).starts_with("is the server running?"), "{}", hint(&proxy));
    }
}
