//! What one call has on the side of the host. Everything in it ends with the call: processes, handles, open directories.

use std::sync::Arc;

use oxide_blobs::Blobs;
use oxide_core::{
    grant::Trust,
    plugin::Capability,
    secret::{Masker, Placeholders},
};
use serde::Serialize;
use wasmtime::{CallHook, component::ResourceTable};
use wasmtime_wasi::WasiCtx;

use crate::{
    call::StepCall,
    capability::{http::Http, log::Progress, output::Collected, run_info::RunInfo, tcp::Tcp, workspace::Workspace},
    containers::ContainerEngine,
    environment::Environment,
    limiter::Limiter,
    reach::{Names, Reach},
    recorder::Recorder,
    step_log::StepLog,
    stored::Stored,
    wasi,
};

/// The data of a call's store.
pub(crate) struct State {
    pub wasi: WasiCtx,
    pub table: ResourceTable,
    pub limiter: Limiter,
    pub log: Arc<StepLog>,
    pub progress: Progress,
    pub collected: Collected,
    pub run_info: RunInfo,
    pub workspace: Workspace,
    pub environment: Arc<dyn Environment>,
    pub containers: Arc<dyn ContainerEngine>,
    pub secrets: Placeholders,
    pub http: Http,
    pub tcp: Arc<Tcp>,
    /// How far the run is trusted.
    pub trust: Trust,
    /// Finds the secrets of the whole run, those of other steps too.
    pub masker: Arc<Masker>,
    pub stored: Stored,
    /// What the commands hold that the plugin builds.
    pub command_bytes: usize,
    /// Sees every call of a capability.
    pub recorder: Recorder,
    /// Was a clock or a random number used?
    pub impure: bool,
}

impl State {
    /// The state for a call; takes what it needs out of it.
    pub fn new(call: StepCall, log: Arc<StepLog>, blobs: Option<Arc<Blobs>>) -> State {
        let recorder = Recorder::new(!call.secrets.iter().any(|secret| secret.reveal));
        let mut table = ResourceTable::new();
        table.set_max_capacity(call.limits.handles as usize);
        let reach = |capability, rules| Reach { capability, rules, trust: call.grants.trust, names: Names::System };
        let tcp = Tcp::new(reach(Capability::Tcp, call.grants.tcp), log.clone());
        // Only who may send requests spends secrets in them.
        let may_send = call.grants.capabilities.contains(&Capability::Http);
        let sent = if may_send { call.secrets.clone() } else { Placeholders::default() };
        State {
            wasi: wasi::context(&log, &tcp),
            http: Http::new(reach(Capability::Http, call.grants.http), sent, call.responder, log.clone()),
            tcp,
            table,
            limiter: Limiter::new(call.limits.memory_bytes),
            log,
            progress: Progress::default(),
            collected: Collected::default(),
            run_info: call.run_info,
            trust: call.grants.trust,
            workspace: Workspace::new(call.workspace, call.grants.workspace_read_only),
            environment: call.environment,
            containers: call.containers,
            secrets: call.secrets,
            masker: call.masker,
            stored: Stored {
                blobs,
                project: call.project,
                cache_read_only: call.grants.cache_read_only,
                artifacts_read_only: call.grants.artifacts_read_only,
                uploaded: Vec::new(),
            },
            command_bytes: 0,
            recorder,
            impure: false,
        }
    }

    /// The first line of every function of a capability: its name in the contract, and what it was called with.
    pub fn called(&mut self, name: &'static str, arguments: &impl Serialize) {
        self.recorder.called(name, arguments);
    }

    /// The guest enters the host, or goes back. What the standard interfaces were asked for is learned afterwards.
    pub fn crosses(&mut self, hook: CallHook) {
        if matches!(hook, CallHook::ReturningFromHost) {
            if let Some(request) = self.http.take_asked() {
                self.called("http.request", &request);
            }
            if let Some((address, allowed)) = self.tcp.take_asked() {
                self.called("tcp.connect", &(address,));
                if !allowed {
                    self.recorder.failed();
                }
            }
        }
        self.recorder.hook(hook);
    }

    /// Notes that a clock or random numbers are used.
    pub fn impure(&mut self) -> &mut Self {
        self.impure = true;
        self
    }
}
