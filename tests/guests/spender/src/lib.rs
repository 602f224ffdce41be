//! Spends secrets, and tries to read them: the tests of handles and masking run it.

use oxide::ci::{
    environment::{self, Command, OutputTo},
    output::{Annotation, Severity, add_summary, annotate},
    secrets::{self, Secret},
    types::Error,
};

wit_bindgen::generate!({ path: ["../../../wit", "wit"], world: "test:spender/spender", generate_all });

struct Spender;

export!(Spender);

impl Guest for Spender {
    fn run(inputs: Inputs) -> Result<Outputs, Failure> {
        let open = || secrets::open(inputs.name.as_deref().unwrap_or("TOKEN")).map_err(failure);
        let result = match inputs.act {
            Act::Environment => print_with(
                |command, secret| {
                    command.arg("-c");
                    command.arg("test -n \"$IT\" && echo \"$IT\"");
                    command.env("IT", &format!("<{}>", secret.placeholder()))
                },
                open()?,
            ),
            Act::Stdin => print_with(
                |command, secret| {
                    command.stdin(format!("<{}>", secret.placeholder()).as_bytes());
                    command.arg("-c");
                    command.arg("cat");
                    Ok(())
                },
                open()?,
            ),
            Act::Argument => print_with(
                |command, secret| {
                    command.arg(&secret.placeholder());
                    Ok(())
                },
                open()?,
            ),
            Act::Reveal => open()?.reveal().map_err(failure).inspect(|value| {
                println!("printed: {value}");
                let message = format!("annotated: {value}");
                annotate(&Annotation { file: None, line: None, severity: Severity::Notice, message });
                let _ = add_summary(&format!("summed up: {value}"));
            }),
            Act::Pieces => open()?.reveal().map_err(failure).map(|value| {
                value.chars().for_each(|character| println!("{character}"));
                "done".to_owned()
            }),
            Act::Backwards => open()?.reveal().map_err(failure).map(|value| {
                println!("{}", value.chars().rev().collect::<String>());
                "done".to_owned()
            }),
            Act::Fail => {
                open()?.reveal().map_err(failure).and_then(|value| Err(Failure::Other(format!("it is {value}"))))
            }
            Act::Panic => open()?.reveal().map_err(failure).and_then(|value| panic!("it is {value}")),
            Act::Names => Ok(secrets::names().join(" ")),
        };
        result.map(|text| Outputs { text })
    }
}

/// Runs `sh` with what the secret was given to, and tells what it prints.
fn print_with(give: impl FnOnce(&Command, &Secret) -> Result<(), Error>, secret: Secret) -> Result<String, Failure> {
    let command = environment::current().map_err(failure)?.command("sh");
    give(&command, &secret).map_err(failure)?;
    command.stdout(OutputTo::Piped);
    let process = command.spawn().map_err(failure)?;
    let mut printed = Vec::new();
    loop {
        match process.read_stdout(7).map_err(failure)? {
            bytes if bytes.is_empty() => break,
            bytes => printed.extend(bytes),
        }
    }
    process.wait().map_err(failure)?;
    Ok(String::from_utf8_lossy(&printed).trim().to_owned())
}

fn failure(error: Error) -> Failure {
    Failure::Other(match error {
        Error::NotFound(text) => format!("not found: {text}"),
        Error::Denied(text) => format!("denied: {text}"),
        Error::Invalid(text) => format!("invalid: {text}"),
        Error::Limit(text) => format!("limit: {text}"),
        Error::Other(text) => text,
    })
}
