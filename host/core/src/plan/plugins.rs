//! The plugins of a plan: each is resolved once, and refused if it needs what this version does not offer.

use std::{collections::HashMap, rc::Rc};

use crate::{diagnostic::Diagnostic, plugin::PluginDescription, yaml::Span};

/// The version of `oxide:ci` that this host offers.
pub const CONTRACT_VERSION: &str = "0.1.0";

/// Tells what a plugin asks for, takes and gives, and whether it is built in; or why it cannot be used.
pub(super) type Resolve<'a> = dyn Fn(&str) -> Result<(PluginDescription, bool), String> + 'a;

/// A plugin that can be used.
#[derive(Debug)]
pub(super) struct Resolved {
    pub description: PluginDescription,
    pub built_in: bool,
}

pub(super) struct Plugins<'a> {
    resolve: &'a Resolve<'a>,
    known: HashMap<String, Result<Rc<Resolved>, Refused>>,
}

#[derive(Clone)]
struct Refused {
    message: String,
    hint: Option<String>,
}

impl<'a> Plugins<'a> {
    pub fn new(resolve: &'a Resolve<'a>) -> Self {
        Plugins { resolve, known: HashMap::new() }
    }

    /// The plugin of a reference that stands at this place.
    pub fn get(&mut self, reference: &str, span: Span) -> Result<Rc<Resolved>, Diagnostic> {
        if !self.known.contains_key(reference) {
            self.known.insert(reference.to_owned(), self.resolve(reference));
        }
        self.known[reference].clone().map_err(|refused| Diagnostic {
            hint: refused.hint,
            ..Diagnostic::at(span, format!("plugin `{reference}` cannot be used: {}", refused.message))
        })
    }

    fn resolve(&self, reference: &str) -> Result<Rc<Resolved>, Refused> {
        let refused = |message: String, hint: Option<&str>| Refused { message, hint: hint.map(str::to_owned) };
        let (description, built_in) = (self.resolve)(reference).map_err(|message| refused(message, None))?;
        if let Some(contract) = &description.contract
            && is_newer(contract)
        {
            let message = format!("it needs oxide:ci@{contract}, and this version offers oxide:ci@{CONTRACT_VERSION}");
            return Err(refused(message, Some("use a newer Oxide, or an older version of the plugin")));
        }
        let unknown = description
            .imports
            .iter()
            .find(|import| import.capability.is_none() && import.name.starts_with("oxide:ci/"));
        if let Some(import) = unknown {
            let message = format!("it asks for `{}`, which this version does not offer", import.name);
            return Err(refused(message, Some("use a newer Oxide, or an older version of the plugin")));
        }
        Ok(Rc::new(Resolved { description, built_in }))
    }
}

/// Is a version of the contract newer than ours? Until 1.0 a new minor version may add what we do not have.
fn is_newer(contract: &str) -> bool {
    let numbers = |version: &str| -> Option<Vec<u64>> {
        let release = version.split(['-', '+']).next().unwrap_or(version);
        release.split('.').map(|part| part.parse().ok()).collect()
    };
    match (numbers(contract), numbers(CONTRACT_VERSION)) {
        (Some(theirs), Some(ours)) => theirs > ours,
        _ => false,
    }
}
