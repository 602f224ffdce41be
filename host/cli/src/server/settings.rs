//! The settings of the API out of those of the server.

use std::{num::NonZeroU32, time::Duration};

use oxide_api::settings::{
    ClientSecret, Network, Provider, ProviderGrant, ProviderKind, ProviderMatch, Quota, SessionKey, Settings,
};
use oxide_core::access::Role;

use super::config::{RateSettings, ServerConfig, SignInSettings};
use crate::failure::Failure;

/// The settings of the API.
pub fn of(config: &ServerConfig, url: &str, session_key: SessionKey) -> Result<Settings, Failure> {
    let mut settings = Settings::new(url, session_key);
    settings.cors_origins.clone_from(&config.cors_origins);
    for proxy in &config.trusted_proxies {
        let network: Network =
            proxy.parse().map_err(|error| Failure::usage("could not use `trusted_proxies`").because(&error))?;
        settings.trusted_proxies.push(network);
    }
    let RateSettings { per_token, per_address, sign_in } = config.rate_limit;
    settings.rates.token = quota(per_token);
    settings.rates.address = quota(per_address);
    (settings.rates.sign_in_every, settings.rates.sign_in_burst) = sign_ins(sign_in);
    settings.providers = providers(&config.sign_in)?;
    Ok(settings)
}

fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

/// So many a minute; a tenth of them at once.
fn quota(per_minute: u32) -> Quota {
    Quota { per_second: at_least_one(per_minute / 60), burst: at_least_one(per_minute / 10) }
}

/// So many a minute, as the time from one to the next; twice as many at once.
fn sign_ins(per_minute: u32) -> (Duration, NonZeroU32) {
    let per_minute = at_least_one(per_minute);
    (Duration::from_secs(60) / per_minute.get(), per_minute.saturating_add(per_minute.get()))
}

fn providers(sign_in: &SignInSettings) -> Result<Vec<Provider>, Failure> {
    let mut providers = Vec::new();
    if let Some(github) = &sign_in.github {
        let web = "https://github.com".to_owned();
        let api = "https://api.github.com".to_owned();
        let setting = "sign_in.github.organizations";
        providers.push(Provider {
            name: "github".to_owned(),
            kind: ProviderKind::GitHub { web, api },
            client_id: github.client_id.clone(),
            client_secret: ClientSecret(github.client_secret.clone()),
            grants: grants(setting, &github.organizations, ProviderMatch::Organization)?,
            admits_everybody: github.organizations.is_empty(),
        });
    }
    for (name, oidc) in &sign_in.oidc {
        let setting = |word: &str| format!("sign_in.oidc.{name}.{word}");
        let mut grants_of_all = grants(&setting("email_domains"), &oidc.email_domains, ProviderMatch::EmailDomain)?;
        grants_of_all.extend(grants(&setting("groups"), &oidc.groups, ProviderMatch::Organization)?);
        providers.push(Provider {
            name: name.clone(),
            kind: ProviderKind::Oidc { issuer: oidc.issuer.clone() },
            client_id: oidc.client_id.clone(),
            client_secret: ClientSecret(oidc.client_secret.clone()),
            admits_everybody: grants_of_all.is_empty(),
            grants: grants_of_all,
        });
    }
    Ok(providers)
}

/// Each entry of a list: whom it lets in, and perhaps a role.
fn grants(setting: &str, entries: &[String], to: fn(String) -> ProviderMatch) -> Result<Vec<ProviderGrant>, Failure> {
    let one = |entry: &String| -> Result<ProviderGrant, Failure> {
        let (name, role) = entry_parts(entry).map_err(|problem| {
            Failure::usage(format!("`{setting}` has `{entry}`: {problem}"))
                .hint("write NAME, or NAME=ROLE:PROJECT such as `staff=viewer:default`")
        })?;
        Ok(ProviderGrant { to: to(name), role })
    };
    entries.iter().map(one).collect()
}

