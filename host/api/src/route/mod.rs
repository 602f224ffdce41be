//! One table of routes makes the router, the OpenAPI document, `/docs`, the table in the README and the tests of roles.
//!
//! A [`Route`] says everything of itself: method, path, who may use it, what it takes, what it answers, and which function
//! does it. [`table`] lists them; [`router`] makes the axum router out of them, each behind its [`guard`].

pub mod guard;
pub mod router;
pub mod seeds;
pub mod table;
pub mod unknown;

use std::{sync::Arc, time::Duration};

use axum::{
    handler::Handler,
    http::Method,
    routing::{MethodFilter, MethodRouter, on},
};
use oxide_core::{access::Role, api::error::ErrorKind};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::state::ServerState;

/// How large a body may be, if the route says nothing else.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// How long an answer may take, if the route says nothing else.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody; no credential is looked at.
    Public,
    /// Whoever is known: a user, with whatever role and scope.
    SignedIn,
    /// Whoever has this role in the project that the handler finds and checks ([`crate::caller::Caller::check`]).
    Project(Role),
    /// Whoever has this role for what belongs to no project: every user views, administrators do the rest.
    Organization(Role),
    /// An agent with its credential.
    Agent,
    /// Everybody who signs the request; the handler checks the signature.
    Signed,
}

/// What a route is about: a heading of the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the descriptions are in `Tag::description`")]
pub enum Tag {
    SignIn,
    Users,
    Tokens,
    Projects,
    Pipelines,
    Runs,
    Logs,
    Artifacts,
    Approvals,
    Schedules,
    Secrets,
    Agents,
    Plugins,
    Webhooks,
    Events,
    Audit,
    Server,
    AgentLink,
}

impl Tag {
    /// All of them, in the order of the documentation.
    pub const ALL: [Tag; 18] = [
        Tag::SignIn,
        Tag::Users,
        Tag::Tokens,
        Tag::Projects,
        Tag::Pipelines,
        Tag::Runs,
        Tag::Logs,
        Tag::Artifacts,
        Tag::Approvals,
        Tag::Schedules,
        Tag::Secrets,
        Tag::Agents,
        Tag::Plugins,
        Tag::Webhooks,
        Tag::Events,
        Tag::Audit,
        Tag::Server,
        Tag::AgentLink,
    ];

    /// The heading.
    pub fn name(self) -> &'static str {
        match self {
            Tag::SignIn => "Sign-in",
            Tag::Users => "Users",
            Tag::Tokens => "Tokens",
            Tag::Projects => "Projects",
            Tag::Pipelines => "Pipelines",
            Tag::Runs => "Runs",
            Tag::Logs => "Logs",
            Tag::Artifacts => "Artifacts",
            Tag::Approvals => "Approvals",
            Tag::Schedules => "Schedules",
            Tag::Secrets => "Secrets",
            Tag::Agents => "Agents",
            Tag::Plugins => "Plugins",
            Tag::Webhooks => "Webhooks",
            Tag::Events => "Events",
            Tag::Audit => "Audit",
            Tag::Server => "Server",
            Tag::AgentLink => "Agent link",
        }
    }

    /// What stands below the heading.
    pub fn description(self) -> &'static str {
        match self {
            Tag::SignIn => "The first administrator, browsers, sessions and their renewal.",
            Tag::Users => "People and machines that use the server.",
            Tag::Tokens => "Tokens that speak for a user, with scopes and an end.",
            Tag::Projects => "What pipelines, secrets and members belong to.",
            Tag::Pipelines => "Definitions, in all their versions.",
            Tag::Runs => "Executions of pipelines, with stages, jobs, attempts and steps.",
            Tag::Logs => "What steps printed, from line 1.",
            Tag::Artifacts => "Files that runs left.",
            Tag::Approvals => "Stages that wait for people.",
            Tag::Schedules => "When pipelines start by themselves.",
            Tag::Secrets => "Values that steps may spend; lists tell names only.",
            Tag::Agents => "Processes that take jobs.",
            Tag::Plugins => "Components that steps are made of.",
            Tag::Webhooks => "What forges send, and what became of it.",
            Tag::Events => "Everything that happens, as it happens.",
            Tag::Audit => "Who changed what, and who was not let in.",
            Tag::Server => "The server itself.",
            Tag::AgentLink => "What agents send; people have no use for it.",
        }
    }
}

/// Makes the schema of a type.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// A body of a certain type.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    /// The media type.
    pub media: &'static str,
    /// What it looks like; none for text and bytes.
    pub schema: Option<SchemaOf>,
}

/// An answer that is no error.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// What it means.
    pub description: &'static str,
    /// The bodies that it may have.
    pub contents: Vec<Content>,
}

