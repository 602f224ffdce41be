//! Speaks to the host: asks for what `request` decided and tells what came of it.

use crate::request::{self, Request, amount};
use oxide::ci::{
    cache::{self, Saved},
    log::{self, Level},
    types::Error,
};

wit_bindgen::generate!({ path: ["../../wit", "wit"], world: "oxide:cache/cache", generate_all });

struct Cache;

export!(Cache);

impl Guest for Cache {
    fn run(inputs: Inputs) -> Result<Outputs, Failure> {
        let action = inputs.action.map(|action| match action {
            Action::Restore => request::Action::Restore,
            Action::Save => request::Action::Save,
        });
        let request = request::decide(action, inputs.key.clone(), inputs.restore_keys, inputs.paths)
            .map_err(Failure::InvalidInput)?;
        let store = cache::open().map_err(|error| failure("could not open the cache", error))?;
        let key = inputs.key;
        match request {
            Request::Restore { key: wanted, fallback_keys } => {
                let restored = store
                    .restore(&wanted, &fallback_keys)
                    .map_err(|error| failure(&format!("could not restore `{key}`"), error))?;
                let Some(entry) = restored else {
                    say(&format!("no entry for `{key}`"));
                    return Ok(Outputs { hit: false, key, matched_key: None, files: 0 });
                };
                say(&format!("restored `{}` ({})", entry.key, amount(entry.files, entry.size)));
                Ok(Outputs { hit: entry.key == key, key, matched_key: Some(entry.key), files: entry.files })
            }
            Request::Save { paths, .. } => match store.save(&key, &paths) {
                Ok(Saved::Stored(entry)) => {
                    say(&format!("saved `{key}` ({})", amount(entry.files, entry.size)));
                    Ok(Outputs { hit: false, key, matched_key: None, files: entry.files })
                }
                Ok(Saved::Exists(entry)) => {
                    say(&format!("there is an entry `{key}` already; it stays as it is"));
                    Ok(Outputs { hit: true, key, matched_key: None, files: entry.files })
                }
                // A cache of nothing is of no use, and no reason to fail either.
                Err(Error::NotFound(text)) => {
                    log::write(Level::Warning, &format!("nothing is saved: {text}"));
                    Ok(Outputs { hit: false, key, matched_key: None, files: 0 })
                }
                Err(error) => Err(failure(&format!("could not save `{key}`"), error)),
            },
        }
    }
}

fn say(text: &str) {
    log::write(Level::Info, text);
}

fn failure(what: &str, error: Error) -> Failure {
    match error {
        Error::Invalid(text) => Failure::InvalidInput(format!("{what}: {text}")),
        Error::NotFound(text) | Error::Denied(text) | Error::Limit(text) | Error::Other(text) => {
            Failure::Other(format!("{what}: {text}"))
        }
    }
}
