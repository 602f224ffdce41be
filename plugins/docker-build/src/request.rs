//! Checks the inputs and decides which account pushes. Asks nobody: `guest` does what is decided here.

/// The secret that is the user name where no other was given.
pub const USERNAME_SECRET: &str = "REGISTRY_USERNAME";
/// The secret that is the password where no other was given.
pub const PASSWORD_SECRET: &str = "REGISTRY_PASSWORD";
/// The user name for a registry that looks only at a token.
pub const ANY_USERNAME: &str = "oxide";

/// What the step says of tags and account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The input `tags`.
    pub tags: Vec<String>,
    /// The input `push`.
    pub push: bool,
    /// The input `username`.
    pub username: Option<String>,
    /// The input `password`: the placeholder of a secret.
    pub password: Option<String>,
}

/// Where the user name or the password comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The text of an input.
    Text(String),
    /// The secret of this name.
    Secret(&'static str),
}

/// The account that pushes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user name.
    pub username: Source,
    /// The password or token.
    pub password: Source,
}

/// Decides which account pushes, from the inputs and from the names of the secrets that the step was granted. None means
/// that the registry is asked without one.
///
/// # Errors
/// A sentence that says which input is unusable and what to write.
pub fn account(wanted: &Wanted, secrets: &[String]) -> Result<Option<Account>, String> {
    let granted = |name: &'static str| secrets.iter().any(|secret| secret == name).then_some(Source::Secret(name));
    for (name, value) in [("username", &wanted.username), ("password", &wanted.password)] {
        if value.as_ref().is_some_and(|value| value.trim().is_empty()) {
            return Err(format!("`{name}` is empty: leave it out, or write a value"));
        }
    }
    let password = wanted.password.clone().map(Source::Text).or_else(|| granted(PASSWORD_SECRET));
    let username = wanted.username.clone().map(Source::Text).or_else(|| granted(USERNAME_SECRET));
    match (username, password) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(format!(
            "there is a user name for the registry and no password: add `password: ${{{{ secrets.NAME }}}}`, or \
             `secrets: [{PASSWORD_SECRET}]` to the step"
        )),
        (username, Some(password)) => {
            Ok(Some(Account { username: username.unwrap_or(Source::Text(ANY_USERNAME.to_owned())), password }))
        }
    }
}

/// Checks what can be wrong before anything is built.
///
/// # Errors
/// A sentence that says which input is unusable and what to write.
pub fn check(wanted: &Wanted) -> Result<(), String> {
    if wanted.push && wanted.tags.is_empty() {
        return Err(
            "`push: true` needs a name to push under: add `tags: [\"registry.example/team/app:1.2\"]`".to_owned()
        );
    }
    if let Some(tag) = wanted.tags.iter().find(|tag| tag.trim().is_empty() || tag.contains(char::is_whitespace)) {
        return Err(format!("`{tag}` is no name for an image: write it as `registry.example/team/app:1.2`"));
    }
    if let Some((index, tag)) = wanted.tags.iter().enumerate().find(|(index, tag)| wanted.tags[..*index].contains(tag))
    {
        return Err(format!("tag {} is `{tag}` again: write each tag once", index + 1));
    }
    Ok(())
}
