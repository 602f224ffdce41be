//! GitHub's OAuth: three addresses that it documents for signing in, and what they answer.

use reqwest::{Client, Url, header};
use serde::Deserialize;

use super::{
    admit::Identity,
    provider::{Begun, ProviderError, ask, form, url},
};
use crate::settings::Provider;

/// What has to be asked for: who it is, the addresses, the organizations.
const SCOPES: &str = "read:user user:email read:org";

#[derive(Deserialize)]
struct Token {
    access_token: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

#[derive(Deserialize)]
struct Account {
    id: u64,
    login: String,
}

#[derive(Deserialize)]
struct Email {
    email: String,
    primary: bool,
    verified: bool,
}

#[derive(Deserialize)]
struct Organization {
    login: String,
}

/// Where the browser goes.
pub fn authorize_url(provider: &Provider, web: &str, begun: Begun<'_>) -> Result<Url, ProviderError> {
    let mut address = url(web, "/login/oauth/authorize")?;
    address.query_pairs_mut().extend_pairs([
        ("client_id", provider.client_id.as_str()),
        ("redirect_uri", begun.redirect_uri),
        ("scope", SCOPES),
        ("state", begun.state),
        ("code_challenge", &begun.challenge()),
        ("code_challenge_method", "S256"),
    ]);
    Ok(address)
}

/// Who it is that came back with this code.
pub async fn identify(
    http: &Client,
    provider: &Provider,
    (web, api): (&str, &str),
    begun: Begun<'_>,
    code: &str,
) -> Result<Identity, ProviderError> {
    let body = form(&[
        ("client_id", &provider.client_id),
        ("client_secret", &provider.client_secret.0),
        ("code", code),
        ("redirect_uri", begun.redirect_uri),
        ("code_verifier", begun.verifier),
    ]);
    let request = http
        .post(url(web, "/login/oauth/access_token")?)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(body);
    let token: Token = ask("the access token", request).await?;
    // GitHub says with status 200 that a code is wrong.
    let token = token.access_token.ok_or_else(|| {
        let error = token.error.unwrap_or_else(|| "it holds no token".into());
        ProviderError::Token(format!(
            "{error}{}",
            token.error_description.map(|text| format!(" ({text})")).unwrap_or_default()
        ))
    })?;
    let get = |path: &str| {
        url(api, path).map(|url| http.get(url).bearer_auth(&token).header("X-GitHub-Api-Version", "2022-11-28"))
    };
    let account: Account = ask("the user", get("/user")?).await?;
    let emails: Vec<Email> = ask("the e-mail addresses", get("/user/emails")?).await?;
    let organizations: Vec<Organization> = ask("the organizations", get("/user/orgs?per_page=100")?).await?;
    let verified = || emails.iter().filter(|email| email.verified);
    let email = verified().find(|email| email.primary).or_else(|| verified().next());
    Ok(Identity {
        subject: account.id.to_string(),
        login: account.login,
        email: email.map(|email| email.email.clone()),
        organizations: organizations.into_iter().map(|organization| organization.login).collect(),
    })
}
