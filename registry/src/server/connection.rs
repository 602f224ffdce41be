//! Connections, bounded: how many there are at once and from one address, how long the head of a request may take, and how
//! long one may be silent.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request, connect_info::Connected},
    http::StatusCode,
    middleware::Next,
    response::Response,
    serve::{IncomingStream, Listener},
};
use futures_util::StreamExt as _;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep},
};

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How many are served at once; the others wait to be accepted.
    pub connections_max: usize,
    /// How many of them one address may have. This machine may have all: proxies stand here, and all clients behind them.
    pub address_connections_max: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { connections_max: 512, address_connections_max: 128 }
    }
}

/// How long the head of a request may take, from its first byte on; a new connection begins with it.
const HEAD: Duration = Duration::from_secs(10);
/// How long a connection is kept for the next request.
const IDLE: Duration = Duration::from_secs(60);

/// How long a connection may neither bring nor take a byte during a request. A large blob is on its way to a bucket for minutes after the
/// client has sent it; bodies that do not come have a shorter bound of their own.
const SILENCE: Duration = Duration::from_secs(10 * 60);

/// How many connections each address has.
struct Addresses {
    counts: Mutex<HashMap<IpAddr, usize>>,
    most: usize,
}

/// A connection of an address, until it is dropped.
struct Counted {
    addresses: Arc<Addresses>,
    key: IpAddr,
}

impl Addresses {
    fn new(most: usize) -> Addresses {
        Addresses { counts: Mutex::default(), most }
    }

    /// Counts one more; none if the address has as many as it may.
    fn count(self: &Arc<Self>, address: IpAddr) -> Option<Counted> {
        let key = key_of(address);
        let mut counts = self.counts.lock().expect("nobody panics here");
        let count = counts.entry(key).or_default();
        if *count >= self.most && !key.is_loopback() {
            return None;
        }
        *count += 1;
        Some(Counted { addresses: Arc::clone(self), key })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.addresses.counts.lock().expect("nobody panics here");
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

/// What counts as one address: whoever has one of IPv6 has the 2^64 beside it, too.
fn key_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        address => address,
    }
}

/// Accepts connections.
pub struct BoundedListener {
    listener: TcpListener,
    places: Arc<Semaphore>,
    addresses: Arc<Addresses>,
}

impl BoundedListener {
    /// Accepts from this one, within the usual bounds.
    pub fn new(listener: TcpListener) -> BoundedListener {
        BoundedListener::with(listener, Bounds::default())
    }

    /// Accepts from this one, within these bounds.
    pub fn with(listener: TcpListener, bounds: Bounds) -> BoundedListener {
        let places = Arc::new(Semaphore::new(bounds.connections_max));
        let addresses = Arc::new(Addresses::new(bounds.address_connections_max));
        BoundedListener { listener, places, addresses }
    }
}

