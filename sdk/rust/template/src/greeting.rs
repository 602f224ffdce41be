//! The work itself. It calls nothing of the host, so `cargo test` can run it.

/// The greeting of somebody.
pub fn greeting(name: &str, shout: bool) -> String {
    let greeting = format!("Hello, {name}!");
    if shout { greeting.to_uppercase() } else { greeting }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_is_shouted_on_demand() {
        assert_eq!(greeting("Ada", false), "Hello, Ada!");
        assert_eq!(greeting("Zoë", true), "HELLO, ZOË!");
    }
}
