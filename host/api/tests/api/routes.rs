//! The README's tables are those of the code. `OXIDE_REWRITE=1 cargo test -p oxide-api --test api` writes them anew.

use std::{fmt::Write as _, fs, path::Path};

use oxide_api::route::{
    About, Access, Tag,
    seeds::{SEED_ERRORS, SEEDS},
    table,
};
use oxide_core::{access::Role, api::error::ErrorKind};

/// Who may, in few words.
fn who(access: Access) -> String {
    match access {
        Access::Public => "everybody".into(),
        Access::SignedIn => "every user".into(),
        Access::Project(role) => format!("{role} of the project"),
        Access::Organization(Role::Viewer) => "every user".into(),
        Access::Organization(_) => "administrators".into(),
        Access::Agent => "agents".into(),
        Access::Signed => "signed".into(),
    }
}

fn routes() -> String {
    let table: Vec<About> = table::all().into_iter().map(|route| route.about).collect();
    let mut text = String::from("| | route | who | what |\n| --- | --- | --- | --- |\n");
    for tag in Tag::ALL {
        for (number, about) in table.iter().filter(|about| about.tag == tag).enumerate() {
            let heading = if number == 0 { tag.name() } else { "" };
            let (method, path, what) = (&about.method, about.path, about.summary.trim_end_matches('.'));
            writeln!(text, "| {heading} | `{method} {path}` | {} | {what} |", who(about.access)).unwrap();
        }
    }
    text
}

fn seeds() -> String {
    let mut text = String::from("| document | route there | route here | |\n| --- | --- | --- | --- |\n");
    for seed in SEEDS {
        for (number, route) in seed.routes.iter().enumerate() {
            let document = if number == 0 { seed.document } else { "" };
            writeln!(
                text,
                "| {document} | `{}` | `{} {}` | {} |",
                route.theirs, route.ours.0, route.ours.1, route.note
            )
            .unwrap();
        }
    }
    text
}

fn errors() -> String {
    let mut text = String::from("| kind of error there | error here |\n| --- | --- |\n");
    for (theirs, ours) in SEED_ERRORS {
        let ours: Vec<_> = ours.iter().map(|kind| format!("{} `{}`", kind.status(), word(*kind))).collect();
        writeln!(text, "| {theirs} | {} |", ours.join(", ")).unwrap();
    }
    text
}

/// The word that stands in the body.
fn word(kind: ErrorKind) -> String {
    serde_json::to_value(kind).unwrap().as_str().unwrap().to_owned()
}

#[test]
fn every_error_is_in_the_readme() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    for kind in ErrorKind::ALL {
        let row = format!("| {} | `{}` |", kind.status(), word(kind));
        assert!(readme.contains(&row), "the README has no `{row}`");
    }
}

#[test]
fn the_readme_shows_every_route() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let mut readme = fs::read_to_string(&path).unwrap();
    let before = readme.clone();
    for (name, table) in [("routes", routes()), ("seeds", seeds()), ("errors", errors())] {
        let (begin, end) = (format!("<!-- {name}: made by a test -->\n"), format!("<!-- end of {name} -->"));
        let from = readme.find(&begin).expect("the mark is there") + begin.len();
        let to = from + readme[from..].find(&end).expect("its end is there");
        readme.replace_range(from..to, &table);
    }
    if std::env::var_os("OXIDE_REWRITE").is_some() {
        fs::write(&path, readme).unwrap();
    } else {
        assert!(readme == before, "host/api/README.md is behind: OXIDE_REWRITE=1 cargo test -p oxide-api --test api");
    }
}
