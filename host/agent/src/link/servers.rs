//! The servers of one installation: an agent speaks to one of them, and to the next one when that one does not answer. All of
//! them use one database, so it does not matter which one takes a message; one that was said twice is known by its number.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};

use super::server::{CallError, Server, ServerError};

/// The way to all servers of an installation. Cheap to clone; all clones speak to the same one.
#[derive(Clone, Debug)]
pub struct Servers {
    /// One at least.
    all: Arc<[Server]>,
    present: Arc<AtomicUsize>,
}

impl Servers {
    /// The servers at addresses that are separated by commas, such as `https://a.example.com,https://b.example.com`.
    ///
    /// # Errors
    /// If an address or the file with certificates cannot be used.
    pub fn new(addresses: &str, ca_file: Option<&Path>) -> Result<Servers, ServerError> {
        let all: Result<Arc<[Server]>, _> = addresses.split(',').map(|address| Server::new(address, ca_file)).collect();
        Ok(Servers { all: all?, present: Arc::default() })
    }

    /// All of them.
    pub fn all(&self) -> &[Server] {
        &self.all
    }

    /// The one that messages go to.
    pub fn present(&self) -> &Server {
        &self.all[self.present.load(Relaxed)]
    }

    /// Sends a message to the present one; if that does not answer, to the next, until all were asked once.
    ///
    /// # Errors
    /// See [`CallError`]: what the last one that was asked answered, or did not.
    pub async fn call<A: DeserializeOwned>(
        &self,
        message: &str,
        credential: Option<&str>,
        body: &impl Serialize,
        patience: Duration,
    ) -> Result<A, CallError> {
        let mut index = self.present.load(Relaxed);
        let mut asked = 0;
        loop {
            asked += 1;
            let answer = self.all[index].call(message, credential, body, patience).await;
            let Err(error) = &answer else { return answer };
            if self.all.len() == 1 || !error.is_about_the_server() {
                return answer;
            }
            let next = (index + 1) % self.all.len();
            // Of several messages that fail together the first one moves all on.
            if self.present.compare_exchange(index, next, Relaxed, Relaxed).is_ok() {
                tracing::warn!("{}; going on with {}", error.in_one_line(), self.all[next].address());
            }
            if asked == self.all.len() {
                return answer;
            }
            index = next;
        }
    }
}

impl From<Server> for Servers {
    fn from(server: Server) -> Servers {
        Servers { all: Arc::new([server]), present: Arc::default() }
    }
}
