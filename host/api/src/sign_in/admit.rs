//! Decides whom a provider lets in, and with which roles. Plain code: what is known comes in as values.

use std::collections::BTreeMap;

use oxide_core::access::Role;

use crate::settings::{Provider, ProviderMatch};

/// What a provider says of somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// What the provider calls the user; it never changes.
    pub subject: String,
    /// The name that the user has there.
    pub login: String,
    /// An e-mail address that the provider has verified.
    pub email: Option<String>,
    /// Organizations or groups.
    pub organizations: Vec<String>,
}

/// What becomes of a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Let in, with these roles by the name of the project; a higher role that the user has stays.
    Welcome(BTreeMap<String, Role>),
    /// Not let in: nothing that the operator said names this one.
    Stranger,
}

/// Is this one let in?
pub fn decide(provider: &Provider, identity: &Identity, is_user_already: bool) -> Admission {
    let matching: Vec<_> = provider.grants.iter().filter(|grant| fits(&grant.to, identity)).collect();
    if matching.is_empty() && !is_user_already && !provider.admits_everybody {
        return Admission::Stranger;
    }
    let mut roles = BTreeMap::new();
    for (role, project) in matching.iter().filter_map(|grant| grant.role.as_ref()) {
        let highest = roles.entry(project.clone()).or_insert(*role);
        *highest = (*highest).max(*role);
    }
    Admission::Welcome(roles)
}

fn fits(to: &ProviderMatch, identity: &Identity) -> bool {
    match to {
        ProviderMatch::Organization(name) => {
            identity.organizations.iter().any(|organization| organization.eq_ignore_ascii_case(name))
        }
        ProviderMatch::EmailDomain(domain) => {
            let found = identity.email.as_deref().and_then(|email| email.rsplit_once('@'));
            found.is_some_and(|(_, found)| found.eq_ignore_ascii_case(domain))
        }
    }
}

/// A name for a new user, out of what the provider says: letters, digits, `-`, `_` and `.`.
pub fn name_for(identity: &Identity) -> String {
    let from_email = identity.email.as_deref().and_then(|email| email.split('@').next()).unwrap_or_default();
    let source =
        if identity.login.is_empty() { from_email } else { identity.login.split('@').next().unwrap_or_default() };
    let name: String = source
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
        .skip_while(|c| !c.is_ascii_alphanumeric())
        .take(80)
        .collect();
    if name.is_empty() { "user".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{ClientSecret, ProviderGrant, ProviderKind};

    fn provider(grants: Vec<ProviderGrant>, admits_everybody: bool) -> Provider {
        Provider {
            name: "p".into(),
            kind: ProviderKind::Oidc { issuer: "https://id.example.com".into() },
            client_id: "c".into(),
            client_secret: ClientSecret("s".into()),
            grants,
            admits_everybody,
        }
    }

    fn grant(to: ProviderMatch, role: Option<(Role, &str)>) -> ProviderGrant {
        ProviderGrant { to, role: role.map(|(role, project)| (role, project.to_owned())) }
    }

    fn somebody() -> Identity {
        Identity {
            subject: "1".into(),
            login: "ann".into(),
            email: Some("ann@Example.com".into()),
            organizations: vec!["Acme".into()],
        }
    }

    #[test]
    fn nobody_is_let_in_whom_nothing_names() {
        assert_eq!(decide(&provider(Vec::new(), false), &somebody(), false), Admission::Stranger);
        let elsewhere = grant(ProviderMatch::EmailDomain("ample.com".into()), None);
        assert_eq!(decide(&provider(vec![elsewhere], false), &somebody(), false), Admission::Stranger);
        assert_eq!(decide(&provider(Vec::new(), true), &somebody(), false), Admission::Welcome(BTreeMap::new()));
        assert_eq!(decide(&provider(Vec::new(), false), &somebody(), true), Admission::Welcome(BTreeMap::new()));
    }

    #[test]
    fn roles_come_from_what_fits_and_the_highest_wins() {
        let grants = vec![
            grant(ProviderMatch::Organization("acme".into()), Some((Role::Runner, "web"))),
            grant(ProviderMatch::EmailDomain("example.com".into()), Some((Role::Viewer, "web"))),
            grant(ProviderMatch::EmailDomain("example.com".into()), Some((Role::Viewer, "app"))),
            grant(ProviderMatch::Organization("other".into()), Some((Role::Admin, "web"))),
        ];
        let expected = BTreeMap::from([("web".to_owned(), Role::Runner), ("app".to_owned(), Role::Viewer)]);
        assert_eq!(decide(&provider(grants.clone(), false), &somebody(), false), Admission::Welcome(expected));
        let unverified = Identity { email: None, organizations: Vec::new(), ..somebody() };
        assert_eq!(decide(&provider(grants, false), &unverified, false), Admission::Stranger);
    }

    #[test]
    fn names_can_stand_in_paths() {
        let name = |login: &str, email: Option<&str>| {
            name_for(&Identity { login: login.into(), email: email.map(str::to_owned), ..Identity::default() })
        };
        assert_eq!(name("ann", None), "ann");
        assert_eq!(name("", Some("bob.b@example.com")), "bob.b");
        assert_eq!(name("Zoë Ä/..", None), "Zo----..");
        assert_eq!(name("../x", None), "x");
        assert_eq!(name("", None), "user");
    }
}
