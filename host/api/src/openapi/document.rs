//! Puts the document together.

use oxide_core::api::error::{ErrorBody, ErrorKind};
use serde_json::{Map, Value as Json, json};

use super::schemas::Schemas;
use crate::route::{About, Access, Answer, Content, Rate, Tag};

/// The document for these routes.
pub fn document(table: &[About]) -> Json {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    for about in table {
        let item = paths.entry(openapi_path(about.path)).or_insert_with(|| json!({}));
        item[about.method.as_str().to_ascii_lowercase()] = operation(about, &mut schemas);
    }
    let tags: Vec<Json> = Tag::ALL
        .iter()
        .filter(|tag| table.iter().any(|about| about.tag == **tag))
        .map(|tag| json!({ "name": tag.name(), "description": tag.description() }))
        .collect();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Oxide CI",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "CI/CD in which every step is a WebAssembly component.",
            "description": DESCRIPTION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "This server." }],
        "tags": tags,
        "paths": paths,
    });
    let components = schemas.into_components(&mut document);
    document["components"] = json!({
        "schemas": components,
        "securitySchemes": {
            "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "An API token (`oxide_pat_…`) or the access token of a session.",
            },
            "session": {
                "type": "apiKey",
                "in": "cookie",
                "name": crate::sign_in::cookies::ACCESS,
                "description": "The cookie of a browser that has signed in.",
            },
            "agent": { "type": "http", "scheme": "bearer", "description": "The credential of an agent (`oxide_agt_…`)." },
        },
    });
    document
}

const DESCRIPTION: &str = "Send `Authorization: Bearer oxide_pat_…` with every request; only health, \
readiness, `/api/v1/server`, sign-in, signed webhooks, agents that join (with a token of their own in the body) and the \
descriptions of the API do without.\n\nTimes are RFC 3339 in UTC, ids are UUIDs of version 7. Lists come in pages: give \
`next_cursor` as `?cursor=`. Answers have an `ETag`; send it as `If-None-Match` and get 304 if nothing has changed. Every \
answer has an `X-Request-Id`, which the server's log has, too. What a caller may not even see is 404.";

/// axum writes `{*rest}` for the rest of a path; OpenAPI has no such thing.
fn openapi_path(path: &str) -> String {
    path.replace("{*", "{")
}

fn operation(about: &About, schemas: &mut Schemas) -> Json {
    let mut responses = Map::new();
    for answer in &about.answers {
        responses.insert(answer.status.to_string(), answer_of(answer, about, schemas));
    }
    if about.has_etag() {
        responses.insert("304".into(), json!({ "description": "You have it: see `If-None-Match`." }));
    }
    for kind in about.all_errors() {
        responses.insert(kind.status().to_string(), error_of(kind, schemas));
    }
    let mut operation = json!({
        "operationId": about.name,
        "tags": [about.tag.name()],
        "summary": about.summary,
        "description": description(about),
        "parameters": parameters(about, schemas),
        "responses": responses,
        "security": security(about.access),
    });
    if !about.bodies.is_empty() {
        let content: Map<String, Json> = about
            .bodies
            .iter()
            .map(|body| (body.media.to_owned(), content_of(body, |schema| schemas.of_request(schema))))
            .collect();
        operation["requestBody"] = json!({ "required": !about.body_is_optional, "content": content });
    }
    if operation["parameters"].as_array().is_some_and(Vec::is_empty)
        && let Some(fields) = operation.as_object_mut()
    {
        fields.remove("parameters");
    }
    operation
}

/// What the text says, and who may.
fn description(about: &About) -> String {
    let who = match about.access {
        Access::Public => "Needs no token.".to_owned(),
        Access::SignedIn => "Needs a token or a session; of whom, does not matter.".to_owned(),
        Access::Project(role) => format!("Needs the role `{role}` in the project."),
        Access::Organization(oxide_core::access::Role::Viewer) => "Every user may.".to_owned(),
        Access::Organization(_) => "Administrators only.".to_owned(),
        Access::Agent => "Needs the credential of an agent.".to_owned(),
        Access::Signed => "Needs a signature.".to_owned(),
    };
    let rate = if about.rate == Rate::SignIn { " Bounded to few attempts of one address." } else { "" };
    let body = (!about.bodies.is_empty())
        .then(|| format!(" The body has at most {}.", oxide_core::quantity::bytes(about.body_bytes_max as u64)));
    let facts = format!("{who}{rate}{}", body.unwrap_or_default());
    if about.description.is_empty() { facts } else { format!("{}\n\n{facts}", about.description) }
}

fn security(access: Access) -> Json {
    match access {
        Access::Public | Access::Signed => json!([]),
        Access::Agent => json!([{ "agent": [] }]),
        _ => json!([{ "token": [] }, { "session": [] }]),
    }
}

