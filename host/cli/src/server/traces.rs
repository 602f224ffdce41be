//! Runs that have ended go to a collector of OpenTelemetry, if one is named.

use oxide_api::{
    state::ServerState,
    traces::{self, Collector},
};
use reqwest::{
    Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};

use super::{config::TraceSettings, leading::Leading};
use crate::failure::Failure;

/// Tells whenever this server leads.
pub fn tell(settings: &TraceSettings, state: &ServerState) -> Result<Option<Leading>, Failure> {
    let Some(endpoint) = &settings.endpoint else { return Ok(None) };
    let collector = Collector { url: address(endpoint)?, headers: headers(&settings.headers)? };
    let state = state.clone();
    let election = state.engine.election.clone();
    Ok(Some(Leading::begin(&election, move || traces::tell(state.clone(), collector.clone()))))
}

/// The path of traces below the collector's address (OpenTelemetry Protocol, "OTLP/HTTP Request").
fn address(endpoint: &str) -> Result<Url, Failure> {
    let address = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    let wrong = || Failure::usage(format!("`traces.endpoint` is no address: `{endpoint}`"));
    let hint = "write it as `http://collector.example.com:4318`";
    let url = Url::parse(&address).map_err(|_| wrong().hint(hint))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err(wrong().hint(hint)),
    }
}

fn headers(words: &[String]) -> Result<HeaderMap, Failure> {
    let header = |word: &String| {
        let (name, value) = word.split_once('=')?;
        let mut value = HeaderValue::from_str(value.trim()).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::try_from(name.trim()).ok()?, value))
    };
    let wrong = || Failure::usage("`traces.headers` has what is no header").hint("write each as `NAME=VALUE`");
    words.iter().map(|word| header(word).ok_or_else(wrong)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_headers_are_taken_or_refused_with_what_to_write() {
        assert_eq!(address("http://box:4318/").unwrap().as_str(), "http://box:4318/v1/traces");
        assert_eq!(address("https://box/otlp").unwrap().as_str(), "https://box/otlp/v1/traces");
        assert!(address("box:4318").is_err() && address("").is_err());
        let all = headers(&["Authorization=Bearer a=b".to_owned(), "x-team = ci".to_owned()]).unwrap();
        assert_eq!((&all["authorization"], &all["x-team"]), (&"Bearer a=b".parse().unwrap(), &"ci".parse().unwrap()));
        assert!(headers(&["authorization".to_owned()]).is_err());
    }
}
