//! Plugins that send requests and open connections: what reaches the server, what reaches the plugin, and what is refused.

use crate::{certificates::Certificates, compiling::component_in, oxide::Project, web_server::WebServer};

/// A project whose one step is `uses: ./plugins/<plugin>.wasm` with these lines.
fn project(plugin: &str, lines: &str) -> Project {
    Project::with_pipeline(&format!(
        "version: \"1\"\nname: web\nstages:\n  one:\n    steps:\n      - id: it\n        uses: ./plugins/{plugin}.wasm\n{}",
        lines.lines().map(|line| format!("        {line}\n")).collect::<String>()
    ))
}

/// What a step prints and gives, with the verbose output of the run.
fn run(project: &Project, code: i32) -> String {
    let ended = project.oxide(&["run", "--verbose"]).expect(code);
    let outputs = project.oxide(&["run", "--json"]).stdout;
    ended.stdout + &ended.stderr + &outputs
}

#[test]
fn a_secret_reaches_the_server_and_the_plugin_sees_neither_it_nor_its_echo() {
    let server = WebServer::start("");
    let port = server.port;
    for (content_length, body) in [(false, "body"), (true, "counted")] {
        let mut project = project(
            "poster",
            &format!(
                "with:\n  url: \"http://localhost:{port}/echo?t=${{{{ secrets.TOKEN }}}}\"\n  method: POST\n  content_length: \
                 {content_length}\n  headers: {{ x-token: \"Bearer ${{{{ secrets.TOKEN }}}}\" }}\n  body: \"{body} \
                 ${{{{ secrets.TOKEN }}}} end\"\ngrants: {{ http: [\"localhost:{port}\"] }}\nsecrets: [TOKEN]"
            ),
        );
        project.set("TOKEN", "hunter22");
        let shown = run(&project, 0);
        let seen = server.seen();
        for expected in
            ["POST /echo?t=hunter22 HTTP/1.1", "x-token: Bearer hunter22", &format!("\r\n\r\n{body} hunter22 end")]
        {
            assert!(seen.contains(expected), "`{expected}` is not in {seen}");
        }
        assert!(!seen.contains("oxide_secret_"), "{seen}");
        assert!(shown.contains(r#""held_placeholder":true"#), "{shown}");
        assert!(shown.contains(r#""echo":"B e a r e r   * * *""#), "{shown}");
        assert!(!shown.contains("h u n t e r") && !shown.contains("hunter22"), "{shown}");
    }
}

#[test]
fn a_host_that_is_not_granted_is_refused_by_name_and_by_address() {
    let server = WebServer::start("");
    let port = server.port;
    for (granted, asked, expected) in [
        (
            "codecov.io".to_owned(),
            format!("localhost:{port}"),
            format!(
                "http: GET localhost:{port}: the step may not reach `localhost:{port}`; write `http: [codecov.io, \"localhost:{port}\"]` below `grants` of the step"
            ),
        ),
        (
            format!("\"localhost:{port}\""),
            format!("127.0.0.1:{port}"),
            format!("the step may not reach `127.0.0.1:{port}`"),
        ),
        (
            format!("\"localhost:{port}\""),
            format!("localhost:{}", port ^ 1),
            format!("the step may not reach `localhost:{}`", port ^ 1),
        ),
        // Another way to write 127.0.0.1, which a rule without `private` does not mean.
        (
            format!("\"127.1:{port}\""),
            format!("127.1:{port}"),
            "`127.1` leads to 127.0.0.1, an address of this machine or of a private network".to_owned(),
        ),
        (String::new(), format!("localhost:{port}"), format!("the step may not reach `localhost:{port}`")),
    ] {
        let project =
            project("poster", &format!("with: {{ url: \"http://{asked}/\" }}\ngrants: {{ http: [{granted}] }}"));
        let shown = run(&project, 1);
        assert!(shown.contains(&expected), "`{expected}` is not in {shown}");
        assert!(shown.contains("ErrorCode::HttpRequestDenied") || shown.contains("DestinationIpProhibited"), "{shown}");
    }
    assert_eq!(server.seen(), "");
}

#[test]
fn a_redirect_is_a_request_like_any_other() {
    let inner = WebServer::start("");
    let outer = WebServer::start(&format!("http://localhost:{}/echo", inner.port));
    let step = |granted: &str| {
        let url = format!("http://localhost:{}/redirect", outer.port);
        project("poster", &format!("with: {{ url: \"{url}\", follow: true }}\ngrants: {{ http: [{granted}] }}"))
    };
    let only_outer = format!("\"localhost:{}\"", outer.port);
    let shown = run(&step(&only_outer), 1);
    assert!(shown.contains(&format!("the step may not reach `localhost:{}`", inner.port)), "{shown}");
    assert_eq!(inner.seen(), "");
    run(&step(&format!("{only_outer}, \"localhost:{}\"", inner.port)), 0);
    assert!(inner.seen().starts_with("GET /echo HTTP/1.1"), "{}", inner.seen());
}

#[test]
fn the_run_of_a_fork_reaches_no_network_unless_the_pipeline_says_so() {
    let server = WebServer::start("");
    let port = server.port;
    let step = format!("with: {{ url: \"http://localhost:{port}/\" }}\ngrants: {{ http: [\"localhost:{port}\"] }}");
    let project = project("poster", &step);
    let ended = project.oxide(&["run", "--verbose", "--trust", "fork"]).expect(1);
    assert!(
        ended
            .stdout
            .contains("the run of a fork reaches no network unless the pipeline says `forks: { network: true }`"),
        "{}",
        ended.stdout
    );
    assert_eq!(server.seen(), "");
    let text = std::fs::read_to_string(project.path("oxide.yaml")).unwrap();
    std::fs::write(project.path("oxide.yaml"), text + "forks: { network: true }\n").unwrap();
    project.oxide(&["run", "--trust", "fork"]).expect(0);
    assert!(server.seen().starts_with("GET / "), "{}", server.seen());
}

#[test]
fn what_is_too_large_too_slow_or_too_many_is_given_up() {
    let server = WebServer::start("");
    let port = server.port;
    for (path, more, expected) in [
        ("large", "", "the response has a body of more than 4 GiB"),
        ("silent", ", patience_ms: 200", "no answer within 0.2 s"),
        ("echo", ", times: 40", "the step has 32 requests under way; read or drop a response before the next"),
    ] {
        let url = format!("http://localhost:{port}/{path}");
        let project =
            project("poster", &format!("with: {{ url: \"{url}\"{more} }}\ngrants: {{ http: [\"localhost:{port}\"] }}"));
        let shown = run(&project, 1);
        assert!(shown.contains(&format!("http: GET localhost:{port}: {expected}")), "{shown}");
    }
}

#[test]
fn https_trusts_whom_the_machine_trusts() {
    let certificates = Certificates::new();
    let server = WebServer::start_encrypted(&certificates);
    let port = server.port;
    let mut project = project(
        "poster",
        &format!("with: {{ url: \"https://localhost:{port}/echo\" }}\ngrants: {{ http: [\"localhost:{port}\"] }}"),
    );
    // Itself is not an authority.
    project.set("SSL_CERT_FILE", &certificates.file("server.pem").display().to_string());
    let shown = run(&project, 1);
    assert!(
        shown.contains("the certificate of `localhost` is not trusted") && shown.contains("SSL_CERT_FILE"),
        "{shown}"
    );
    assert_eq!(server.seen(), "");
    project.set("SSL_CERT_FILE", &certificates.file("authority.pem").display().to_string());
    run(&project, 0);
    assert!(server.seen().contains(&format!("host: localhost:{port}")), "{}", server.seen());
}

#[test]
fn a_connection_goes_to_granted_hosts_and_ports_and_nobody_listens() {
    let server = WebServer::start("");
    let port = server.port;
    let step = |act: &str, address: &str, grants: &str| {
        project("dialer", &format!("with: {{ act: {act}, address: \"{address}\" }}\n{grants}"))
    };
    let local = format!("localhost:{port}");
    let granted = format!("grants: {{ tcp: [\"{local}\"] }}");
    let shown = run(&step("connect", &local, &granted), 0);
    assert!(shown.contains(r#""answer":"welcome""#), "{shown}");
    let by_address = format!("grants: {{ tcp: [\"127.0.0.1:{port}\"] }}");
    run(&step("connect", &format!("127.0.0.1:{port}"), &by_address), 0);
    let told = server.seen().len();

    let other = format!("localhost:{}", port ^ 1);
    for (act, address, grants, expected) in [
        ("connect", other.as_str(), granted.as_str(), format!("tcp: the step may not reach `{other}`")),
        (
            "connect",
            "example.org:80",
            &granted,
            format!("tcp: the step may not reach `example.org`; write `tcp: [\"{local}\", \"example.org:PORT\"]`"),
        ),
        (
            "connect",
            &local,
            "",
            "tcp: the step may not reach `localhost`; write `tcp: [\"localhost:PORT\"]`".to_owned(),
        ),
        ("connect", &format!("127.0.0.1:{port}"), "", "PermissionDenied".to_owned()),
        ("listen", "127.0.0.1:0", &granted, "tcp: a step can connect, and not listen".to_owned()),
        ("datagram", &local, &granted, "PermissionDenied".to_owned()),
    ] {
        let shown = run(&step(act, address, grants), 1);
        assert!(shown.contains(&expected), "{act} {address}: `{expected}` is not in {shown}");
    }
    assert_eq!(server.seen().len(), told, "nothing else has reached the server");
}

#[test]
fn the_http_client_of_python_connects_where_it_may() {
    let Some(component) = component_in("python") else { return };
    let server = WebServer::start("");
    let port = server.port;
    let step = format!("with: {{ name: \"localhost:{port}\" }}");
    let ungranted = project("python", &step);
    std::fs::copy(&component, ungranted.path("plugins/python.wasm")).unwrap();
    let shown = run(&ungranted, 1);
    assert!(shown.contains("tcp: the step may not reach `localhost`; write `tcp: [\"localhost:PORT\"]`"), "{shown}");
    let granted = project("python", &format!("{step}\ngrants: {{ tcp: [\"localhost:{port}\"] }}"));
    std::fs::copy(&component, granted.path("plugins/python.wasm")).unwrap();
    let shown = run(&granted, 0);
    assert!(shown.contains(r#""greeting":"for python: ""#), "{shown}");
}

#[test]
fn plan_and_inspect_show_what_a_plugin_may_reach() {
    let project = project(
        "poster",
        "with: { url: \"https://codecov.io/\" }\ngrants: { http: [codecov.io, { host: \"*.corp.example:8443\", private: true }] }",
    );
    let shown = project.oxide(&["plan"]).expect(0).stdout;
    assert!(shown.contains("may reach: http: codecov.io and *.corp.example:8443 (may be private) ·"), "{shown}");
    let shown = project.oxide(&["plugin", "inspect", "plugins/poster.wasm"]).expect(0).stdout;
    assert!(shown.contains("http         send HTTP requests to the hosts that are named"), "{shown}");
    assert!(shown.contains("wasi:http/outgoing-handler@0.2."), "{shown}");
    let shown = project.oxide(&["plugin", "inspect", "plugins/dialer.wasm"]).expect(0).stdout;
    assert!(
        shown.contains("nothing beyond its log") && shown.contains("runs without, and can use if granted\n  tcp "),
        "{shown}"
    );
}
