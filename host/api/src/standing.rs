//! Streams outlive what let their callers in: whether it still holds is asked again and again, and how many streams one
//! credential has open is bounded.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use oxide_core::{
    access::{Area, Rights, Role},
    id::ProjectId,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{
    caller::{By, Caller, Who},
    error::{ApiError, ErrorKind},
    state::ServerState,
};

/// How many streams are open, by what their callers showed.
#[derive(Debug, Default)]
pub struct OpenStreams(Mutex<HashMap<By, usize>>);

/// The place of one stream, until it is dropped.
struct Place {
    open: Arc<OpenStreams>,
    of: By,
}

impl OpenStreams {
    /// How many there are in all.
    pub fn count(&self) -> usize {
        self.0.lock().expect("nobody panics here").values().sum()
    }

    fn take(self: &Arc<Self>, of: By, most: usize) -> Result<Place, ApiError> {
        let mut counts = self.0.lock().expect("nobody panics here");
        let count = counts.entry(of).or_default();
        if *count >= most {
            return Err(ApiError::new(ErrorKind::TooManyRequests, format!("{most} streams are open with this token"))
                .suggest("close some of them, or use another token"));
        }
        *count += 1;
        Ok(Place { open: Arc::clone(self), of })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.open.0.lock().expect("nobody panics here");
        if let Some(count) = counts.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.of);
            }
        }
    }
}

/// How a caller stands whose stream is open.
pub struct Standing {
    state: ServerState,
    caller: Caller,
    /// The stream is about this project alone.
    project: Option<ProjectId>,
    changes: watch::Receiver<()>,
    due: Instant,
    _place: Place,
}

impl Standing {
    /// Of a stream about this project, or about all that the caller may see.
    ///
    /// # Errors
    /// 429 if the caller has as many streams open as it may.
    pub fn open(state: &ServerState, caller: Caller, project: Option<ProjectId>) -> Result<Standing, ApiError> {
        let Who::User { by, .. } = caller.who else { return Err(ApiError::forbidden("only users may do this")) };
        let place = state.streams.take(by, state.settings.streams_max)?;
        let (changes, due) = (state.rights_changed.subscribe(), Instant::now() + state.settings.rights_every);
        Ok(Standing { state: state.clone(), caller, project, changes, due, _place: place })
    }

    /// What the caller may do.
    pub fn rights(&self) -> &Rights {
        &self.caller.rights
    }

    /// Waits until it is time to look again. May be dropped.
    pub async fn due(&mut self) {
        tokio::select! {
            () = sleep_until(self.due) => {}
            Ok(()) = self.changes.changed() => self.due = Instant::now(),
        }
    }

    /// May the stream go on? Looks again if it is time.
    ///
    /// # Errors
    /// What the caller would be told if it came now.
    pub async fn check(&mut self) -> Result<(), ApiError> {
        if self.changes.has_changed().unwrap_or(false) {
            self.changes.mark_unchanged();
        } else if Instant::now() < self.due {
            return Ok(());
        }
        self.caller.look_again(&self.state).await?;
        if let Some(project) = self.project {
            self.caller.rights.check(Area::Api, project, Role::Viewer)?;
        }
        self.due = Instant::now() + self.state.settings.rights_every;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use oxide_core::id::TokenId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_token_has_its_places_and_gives_them_back() {
        let open = Arc::new(OpenStreams::default());
        let of = |number| By::Token(TokenId(Uuid::from_u128(number)));
        let first = open.take(of(1), 2).unwrap();
        let _second = open.take(of(1), 2).unwrap();
        assert!(open.take(of(1), 2).is_err_and(|error| error.kind() == ErrorKind::TooManyRequests));
        open.take(of(2), 2).unwrap();
        drop(first);
        open.take(of(1), 2).unwrap();
    }
}
