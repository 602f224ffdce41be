//! A small HTTP server for stories: it remembers the requests, and answers by their path.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::certificates::Certificates;

/// The status and the body of the answer to a request.
type AnswerTo = dyn Fn(&str) -> (u16, String) + Send + Sync;

/// What a server answers to each request: a status and a body of JSON. Connections are kept open.
#[derive(Clone)]
pub struct Answers(Arc<AnswerTo>);

impl Answers {
    pub fn of(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Answers {
        Answers(Arc::new(answer))
    }

    fn serve(&self, stream: impl Read + Write, seen: &Mutex<Vec<String>>) {
        let mut reader = BufReader::new(stream);
        while let Some(request) = read_request(&mut reader) {
            seen.lock().unwrap().push(request.clone());
            let (status, body) = (self.0)(&request);
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
            let stream = reader.get_mut();
            if stream.write_all(format!("{head}{body}").as_bytes()).and_then(|()| stream.flush()).is_err() {
                return;
            }
        }
    }
}

/// A server on this machine. It ends with the test.
pub struct WebServer {
    pub port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl WebServer {
    /// Plain HTTP. `elsewhere` is where `/redirect` leads.
    pub fn start(elsewhere: &str) -> WebServer {
        WebServer::serve(elsewhere, answer)
    }

    /// HTTPS with this certificate for `localhost`.
    pub fn start_encrypted(certificates: &Certificates) -> WebServer {
        let encrypted = encryption(certificates);
        WebServer::serve("", move |stream, seen, elsewhere| answer(encrypted(stream), seen, elsewhere))
    }

    /// Plain HTTP with answers of one's own.
    pub fn start_with(answers: Answers) -> WebServer {
        WebServer::serve("", move |stream, seen, _| answers.serve(stream, seen))
    }

    /// HTTPS with answers of one's own.
    pub fn start_encrypted_with(certificates: &Certificates, answers: Answers) -> WebServer {
        let encrypted = encryption(certificates);
        WebServer::serve("", move |stream, seen, _| answers.serve(encrypted(stream), seen))
    }

    fn serve(
        elsewhere: &str,
        answer: impl Fn(TcpStream, &Mutex<Vec<String>>, &str) + Send + Sync + 'static,
    ) -> WebServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, elsewhere, answer) = (Arc::clone(&requests), elsewhere.to_owned(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, elsewhere, answer) = (Arc::clone(&seen), elsewhere.clone(), Arc::clone(&answer));
                thread::spawn(move || answer(stream, &seen, &elsewhere));
            }
        });
        WebServer { port, requests }
    }

    /// Everything that was asked so far: heads and bodies.
    pub fn seen(&self) -> String {
        self.requests.lock().unwrap().join("\n---\n")
    }
}

/// Speaks TLS on a connection, with this certificate for `localhost`.
fn encryption(certificates: &Certificates) -> impl Fn(TcpStream) -> StreamOwned<ServerConnection, TcpStream> + use<> {
    let chain = vec![CertificateDer::from_pem_file(certificates.file("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(certificates.file("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(chain, key).unwrap());
    move |stream| StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream)
}

/// Answers one request: `/echo` with its own header `x-token` and body, `/redirect`, `/large` with more than anybody
/// takes, `/silent` not at all, `hello` (without HTTP) with a line.
fn answer(stream: impl Read + Write, seen: &Mutex<Vec<String>>, elsewhere: &str) {
    let mut reader = BufReader::new(stream);
    let Some(request) = read_request(&mut reader) else { return };
    seen.lock().unwrap().push(request.clone());
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let token = request.lines().find_map(|line| line.strip_prefix("x-token: ")).unwrap_or_default().to_owned();
    let body = request.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let text = match path.split('?').next().unwrap_or_default() {
        _ if request == "hello\n" => "welcome\n".to_owned(),
        "/redirect" => format!("HTTP/1.1 302 Found\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\r\n"),
        "/large" => "HTTP/1.1 200 OK\r\ncontent-length: 5000000000\r\n\r\n".to_owned(),
        "/silent" => {
            // Longer than any story; the thread ends with the tests.
            thread::sleep(Duration::from_secs(600));
            return;
        }
        _ => {
            let text = format!("for {token}: {body}");
            format!("HTTP/1.1 200 OK\r\nx-echo: {token}\r\ncontent-length: {}\r\n\r\n{text}", text.len())
        }
    };
    let stream = reader.get_mut();
    stream.write_all(text.as_bytes()).ok();
    stream.flush().ok();
}

/// The head and the body, with the pieces of a chunked one put together.
fn read_request(reader: &mut impl BufRead) -> Option<String> {
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") && request != "hello\n" {
        if reader.read_line(&mut request).ok()? == 0 {
            return None;
        }
    }
    let length = |line: &str| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok();
    if let Some(length) = request.lines().find_map(length) {
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        request.push_str(&String::from_utf8_lossy(&body));
    } else if request.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).ok()?;
            let mut piece = vec![0; usize::from_str_radix(size.trim(), 16).ok()? + 2];
            reader.read_exact(&mut piece).ok()?;
            if piece.len() == 2 {
                break;
            }
            request.push_str(&String::from_utf8_lossy(&piece[..piece.len() - 2]));
        }
    }
    Some(request)
}
