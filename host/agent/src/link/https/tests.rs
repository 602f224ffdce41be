//! The five messages and joining over real connections.

use std::sync::{Arc, atomic::Ordering::SeqCst};

use oxide_core::{
    api::agent::JoinAgent,
    id::StepIndex,
    protocol::{LogChunk, LogMark, LogStream, SystemMetrics},
    time::Timestamp,
};

use super::*;
use crate::{
    link::{
        Server, ServerError,
        join::{JoinError, join},
    },
    testing::{HttpServer, MemoryLink, agent_id, attempt_id, until},
};

const SOON: Duration = Duration::from_millis(300);

fn token(token: &str) -> JoinAgent {
    let (token, name, version) = (token.to_owned(), "box".to_owned(), "1".to_owned());
    JoinAgent { token, name, labels: vec![], capabilities: vec![], slots: 2, version }
}

async fn server() -> (Arc<MemoryLink>, HttpServer, Servers) {
    let link = Arc::new(MemoryLink::default());
    let http = HttpServer::start(Arc::clone(&link), agent_id()).await;
    let servers = Servers::new(&http.url(), None).unwrap();
    (link, http, servers)
}

fn report(agent: AgentId, number: u64) -> Report {
    let marks = vec![LogMark { line: 0, at: Timestamp(7), stream: LogStream::Stdout }];
    let body = bytes::Bytes::from_static(b"\x00\xff");
    let chunk = LogChunk { step: StepIndex(0), first_line: 1, line_count: 1, raw_bytes: 2, marks, body };
    Report { agent, attempt: attempt_id(), number, changes: vec![], logs: vec![chunk] }
}

#[tokio::test]
async fn an_agent_joins_once_and_its_messages_arrive_as_they_were() {
    let (link, http, server) = server().await;
    let identity = join(&server, &token("oxide_reg_good")).await.unwrap();
    assert_eq!(identity.server, http.url());
    let again = join(&server, &token("oxide_reg_good")).await.unwrap_err();
    assert!(matches!(again, JoinError::Refused(_)));
    let told = oxide_core::cause::in_one_line(&again);
    assert!(told.contains("the token is unknown or was used"), "{told}");

    let (agent, carrier) = (identity.id, HttpsLink::new(server, identity.credential));
    let (name, labels) = ("box".to_owned(), vec!["linux".to_owned()]);
    let register = Register { agent, name, labels, slots: 2, capabilities: vec![], version: "1".to_owned() };
    carrier.register(register.clone()).await.unwrap();
    assert_eq!(link.registers.lock().unwrap().as_slice(), [register]);

    let sent = report(agent, 1);
    assert_eq!(carrier.report(sent.clone()).await.unwrap(), Acknowledgement::Stored);
    assert_eq!(carrier.report(sent.clone()).await.unwrap(), Acknowledgement::Duplicate);
    assert_eq!(link.reports.lock().unwrap().as_slice(), std::slice::from_ref(&sent));
    let gap = carrier.report(Report { number: 3, ..sent }).await;
    assert!(matches!(gap, Err(LinkError::Rejected { reason }) if reason.contains("report 3 follows report 1")));

    let metrics = Some(SystemMetrics { cpu_percent: 12.5, ..SystemMetrics::default() });
    let heartbeat = Heartbeat { agent, attempts: vec![attempt_id()], metrics };
    link.answers.lock().unwrap().push(HeartbeatAnswer { cancel: vec![], drain: true });
    assert!(carrier.heartbeat(heartbeat.clone()).await.unwrap().drain);
    assert_eq!(link.heartbeats.lock().unwrap().as_slice(), [heartbeat]);
}

/// A held request keeps its connection; all others share one.
#[tokio::test]
async fn connections_are_kept() {
    let (link, http, server) = server().await;
    let carrier = Arc::new(HttpsLink::new(server, "oxide_agt_good"));
    let (agent, waiting) = (agent_id(), Arc::clone(&carrier));
    let held = tokio::spawn(async move { waiting.lease(agent).await.is_ok() });
    until("the request is held", || link.held.load(SeqCst) == 1).await;
    let first = report(agent, 1);
    for number in 1..=50 {
        let report = Report { number, ..first.clone() };
        assert_eq!(carrier.report(report).await.unwrap(), Acknowledgement::Stored);
    }
    assert_eq!(http.connections(), 2);
    held.abort();
}

#[tokio::test]
async fn what_may_be_said_again_is_told_from_what_may_not() {
    let (link, _http, server) = server().await;
    let stranger = HttpsLink::new(server.clone(), "oxide_agt_other");
    let refused = stranger.lease(agent_id()).await.unwrap_err();
    assert!(
        matches!(&refused, LinkError::Refused { reason } if reason.ends_with("refuses: the credential is not known")),
        "{refused:?}"
    );
    let carrier = HttpsLink::new(server, "oxide_agt_good");
    link.is_away.store(true, SeqCst);
    assert!(matches!(carrier.report(report(agent_id(), 1)).await, Err(LinkError::Unavailable(_))));

    let nobody = Servers::new("http://127.0.0.1:1", None).unwrap();
    let away = HttpsLink::new(nobody.clone(), "x").report(report(agent_id(), 1)).await.unwrap_err();
    let LinkError::Unavailable(cause) = away else { panic!("{away:?}") };
    assert_eq!(cause.to_string(), "could not reach the server at http://127.0.0.1:1");
    assert!(matches!(join(&nobody, &token("x")).await, Err(JoinError::Away(_))));
}

