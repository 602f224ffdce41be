//! What runs in the machine: plain `sh`, which the root file system must have at `/bin/sh`.
//!
//! The kernel starts `sh` with [`BOOT`], which mounts the drives and goes on with [`init_script`] of the control drive. That
//! one runs the command between two lines on the console and switches the machine off.

use std::path::Path;

/// Where commands see the workspace.
pub(super) const WORKSPACE: &str = "/workspace";
/// Where the machine sees the control drive.
const CONTROL: &str = "/run/oxide";
/// The search path in the machine.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The words that begin and end what a command prints; a number follows that the machine cannot guess.
pub(super) const BEGIN: &str = "OXIDE-BEGIN";
/// See [`BEGIN`].
pub(super) const END: &str = "OXIDE-END";

/// Files on the control drive.
pub(super) mod file {
    pub(in super::super) const INIT: &str = "init.sh";
    pub(in super::super) const COMMAND: &str = "command.sh";
    pub(in super::super) const STDIN: &str = "stdin";
    pub(in super::super) const STDOUT: &str = "stdout";
    pub(in super::super) const STDERR: &str = "stderr";
}

/// What the first process does. No double quote and no `=` may stand in it: the kernel would take it apart.
/// With ctrl-alt-del set to 0 the keys become a SIGINT for the first process, in place of an immediate end.
const BOOT: &str = "mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs run /run; \
                    echo 0 > /proc/sys/kernel/ctrl-alt-del; mkdir -p /run/oxide /workspace; \
                    mount -t ext4 /dev/vdb /run/oxide; mount -t ext4 /dev/vdc /workspace; exec sh /run/oxide/init.sh";

/// The command line of the kernel. `wished` is what the pipeline adds.
///
/// # Errors
/// If the pipeline's words would become words for the first process.
pub(super) fn boot_args(wished: Option<&str>) -> Result<String, String> {
    let wished = wished.unwrap_or_default();
    if wished.split_whitespace().any(|word| word == "--") || wished.contains(['"', '\n']) {
        return Err("`boot_args` cannot hold `--`, double quotes or line breaks".to_owned());
    }
    let ours = "console=ttyS0 reboot=k panic=1 pci=off quiet loglevel=1 init=/bin/sh";
    let space = if wished.is_empty() { "" } else { " " };
    Ok(format!("{ours}{space}{wished} -- -c \"{BOOT}\""))
}

/// The script that runs the command. The first process of a machine must not end: the kernel would panic, which with
/// `panic=1` is the second way to switch off.
pub(super) fn init_script(nonce: &str) -> String {
    format!(
        r#"control={CONTROL}
workspace={WORKSPACE}
power_off='reboot -f'
export PATH={PATH}
# The console turns line breaks into two characters unless it is told not to.
if stty -onlcr 2>/dev/null; then breaks=lf; else breaks=crlf; fi
setsid=$(command -v setsid)
printf '\n{BEGIN} %s %s\n' {nonce} $breaks
asked=
all=
# The command may have no group of its own yet.
end() {{ kill -TERM $all 2>/dev/null || kill -TERM $pid 2>/dev/null; }}
trap 'asked=yes; [ -z "$all" ] || end' INT
$setsid sh "$control/{command}" &
pid=$!
if [ -n "$setsid" ]; then all=-$pid; else all=$pid; fi
if [ -n "$asked" ]; then end; fi
code=
while :; do
  asked=
  wait $pid
  now=$?
  # It was waited for already: what it ended with is known.
  if [ $now = 127 ] && [ -n "$code" ]; then break; fi
  code=$now
  # The signal has ended the waiting, not necessarily the command.
  if [ -z "$asked" ]; then break; fi
done
sync
printf '\n{END} %s %s\n' {nonce} $code
umount "$workspace" "$control" 2>/dev/null
sync
$power_off
"#,
        command = file::COMMAND,
    )
}

/// Where an output of the command goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// To the console, while it runs.
    Console,
    /// To a file on the control drive, which is read when the machine is off.
    File,
    /// Nowhere.
    Nowhere,
}

/// A command as the machine runs it.
pub(super) struct GuestCommand<'a> {
    pub(super) program: &'a str,
    pub(super) args: &'a [String],
    pub(super) env: &'a [(String, String)],
    /// Relative to the workspace.
    pub(super) directory: &'a Path,
    pub(super) has_stdin: bool,
    pub(super) stdout: Output,
    pub(super) stderr: Output,
}

impl GuestCommand<'_> {
    /// The script that becomes the command. It runs where the control drive is the variable `control`'s directory.
    pub(super) fn script(&self) -> String {
        let mut script = String::from("control=${0%/*}\n");
        for (name, value) in self.env {
            // `export` takes names only that a shell can have; others cannot be passed on by one.
            if is_name(name) {
                script.push_str(&format!("export {name}={}\n", quoted(value)));
            }
        }
        let directory = Path::new(WORKSPACE).join(self.directory);
        script.push_str(&format!("cd {} || exit 126\n", quoted(&directory.to_string_lossy())));
        let words = std::iter::once(self.program).chain(self.args.iter().map(String::as_str)).map(quoted);
        let words: Vec<String> = words.collect();
        let stdin = if self.has_stdin { format!("\"$control/{}\"", file::STDIN) } else { "/dev/null".to_owned() };
        let to = |output: Output, name: &str, descriptor: &str| match output {
            Output::Console => String::new(),
            Output::File => format!(" {descriptor}>\"$control/{name}\""),
            Output::Nowhere => format!(" {descriptor}>/dev/null"),
        };
        let (stdout, stderr) = (to(self.stdout, file::STDOUT, "1"), to(self.stderr, file::STDERR, "2"));
        script.push_str(&format!("exec {} <{stdin}{stdout}{stderr}\n", words.join(" ")));
        script
    }
}

fn is_name(text: &str) -> bool {
    text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_command_line_of_the_kernel() {
        let args = boot_args(Some("nokaslr")).unwrap();
        assert!(
            args.starts_with("console=ttyS0 reboot=k panic=1 pci=off quiet loglevel=1 init=/bin/sh nokaslr -- -c \"")
        );
        assert!(args.len() < 2048, "the kernel takes no more: {}", args.len());
        assert!(!BOOT.contains(['"', '=']) && !BOOT.contains('\n'));
        for wrong in ["quiet -- -c evil", "a\"b", "a\nb"] {
            assert!(boot_args(Some(wrong)).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_quotes(text in "[^\\x00]{0,40}") {
            let output = std::process::Command::new("sh").arg("-c").arg(format!("printf %s {}", quoted(&text))).output().unwrap();
            prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
    }
}
