//! What is started for which `shell:`, and what is said when it cannot be.

#[path = "../src/shell.rs"]
mod shell;

use shell::{INLINE_BYTES_MAX, Invocation, Known, Place, Script, Shell, killed_by};

fn command_line(invocation: &Invocation) -> String {
    format!("{} {}", invocation.program, invocation.args.join(" "))
}

fn lines(shell: &str, script: Script<'_>) -> Vec<String> {
    let shell = Shell::parse(Some(shell)).expect("a good shell");
    shell.invocations(script, Place::Host).iter().map(command_line).collect()
}

#[test]
fn without_a_shell_bash_is_tried_and_then_sh() {
    let tried = Shell::parse(None).expect("the default").invocations(Script::Inline("make; ls"), Place::Host);
    let tried: Vec<String> = tried.iter().map(command_line).collect();
    assert_eq!(tried, ["bash --noprofile --norc -eo pipefail -c make; ls", "sh -e -c make; ls"]);
}

fn direct(script: &str, place: Place) -> Option<String> {
    let tried = Shell::Default.invocations(Script::Inline(script), place);
    tried.first().filter(|first| first.is_direct).map(command_line)
}

#[test]
fn a_plain_command_on_the_host_needs_no_shell() {
    for script in ["true", "cargo test --locked", "make -j2 CC=gcc", "./build.sh", "/bin/echo a,b x@y c:d 1+1"] {
        let found = direct(script, Place::Host).expect(script);
        assert_eq!(found.split_whitespace().collect::<Vec<_>>(), script.split_whitespace().collect::<Vec<_>>());
        // What the shell would have made of it.
        let echo = |program: &str, args: &[&str]| {
            std::process::Command::new(program).args(args).output().expect("a program").stdout
        };
        let words: Vec<&str> = script.split_whitespace().collect();
        assert_eq!(echo("bash", &["-c", &format!("/bin/echo {script}")]), echo("/bin/echo", &words));
    }
    assert_eq!(direct("\n  make  all \n", Place::Host).as_deref(), Some("make all"));
    assert_eq!(direct("make", Place::Elsewhere), None);
}

#[test]
fn what_a_shell_would_understand_goes_to_the_shell() {
    let scripts = [
        "",
        " ",
        "a b\nc",
        "echo hi",
        "cd src",
        "if",
        "while",
        "CC=gcc make",
        "a | b",
        "a && b",
        "a; b",
        "a > b",
        "a $b",
        "a *",
        "a 'b'",
        "a \"b\"",
        "a \\b",
        "~/a",
        "a ~",
        "a {b,c}",
        "a [b]",
        "a?",
        "# a",
        "! a",
        "(a)",
        "a `b`",
        "a\tb",
        "é",
        "%1",
        ". a",
        ": a",
        "time a",
    ];
    for script in scripts {
        assert_eq!(direct(script, Place::Host), None, "{script:?}");
    }
}

/// What the chooser prints and how it ends, with only these programs on the search path.
fn choose(programs: &[&str], script: &str) -> (String, Option<i32>) {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(programs.join("-"));
    std::fs::create_dir_all(&folder).expect("a folder");
    for program in programs {
        let _ = std::os::unix::fs::symlink(format!("/bin/{program}"), folder.join(program));
    }
    let invocation = Shell::Default.invocations(Script::Inline(script), Place::Elsewhere).swap_remove(0);
    let mut command = std::process::Command::new(format!("/bin/{}", invocation.program));
    let output = command.args(invocation.args).env("PATH", folder).output().expect("a shell");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

#[test]
fn elsewhere_one_start_is_enough_to_choose_the_shell() {
    let script = "echo \"${BASH_VERSION:+bash}\" '$0' \"it's\"; false | true; echo reached";
    assert_eq!(choose(&["bash", "sh"], script), ("bash $0 it's\n".to_owned(), Some(1)));
    assert_eq!(choose(&["sh"], script), (" $0 it's\nreached\n".to_owned(), Some(0)));
    assert_eq!(choose(&["sh"], "false\necho never"), (String::new(), Some(1)));
}

#[test]
fn known_shells_get_the_script_as_an_argument_or_as_a_file() {
    assert_eq!(lines("sh", Script::Inline("true")), ["sh -e -c true"]);
    assert_eq!(lines("bash", Script::File("/w/x.sh")), ["bash --noprofile --norc -eo pipefail /w/x.sh"]);
    assert_eq!(lines("python3", Script::Inline("print(1)")), ["python3 -c print(1)"]);
    assert_eq!(lines(" python ", Script::File("/w/x.py")), ["python /w/x.py"]);
    assert_eq!(lines("node", Script::Inline("1")), ["node -e 1"]);
}

#[test]
fn a_template_gets_the_file_where_it_says() {
    let shell = Shell::parse(Some("zsh -e {0} --tag=x{0}")).expect("a template");
    assert!(shell.needs_file("true"));
    assert_eq!(lines("zsh -e {0} --tag=x{0}", Script::File("/w/f")), ["zsh -e /w/f --tag=x/w/f"]);
}

#[test]
fn the_script_stays_one_argument_whatever_it_holds() {
    let script = "echo \"$(rm -rf ~)\" '{0}'\nexit 3";
    let invocation = &Shell::Known(Known::Sh).invocations(Script::Inline(script), Place::Host)[0];
    assert_eq!(invocation.args, ["-e", "-c", script]);
}

#[test]
fn long_scripts_need_a_file() {
    assert!(!Shell::Default.needs_file(&"x".repeat(INLINE_BYTES_MAX)));
    assert!(Shell::Default.needs_file(&"x".repeat(INLINE_BYTES_MAX + 1)));
    assert_eq!(Shell::Default.file_ending(), "sh");
    assert_eq!(Shell::Known(Known::Node).file_ending(), "js");
    assert_eq!(Shell::Known(Known::Python3).file_ending(), "py");
}

#[test]
fn a_shell_that_is_not_known_is_told_how_to_be_written() {
    let error = Shell::parse(Some("zsh")).expect_err("no {0}");
    assert!(error.contains("shell: \"zsh {0}\""), "{error}");
    let error = Shell::parse(Some("  ")).expect_err("empty");
    assert!(error.contains("empty"), "{error}");
    let error = Shell::parse(Some("{0} -x")).expect_err("no program");
    assert!(error.contains("names no program"), "{error}");
}

#[test]
fn a_missing_program_says_what_to_do() {
    assert!(Shell::Default.missing().contains("neither `bash` nor `sh`"));
    assert!(Shell::Known(Known::Bash).missing().contains("shell: sh"));
    assert!(Shell::Known(Known::Python).missing().contains("python3"));
    assert!(Shell::Known(Known::Node).missing().contains("no `node`"));
    let template = Shell::parse(Some("zsh {0}")).expect("a template");
    assert!(template.missing().contains("no `zsh`"));
}

#[test]
fn signals_have_names() {
    assert!(killed_by(9).starts_with("the script was killed by SIGKILL (9); often because"));
    assert_eq!(killed_by(11), "the script was killed by SIGSEGV (11)");
    assert_eq!(killed_by(40), "the script was killed by signal 40");
}
