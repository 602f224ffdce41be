//! What does without a token: a short list, and what strangers get of it.

use std::collections::BTreeSet;

use oxide_api::route::{Access, Rate, table};
use serde_json::{Value as Json, json};

use super::{comer::guests, generous, world::World};
use crate::support::TestServer;

/// Health and descriptions of the server, which tell nothing of what is in it.
const READ: [&str; 7] =
    ["get_health", "get_readiness", "get_server", "get_openapi", "get_asyncapi", "get_docs", "list_sign_in_providers"];

/// Leads to one of them.
const SENT_ON: (&str, u16) = ("get_start", 303);

/// Signing in and joining, each with a proof of its own, and webhooks with a signature; and what comes without it gets.
const PROVEN: [(&str, u16); 8] = [
    // There is an administrator already.
    ("set_up", 409),
    ("refresh_session", 401),
    // There is no such provider.
    ("begin_sign_in", 404),
    ("finish_sign_in", 404),
    ("join_agent", 401),
    ("receive_github", 401),
    ("receive_gitlab", 401),
    ("receive_gitea", 401),
];

/// What answers with something else than 200, and with what.
fn answered() -> impl Iterator<Item = (&'static str, u16)> {
    std::iter::once(SENT_ON).chain(PROVEN)
}

#[test]
fn only_these_do_without_a_token() {
    let known: BTreeSet<&str> = READ.into_iter().chain(answered().map(|(name, _)| name)).collect();
    let open = table::all().into_iter().map(|route| route.about);
    let open: Vec<_> = open.filter(|about| matches!(about.access, Access::Public | Access::Signed)).collect();
    assert_eq!(open.iter().map(|about| about.name).collect::<BTreeSet<_>>(), known);
    for about in open {
        let is_unbounded = about.rate == Rate::Unbounded;
        assert!(
            !is_unbounded || ["get_health", "get_readiness"].contains(&about.name),
            "{} is not bounded",
            about.name
        );
    }
}

#[tokio::test]
async fn strangers_read_nothing_and_change_nothing() {
    let server = TestServer::start_with(generous).await;
    let guests = guests(&server).await;
    let world = World::new(&server, &guests).await;
    let administrator = guests.iter().find(|guest| guest.comer == super::Comer::Administrator).unwrap();
    let before = super::state(&server, &world, administrator).await;
    for about in table::all().into_iter().map(|route| route.about) {
        let (path, body): (String, Option<Json>) = match about.name {
            name if READ.contains(&name) || name == SENT_ON.0 => (about.path.to_owned(), None),
            "set_up" => (about.path.to_owned(), Some(json!({ "code": "oxide_set_guessed" }))),
            "refresh_session" => (about.path.to_owned(), Some(json!({ "refresh_token": "oxide_ref_guessed" }))),
            "begin_sign_in" | "finish_sign_in" => (about.path.replace("{provider}", "github"), None),
            "join_agent" => {
                (about.path.to_owned(), Some(json!({ "token": "oxide_reg_guessed", "name": "mine", "slots": 1 })))
            }
            name if name.starts_with("receive_") => {
                (format!("{}?project={}", about.path, world.project), Some(json!({})))
            }
            _ => continue,
        };
        let answer = server.ask(about.method.as_str(), &path, "", body.as_ref()).await;
        let wanted = answered().find(|(name, _)| *name == about.name).map_or(200, |(_, status)| status);
        assert_eq!(answer.status.as_u16(), wanted, "{}: {answer:?}", about.name);
        for thing in world.things.values().filter(|thing| thing.len() > 10) {
            assert!(!answer.text.contains(thing.as_str()), "{} tells of {thing}", about.name);
        }
    }
    assert_eq!(super::state(&server, &world, administrator).await, before);
}
