//! How a registry wants to be told who asks: reads the challenge of a 401 and makes what goes into `Authorization`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::Url;

use super::credentials::Account;

/// What a registry asks for in `WWW-Authenticate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Name and password with every request.
    Basic,
    /// A token that another server gives.
    Bearer {
        /// The address of that server.
        realm: String,
        /// The name under which it knows the registry.
        service: Option<String>,
        /// What the token must allow, if the registry says it.
        scope: Option<String>,
    },
}

impl Challenge {
    /// The first challenge of these header lines that we can answer; a token is preferred.
    pub(super) fn from_headers<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Challenge> {
        let mut found: Vec<Challenge> = lines.flat_map(challenges).collect();
        let bearer = found.iter().position(|challenge| matches!(challenge, Challenge::Bearer { .. })).unwrap_or(0);
        (!found.is_empty()).then(|| found.swap_remove(bearer))
    }
}

/// The challenges in one header line: a scheme, then `name="value"` pairs separated by commas.
fn challenges(line: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (scheme, after) = rest.split_once(' ').unwrap_or((rest, ""));
        let scheme = scheme.trim_end_matches(',');
        let (pairs, after) = parameters(after);
        let value =
            |name: &str| pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone());
        if scheme.eq_ignore_ascii_case("basic") {
            found.push(Challenge::Basic);
        } else if scheme.eq_ignore_ascii_case("bearer") {
            let realm = value("realm").filter(|realm| !realm.is_empty());
            found.extend(realm.map(|realm| Challenge::Bearer {
                realm,
                service: value("service"),
                scope: value("scope"),
            }));
        }
        rest = after.trim_start();
    }
    found
}

/// The pairs at the start of a text, and what follows them: another scheme or nothing.
fn parameters(text: &str) -> (Vec<(String, String)>, &str) {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start_matches([' ', ',']);
    while let Some((name, after)) = rest.split_once('=') {
        // `Bearer realm=…` within the text is the next scheme.
        if name.trim().contains(' ') {
            break;
        }
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => {
                let mut value = String::new();
                let mut signs = quoted.char_indices();
                let mut end = quoted.len();
                while let Some((at, sign)) = signs.next() {
                    match sign {
                        '"' => {
                            end = at + 1;
                            break;
                        }
                        '\\' => value.extend(signs.next().map(|(_, sign)| sign)),
                        other => value.push(other),
                    }
                }
                (value, &quoted[end..])
            }
            None => {
                let end = after.find([',', ' ']).unwrap_or(after.len());
                (after[..end].to_owned(), &after[end..])
            }
        };
        pairs.push((name.trim().to_owned(), value));
        rest = after.trim_start_matches([' ', ',']);
    }
    (pairs, rest)
}

/// The request for a token.
pub(super) enum TokenRequest {
    /// GET, with the account in `Authorization` if there is one.
    Get {
        /// Address and query.
        url: Url,
        /// The value of the header.
        authorization: Option<String>,
    },
    /// POST with a form, for an identity token. Nobody is redirected with it: the form would go along.
    Post {
        /// The address.
        url: Url,
        /// The form.
        form: String,
    },
}

/// Asks for a token that allows `scope`. None if the realm is no address that an account may be sent to: an account goes out
/// encrypted, unless the registry itself is reached without encryption. One that is of the registry alone stays away from a
/// realm elsewhere, which is then asked as everybody may.
pub(super) fn token_request(
    realm: &str,
    service: Option<&str>,
    scope: &str,
    account: &Account,
    registry: &Url,
) -> Option<TokenRequest> {
    let mut url = Url::parse(realm).ok()?;
    let is_allowed = url.scheme() == "https" || (url.scheme() == "http" && registry.scheme() == "http");
    if !is_allowed || url.host_str().is_none() {
        return None;
    }
    match account {
        Account::IdentityToken(token) => {
            // The query of an address is encoded as a form is.
            let mut form = Url::parse("http://form").ok()?;
            form.query_pairs_mut()
                .append_pair("grant_type", "refresh_token")
                .append_pair("service", service.unwrap_or_default())
                .append_pair("client_id", "oxide")
                .append_pair("scope", scope)
                .append_pair("refresh_token", token);
            Some(TokenRequest::Post { url, form: form.query().unwrap_or_default().to_owned() })
        }
        Account::Anonymous | Account::Password { .. } | Account::OfRegistry { .. } => {
            let may_be_shown = !matches!(account, Account::OfRegistry { .. }) || url.origin() == registry.origin();
            let authorization = basic(account).filter(|_| may_be_shown);
            let mut query = url.query_pairs_mut();
            query.append_pair("scope", scope);
            if let Some(service) = service {
                query.append_pair("service", service);
            }
            drop(query);
            Some(TokenRequest::Get { url, authorization })
        }
    }
}

