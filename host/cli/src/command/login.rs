//! `oxide login` and `oxide logout`: the token for a server.

use std::fs::OpenOptions;

use oxide_client::Client;
use oxide_core::api::sign_in::Setup;

use crate::{
    exit_code::Exit,
    failure::Failure,
    local_engine::in_runtime,
    password,
    remote::{
        refused,
        settings::{Home, without_last_slash},
    },
    terminal::{on_one_line, print},
};

/// Arguments of `oxide login`.
#[derive(clap::Args)]
pub struct Login {
    /// The address of the server, such as `https://ci.example.org`; else the one that was used last.
    #[arg(value_name = "URL", env = "OXIDE_SERVER")]
    server: Option<String>,
    /// The code that the server printed at its first start: makes the first administrator.
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// The name of the first administrator.
    #[arg(long, value_name = "NAME", requires = "code")]
    name: Option<String>,
}

/// Arguments of `oxide logout`.
#[derive(clap::Args)]
pub struct Logout {
    /// The address of the server; else the one that was used last.
    #[arg(value_name = "URL", env = "OXIDE_SERVER")]
    server: Option<String>,
}

/// Keeps a token that the server takes. The token comes from OXIDE_TOKEN, else it is asked for.
pub fn login(arguments: &Login) -> Result<Exit, Failure> {
    let home = Home::find()?;
    let mut settings = home.settings()?;
    let server = which(arguments.server.as_deref(), settings.server.as_deref())?;
    let authorities = settings.ca_file.clone();
    let client = |token| Client::new(&server, token, authorities.as_deref()).map_err(|error| refused(&error));
    let (token, name) = match &arguments.code {
        Some(code) => {
            let setup = Setup { code: code.trim().to_owned(), name: arguments.name.clone(), email: None };
            let client = client(None)?;
            let done = in_runtime(async { client.set_up(&setup).await.map_err(|error| refused(&error)) })?;
            (done.token.token, done.user.name)
        }
        None => {
            let can_ask = || OpenOptions::new().read(true).write(true).open("/dev/tty").is_ok();
            if std::env::var_os("OXIDE_TOKEN").is_none() && !can_ask() {
                return Err(no_token("there is no token, and no terminal to ask for one"));
            }
            let token = password::find(&["OXIDE_TOKEN"], &format!("token for {server}"), false)?.trim().to_owned();
            if token.is_empty() {
                return Err(no_token("there is no token"));
            }
            let client = client(Some(token.clone()))?;
            let me = in_runtime(async { client.me().await.map_err(|error| refused(&error)) })?;
            (token, me.user.name)
        }
    };
    home.keep_token(&server, Some(token))?;
    settings.set("server", Some(server.clone()));
    home.write_settings(&settings)?;
    print(&format!("signed in to {server} as {}\n", on_one_line(&name)))?;
    Ok(Exit::Success)
}

/// Forgets the token of a server.
pub fn logout(arguments: &Logout) -> Result<Exit, Failure> {
    let home = Home::find()?;
    let server = which(arguments.server.as_deref(), home.settings()?.server.as_deref())?;
    let text = match home.keep_token(&server, None)? {
        Some(_) => {
            format!("the token for {server} is forgotten here; on the server it stays good until it is revoked\n")
        }
        None => format!("there was no token for {server}\n"),
    };
    print(&text)?;
    Ok(Exit::Success)
}

fn no_token(why: &str) -> Failure {
    Failure::usage(why)
        .hint("set OXIDE_TOKEN to a token of the server; `POST /api/v1/tokens` makes one")
        .hint("the first administrator signs in with `oxide login URL --code CODE`")
}

fn which(given: Option<&str>, known: Option<&str>) -> Result<String, Failure> {
    let server = given.or(known).map(without_last_slash);
    server.ok_or_else(|| Failure::usage("no server is known").hint("name it: `oxide login https://ci.example.org`"))
}
