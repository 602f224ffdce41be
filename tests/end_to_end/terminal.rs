//! What a person sees on a terminal, and what a program gets from a pipe.

use std::process::Command;

use crate::oxide::{Project, root};

/// Runs a command line on a terminal; answers with what the terminal was sent.
fn on_a_terminal(project: &Project, line: &str) -> String {
    // `script` gives its command a terminal.
    let program = project.command(&[]);
    let line = format!("{} {line}", program.get_program().display());
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).current_dir(root());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    let output = script.stdin(std::process::Stdio::null()).output().unwrap();
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{seen}{}", String::from_utf8_lossy(&output.stderr));
    seen
}

#[test]
fn a_log_steers_no_terminal_and_reaches_a_pipe_byte_for_byte() {
    let project = Project::with_pipeline(
        "version: \"1\"\nname: rude\nstages:\n  a:\n    environment: host\n    steps:\n      - name: printf\n        run: |\n          printf \
         '\\033]0;owned\\007\\033[2Ja\\033[31mred\\033[0m\\342\\200\\256b\\377\\r\\n'\n",
    );
    project.oxide(&["run"]).expect(0);
    let copied = project.command(&["logs", "--plain"]).output().unwrap().stdout;
    assert_eq!(copied, b"\x1b]0;owned\x07\x1b[2Ja\x1b[31mred\x1b[0m\xe2\x80\xaeb\xff\r\n");
    for line in ["logs --plain", "logs"] {
        let run = format!("{line} rude#1");
        let seen = on_a_terminal(&project, &run);
        assert!(seen.contains("a\x1b[31mred\x1b[0mb\u{fffd}\r\n"), "{line}: {seen:?}");
        assert!(!seen.contains("owned") && !seen.contains("\x1b[2J") && !seen.contains('\u{202e}'), "{line}: {seen:?}");
    }
}
