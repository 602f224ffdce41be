//! A gate between two programs: a TCP proxy that can be shut, as when a cable is pulled or a server restarts.

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// An open or shut gate. It ends with the test.
pub struct Gate {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    to: SocketAddr,
    is_open: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
}

impl Gate {
    /// An open gate to this address.
    pub fn to(to: SocketAddr) -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { to, is_open: AtomicBool::new(true), connections: Mutex::default() });
        let serving = shared.clone();
        thread::spawn(move || {
            for incoming in listener.incoming().flatten() {
                // A shut gate takes the connection and ends it: the caller sees a server that is going away.
                if let (true, Ok(outgoing)) = (serving.is_open.load(Ordering::SeqCst), TcpStream::connect(serving.to)) {
                    join(&serving, incoming, outgoing).ok();
                }
            }
        });
        Gate { address, shared }
    }

    /// Where to connect instead.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts all connections and lets no new one through.
    pub fn shut(&self) {
        self.shared.is_open.store(false, Ordering::SeqCst);
        for connection in self.shared.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Lets connections through again.
    pub fn open(&self) {
        self.shared.is_open.store(true, Ordering::SeqCst);
    }
}

fn join(shared: &Arc<Shared>, one: TcpStream, other: TcpStream) -> io::Result<()> {
    one.set_nodelay(true)?;
    other.set_nodelay(true)?;
    shared.connections.lock().unwrap().extend([one.try_clone()?, other.try_clone()?]);
    for (mut from, mut to) in [(one.try_clone()?, other.try_clone()?), (other, one)] {
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
        });
    }
    Ok(())
}
