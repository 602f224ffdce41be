//! A way to the engine of the tests that can be made to hang, as an engine does that is stopped or overloaded: connections are
//! taken, and nothing is answered.

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// A socket behind which the real engine is.
pub struct DockerProxy {
    hangs: Arc<AtomicBool>,
}

impl DockerProxy {
    /// Listens at `socket` and passes everything on to the socket of the engine.
    pub fn listen(socket: &Path, engine: &str) -> DockerProxy {
        let hangs = Arc::new(AtomicBool::new(false));
        let (listener, engine) = (UnixListener::bind(socket).unwrap(), engine.to_owned());
        let proxy = DockerProxy { hangs: Arc::clone(&hangs) };
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), UnixStream::connect(&engine).unwrap());
                let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                for (from, to) in [(client, server), back] {
                    let hangs = Arc::clone(&hangs);
                    thread::spawn(move || pass_on(from, to, &hangs));
                }
            }
        });
        proxy
    }

    /// From now on nothing goes through, or everything again.
    pub fn hang(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::Relaxed);
    }
}

fn pass_on(mut from: UnixStream, mut to: UnixStream, hangs: &AtomicBool) {
    let mut buffer = [0; 16 << 10];
    while let Ok(length) = from.read(&mut buffer) {
        while hangs.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(10));
        }
        if length == 0 || to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
