//! What only the server that leads does.

use std::future::Future;

use oxide_orchestrator::{Election, Leadership};
use tokio::task::JoinHandle;

/// Work that goes on whenever this server leads.
pub struct Leading {
    task: JoinHandle<()>,
}

impl Leading {
    /// Begins the work anew each time that this server comes to lead, and drops it when it does not lead any more.
    pub fn begin<F: Future<Output = ()> + Send>(
        election: &Election,
        work: impl Fn() -> F + Send + Sync + 'static,
    ) -> Leading {
        let mut leadership = election.watch();
        let task = tokio::spawn(async move {
            loop {
                let leads = |leadership: &Leadership| matches!(leadership, Leadership::Here(_));
                if leadership.wait_for(leads).await.is_err() {
                    return;
                }
                tokio::select! {
                    () = work() => {}
                    deposed = leadership.wait_for(|now| !leads(now)) => {
                        if deposed.is_err() { return }
                    }
                }
            }
        });
        Leading { task }
    }

    /// Ends. What was not done is done by who leads next.
    pub async fn end(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}
