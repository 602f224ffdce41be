//! The settings of the API out of those of the server.

use std::num::NonZeroU32;

use oxide_api::settings::{
    ClientSecret, Network, Provider, ProviderGrant, ProviderKind, ProviderMatch, Quota, SessionKey, Settings,
};

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
    let RateSettings { per_token, per_address } = config.rate_limit;
    settings.rates.token = quota(per_token);
    settings.rates.address = quota(per_address);
    settings.providers = providers(&config.sign_in);
    Ok(settings)
}

/// So many a minute; a tenth of them at once.
fn quota(per_minute: u32) -> Quota {
    let at_least_one = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    Quota { per_second: at_least_one(per_minute / 60), burst: at_least_one(per_minute / 10) }
}

fn providers(sign_in: &SignInSettings) -> Vec<Provider> {
    let github = sign_in.github.iter().map(|github| Provider {
        name: "github".to_owned(),
        kind: ProviderKind::GitHub { web: "https://github.com".to_owned(), api: "https://api.github.com".to_owned() },
        client_id: github.client_id.clone(),
        client_secret: ClientSecret(github.client_secret.clone()),
        grants: github.organizations.iter().map(|name| member_of(name)).collect(),
        admits_everybody: github.organizations.is_empty(),
    });
    let oidc = sign_in.oidc.iter().map(|(name, oidc)| Provider {
        name: name.clone(),
        kind: ProviderKind::Oidc { issuer: oidc.issuer.clone() },
        client_id: oidc.client_id.clone(),
        client_secret: ClientSecret(oidc.client_secret.clone()),
        grants: Vec::new(),
        admits_everybody: true,
    });
    github.chain(oidc).collect()
}

fn member_of(organization: &str) -> ProviderGrant {
    ProviderGrant { to: ProviderMatch::Organization(organization.to_owned()), role: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_bounded_whatever_is_said() {
        assert_eq!((quota(6000).per_second.get(), quota(6000).burst.get()), (100, 600));
        assert_eq!((quota(0).per_second.get(), quota(0).burst.get()), (1, 1));
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
        assert!(!providers(&config.sign_in)[0].admits_everybody);
        config.sign_in.github = Some(github(&[]));
        assert!(providers(&config.sign_in)[0].admits_everybody);
        config.trusted_proxies = vec!["ten".into()];
        assert!(of(&config, "http://127.0.0.1", SessionKey([0; 32])).is_err());
    }
}
