//! Encrypted connections: whom to trust is what the machine trusts.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::error::HttpError;

/// Encrypts a connection to a host, by name or address.
pub(super) async fn encrypt(stream: TcpStream, host: &str) -> Result<TlsStream<TcpStream>, HttpError> {
    let config = config().map_err(HttpError::Certificate)?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| HttpError::Tls(error.to_string()))?;
    let encrypted = TlsConnector::from(config).connect(name, stream).await;
    encrypted.map_err(|error| {
        let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match cause {
            Some(rustls::Error::InvalidCertificate(reason)) => {
                HttpError::Certificate(format!("the certificate of `{host}` is not trusted: {reason}"))
            }
            _ => HttpError::Tls(error.to_string()),
        }
    })
}

/// Read once for the process. `SSL_CERT_FILE` and `SSL_CERT_DIR` take the place of the machine's authorities.
fn config() -> Result<Arc<ClientConfig>, String> {
    static CONFIG: OnceLock<Result<Arc<ClientConfig>, String>> = OnceLock::new();
    CONFIG.get_or_init(load).clone()
}

fn load() -> Result<Arc<ClientConfig>, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let causes: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        let causes = if causes.is_empty() { String::new() } else { format!(" ({})", causes.join(", ")) };
        return Err(format!("this machine trusts no certificate authority{causes}; install `ca-certificates`"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
