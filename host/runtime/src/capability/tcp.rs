//! The standard `wasi:sockets`: connections to granted hosts and ports. No listening, no UDP, no other name resolved.
//!
//! The interfaces are linked for every plugin, because several toolchains import them for nothing; see
//! [`wasi`](crate::wasi). This module says which connections may be made, and stands in for `ip-name-lookup`, which
//! otherwise knows only all names or none.

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    vec,
};

use oxide_core::{grant::is_public, protocol::LogStream};
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi::{
    WasiCtxBuilder, async_trait,
    p2::{
        DynPollable, Network, Pollable,
        bindings::sockets::network::{ErrorCode, IpAddress},
        subscribe,
    },
    sockets::SocketAddrUse,
};

use crate::{
    environment::LogSink,
    reach::{NoAddress, Reach, Refusal},
    state::State,
    step_log::StepLog,
};

/// So many addresses are remembered; a step that finds more begins anew.
const ADDRESSES_MAX: usize = 4096;

/// The connections of one call.
pub(crate) struct Tcp {
    reach: Reach,
    /// The addresses that granted names led to.
    found: Mutex<HashMap<IpAddr, BTreeSet<String>>>,
    /// A connection that the plugin has just asked for, and whether it may, for the record of the step.
    asked: Mutex<Option<(SocketAddr, bool)>>,
    log: Arc<StepLog>,
}

/// The answer of a lookup.
struct Found(vec::IntoIter<IpAddr>);

impl Tcp {
    /// For a step that may reach so much.
    pub fn new(reach: Reach, log: Arc<StepLog>) -> Arc<Tcp> {
        Arc::new(Tcp { reach, found: Mutex::default(), asked: Mutex::default(), log })
    }

    /// The connection that the plugin has asked for since this was last asked, and whether it may.
    pub fn take_asked(&self) -> Option<(SocketAddr, bool)> {
        // Without any rule there is no socket.
        if self.reach.rules.is_empty() {
            return None;
        }
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Lets WASI ask here. Without any rule it makes no socket at all.
    pub fn guard(self: &Arc<Self>, wasi: &mut WasiCtxBuilder) {
        if self.reach.rules.is_empty() {
            return;
        }
        let tcp = Arc::clone(self);
        wasi.allow_tcp(true).socket_addr_check(move |address, used| {
            let allowed = tcp.check(address, used);
            if matches!(used, SocketAddrUse::TcpConnect) {
                *tcp.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some((address, allowed.is_ok()));
            }
            if let Err(refusal) = &allowed {
                tcp.log.note(format!("tcp: {refusal}\n"));
            }
            Box::pin(std::future::ready(allowed.is_ok()))
        });
    }

    /// May the socket do this?
    fn check(&self, address: SocketAddr, used: SocketAddrUse) -> Result<(), NotAllowed> {
        match used {
            // What precedes every connection.
            SocketAddrUse::TcpBind if address.ip().is_unspecified() && address.port() == 0 => Ok(()),
            SocketAddrUse::TcpConnect => self.may_connect(address).map_err(NotAllowed::Connect),
            _ => Err(NotAllowed::Listen),
        }
    }

    fn may_connect(&self, address: SocketAddr) -> Result<(), Refusal> {
        let (ip, port) = (address.ip().to_canonical(), address.port());
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let names = found.get(&ip).into_iter().flatten();
        let granted_by_name = names.clone().any(|name| {
            let granted = self.reach.check(name, port, None);
            granted.is_ok_and(|may_be_private| may_be_private || is_public(ip))
        });
        match granted_by_name {
            true => Ok(()),
            false => {
                let name = names.clone().next().cloned().unwrap_or_else(|| ip.to_string());
                match self.reach.check(&ip.to_string(), port, None) {
                    Ok(_) => Ok(()),
                    Err(_) => Err(self.reach.not_granted(&name, Some(port))),
                }
            }
        }
    }

    /// The addresses of a granted name.
    async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, NoAddress> {
        let matching: Vec<_> = self.reach.rules.iter().filter(|rule| rule.matches_host(name)).collect();
        if matching.is_empty() {
            return Err(self.reach.not_granted(name, None).into());
        }
        let addresses = self.reach.addresses(name, matching.iter().any(|rule| rule.private)).await?;
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() > ADDRESSES_MAX {
            found.clear();
        }
        for address in &addresses {
            found.entry(*address).or_default().insert(name.to_owned());
        }
        Ok(addresses)
    }

    /// The same as the plugin gets it; what is refused is a line in the log.
    async fn answer(&self, name: &str) -> Result<Found, ErrorCode> {
        match self.look_up(name).await {
            Ok(addresses) => Ok(Found(addresses.into_iter())),
            Err(error) => {
                self.log.write(LogStream::Host, format!("tcp: {error}\n").into()).await.ok();
                Err(match error {
                    NoAddress::Refused(_) => ErrorCode::AccessDenied,
                    NoAddress::Unknown { .. } => ErrorCode::NameUnresolvable,
                })
            }
        }
    }
}

/// Why a socket may not do something.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum NotAllowed {
    #[error(transparent)]
    Connect(Refusal),
    #[error("a step can connect, and not listen")]
    Listen,
}

/// The version that the library links; with an older one, its own `ip-name-lookup` would answer, which refuses all names.
const LOOKUP: &str = "wasi:sockets/ip-name-lookup@0.2.12";