/// How often a route may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// As every route.
    Usual,
    /// As seldom as people sign in.
    SignIn,
    /// Not bounded: health checks.
    Unbounded,
}

/// What a route says of itself.
#[derive(Clone, Debug)]
pub struct About {
    /// The method.
    pub method: Method,
    /// The path, with `{parameters}`.
    pub path: &'static str,
    /// The name of the operation, unique: `create_project`.
    pub name: &'static str,
    /// What it is about.
    pub tag: Tag,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// More about it, in Markdown.
    pub description: &'static str,
    /// Who may use it.
    pub access: Access,
    /// The parameters of the query.
    pub query: Option<SchemaOf>,
    /// Other parameters of the query may be there, too.
    pub takes_any_query: bool,
    /// The bodies that it takes; one of them.
    pub bodies: Vec<Content>,
    /// The request may come without a body.
    pub body_is_optional: bool,
    /// The answers that are no errors.
    pub answers: Vec<Answer>,
    /// The errors beyond those that follow from the rest ([`About::all_errors`]).
    pub errors: Vec<ErrorKind>,
    /// How large the body may be.
    pub body_bytes_max: usize,
    /// How long the answer may take; none for streams.
    pub patience: Option<Duration>,
    /// How often it may be used.
    pub rate: Rate,
    /// The audit log tells of it.
    pub is_audited: bool,
}

/// A route.
pub struct Route {
    /// What it says of itself.
    pub about: About,
    /// What it does.
    pub(crate) handler: MethodRouter<ServerState>,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.about.fmt(f)
    }
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Route {
    fn new<H, T>(method: Method, path: &'static str, name: &'static str, handler: H) -> Route
    where
        H: Handler<T, ServerState>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).expect("the methods below are known to axum");
        let is_audited = method != Method::GET;
        let about = About {
            method,
            path,
            name,
            tag: Tag::Server,
            summary: "",
            description: "",
            access: Access::Organization(Role::Admin),
            query: None,
            takes_any_query: false,
            bodies: Vec::new(),
            body_is_optional: false,
            answers: Vec::new(),
            errors: Vec::new(),
            body_bytes_max: BODY_BYTES_MAX,
            patience: Some(PATIENCE),
            rate: Rate::Usual,
            is_audited,
        };
        Route { about, handler: on(filter, handler) }
    }

    /// A route that reads.
    pub fn get<H: Handler<T, ServerState>, T: 'static>(path: &'static str, name: &'static str, handler: H) -> Route {
        Route::new(Method::GET, path, name, handler)
    }

    /// A route that makes or does something.
    pub fn post<H: Handler<T, ServerState>, T: 'static>(path: &'static str, name: &'static str, handler: H) -> Route {
        Route::new(Method::POST, path, name, handler)
    }

    /// A route that puts something in the place of what was there.
    pub fn put<H: Handler<T, ServerState>, T: 'static>(path: &'static str, name: &'static str, handler: H) -> Route {
        Route::new(Method::PUT, path, name, handler)
    }

    /// A route that changes a part.
    pub fn patch<H: Handler<T, ServerState>, T: 'static>(path: &'static str, name: &'static str, handler: H) -> Route {
        Route::new(Method::PATCH, path, name, handler)
    }

    /// A route that removes something.
    pub fn delete<H: Handler<T, ServerState>, T: 'static>(path: &'static str, name: &'static str, handler: H) -> Route {
        Route::new(Method::DELETE, path, name, handler)
    }

    /// What it is about.
    #[must_use]
    pub fn tag(mut self, tag: Tag) -> Route {
        self.about.tag = tag;
        self
    }

    /// Who may use it. Administrators only, if nothing is said.
    #[must_use]
    pub fn access(mut self, access: Access) -> Route {
        self.about.access = access;
        if matches!(access, Access::Agent | Access::Signed) {
            self.about.is_audited = false;
        }
        self
    }

    /// What it does, in a sentence with a dot.
    #[must_use]
    pub fn summary(mut self, summary: &'static str) -> Route {
        self.about.summary = summary;
        self
    }

    /// More about it, in Markdown.
    #[must_use]
    pub fn description(mut self, description: &'static str) -> Route {
        self.about.description = description;
        self
    }

    /// The parameters of its query. Others are refused.
    #[must_use]
    pub fn query<Q: JsonSchema>(mut self) -> Route {
        self.about.query = Some(schema_of::<Q>);
        self
    }

    /// Others who call it may add parameters to the query.
    #[must_use]
    pub fn any_query(mut self) -> Route {
        self.about.takes_any_query = true;
        self
    }

    /// It takes this in JSON.
    #[must_use]
    pub fn body<B: JsonSchema>(mut self) -> Route {
        self.about.bodies.push(Content { media: "application/json", schema: Some(schema_of::<B>) });
        self
    }

    /// It takes a body of this type, as text or bytes.
    #[must_use]
    pub fn body_of(mut self, media: &'static str) -> Route {
        self.about.bodies.push(Content { media, schema: None });
        self
    }

    /// It takes a body of this type with parts of its own, such as `multipart/form-data`.
    #[must_use]
    pub fn body_like<B: JsonSchema>(mut self, media: &'static str) -> Route {
        self.about.bodies.push(Content { media, schema: Some(schema_of::<B>) });
        self
    }

    /// The request may come without a body.
    #[must_use]
    pub fn optional_body(mut self) -> Route {
        self.about.body_is_optional = true;
        self
    }

    /// How large the body may be.
    #[must_use]
    pub fn body_bytes_max(mut self, bytes: usize) -> Route {
        self.about.body_bytes_max = bytes;
        self
    }

    /// It answers with this in JSON.
    #[must_use]
    pub fn answer<A: JsonSchema>(self, status: u16, description: &'static str) -> Route {
        self.answer_content(
            status,
            description,
            Some(Content { media: "application/json", schema: Some(schema_of::<A>) }),
        )
    }

    /// It answers with text or bytes of this type.
    #[must_use]
    pub fn answer_of(self, status: u16, description: &'static str, media: &'static str) -> Route {
        self.answer_content(status, description, Some(Content { media, schema: None }))
    }

    /// It answers without a body.
    #[must_use]
    pub fn answer_empty(self, status: u16, description: &'static str) -> Route {
        self.answer_content(status, description, None)
    }

    fn answer_content(mut self, status: u16, description: &'static str, content: Option<Content>) -> Route {
        match self.about.answers.iter_mut().find(|answer| answer.status == status) {
            Some(answer) => answer.contents.extend(content),
            None => self.about.answers.push(Answer { status, description, contents: content.into_iter().collect() }),
        }
        self
    }

    /// The errors beyond those that follow from the rest: [`About::all_errors`].
    #[must_use]
    pub fn errors(mut self, errors: &[ErrorKind]) -> Route {
        self.about.errors.extend(errors);
        self
    }

    /// It answers with a stream, or waits for something: no bound on time, no entity tag.
    #[must_use]
    pub fn streams(mut self) -> Route {
        self.about.patience = None;
        self
    }

    /// How long its answer may take.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Route {
        self.about.patience = Some(patience);
        self
    }

    /// How often it may be used.
    #[must_use]
    pub fn rate(mut self, rate: Rate) -> Route {
        self.about.rate = rate;
        self
    }

    /// The audit log does not tell of it: it changes nothing, or writes an entry of its own.
    #[must_use]
    pub fn not_audited(mut self) -> Route {
        self.about.is_audited = false;
        self
    }
}

