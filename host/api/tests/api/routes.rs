//! The README's tables are those of the code. `OXIDE_REWRITE=1 cargo test -p oxide-api --test api` writes them anew.

use std::{fmt::Write as _, fs, path::Path};

use oxide_api::route::{About, Access, Tag, seeds::SEEDS, table};
use oxide_core::access::Role;

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

#[test]
fn the_readme_shows_every_route() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let mut readme = fs::read_to_string(&path).unwrap();
    let before = readme.clone();
    for (name, table) in [("routes", routes()), ("seeds", seeds())] {
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
