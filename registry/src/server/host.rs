//! The host that a request names. A page in a browser may give its own name the address of this machine (DNS rebinding), and
//! then ask what listens here; it cannot choose the `Host` that the browser sends.

use std::net::IpAddr;

use axum::{
    extract::{Request, State},
    http::{header, uri::Authority},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::refusal::Refusal;

/// Refuses requests that name another machine. `listened` is the address that is listened on.
pub(super) async fn check(State(listened): State<IpAddr>, request: Request, next: Next) -> Response {
    let mut hosts = request.headers().get_all(header::HOST).iter().peekable();
    let is_ours = hosts.peek().is_some()
        && hosts.all(|host| host.to_str().is_ok_and(|host| is_here(host, listened)))
        && request.uri().authority().is_none_or(|host| is_here(host.as_str(), listened));
    match is_ours {
        true => next.run(request).await,
        false => Refusal::denied(format!(
            "this registry has no accounts and answers this machine only: call it `localhost` or `{listened}`, or serve it \
             with `--users`"
        ))
        .into_response(),
    }
}

/// Does this name this machine? A port may follow.
fn is_here(host: &str, listened: IpAddr) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let host = authority.host();
    if host.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback() || address == listened)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_answered() {
        let listened = IpAddr::from([127, 0, 0, 1]);
        for here in ["localhost", "LOCALHOST:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]", "[::1]:5000"] {
            assert!(is_here(here, listened), "{here}");
        }
        for elsewhere in
            ["", "evil.example", "evil.example:5000", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1"]
        {
            assert!(!is_here(elsewhere, listened), "{elsewhere}");
        }
    }
}
