//! Decides which program runs a script, and words what went wrong. Asks nobody: `guest` does what is decided here.

/// A script longer than this many bytes goes into a file, because Linux refuses a longer argument (128 KiB).
pub const INLINE_BYTES_MAX: usize = 96 * 1024;

/// Which program runs the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shell {
    /// Nothing was said: `bash` where the environment has it, else `sh`.
    Default,
    /// One that we know how to start.
    Known(Known),
    /// A command line of the user's; `{0}` in a word stands for the file of the script.
    Template(Vec<String>),
}

/// A shell or interpreter that needs no `{0}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// `bash`, which stops at the first failure, also in a pipe, and reads no start-up files.
    Bash,
    /// `sh`, which stops at the first failure.
    Sh,
    /// `python`.
    Python,
    /// `python3`.
    Python3,
    /// `node`.
    Node,
}

impl Known {
    const ALL: [Known; 5] = [Known::Bash, Known::Sh, Known::Python, Known::Python3, Known::Node];

    /// The name of the program.
    pub fn program(self) -> &'static str {
        match self {
            Known::Bash => "bash",
            Known::Sh => "sh",
            Known::Python => "python",
            Known::Python3 => "python3",
            Known::Node => "node",
        }
    }

    /// The arguments before the script, and the flag that says that the script itself follows.
    fn flags(self) -> (&'static [&'static str], &'static str) {
        match self {
            Known::Bash => (&["--noprofile", "--norc", "-eo", "pipefail"], "-c"),
            Known::Sh => (&["-e"], "-c"),
            Known::Python | Known::Python3 => (&[], "-c"),
            Known::Node => (&[], "-e"),
        }
    }
}

/// Where the text of the script is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script<'a> {
    /// Here.
    Inline(&'a str),
    /// In the file at this path, as commands see it.
    File(&'a str),
}

/// Where the script runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the machine of the agent: trying to start a program that is missing costs nothing.
    Host,
    /// In a container or machine, where every start takes long.
    Elsewhere,
}

/// Chooses the default shell inside of the place, so that one start is enough. `$0` is the script or its file.
const CHOOSE_FOR_SCRIPT: &str = "\
if command -v bash >/dev/null 2>&1; then exec bash --noprofile --norc -eo pipefail -c \"$0\"; \
else exec sh -e -c \"$0\"; fi";
const CHOOSE_FOR_FILE: &str = "\
if command -v bash >/dev/null 2>&1; then exec bash --noprofile --norc -eo pipefail \"$0\"; else exec sh -e \"$0\"; fi";

/// Commands and keywords of the shells. Where there is a program of the same name it does something else (`kill`), or does it
/// for itself alone (`cd`). `true` and `false` are not here: their programs do the same.
#[rustfmt::skip]
const SHELL_WORDS: [&str; 75] = [
    ".", ":", "alias", "bg", "bind", "break", "builtin", "caller", "case", "cd", "command", "compgen", "complete",
    "compopt", "continue", "coproc", "declare", "dirs", "disown", "do", "done", "echo", "elif", "else", "enable",
    "esac", "eval", "exec", "exit", "export", "fc", "fg", "fi", "for", "function", "getopts", "hash", "help",
    "history", "if", "in", "jobs", "kill", "let", "local", "logout", "mapfile", "popd", "printf", "pushd", "pwd",
    "read", "readarray", "readonly", "return", "select", "set", "shift", "shopt", "source", "suspend", "test",
    "then", "time", "times", "trap", "type", "typeset", "ulimit", "umask", "unalias", "unset", "until", "wait",
    "while",
];

/// The words of a script that is one program with plain arguments, such as `cargo test --locked`: a shell would do nothing
/// with it but start that program, so it need not be started itself. None if a shell might do more.
fn plain_command(script: &str) -> Option<Vec<&str>> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:,+@=- ".contains(&byte);
    let script = script.trim_matches([' ', '\n']);
    let words: Vec<&str> = script.bytes().all(is_plain).then(|| script.split_ascii_whitespace().collect())?;
    let program = words.first()?;
    // `NAME=value program` sets a variable.
    let is_for_shell = program.contains('=') || SHELL_WORDS.contains(program);
    (!is_for_shell).then_some(words)
}

/// A program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// A name on the search path, or an absolute path.
    pub program: String,
    /// The arguments, without the program.
    pub args: Vec<String>,
    /// The user's program itself, without a shell around it. If it cannot be started, the shell is to say why.
    pub is_direct: bool,
}

