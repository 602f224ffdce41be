//! Greets somebody. The world in `wit/world.wit` says what it takes and gives.

mod greeting;

use greeting::greeting;
use oxide_plugin::{Failure, info};

oxide_plugin::plugin!(Plugin);

impl Guest for Plugin {
    fn run(inputs: Inputs) -> Result<Outputs, Failure> {
        let name = inputs.name.trim();
        if name.is_empty() {
            return Err(Failure::invalid_input("`name` is empty: write who to greet"));
        }
        let greeting = greeting(name, inputs.shout.unwrap_or(false));
        info!("{greeting}");
        Ok(Outputs { greeting })
    }
}
