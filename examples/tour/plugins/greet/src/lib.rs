//! A plugin of a user: greets somebody.
//!
//! The world in `wit/world.wit` says what it takes and what it returns; this is all the code that there is.

use oxide::ci::{
    log::{self, Level},
    output::{self, Annotation, Severity},
};

// The build has written the contract into `wit/deps/`.
wit_bindgen::generate!({ path: "wit", world: "acme:greet/greet", generate_all });

struct Greet;

export!(Greet);

impl Guest for Greet {
    fn run(inputs: Inputs) -> Result<Outputs, Failure> {
        let name = inputs.name.trim();
        if name.is_empty() {
            return Err(Failure::InvalidInput("`name` is empty: write who to greet".to_owned()));
        }
        let times = inputs.times.unwrap_or(1);
        if !(1..=100).contains(&times) {
            return Err(Failure::InvalidInput(format!("`times` is {times}: write a number from 1 to 100")));
        }
        let mut greeting = format!("Hello, {name}!");
        if inputs.shout.unwrap_or(false) {
            greeting = greeting.to_uppercase();
        }
        if let Some(Style::Fancy) = inputs.style {
            greeting = format!("~*~ {greeting} ~*~");
        }
        for said in 1..=times {
            log::write(Level::Info, &greeting);
            log::progress(said.into(), times.into());
        }
        output::annotate(&Annotation {
            file: None,
            line: None,
            severity: Severity::Notice,
            message: format!("{name} was greeted"),
        });
        Ok(Outputs { greeting })
    }
}