impl Shell {
    /// Reads the input `shell`.
    ///
    /// # Errors
    /// A sentence that says what to write instead.
    pub fn parse(text: Option<&str>) -> Result<Shell, String> {
        let Some(text) = text else { return Ok(Shell::Default) };
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let Some(first) = words.first() else {
            return Err("`shell` is empty: leave it out, or write one of bash, sh, python, python3, node".to_owned());
        };
        if first.contains("{0}") {
            return Err(format!("`shell: {text}` names no program: write it before `{{0}}`, such as `zsh -e {{0}}`"));
        }
        if words.iter().any(|word| word.contains("{0}")) {
            return Ok(Shell::Template(words));
        }
        match Known::ALL.into_iter().find(|known| known.program() == text.trim()) {
            Some(known) => Ok(Shell::Known(known)),
            None => Err(format!(
                "`shell: {text}` is not one of bash, sh, python, python3, node: say with `{{0}}` where the file of the \
                 script goes, such as `shell: \"{} {{0}}\"`",
                text.trim()
            )),
        }
    }

    /// Must the script be in a file?
    pub fn needs_file(&self, script: &str) -> bool {
        matches!(self, Shell::Template(_)) || script.len() > INLINE_BYTES_MAX
    }

    /// What to start, in the order in which to try it: the next one only if the program of the one before is missing.
    /// A plain command on the host is started without a shell, as `make` does it: that halves the time of a small step.
    pub fn invocations(&self, script: Script<'_>, place: Place) -> Vec<Invocation> {
        match self {
            Shell::Default if place == Place::Elsewhere => {
                let (choose, text) = match script {
                    Script::Inline(text) => (CHOOSE_FOR_SCRIPT, text),
                    Script::File(path) => (CHOOSE_FOR_FILE, path),
                };
                let args = ["-c", choose, text].map(str::to_owned).to_vec();
                vec![
                    Invocation { program: "sh".to_owned(), args, is_direct: false },
                    known_invocation(Known::Bash, script),
                ]
            }
            Shell::Default => {
                let shells = [known_invocation(Known::Bash, script), known_invocation(Known::Sh, script)];
                direct_invocation(script).into_iter().chain(shells).collect()
            }
            Shell::Known(known) => vec![known_invocation(*known, script)],
            Shell::Template(words) => {
                let (Script::File(text) | Script::Inline(text)) = script;
                let mut words = words.iter().map(|word| word.replace("{0}", text));
                let program = words.next().unwrap_or_default();
                vec![Invocation { program, args: words.collect(), is_direct: false }]
            }
        }
    }

    /// The ending of the name of the script's file.
    pub fn file_ending(&self) -> &'static str {
        match self {
            Shell::Known(Known::Python | Known::Python3) => "py",
            Shell::Known(Known::Node) => "js",
            _ => "sh",
        }
    }

    /// The sentence for a program that is not there.
    pub fn missing(&self) -> String {
        match self {
            Shell::Default => {
                "the environment has neither `bash` nor `sh`: use an image that has one, or name a program \
                               that it has, such as `shell: \"busybox sh -e {0}\"`"
                    .to_owned()
            }
            Shell::Known(Known::Bash) => {
                "the environment has no `bash`: install it there, or write `shell: sh`".to_owned()
            }
            Shell::Known(Known::Python) => {
                "the environment has no `python`: install it there, or write `shell: python3`".to_owned()
            }
            Shell::Known(known) => format!(
                "the environment has no `{0}`: install it there, use an image that has it, or write another `shell:`",
                known.program()
            ),
            Shell::Template(words) => format!(
                "the environment has no `{}`, which `shell:` names: install it there, or write another `shell:`",
                words.first().map_or("", String::as_str)
            ),
        }
    }
}

fn known_invocation(known: Known, script: Script<'_>) -> Invocation {
    let (before, flag) = known.flags();
    let mut args: Vec<String> = before.iter().map(|&arg| arg.to_owned()).collect();
    match script {
        Script::Inline(text) => args.extend([flag.to_owned(), text.to_owned()]),
        Script::File(path) => args.push(path.to_owned()),
    }
    Invocation { program: known.program().to_owned(), args, is_direct: false }
}

fn direct_invocation(script: Script<'_>) -> Option<Invocation> {
    let Script::Inline(text) = script else { return None };
    let mut words = plain_command(text)?.into_iter().map(str::to_owned);
    Some(Invocation { program: words.next()?, args: words.collect(), is_direct: true })
}

/// The sentence for a script that a signal ended.
pub fn killed_by(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        _ => return format!("the script was killed by signal {signal}"),
    };
    let why = match signal {
        9 => "; often because the machine or the container ran out of memory",
        13 => "; it wrote to a pipe that nobody reads any more",
        _ => "",
    };
    format!("the script was killed by {name} ({signal}){why}")
}
