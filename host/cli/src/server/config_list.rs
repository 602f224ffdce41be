//! The one list of what can be set: it gives names and kinds to the environment, and is what `--print-config` prints.

use crate::{
    config_example::{Setting, setting},
    nats_settings,
};

/// All that can be set, in the order of the example.
pub const SETTINGS: &[Setting] = &[
    setting(
        "listen",
        r#""127.0.0.1:7780""#,
        "The address to listen on; port 0 takes a free one. There is no TLS here: let a proxy add it.",
    ),
    setting(
        "url",
        r#""https://ci.example.com""#,
        "How people and agents reach this server, for links and sign-in; may be a proxy before several servers.",
    ),
    setting(
        "cluster_url",
        r#""http://10.0.0.5:7780""#,
        "Where the other servers of the same PostgreSQL reach this one, without a proxy before several of them. Default:\nwhere it listens, or the address of this machine on the way to the database if it listens everywhere.",
    ),
    setting(
        "database",
        r#""postgres://oxide@db.example.com/oxide""#,
        "A SQLite file or a PostgreSQL URL. Default: `server.db` in the data directory.",
    ),
    setting(
        "blobs",
        r#""s3://bucket/prefix""#,
        "Where caches, artifacts and the registry keep their bytes: a directory or s3://BUCKET/PREFIX with credentials in\nAWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Default: `blobs` in the data directory.",
    ),
    setting(
        "blobs_endpoint",
        r#""https://s3.example.com""#,
        "The address of the S3-compatible store. Default: Amazon's.",
    ),
    setting(
        "nats",
        r#""nats://nats.example.com:4222""#,
        "Publish events to the JetStream stream OXIDE_EVENTS of these servers, and take agents over NATS.",
    ),
    nats_settings::PREFIX,
    nats_settings::CREDENTIALS_FILE,
    nats_settings::CA_FILE,
    nats_settings::CERTIFICATE,
    nats_settings::KEY,
    setting(
        "cors_origins",
        r#"["https://dashboard.example.com"]"#,
        "Origins whose pages may use the API. Default: none.",
    ),
    setting("trusted_proxies", r#"["10.0.0.0/8"]"#, "Proxies whose X-Forwarded-For is believed. Default: none."),
    setting(
        "insecure_registries",
        r#"["registry.lan:5000"]"#,
        "Registries that are reached over http without encryption. Default: none.",
    ),
    setting(
        "private_hosts",
        r#"["registry.lan:5000", "git.lan"]"#,
        "Hosts of registries and repositories, with a port or without, that are asked though their addresses are private.\nThis server and insecure_registries always are. Default: none; all, if only this machine reaches the server.",
    ),
    setting(
        "local_repositories",
        "false",
        "Repositories may be folders of this machine: file:///srv/a.git. Default: only if only this machine reaches the server.",
    ),
    setting("agent.enabled", "true", "Run jobs in this process, too."),
    setting(
        "agent.name",
        r#""server""#,
        "The name of that agent. Default: server; with PostgreSQL server@HOST:PORT, by the cluster_url.",
    ),
    setting("agent.slots", "0", "How many jobs it runs at the same time; 0: one for each processor."),
    setting("agent.labels", r#"["local"]"#, "Labels that jobs ask for with `runs_on`, beside those of the machine."),
    setting(
        "agent.host_jobs",
        "false",
        "Let that agent run `environment: host` and nix. Such commands can read whatever this server can, with the secrets of\nall projects. Default: only if only this machine reaches the server.",
    ),
    setting("log.format", r#""text""#, "text, or json: one object for each line."),
    setting("log.level", r#""info""#, "error, warn, info, debug or trace."),
    setting("registry.enabled", "true", "Serve a plugin registry below /v2/, with the tokens and roles of the server."),
    setting("registry.immutable_tags", "false", "Let no tag move or be removed."),
    setting("rate_limit.per_token", "6000", "Requests per minute of one token; more are answered with 429."),
    setting("rate_limit.per_address", "3000", "Requests per minute of one address without a token."),
    setting("rate_limit.sign_in", "10", "Attempts to sign in per minute of one address; twice as many at once."),
    setting(
        "retention.runs_days",
        "90",
        "How long runs are kept with their logs, the newest of each pipeline longer; 0: for ever.",
    ),
    setting("retention.events_days", "7", "How long events can be read again; 0: for ever."),
    setting("retention.deliveries_days", "30", "How long deliveries of webhooks are kept; 0: for ever."),
    setting(
        "traces.endpoint",
        r#""http://collector.example.com:4318""#,
        "Tell this collector of OpenTelemetry about runs, as OTLP over HTTP in JSON. Default: none.",
    ),
    setting("traces.headers", r#"["authorization=Bearer TOKEN"]"#, "Headers that it wants. Default: none."),
    setting(
        "sign_in.github.client_id",
        r#""Iv1.0123456789abcdef""#,
        "Sign-in with GitHub: the id of an OAuth app whose callback is URL/api/v1/sign-in/github/callback.",
    ),
    setting("sign_in.github.client_secret", r#""the secret of the OAuth app""#, "Its secret."),
    setting(
        "sign_in.github.organizations",
        r#"["example"]"#,
        "Only members of one of these organizations. Default: everybody, who then may do nothing until an admin says so.",
    ),
    setting(
        "sign_in.oidc.company.issuer",
        r#""https://login.example.com""#,
        "Sign-in with an OpenID Connect provider, here called `company`; callback: URL/api/v1/sign-in/company/callback.",
    ),
    setting("sign_in.oidc.company.client_id", r#""oxide""#, "The id of the client."),
    setting("sign_in.oidc.company.client_secret", r#""the secret of the client""#, "Its secret."),
    setting(
        "sign_in.oidc.company.email_domains",
        r#"["example.com", "partner.example=viewer:default"]"#,
        "Only who has a verified e-mail address in one of these domains, or is in one of the groups. DOMAIN=ROLE:PROJECT also gives\na role in a project. Default: everybody, who then may do nothing until an admin says so.",
    ),
    setting(
        "sign_in.oidc.company.groups",
        r#"["staff", "developers=runner:default"]"#,
        "The same for the groups in the claim `groups`.",
    ),
];