#[tokio::test]
async fn a_server_that_is_silent_is_not_waited_for_for_ever() {
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::new(&format!("http://{}", deaf.local_addr().unwrap()), None).unwrap();
    let silent = server.call::<()>("lease", None, &(), SOON).await.unwrap_err();
    assert!(matches!(silent, CallError::Silent { .. }) && silent.is_transient(), "{silent:?}");
    let large = "x".repeat(super::super::server::MESSAGE_BYTES_MAX);
    let large = server.call::<()>("report", None, &large, SOON).await.unwrap_err();
    assert!(large.is_about_the_message(), "{large:?}");
}

/// Two servers of one installation.
struct Pair {
    link: Arc<MemoryLink>,
    https: [HttpServer; 2],
    carrier: Arc<HttpsLink>,
}

impl Pair {
    async fn begin() -> Pair {
        let (link, agent) = (Arc::new(MemoryLink::default()), agent_id());
        let https =
            [HttpServer::start(Arc::clone(&link), agent).await, HttpServer::start(Arc::clone(&link), agent).await];
        let addresses = format!("{}, {}", https[0].url(), https[1].url());
        let carrier = Arc::new(HttpsLink::new(Servers::new(&addresses, None).unwrap(), "oxide_agt_good"));
        Pair { link, https, carrier }
    }
}

#[tokio::test]
async fn when_a_server_dies_the_next_one_is_asked_at_once_and_nothing_is_done_twice() {
    let Pair { link, mut https, carrier } = Pair::begin().await;
    let agent = agent_id();
    let (waits, told) = (Arc::clone(&carrier), Arc::clone(&carrier));
    let waits = tokio::spawn(async move { waits.lease(agent).await.unwrap().unwrap() });
    let first = report(agent, 1);
    let sent = first.clone();
    let told = tokio::spawn(async move {
        for number in 1..=200 {
            let report = Report { number, ..sent.clone() };
            crate::link::insist::insist(|| told.report(report.clone())).await.unwrap();
        }
    });
    let is_heard = || link.held.load(SeqCst) == 1 && !link.reports.lock().unwrap().is_empty();
    until("both are heard", is_heard).await;
    assert_eq!(https[1].connections(), 0, "one is enough");
    *link.delay.lock().unwrap() = Duration::from_millis(3);
    https[0].die().await;
    let given = crate::job::tests::lease(Vec::new());
    link.leases.lock().unwrap().push(given.clone());
    assert_eq!(*waits.await.unwrap(), given);
    assert!(https[1].connections() > 0);
    told.await.unwrap();
    let numbers: Vec<u64> = link.reports.lock().unwrap().iter().map(|report| report.number).collect();
    assert_eq!(numbers, (1..=200).collect::<Vec<_>>());
    // And back, when the other one dies.
    https[0] = HttpServer::start_at(&https[0].address.to_string(), Arc::clone(&link), agent).await;
    https[1].die().await;
    assert_eq!(carrier.report(Report { number: 201, ..first }).await.unwrap(), Acknowledgement::Stored);
}

#[tokio::test]
async fn a_refusal_is_not_taken_elsewhere() {
    let Pair { link, https, carrier } = Pair::begin().await;
    link.refuses.store(true, SeqCst);
    assert!(matches!(carrier.report(report(agent_id(), 1)).await, Err(LinkError::Refused { .. })));
    link.refuses.store(false, SeqCst);
    assert!(matches!(carrier.report(report(agent_id(), 9)).await, Err(LinkError::Rejected { .. })));
    assert_eq!(https[1].connections(), 0);
    // All of them are asked before it is said that nobody can take it.
    link.is_away.store(true, SeqCst);
    assert!(matches!(carrier.report(report(agent_id(), 1)).await, Err(LinkError::Unavailable(_))));
    assert_eq!(https[1].connections(), 1);
}

#[tokio::test]
async fn an_agent_joins_whichever_server_is_there() {
    let (_link, http, _) = server().await;
    let servers = Servers::new(&format!("http://127.0.0.1:1,{}", http.url()), None).unwrap();
    assert_eq!(join(&servers, &token("oxide_reg_good")).await.unwrap().server, http.url());
    assert!(matches!(Servers::new("https://a.example.com,,", None), Err(ServerError::Address { .. })));
}

#[tokio::test]
async fn a_server_may_live_below_a_path() {
    let (link, http, _) = server().await;
    let server = Server::new(&format!("{}/prefix", http.url()), None).unwrap();
    let carrier = HttpsLink::new(server, "oxide_agt_good");
    carrier.report(report(agent_id(), 1)).await.unwrap();
    assert_eq!(link.reports.lock().unwrap().len(), 1);
}

#[test]
fn a_file_of_certificates_must_hold_some() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let told = |file: &std::path::Path| Server::new("https://ci.example.com", Some(file)).unwrap_err().to_string();
    assert!(told(&file).starts_with("could not read the certificates in "));
    std::fs::write(&file, "nothing").unwrap();
    assert!(told(&file).contains("holds no usable certificate"));
}
