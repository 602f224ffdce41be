//! Set-up, tests and benchmarks of the project: `cargo xtask COMMAND`.
//!
//! A file for each command; `tools` runs other programs, `services` starts what tests need.

mod api_checkers;
mod bench;
mod bench_languages;
mod dockerd;
mod guests;
mod languages;
mod nats;
mod packages;
mod postgres;
mod registry;
mod registry_clients;
mod s3;
mod test;
mod tools;
mod tour;

use std::process::ExitCode;

use tools::Outcome;

const HELP: &str = "\
Usage: cargo xtask COMMAND

  setup        add the WebAssembly target that plugins are built for
  tour         set up, build everything and run the pipeline of examples/tour
  test         set up what tests need, then run all of them (with CI=true nothing may be skipped)
  lint         formatting and lints
  bench        print the table of the project's numbers
  guests       build the plugins of examples and tests";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Outcome {
    match words {
        ["setup"] => guests::ensure_target(),
        ["tour"] => tour::run(),
        ["test", rest @ ..] => test::run(rest),
        ["lint"] => test::lint(),
        ["bench"] => bench::run(),
        ["guests"] => guests::build_all(),
        ["help" | "--help" | "-h"] | [] => {
            println!("{HELP}");
            Ok(())
        }
        other => Err(format!("`{}` is not a command\n{HELP}", other.join(" "))),
    }
}
