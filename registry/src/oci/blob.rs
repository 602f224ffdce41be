//! Reading a blob: piece by piece, no more than was promised, on from where a connection was cut, and hashed on the way.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use reqwest::{Method, Response, StatusCode};
use sha2::{Digest as _, Sha256};

use super::{
    client::Descriptor,
    connection::{Access, Connections, Request, TRIES, protocol, too_slow},
    digest::Digest,
    error::OciError,
    reference::Repository,
};

/// Whoever got so many bytes since the last cut may be cut as often again.
const PROGRESS_BYTES: u64 = 1 << 20;

/// A blob on its way. Whoever has read it to its end has exactly the bytes of its digest.
pub struct BlobReader {
    connections: Arc<Connections>,
    repository: Repository,
    blob: Descriptor,
    response: Option<Response>,
    /// Bytes of the present answer that were handed out before: the registry began from the start again.
    to_skip: u64,
    got: u64,
    got_at_cut: u64,
    hash: Sha256,
    tried: u32,
    /// How long the registry has taken so far. The time that the reader takes between two pieces is not that of the registry.
    spent: Duration,
}

impl BlobReader {
    pub(super) fn new(
        connections: Arc<Connections>,
        repository: &Repository,
        blob: &Descriptor,
        bytes_max: u64,
    ) -> Result<BlobReader, OciError> {
        if blob.size > bytes_max {
            let host = repository.host().to_owned();
            return Err(OciError::TooLarge { host, what: format!("the blob {}", blob.digest), bytes_max });
        }
        Ok(BlobReader {
            connections,
            repository: repository.clone(),
            blob: blob.clone(),
            response: None,
            to_skip: 0,
            got: 0,
            got_at_cut: 0,
            hash: Sha256::new(),
            tried: 1,
            spent: Duration::ZERO,
        })
    }

    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// See [`OciError`]. What was read before an error is not to be used.
    pub async fn next(&mut self) -> Result<Option<Bytes>, OciError> {
        let time = self.connections.blob_time(self.blob.size);
        let (left, began) = (time.saturating_sub(self.spent), Instant::now());
        let read = tokio::time::timeout(left, self.next_in_time()).await;
        self.spent += began.elapsed();
        match read {
            Ok(read) => read,
            Err(_) => Err(too_slow(&self.repository, &format!("the blob {}", self.blob.digest), time)),
        }
    }

    async fn next_in_time(&mut self) -> Result<Option<Bytes>, OciError> {
        loop {
            if self.got == self.blob.size {
                return self.end().await;
            }
            let mut response = match self.response.take() {
                Some(response) => response,
                None => self.open().await?,
            };
            let cause = match self.connections.next_bytes(&mut response).await {
                Ok(Some(chunk)) => {
                    self.response = Some(response);
                    let chunk = self.skip(chunk);
                    if chunk.is_empty() {
                        continue;
                    }
                    self.got += chunk.len() as u64;
                    if self.got > self.blob.size {
                        return Err(protocol(&self.repository, format!("it sends more than {} bytes", self.blob.size)));
                    }
                    self.hash.update(&chunk);
                    return Ok(Some(chunk));
                }
                Ok(None) => None,
                Err(cause) => cause,
            };
            self.cut(cause).await?;
        }
    }

    /// The connection ended too early: waits for the next try, or gives up.
    async fn cut(&mut self, cause: Option<reqwest::Error>) -> Result<(), OciError> {
        if self.got >= self.got_at_cut + PROGRESS_BYTES {
            self.tried = 1;
        }
        self.got_at_cut = self.got;
        if self.tried >= TRIES {
            return Err(OciError::Interrupted {
                host: self.repository.host().to_owned(),
                what: format!("the blob {}", self.blob.digest),
                got: self.got,
                size: self.blob.size,
                cause,
            });
        }
        self.tried += 1;
        self.connections.wait_before(self.tried).await;
        Ok(())
    }

    async fn open(&mut self) -> Result<Response, OciError> {
        let digest = &self.blob.digest;
        let request = Request {
            method: Method::GET,
            url: self.connections.url(&self.repository, &format!("blobs/{digest}"))?,
            access: Access::Read,
            what: format!("blob {digest} of `{}`", self.repository.path()),
            accept: None,
            body: None,
            from: (self.got > 0).then_some(self.got),
            tries: TRIES,
        };
        let response = self.connections.send(&self.repository, &request).await?;
        let continues = response.status() == StatusCode::PARTIAL_CONTENT;
        if continues && self.got > 0 && !continues_at(&response, self.got) {
            return Err(protocol(&self.repository, "it sends another part of the blob than was asked for"));
        }
        self.to_skip = if continues { 0 } else { self.got };
        Ok(response)
    }

    fn skip(&mut self, chunk: Bytes) -> Bytes {
        let skipped = self.to_skip.min(chunk.len() as u64);
        self.to_skip -= skipped;
        chunk.slice(skipped as usize..)
    }

    async fn end(&mut self) -> Result<Option<Bytes>, OciError> {
        let found = Digest::from_hash(&self.hash.clone().finalize());
        if found == self.blob.digest {
            return Ok(None);
        }
        let what = "the blob".to_owned();
        let host = self.repository.host().to_owned();
        Err(OciError::Digest { host, what, expected: self.blob.digest.clone(), found })
    }
}

/// Does a partial answer begin at this byte? One that does not say where it begins is believed: the digest decides.
fn continues_at(response: &Response, from: u64) -> bool {
    let range = response.headers().get(reqwest::header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let begin = range.and_then(|range| range.trim().strip_prefix("bytes ")?.split('-').next()?.parse::<u64>().ok());
    begin.is_none_or(|begin| begin == from)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::oci::ClientSettings;

    #[tokio::test]
    async fn a_blob_that_comes_byte_by_byte_is_given_up() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(stream.read_u8().await.unwrap());
            }
            let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n").await;
            while sent.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
                sent = stream.write_all(b"x").await;
            }
        });
        let mut connections = Connections::new(ClientSettings::default()).unwrap();
        connections.whole_max = Duration::from_millis(300);
        let repository = Repository::parse(&format!("{address}/a")).unwrap();
        let blob = Descriptor { size: 9999, ..Descriptor::of("a/b", b"") };
        let mut reader = BlobReader::new(Arc::new(connections), &repository, &blob, 9999).unwrap();
        let error = loop {
            match reader.next().await {
                Ok(piece) => assert!(piece.is_some(), "it has no end"),
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains("it was too slow, the blob sha256:"), "{error}");
        assert!(reader.got > 0, "it did come");
    }
}