/// `Basic` with name and password, for an account that has them.
pub(super) fn basic(account: &Account) -> Option<String> {
    match account {
        Account::Password { username, password } | Account::OfRegistry { username, password } => {
            Some(format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))))
        }
        Account::Anonymous | Account::IdentityToken(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Option<Challenge> {
        Challenge::from_headers(lines.iter().copied())
    }

    #[test]
    fn challenges_of_real_registries_are_read() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            Some(Challenge::Bearer {
                realm: realm.to_owned(),
                service: service.map(str::to_owned),
                scope: scope.map(str::to_owned),
            })
        };
        assert_eq!(read(&["Basic realm=\"tests\""]), Some(Challenge::Basic));
        assert_eq!(
            read(&["Bearer realm=\"https://a.example/token\",service=\"r\",scope=\"repository:a/b:pull,push\""]),
            bearer("https://a.example/token", Some("r"), Some("repository:a/b:pull,push"))
        );
        assert_eq!(
            read(&["bearer service=r, realm=https://a.example/token"]),
            bearer("https://a.example/token", Some("r"), None)
        );
        assert_eq!(
            read(&["Basic realm=\"x, y\", Bearer realm=\"https://a.example/\""]),
            bearer("https://a.example/", None, None)
        );
        assert_eq!(read(&["Basic", "Bearer realm=\"https://b/\""]), bearer("https://b/", None, None));
    }

    #[test]
    fn what_is_no_challenge_of_ours_ends_and_gives_nothing() {
        for line in
            ["", ",", "Negotiate", "Bearer", "Bearer realm", "Bearer realm=\"\"", "=", "a=b", "\"", "Digest x=\"\\"]
        {
            assert_eq!(read(&[line]), None, "{line}");
        }
        assert_eq!(read(&["Negotiate abc==, Basic realm=x"]), Some(Challenge::Basic));
        assert_eq!(read(&["Basic, Negotiate"]), Some(Challenge::Basic));
    }

    #[test]
    fn an_account_goes_out_encrypted_unless_the_registry_itself_is_plain() {
        let account = Account::Password { username: "ada".to_owned(), password: "word".to_owned() };
        let (encrypted, plain) = (Url::parse("https://r/v2/").unwrap(), Url::parse("http://r/v2/").unwrap());
        assert!(token_request("http://evil.example/", None, "s", &account, &encrypted).is_none());
        assert!(token_request("file:///etc/passwd", None, "s", &account, &plain).is_none());
        assert!(token_request("token", None, "s", &account, &plain).is_none());
        let Some(TokenRequest::Get { url, authorization }) =
            token_request("https://a.example/t?x=1", Some("r"), "repository:a/b:pull", &account, &encrypted)
        else {
            panic!("a GET");
        };
        assert_eq!(url.as_str(), "https://a.example/t?x=1&scope=repository%3Aa%2Fb%3Apull&service=r");
        assert_eq!(authorization.as_deref(), Some("Basic YWRhOndvcmQ="));
        let token = Account::IdentityToken("a&b".to_owned());
        let Some(TokenRequest::Post { form, .. }) = token_request("http://l/t", None, "s", &token, &plain) else {
            panic!("a POST");
        };
        assert!(form.ends_with("refresh_token=a%26b"), "{form}");
    }
}
