//! What stands now: open runs and jobs, agents and their machines, leadership, events.

use std::sync::atomic::AtomicU64;

use oxide_core::{event::AgentStatus, outcome::Status, protocol::SystemMetrics, time::Timestamp};
use oxide_orchestrator::Leadership;
use oxide_store::{AgentRow, StoreError};
use prometheus_client::{
    metrics::{
        family::Family,
        gauge::{ConstGauge, Gauge},
    },
    registry::Registry,
};

use super::total::Total;
use crate::state::ServerState;

/// What stands now.
#[derive(Clone, Debug, PartialEq)]
pub struct Present {
    /// The time.
    pub now: Timestamp,
    /// How many runs that have not ended stand how.
    pub runs: Vec<(Status, u64)>,
    /// How many jobs of these are queued or running.
    pub jobs: Vec<(Status, u64)>,
    /// All agents.
    pub agents: Vec<AgentRow>,
    /// Does this server decide what runs?
    pub leads: bool,
    /// The number of the last event that was written.
    pub events_written: u64,
    /// The number of the last event that followers of this server got.
    pub events_published: u64,
}

type Whole = Gauge<u64, AtomicU64>;
type Real = Gauge<f64, AtomicU64>;
type OfAgent = [(&'static str, String); 2];

impl Present {
    /// Looks.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn read(state: &ServerState) -> Result<Present, StoreError> {
        // Published first: it is never more than what is written.
        let events_published = state.engine.bus.last_seq();
        Ok(Present {
            now: state.now(),
            runs: state.store.open_run_counts().await?,
            jobs: state.store.open_job_counts().await?,
            agents: state.store.agents().await?,
            leads: matches!(state.engine.election.leadership(), Leadership::Here(_)),
            events_written: state.store.last_event().await?,
            events_published,
        })
    }

    /// Names what was seen.
    pub(super) fn register(&self, registry: &mut Registry) {
        let runs = [Status::Pending, Status::WaitingApproval, Status::Queued, Status::Running];
        let runs = of_statuses(&self.runs, &runs);
        registry.register("oxide_runs_open", "Runs that have not ended, by their state", runs);
        let jobs = of_statuses(&self.jobs, &[Status::Queued, Status::Running]);
        registry.register("oxide_jobs_open", "Jobs that wait for an agent, and jobs that run", jobs);
        self.register_agents(registry);
        let leads = ConstGauge::new(u64::from(self.leads));
        registry.register("oxide_leads", "1 if this server decides what runs, 0 if another one does", leads);
        registry.register(
            "oxide_events_written_total",
            "The number of the last event that was written, by whatever server",
            Total::at(self.events_written),
        );
        registry.register(
            "oxide_events_published_total",
            "The number of the last event that followers of this server got",
            Total::at(self.events_published),
        );
    }

    fn register_agents(&self, registry: &mut Registry) {
        let words = [
            ("idle", AgentStatus::Idle),
            ("busy", AgentStatus::Busy),
            ("draining", AgentStatus::Draining),
            ("offline", AgentStatus::Offline),
        ];
        let agents = Family::<[(&'static str, &'static str); 1], Whole>::default();
        for (word, status) in words {
            let count = self.agents.iter().filter(|agent| agent.status_at(self.now) == status).count();
            agents.get_or_create(&[("status", word)]).set(count as u64);
        }
        registry.register("oxide_agents", "Agents, by what they do", agents);
        let there: Vec<&AgentRow> =
            self.agents.iter().filter(|agent| agent.status_at(self.now) != AgentStatus::Offline).collect();
        let slots: u64 = there.iter().map(|agent| u64::from(agent.slots)).sum();
        registry.register(
            "oxide_agent_slots",
            "Jobs that the agents that are there can run at the same time",
            ConstGauge::new(slots),
        );
        let machines: Vec<(OfAgent, SystemMetrics)> =
            there.iter().filter_map(|agent| Some((of_agent(agent), agent.metrics?))).collect();
        register_machines(registry, &machines);
    }
}

/// How the machines of agents fare.
fn register_machines(registry: &mut Registry, machines: &[(OfAgent, SystemMetrics)]) {
    let (cpu, load) = (Family::<OfAgent, Real>::default(), Family::<OfAgent, Real>::default());
    let (memory_used, memory_size) = (Family::<OfAgent, Whole>::default(), Family::<OfAgent, Whole>::default());
    let (disk_used, disk_size) = (Family::<OfAgent, Whole>::default(), Family::<OfAgent, Whole>::default());
    for (agent, metrics) in machines {
        cpu.get_or_create(agent).set(metrics.cpu_percent / 100.0);
        load.get_or_create(agent).set(metrics.load_1m);
        memory_used.get_or_create(agent).set(metrics.memory_used_bytes);
        memory_size.get_or_create(agent).set(metrics.memory_total_bytes);
        disk_used.get_or_create(agent).set(metrics.disk_used_bytes);
        disk_size.get_or_create(agent).set(metrics.disk_total_bytes);
    }
    registry.register(
        "oxide_agent_cpu_ratio",
        "How busy the processors of the machine of an agent are, from 0 to 1",
        cpu,
    );
    registry.register(
        "oxide_agent_load_1m",
        "Processes that wanted to run on the machine of an agent, on average in the last minute",
        load,
    );
    let memory = "Bytes of memory in use on the machine of an agent";
    registry.register("oxide_agent_memory_used_bytes", memory, memory_used);
    registry.register("oxide_agent_memory_size_bytes", "Bytes of memory of the machine of an agent", memory_size);
    let disk = "Bytes in use on the disk that holds the data of an agent";
    registry.register("oxide_agent_disk_used_bytes", disk, disk_used);
    registry.register("oxide_agent_disk_size_bytes", "Bytes of the disk that holds the data of an agent", disk_size);
}

/// Two agents may have the same name.
fn of_agent(agent: &AgentRow) -> OfAgent {
    [("agent", agent.name.clone()), ("id", agent.id.to_string())]
}

/// The counts of these statuses, 0 where nothing was counted.
fn of_statuses(counts: &[(Status, u64)], statuses: &[Status]) -> Family<[(&'static str, &'static str); 1], Whole> {
    let family = Family::<[(&'static str, &'static str); 1], Whole>::default();
    for status in statuses {
        let count = counts.iter().find(|(counted, _)| counted == status).map_or(0, |(_, count)| *count);
        family.get_or_create(&[("status", status.as_str())]).set(count);
    }
    family
}

#[cfg(test)]
mod tests {
    use oxide_core::id::AgentId;
    use prometheus_client::encoding::text::encode_registry;
    use uuid::Uuid;

    use super::*;

    fn agent(id: u128, name: &str, heard: bool) -> AgentRow {
        AgentRow {
            id: AgentId(Uuid::from_u128(id)),
            name: name.to_owned(),
            labels: Vec::new(),
            capabilities: Vec::new(),
            slots: 2,
            version: String::new(),
            registered_at: Timestamp(0),
            status: AgentStatus::Busy,
            last_heartbeat_at: heard.then_some(Timestamp(999_000)),
            metrics: Some(SystemMetrics { cpu_percent: 25.0, memory_used_bytes: 7, ..SystemMetrics::default() }),
            draining: false,
            deregistered_at: None,
        }
    }

    #[test]
    fn what_is_not_there_is_zero_and_what_is_gone_has_no_machine() {
        let present = Present {
            now: Timestamp(1_000_000),
            runs: vec![(Status::Running, 3)],
            jobs: Vec::new(),
            agents: vec![agent(1, "a \"b\"\\\nc", true), agent(2, "gone", false)],
            leads: true,
            events_written: 9,
            events_published: 8,
        };
        let (mut registry, mut text) = (Registry::default(), String::new());
        present.register(&mut registry);
        encode_registry(&mut text, &registry).unwrap();
        let id = Uuid::from_u128(1);
        let labels = format!("{{agent=\"a \\\"b\\\"\\\\\\nc\",id=\"{id}\"}}");
        for line in [
            "oxide_runs_open{status=\"running\"} 3",
            "oxide_runs_open{status=\"queued\"} 0",
            "oxide_jobs_open{status=\"queued\"} 0",
            "oxide_agents{status=\"busy\"} 1",
            "oxide_agents{status=\"offline\"} 1",
            "oxide_agent_slots 2",
            "oxide_leads 1",
            "# TYPE oxide_events_written_total counter",
            "oxide_events_written_total 9",
            "oxide_events_published_total 8",
            &format!("oxide_agent_cpu_ratio{labels} 0.25"),
            &format!("oxide_agent_memory_used_bytes{labels} 7"),
        ] {
            assert!(text.lines().any(|have| have == line), "{line}\n{text}");
        }
        assert!(!text.contains("gone"), "{text}");
    }
}
