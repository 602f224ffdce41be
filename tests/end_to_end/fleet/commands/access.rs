//! Signing in and out, what is kept of it, and what is said to whoever may not.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    time::{Duration, SystemTime},
};

use oxide_core::{api::token::NewToken, time::Timestamp};

use super::{Served, json, says};
use crate::oxide::Project;

#[test]
fn the_code_signs_in_once_and_settings_are_kept() {
    let served = Served::start();
    let url = served.url.as_str();
    says(&served.refusal(2, &["runs", "--remote"]), &["no server is known", "`oxide login URL`", "`--server URL`"]);
    says(&served.refusal(2, &["login"]), &["no server is known", "`oxide login https://ci.example.org`"]);
    says(
        &served.refusal(2, &["secrets", "list", "--server", url]),
        &["not signed in", &format!("`oxide login {url}`")],
    );
    says(
        &served.refusal(4, &["login", url, "--code", "oxide_set_wrong"]),
        &["the setup code is wrong", "use the code that the server printed last"],
    );
    served.sign_in();
    says(
        &served.refusal(4, &["login", url, "--code", "oxide_set_another"]),
        &["there is an administrator already", "ask them for a token"],
    );
    let credentials = fs::metadata(served.path("config/credentials.toml")).unwrap();
    assert_eq!(credentials.mode() & 0o077, 0, "others cannot read the token");

    let get = |name: &str| served.oxide(&["config", "get", name]).expect(0).stdout;
    assert_eq!((get("server"), get("project")), (format!("{url}\n"), "default\n".to_owned()));
    served.oxide(&["config", "set", "project", "web"]).expect(0);
    let listed = served.oxide(&["config", "list"]).expect(0).stdout;
    says(&listed, &[&format!("server    {url}"), "project   web", "ca_file   (not set)"]);
    let listed = json(&served.oxide(&["config", "list", "--json"]).expect(0));
    assert_eq!(listed, serde_json::json!({ "server": url, "project": "web" }));
    let no_address = served.refusal(4, &["config", "set", "server", "foo"]);
    says(&no_address, &["`foo` is not the address of a server", "`http://foo` or `https://foo`"]);
    assert_eq!(get("server"), format!("{url}\n"));
    says(&served.refusal(2, &["config", "set", "colour", "red"]), &["no setting `colour`", "server, project, ca_file"]);
    says(&served.refusal(4, &["runs", "--remote"]), &["there is no project `web`", "`oxide config set project NAME`"]);
    served.oxide(&["config", "unset", "project"]).expect(0);
    says(
        &served.refusal(2, &["config", "get", "project"]),
        &["`project` is not set", "`oxide config set project VALUE`"],
    );
    assert_eq!(served.oxide(&["runs", "--remote", "--json"]).expect(0).stdout, "[]\n");
}

#[test]
fn tokens_that_are_wrong_or_over_are_told_and_logout_forgets() {
    let served = Served::signed_in();
    let url = served.url.as_str();
    let hint = "hint: sign in with `oxide login URL`, or set OXIDE_TOKEN to another token";
    let made_up = served.oxide_with_token("oxide_pat_made-up", &["runs", "--remote"]).expect(4).stderr;
    says(&made_up, &["error: the token is not known", hint]);
    let made_up = served.oxide_with_token("oxide_pat_made-up", &["login"]).expect(4).stderr;
    says(&made_up, &["error: the token is not known", hint]);

    let token_for = |seconds: u64| {
        let end = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + Duration::from_secs(seconds);
        let expires_at = Some(Timestamp(i64::try_from(end.as_millis()).unwrap()));
        let new = NewToken { name: format!("for {seconds} s"), expires_at, ..NewToken::default() };
        served.runtime.block_on(served.client().create_token(&new)).unwrap().token
    };
    served.oxide_with_token(&token_for(3600), &["runs", "--remote"]).expect(0);
    let short = token_for(15);
    let mut last = None;
    served.wait_for("the token to expire", || {
        last = Some(served.oxide_with_token(&short, &["runs", "--remote"])).filter(|ended| ended.code != 0);
        last.is_some()
    });
    says(&last.unwrap().expect(4).stderr, &["error: the token has expired", hint]);

    let token = served.token();
    let told = served.oxide(&["logout"]).expect(0).stdout;
    says(&told, &[&format!("the token for {url} is forgotten here"), "until it is revoked"]);
    says(&served.refusal(2, &["runs", "--remote"]), &[&format!("you are not signed in to {url}")]);
    assert_eq!(served.oxide(&["logout"]).expect(0).stdout, format!("there was no token for {url}\n"));
    // It is good until it is revoked, also to sign in with.
    let again = served.oxide_with_token(&token, &["login", url]).expect(0).stdout;
    assert_eq!(again, format!("signed in to {url} as admin\n"));
    served.oxide(&["runs", "--remote"]).expect(0);
}

#[test]
fn shells_are_told_how_to_complete() {
    let project = Project::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = project.oxide(&["completions", shell]).expect(0).stdout;
        says(&script, &["approvals", "drain", "rotate-key"]);
        fs::write(project.path(shell), script).unwrap();
    }
    project.shell("bash -n bash");
    says(&project.oxide(&["completions", "tcsh"]).expect(2).stderr, &["tcsh", "bash"]);
}