impl Listener for BoundedListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let place = self.places.clone().acquire_owned().await.expect("the semaphore is never closed");
        let (stream, address, counted) = loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            if let Some(counted) = self.addresses.count(address.ip()) {
                break (stream, address, counted);
            }
        };
        // Answers are small and whole: waiting for more to send would only delay them.
        stream.set_nodelay(true).ok();
        let connection = Connection {
            stream,
            address,
            phase: Phase::Head,
            end: Box::pin(sleep(HEAD)),
            requests: Requests::default(),
            begun: 0,
            is_write_stuck: false,
            _place: place,
            _counted: counted,
        };
        (connection, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Who is at the other end of a connection.
#[derive(Clone)]
pub struct Peer {
    /// From where the connection comes.
    pub address: SocketAddr,
    requests: Requests,
}

/// The requests of a connection.
#[derive(Clone, Default)]
struct Requests(Arc<Counts>);

#[derive(Default)]
struct Counts {
    /// How many came until now.
    begun: AtomicUsize,
    /// How many are being answered.
    under_way: AtomicUsize,
    /// The connection speaks something else by now, such as WebSocket.
    is_upgraded: AtomicBool,
}

/// A request that is being answered, until it is dropped.
struct UnderWay(Requests);

impl Requests {
    fn begin(&self) -> UnderWay {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        self.0.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    fn are_under_way(&self) -> bool {
        self.0.under_way.load(Ordering::Relaxed) > 0 || self.0.is_upgraded.load(Ordering::Relaxed)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connected<IncomingStream<'_, BoundedListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, BoundedListener>) -> Peer {
        Peer { address: stream.io().address, requests: stream.io().requests.clone() }
    }
}

/// Tells the connection that a request is being answered, until the last byte of a body that takes its time.
pub async fn note(ConnectInfo(peer): ConnectInfo<Peer>, request: Request, next: Next) -> Response {
    let under_way = peer.requests.begin();
    let response = next.run(request).await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        peer.requests.0.is_upgraded.store(true, Ordering::Relaxed);
        return response;
    }
    // What is in memory is written at once, or the write is stuck.
    if axum::body::HttpBody::size_hint(response.body()).exact().is_some() {
        return response;
    }
    response.map(|body| {
        Body::from_stream(body.into_data_stream().map(move |piece| {
            let _ = &under_way;
            piece
        }))
    })
}

/// A connection that ends after a long silence.
pub struct Connection {
    stream: TcpStream,
    address: SocketAddr,
    phase: Phase,
    /// When it ends.
    end: Pin<Box<Sleep>>,
    requests: Requests,
    /// How many of them are known to have begun.
    begun: usize,
    /// The client does not take what is written to it.
    is_write_stuck: bool,
    _place: OwnedSemaphorePermit,
    _counted: Counted,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The rest of the head of a request.
    Head,
    /// A request is being answered.
    Request,
    /// The next request.
    Idle,
}

impl Connection {
    fn enter(&mut self, phase: Phase) {
        let patience = match phase {
            Phase::Head => HEAD,
            Phase::Request => SILENCE,
            Phase::Idle => IDLE,
        };
        self.phase = phase;
        self.end.as_mut().reset(Instant::now() + patience);
    }

    /// Notes that something moved, or ends the connection if what it waits for took too long.
    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        moved: Poll<io::Result<T>>,
        is_read: bool,
    ) -> Poll<io::Result<T>> {
        let is_busy = self.is_write_stuck || self.requests.are_under_way();
        // A quick answer is ready before anything is read or written again.
        let begun = self.requests.0.begun.load(Ordering::Relaxed);
        if std::mem::replace(&mut self.begun, begun) != begun {
            self.enter(Phase::Request);
        }
        match (self.phase, is_busy) {
            (Phase::Head | Phase::Idle, true) => self.enter(Phase::Request),
            (Phase::Request, false) => self.enter(Phase::Idle),
            _ => {}
        }
        if moved.is_ready() {
            match self.phase {
                Phase::Request => self.enter(Phase::Request),
                Phase::Idle if is_read => self.enter(Phase::Head),
                // Bytes that trickle in gain no time.
                Phase::Idle | Phase::Head => {}
            }
            return moved;
        }
        match self.end.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// The same for what is written.
    fn watch_write(&mut self, context: &mut Context<'_>, moved: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.is_write_stuck = moved.is_pending();
        self.watch(context, moved, false)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let moved = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.watch(context, moved, true)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch_write(context, moved)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.watch_write(context, moved)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn one_address_has_a_bounded_number_of_connections() {
        let most = Bounds::default().address_connections_max;
        let addresses = Arc::new(Addresses::new(most));
        let count = |address: &str| addresses.count(address.parse().unwrap());
        let held: Vec<_> = (0..most).map(|_| count("192.0.2.1").unwrap()).collect();
        assert!(count("192.0.2.1").is_none() && count("::ffff:192.0.2.1").is_none());
        assert!(count("192.0.2.2").is_some());
        drop(held);
        assert!(addresses.counts.lock().unwrap().is_empty());
        let _six: Vec<_> = (0..most).map(|_| count("2001:db8::1").unwrap()).collect();
        assert!(count("2001:db8::2").is_none());
        let _here: Vec<_> = (0..=most).map(|_| count("127.0.0.1").unwrap()).collect();
    }
}