impl About {
    /// The parameters of the path.
    pub fn path_parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('{').skip(1).filter_map(|rest| rest.split('}').next()).map(|name| name.trim_start_matches('*'))
    }

    /// Is an answer tagged with `ETag`?
    pub fn has_etag(&self) -> bool {
        let is_json = |content: &Content| content.media == "application/json";
        self.method == Method::GET
            && self.patience.is_some()
            && self.access != Access::Public
            && self.answers.iter().any(|answer| answer.contents.iter().any(is_json))
    }

    /// Every error that it can answer with, each once, by status.
    pub fn all_errors(&self) -> Vec<ErrorKind> {
        let mut errors = self.errors.clone();
        let mut add_if = |condition: bool, kinds: &[ErrorKind]| {
            if condition {
                errors.extend(kinds);
            }
        };
        let has_path = self.path_parameters().next().is_some();
        let takes_json = self.bodies.iter().any(|body| body.media == "application/json");
        add_if(true, &[ErrorKind::BadRequest, ErrorKind::TooLarge, ErrorKind::Internal, ErrorKind::Unavailable]);
        add_if(self.rate != Rate::Unbounded, &[ErrorKind::TooManyRequests]);
        add_if(!matches!(self.access, Access::Public), &[ErrorKind::Unauthorized]);
        // What changes something is refused if another site has a browser send it: `csrf`.
        let is_open = matches!(self.access, Access::Public | Access::Signed);
        add_if(!is_open || self.method != Method::GET, &[ErrorKind::Forbidden]);
        add_if(has_path || matches!(self.access, Access::Project(_)), &[ErrorKind::NotFound]);
        add_if(!self.bodies.is_empty(), &[ErrorKind::RequestTimeout, ErrorKind::UnsupportedMediaType]);
        add_if(takes_json, &[ErrorKind::Invalid]);
        errors.sort_by_key(|kind| kind.status());
        errors.dedup();
        errors
    }
}

/// All routes of a server, shared.
pub type Table = Arc<[About]>;