fn parameters(about: &About, schemas: &mut Schemas) -> Vec<Json> {
    let mut parameters: Vec<Json> = about
        .path_parameters()
        .map(|name| {
            json!({
                "name": name,
                "in": "path",
                "required": true,
                "description": path_parameter(name),
                "schema": match name {
                    "version" => json!({ "type": "integer", "minimum": 1, "maximum": u64::MAX }),
                    _ => json!({ "type": "string", "minLength": 1 }),
                },
            })
        })
        .collect();
    for (name, mut schema, is_required) in about.query.map(|query| schemas.of_query(query)).unwrap_or_default() {
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let mut parameter = json!({ "name": name, "in": "query", "required": is_required, "schema": schema });
        if let Some(description) = description {
            parameter["description"] = description;
        }
        parameters.push(parameter);
    }
    parameters
}

/// What the parameters of paths are.
fn path_parameter(name: &str) -> &'static str {
    match name {
        "project" => "The name or id of the project.",
        "pipeline" => "The id of the pipeline.",
        "version" => "The number of the version.",
        "run" => "The id of the run.",
        "stage" => "The name of the stage.",
        "job" => "The number of the job within the run.",
        "attempt" => "The number of the attempt, from 1.",
        "step" => "The number of the step within the job.",
        "user" => "The name or id of the user.",
        "token" => "The id of the token.",
        "agent" => "The id of the agent.",
        "secret" | "name" => "The name.",
        "approval" => "The id of the approval.",
        "provider" => "The name of the provider, as the server's configuration has it.",
        "delivery" => "The id of the delivery.",
        "artifact" => "The name of the artifact.",
        "digest" => "The digest, `sha256:…`.",
        _ => "What the path names.",
    }
}

fn content_of(content: &Content, of: impl FnOnce(crate::route::SchemaOf) -> Json) -> Json {
    match content.schema {
        Some(schema) => json!({ "schema": of(schema) }),
        None if content.media.starts_with("text/") => json!({ "schema": { "type": "string" } }),
        // Of YAML a schema would describe what the text says, and not the text.
        None => json!({}),
    }
}

fn answer_of(answer: &Answer, about: &About, schemas: &mut Schemas) -> Json {
    let mut response = json!({ "description": answer.description });
    if !answer.contents.is_empty() {
        let contents = answer.contents.iter();
        let content: Map<String, Json> = contents
            .map(|content| (content.media.to_owned(), content_of(content, |schema| schemas.of_answer(schema))))
            .collect();
        response["content"] = Json::Object(content);
    }
    let mut headers = Map::new();
    if answer.status == 201 {
        headers.insert("Location".into(), json!({ "description": "Where it is.", "schema": { "type": "string" } }));
    }
    if about.has_etag() {
        headers
            .insert("ETag".into(), json!({ "description": "The tag of this body.", "schema": { "type": "string" } }));
    }
    if !headers.is_empty() {
        response["headers"] = Json::Object(headers);
    }
    response
}

fn error_of(kind: ErrorKind, schemas: &mut Schemas) -> Json {
    let schema = schemas.of_answer(|generator| generator.subschema_for::<ErrorBody>());
    let mut response = json!({
        "description": kind.meaning(),
        "content": { "application/json": { "schema": schema } },
    });
    let header = match kind {
        ErrorKind::TooManyRequests | ErrorKind::Unavailable => {
            Some(("Retry-After", "Seconds until it is worth to ask again."))
        }
        ErrorKind::Unauthorized => Some(("WWW-Authenticate", "How to be known.")),
        _ => None,
    };
    if let Some((name, description)) = header {
        response["headers"] = json!({ name: { "description": description, "schema": { "type": "string" } } });
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::table;

    fn whole() -> (Vec<About>, Json) {
        let table: Vec<About> = table::all().into_iter().map(|route| route.about).collect();
        let document = document(&table);
        (table, document)
    }

    #[test]
    fn every_route_is_described_whole() {
        let (table, document) = whole();
        let mut names = std::collections::BTreeSet::new();
        for about in &table {
            assert!(names.insert(about.name), "two operations are called {}", about.name);
            assert!(about.summary.ends_with('.'), "{} has no summary", about.name);
            assert!(!about.answers.is_empty(), "{} never answers", about.name);
            let operation = &document["paths"][openapi_path(about.path)][about.method.as_str().to_ascii_lowercase()];
            assert_eq!(operation["operationId"], about.name);
            for kind in about.all_errors() {
                assert!(operation["responses"][kind.status().to_string()].is_object(), "{} {kind:?}", about.name);
            }
        }
    }

    #[test]
    fn every_reference_has_its_target() {
        let (_, document) = whole();
        let text = document.to_string();
        assert!(!text.contains("#taken/"));
        for part in text.split("\"#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{name} is missing");
        }
        assert!(document["components"]["schemas"]["ErrorBody"]["properties"]["suggestions"].is_object());
    }
}
