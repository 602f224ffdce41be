//! Scripts with expressions, executed by the shells of this machine: the value arrives as it is, in every place.

use std::process::Command;

use proptest::prelude::*;

use crate::{
    expression::script::{Lifted, lift},
    yaml::Span,
};

fn lifted(script: &str) -> Lifted {
    lift(script, None, Span::default()).unwrap_or_else(|error| panic!("{error}: {script}"))
}

fn refused(script: &str) -> String {
    lift(script, None, Span::default()).expect_err(script).to_string()
}

fn shells() -> Vec<&'static str> {
    let works = |shell: &&str| Command::new(shell).args(["-c", "true"]).status().is_ok_and(|status| status.success());
    ["sh", "bash", "dash"].into_iter().filter(works).collect()
}

/// What the script prints if its expressions have this value.
fn printed(shell: &str, script: &str, value: &str) -> String {
    let lifted = lifted(script);
    let mut command = Command::new(shell);
    // Empty, so that no pattern in a value means a file.
    let directory = tempfile::tempdir().unwrap();
    command.args(["-euc", &lifted.script]).current_dir(directory.path());
    lifted.variables.iter().for_each(|(name, _)| {
        command.env(name, value);
    });
    let output = command.output().expect("the shell starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shell}: {errors}\n{}", lifted.script);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Scripts that print the value of `${{ v }}` between brackets.
const PLACES: [&str; 19] = [
    "printf '[%s]' ${{ v }}",
    "printf '[%s]' \"${{ v }}\"",
    "printf '[%s]' '${{ v }}'",
    "printf '%s' [${{ v }}]",
    "printf '%s' \"[${{ v }}]\"",
    "printf '%s' '['${{ v }}']'",
    "printf '%s' '[${{ v }}]'",
    "printf '[%s]' \"$(printf '%s.' ${{ v }})\" | sed 's/\\.]$/]/'",
    "x=$(printf '%s.' \"${{ v }}\"); printf '[%s]' \"${x%.}\"",
    "x=${{ v }}; printf '[%s]' \"$x\"",
    "# it's a comment with \" and ${{ v }}\nprintf '[%s]' ${{ v }}",
    "echo it\\'s > /dev/null; printf '[%s]' ${{ v }}",
    "echo a#'b' \"\\\"\" > /dev/null; printf '[%s]' \"${{ v }}\"",
    "f() { printf '[%s]' \"$1\"; }; f ${{ v }}",
    "case x in y) : ;; x) printf '[%s]' ${{ v }} ;; esac",
    "y=$(case x in (x) printf '%s.' '${{ v }}' ;; esac); printf '[%s]' \"${y%.}\"",
    "if [ \"${{ v }}\" = ${{ v }} ]; then printf '[%s]' ${{ v }}; fi",
    "cat > /dev/null << 'E' \nit's\nE\nprintf '[%s]' ${{ v }}",
    "(printf '[%s]' \"${#x}${{ v }}\") 2> /dev/null || printf '[%s]' ${{ v }}",
];

const HEREDOCS: [&str; 4] = [
    "cat << END\n[${{ v }}]\nEND\n",
    "cat <<-END; printf x > /dev/null\n\t[${{ v }}]\n\tEND\n",
    "cat << A - << B > /dev/null; cat << C\nit's\nA\nB\n[${{ v }}]\nC\n",
    "cat << \"Q\" > /dev/null\nit's \" ` $(\nQ\ncat <<END\n[$(printf '%s]' \"${{ v }}\")\nEND\n",
];

#[test]
fn references_fit_their_place() {
    let script = |text: &str| lifted(text).script;
    assert_eq!(script("echo ${{ a }}"), "echo \"${OXIDE_EXPR_1}\"");
    assert_eq!(script("echo \"x ${{ a }}\""), "echo \"x ${OXIDE_EXPR_1}\"");
    assert_eq!(script("echo 'x ${{ a }}'"), "echo 'x '\"${OXIDE_EXPR_1}\"''");
    assert_eq!(script("cat <<E\n${{ a }}\nE\n"), "cat <<E\n${OXIDE_EXPR_1}\nE\n");
    assert_eq!(script("# ${{ a ||\n b }}\necho"), "# (a || b)\necho");
    let two = lifted("echo ${{ git.sha }} ${{ matrix.x }} ${{ git.sha }}");
    assert_eq!(two.script, "echo \"${OXIDE_EXPR_1}\" \"${OXIDE_EXPR_2}\" \"${OXIDE_EXPR_1}\"");
    assert_eq!(two.variables[1], ("OXIDE_EXPR_2".to_owned(), "matrix.x".to_owned()));
    assert_eq!(lifted("echo $HOME ${X:-y} `date`").variables, []);
}

#[test]
fn places_where_a_value_would_be_code_are_refused() {
    assert!(refused("cat << 'E'\n${{ v }}\nE\n").contains("delimiter is quoted"));
    assert!(refused("echo $(( ${{ v }} + 1 ))").contains("arithmetic"));
    assert!(refused("(( ${{ v }} > 1 ))").contains("arithmetic"));
    assert!(refused("if [[ ${{ v }} -gt 1 ]]; then :; fi").contains("as arithmetic"));
    assert!(refused("[[ 1 -lt \"${{ v }}\" ]]").contains("as arithmetic"));
    assert!(refused("echo ${X:-${{ v }}}").contains("`${…}` of the shell"));
    assert!(refused("echo \"${X[${{ v }}]}\"").contains("`${…}` of the shell"));
    assert!(refused("echo `echo ${{ v }}`").contains("backquotes"));
    assert!(refused("echo $'a${{ v }}'").contains("`$'…'`"));
    assert!(refused("echo \\${{ v }}").contains("backslash"));
    assert!(refused("echo $${{ v }}").contains("`$` stands before"));
    assert!(refused("echo a\necho ${{ v").contains("has no end"));
    let error = lift("print(${{ v }})", Some("python"), Span::default()).unwrap_err();
    assert_eq!(
        error.hint.as_deref(),
        Some("put the value into `env:` of the step, and read that variable in the script")
    );
    assert!(lift("print(1)", Some("python"), Span::default()).is_ok());
    assert!(lift("echo ${{ v }}", Some("/bin/bash -eo pipefail {0}"), Span::default()).is_ok());
}

#[test]
fn known_attacks_are_only_text() {
    let attacks = [
        "$(touch owned)",
        "`touch owned`",
        "'; echo owned; '",
        "\"; echo owned; \"",
        "$HOME",
        "* ~ ?",
        "a\nb\n\nc",
        "",
        " ",
        "\\",
        "\\n",
        "-n",
        "${IFS}",
        "!!",
        "'\"'\"'",
        "#",
        "END",
        "é\u{1f600}",
        "a[$(touch owned)]",
        "%s%n",
        "\t",
    ];
    for shell in shells() {
        for value in attacks {
            for script in PLACES {
                assert_eq!(printed(shell, script, value), format!("[{value}]"), "{shell}: {script}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_value_arrives_as_it_is(value in "[ -~\n\téß]{0,24}|[$`'\"\\\\(){};&|<>*?#!~ \n]{1,16}") {
        for shell in shells() {
            for script in PLACES {
                prop_assert_eq!(printed(shell, script, &value), format!("[{}]", value), "{}: {}", shell, script);
            }
            for script in HEREDOCS {
                prop_assert_eq!(printed(shell, script, &value), format!("[{}]\n", value), "{}: {}", shell, script);
            }
        }
    }
}

#[test]
fn a_line_is_no_longer_than_can_be_looked_at() {
    let long = format!("echo {} ${{{{ git.sha }}}}", "x".repeat(20_000));
    assert!(refused(&long).contains("the line is too long for an expression"));
    let test = format!("[[ ${{{{ git.sha }}}} {} -eq 1 ]]", " ".repeat(20_000));
    assert!(refused(&test).contains("as arithmetic"));
    assert!(lifted(&format!("{}\necho ${{{{ git.sha }}}}", "x".repeat(20_000))).script.contains("OXIDE_EXPR_1"));
}