/// Stands in for `ip-name-lookup`.
pub(crate) fn add_lookup_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut lookup = linker.instance(LOOKUP)?;
    lookup.resource("resolve-address-stream", ResourceType::host::<Found>(), |mut store, handle| {
        store.data_mut().table.delete(Resource::<Found>::new_own(handle))?;
        Ok(())
    })?;
    lookup.func_wrap_async("resolve-addresses", |mut store, (_, name): (Resource<Network>, String)| {
        Box::new(async move {
            store.data_mut().called("tcp.resolve", &(&name,));
            let tcp = Arc::clone(&store.data().tcp);
            let answer = tcp.answer(&name).await;
            let state = store.data_mut();
            if answer.is_err() {
                state.recorder.failed();
            }
            Ok((match answer {
                Ok(found) => Ok(state.table.push(found)?),
                Err(code) => Err(code),
            },))
        })
    })?;
    lookup.func_wrap(
        "[method]resolve-address-stream.resolve-next-address",
        |mut store, (stream,): (Resource<Found>,)| {
            let next = store.data_mut().table.get_mut(&stream)?.0.next();
            Ok((Ok::<_, ErrorCode>(next.map(IpAddress::from)),))
        },
    )?;
    lookup.func_wrap("[method]resolve-address-stream.subscribe", |mut store, (stream,): (Resource<Found>,)| {
        let pollable: Resource<DynPollable> = subscribe(&mut store.data_mut().table, stream)?;
        Ok((pollable,))
    })
}

#[async_trait]
impl Pollable for Found {
    /// All addresses were there from the beginning.
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use oxide_core::plugin::Capability;

    use super::*;
    use crate::{reach::tests::reach, testing::MemoryLog};

    fn tcp(rules: &[&str], names: &[(&'static str, &'static str)]) -> (Arc<Tcp>, Arc<MemoryLog>) {
        let sink = Arc::new(MemoryLog::default());
        let log = Arc::new(StepLog::new(sink.clone(), 1 << 20, Arc::default()));
        (Tcp::new(reach(Capability::Tcp, rules, names), log), sink)
    }

    fn connect(tcp: &Tcp, address: &str) -> Result<(), String> {
        tcp.check(address.parse().unwrap(), SocketAddrUse::TcpConnect).map_err(|refused| refused.to_string())
    }

    #[tokio::test]
    async fn a_connection_goes_where_a_granted_name_led_and_to_its_port_only() {
        let (tcp, sink) = tcp(&["db.io:5432", "10.0.0.7:25"], &[("db.io", "1.1.1.1"), ("evil.io", "1.1.1.2")]);
        assert!(connect(&tcp, "1.1.1.1:5432").is_err(), "nobody has asked for the name yet");
        assert!(matches!(tcp.answer("evil.io").await, Err(ErrorCode::AccessDenied)));
        assert_eq!(
            sink.text(),
            "tcp: the step may not reach `evil.io`; write `tcp: [\"db.io:5432\", \"10.0.0.7:25\", \"evil.io:PORT\"]` below \
             `grants` of the step\n"
        );
        assert!(tcp.answer("DB.io").await.is_err_and(|code| code == ErrorCode::NameUnresolvable), "the table is exact");
        assert!(tcp.answer("db.io").await.is_ok());
        assert_eq!(connect(&tcp, "1.1.1.1:5432"), Ok(()));
        assert_eq!(connect(&tcp, "10.0.0.7:25"), Ok(()));
        let refused = connect(&tcp, "1.1.1.1:22").unwrap_err();
        assert!(refused.starts_with("the step may not reach `db.io:22`; write `tcp: ["), "{refused}");
        let refused = connect(&tcp, "1.1.1.2:5432").unwrap_err();
        assert!(refused.starts_with("the step may not reach `1.1.1.2:5432`"), "{refused}");
    }

    #[tokio::test]
    async fn a_name_that_leads_into_a_private_network_is_refused() {
        let (tcp, _) = tcp(&["db.io:5432", "localhost:80"], &[("db.io", "127.0.0.1"), ("localhost", "127.0.0.1")]);
        assert!(tcp.answer("db.io").await.is_err_and(|code| code == ErrorCode::AccessDenied));
        assert!(connect(&tcp, "127.0.0.1:5432").is_err());
        assert!(tcp.answer("localhost").await.is_ok());
        assert_eq!(connect(&tcp, "127.0.0.1:80"), Ok(()));
        assert!(connect(&tcp, "127.0.0.1:5432").is_err(), "the address is known now, and the port is not granted");
    }

    #[test]
    fn nobody_listens() {
        let (tcp, _) = tcp(&["localhost:80"], &[]);
        let any: SocketAddr = "0.0.0.0:0".parse().unwrap();
        assert_eq!(tcp.check(any, SocketAddrUse::TcpBind), Ok(()), "what the system does before it connects");
        for (address, used) in [
            ("0.0.0.0:80", SocketAddrUse::TcpBind),
            ("127.0.0.1:0", SocketAddrUse::TcpBind),
            ("0.0.0.0:0", SocketAddrUse::TcpListen),
            ("127.0.0.1:80", SocketAddrUse::UdpBind),
        ] {
            assert_eq!(tcp.check(address.parse().unwrap(), used), Err(NotAllowed::Listen), "{address} {used:?}");
        }
    }
}