/// A name, and the role and the project behind its last `=`. A name may hold `=`, as those of LDAP do.
fn entry_parts(entry: &str) -> Result<(String, Option<(Role, String)>), String> {
    let named = |name: &str| match name.trim() {
        "" => Err("there is no name".to_owned()),
        name => Ok(name.to_owned()),
    };
    let Some((name, given)) = entry.rsplit_once('=') else { return Ok((named(entry)?, None)) };
    match given.trim().split_once(':') {
        Some((role, project)) => {
            let role = role.trim().parse::<Role>().map_err(|error| error.to_string())?;
            let project = named(project).map_err(|_| "there is no project".to_owned())?;
            Ok((named(name)?, Some((role, project))))
        }
        None if given.trim().parse::<Role>().is_ok() => Err("there is a role without a project".to_owned()),
        None => Ok((named(entry)?, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_bounded_whatever_is_said() {
        assert_eq!((quota(6000).per_second.get(), quota(6000).burst.get()), (100, 600));
        assert_eq!((quota(0).per_second.get(), quota(0).burst.get()), (1, 1));
        let of_api = oxide_api::settings::Rates::default();
        let per_minute = ServerConfig::default().rate_limit.sign_in;
        assert_eq!(sign_ins(per_minute), (of_api.sign_in_every, of_api.sign_in_burst));
        assert_eq!(sign_ins(0), (Duration::from_secs(60), NonZeroU32::new(2).unwrap()));
        assert_eq!(sign_ins(u32::MAX).1, NonZeroU32::MAX);
    }

    #[test]
    fn only_members_come_in_if_organizations_are_named() {
        let mut config = ServerConfig::default();
        let github = |organizations: &[&str]| super::super::config::GithubSettings {
            client_id: "a".into(),
            client_secret: "b".into(),
            organizations: organizations.iter().map(|name| (*name).to_owned()).collect(),
        };
        config.sign_in.github = Some(github(&["example"]));
        assert!(!providers(&config.sign_in).unwrap()[0].admits_everybody);
        config.sign_in.github = Some(github(&[]));
        assert!(providers(&config.sign_in).unwrap()[0].admits_everybody);
        config.trusted_proxies = vec!["ten".into()];
        assert!(of(&config, "http://127.0.0.1", SessionKey([0; 32])).is_err());
    }

    #[test]
    fn a_provider_lets_in_domains_and_groups_and_gives_them_roles() {
        let of = |lists: &str| {
            let text = format!(
                "[sign_in.oidc.company]\nissuer = \"https://login.example.com\"\nclient_id = \"a\"\n\
                 client_secret = \"b\"\n{lists}"
            );
            let config: ServerConfig = toml::from_str(&text).unwrap();
            providers(&config.sign_in).map(|mut found| found.remove(0)).map_err(|failure| failure.in_one_line())
        };
        let everybody = of("").unwrap();
        assert!(everybody.admits_everybody && everybody.grants.is_empty());
        for narrowed in ["email_domains = [\"example.com\"]", "groups = [\"staff\"]"] {
            assert!(!of(narrowed).unwrap().admits_everybody, "{narrowed}");
        }
        let both = of(
            "email_domains = [\"example.com\"]\ngroups = [\"dev = runner:web\", \"cn=ops,o=us\", \"cn=ops=admin:web\"]",
        );
        let grant = |to: ProviderMatch, role: Option<Role>| ProviderGrant {
            to,
            role: role.map(|role| (role, "web".to_owned())),
        };
        let group = |name: &str| ProviderMatch::Organization(name.to_owned());
        let expected = [
            grant(ProviderMatch::EmailDomain("example.com".to_owned()), None),
            grant(group("dev"), Some(Role::Runner)),
            grant(group("cn=ops,o=us"), None),
            grant(group("cn=ops"), Some(Role::Admin)),
        ];
        assert_eq!(both.unwrap().grants, expected);
        for (wrong, told) in [
            ("dev=driver:web", "there is no role `driver`"),
            ("dev=runner", "a role without a project"),
            ("dev=runner:", "there is no project"),
            ("=runner:web", "there is no name"),
            (" ", "there is no name"),
        ] {
            let error = of(&format!("groups = [\"{wrong}\"]")).unwrap_err();
            assert!(error.contains(told) && error.contains("sign_in.oidc.company.groups"), "{wrong}: {error}");
            assert!(error.contains("NAME=ROLE:PROJECT"), "{error}");
        }
    }
}
