//! HTTP without a network: each request is expected once, in the order of the script.

use oxide_core::grant::HostRule;
use oxide_runtime::{
    environment::async_trait,
    web::{Responder, WebRequest, WebResponse},
};

use super::{Problems, Script};
use crate::plugin_case::{case::WebExchange, difference};

/// Answers as a script says.
pub struct ScriptedWeb {
    exchanges: Script<WebExchange>,
    problems: Problems,
}

impl ScriptedWeb {
    /// With these requests and answers.
    pub fn new(exchanges: Vec<WebExchange>, problems: Problems) -> ScriptedWeb {
        ScriptedWeb { exchanges: Script::new(exchanges), problems }
    }

    /// Notes the requests that were not sent.
    pub fn finish(&self) {
        for exchange in self.exchanges.left() {
            let message = format!("`{} {}` was not sent", exchange.method, exchange.url);
            self.problems.add(message, Some(exchange.span), Vec::new());
        }
    }
}

/// The hosts that a script speaks of: what a step is granted if the case does not say.
pub fn hosts(exchanges: &[WebExchange]) -> Vec<HostRule> {
    let authority = |url: &str| {
        let (_, rest) = url.split_once("://")?;
        HostRule::parse(&rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())]).ok()
    };
    let mut rules: Vec<HostRule> = exchanges.iter().filter_map(|exchange| authority(&exchange.url)).collect();
    rules.dedup();
    rules
}

fn mismatch(expected: &WebExchange, request: &WebRequest) -> Option<(String, Vec<String>)> {
    let shown = format!("{} {}", request.method, request.url);
    let wanted = format!("{} {}", expected.method, expected.url);
    if with_path(&shown) != with_path(&wanted) {
        let message = format!("`{shown}` was sent, and the script expects another request");
        return Some((message, difference::lines(&wanted, &shown)));
    }
    for (name, value) in &expected.headers {
        let name = name.to_ascii_lowercase();
        let found: Vec<&str> =
            request.headers.iter().filter(|(known, _)| *known == name).map(|(_, value)| value.as_str()).collect();
        if !found.contains(&value.as_str()) {
            let got = if found.is_empty() { "(not sent)".to_owned() } else { found.join(", ") };
            return Some((format!("the header `{name}` of `{shown}` is another"), difference::lines(value, &got)));
        }
    }
    match &expected.body {
        Some(body) if body.bytes != *request.body => {
            Some((format!("the body of `{shown}` is another"), difference::bytes(&body.bytes, &request.body)))
        }
        _ => None,
    }
}

/// A URL without a path has the path `/`.
fn with_path(request: &str) -> String {
    match request.split_once("://") {
        Some((_, rest)) if !rest.contains('/') => format!("{request}/"),
        _ => request.to_owned(),
    }
}

#[async_trait]
impl Responder for ScriptedWeb {
    async fn respond(&self, request: WebRequest) -> Result<WebResponse, String> {
        let answer = self.exchanges.next(|expected| match mismatch(expected, &request) {
            None => (true, Ok(expected.response.clone())),
            Some(mismatch) => (false, Err((mismatch, expected.span))),
        });
        match answer {
            Some(Ok(response)) => response.map(|response| WebResponse {
                status: response.status,
                headers: response.headers,
                body: response.body.into(),
            }),
            Some(Err(((message, details), span))) => {
                self.problems.add(message.clone(), Some(span), details);
                Err(format!("the case expects another request: {message}"))
            }
            None => {
                let expected = match self.exchanges.items().len() {
                    0 => "the case has no `http`".to_owned(),
                    count => format!("all {count} requests of the case were sent before"),
                };
                let message = format!("`{} {}` was sent, and {expected}", request.method, request.url);
                self.problems.add(message.clone(), None, Vec::new());
                Err(format!("the case does not expect it: {message}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_the_same_with_and_without_its_last_slash() {
        assert_eq!(with_path("GET https://a.io"), with_path("GET https://a.io/"));
        assert_ne!(with_path("GET https://a.io/x"), with_path("GET https://a.io/"));
    }
}
