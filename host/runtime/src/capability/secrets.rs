//! `oxide:ci/secrets`: handles of the secrets that the step was granted. Values stay with the host; a plugin spends their
//! placeholders, and the places that carry them out of the step fill in the values.

use oxide_core::grant::Trust;
use wasmtime::component::Resource;

use super::{
    CapabilityError,
    bindings::oxide::ci::secrets::{Host, HostSecret},
};
use crate::state::State;

/// The handle of a secret: its name. The value is looked up when it is spent.
pub struct Secret(String);

impl State {
    fn secret(&mut self, handle: &Resource<Secret>) -> wasmtime::Result<&oxide_core::secret::StepSecret> {
        let name = &self.table.get(handle)?.0;
        self.secrets.get(name).ok_or_else(|| wasmtime::Error::msg("a handle of a secret that the step does not have"))
    }
}

impl Host for State {
    async fn names(&mut self) -> wasmtime::Result<Vec<String>> {
        self.called("secrets.names", &());
        let mut names: Vec<String> = self.secrets.iter().map(|secret| secret.name.clone()).collect();
        names.sort();
        Ok(names)
    }

    async fn open(&mut self, name: String) -> Result<Resource<Secret>, CapabilityError> {
        self.called("secrets.open", &(&name,));
        if self.secrets.get(&name).is_none() {
            let shown: String = name.escape_debug().take(100).collect();
            let why = match self.trust {
                Trust::Full => "the step was not granted it; add it to `secrets` of the step",
                Trust::Fork => "the run of a fork spends no secrets",
            };
            let message = format!("no secret `{shown}`: {why}");
            return Err(CapabilityError::Denied(message));
        }
        Ok(self.table.push(Secret(name))?)
    }
}

impl HostSecret for State {
    async fn name(&mut self, secret: Resource<Secret>) -> wasmtime::Result<String> {
        self.called("secrets.name", &(secret.rep(),));
        Ok(self.secret(&secret)?.name.clone())
    }

    async fn placeholder(&mut self, secret: Resource<Secret>) -> wasmtime::Result<String> {
        self.called("secrets.placeholder", &(secret.rep(),));
        Ok(self.secret(&secret)?.placeholder.clone())
    }

    async fn reveal(&mut self, secret: Resource<Secret>) -> Result<String, CapabilityError> {
        self.called("secrets.reveal", &(secret.rep(),));
        let secret = self.secret(&secret).map_err(CapabilityError::Trap)?;
        if !secret.reveal {
            return Err(CapabilityError::Denied(format!(
                "the step may spend the secret `{0}` and not read it; where it must, write \
                 `grants: {{ secrets: [{{ name: {0}, reveal: true }}] }}`",
                secret.name
            )));
        }
        Ok(secret.value.expose().to_owned())
    }

    async fn drop(&mut self, handle: Resource<Secret>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}
