//! Does nothing, for benchmarks.

wit_bindgen::generate!({ path: ["../../../wit", "wit"], world: "test:noop/noop", generate_all });

struct Noop;

export!(Noop);

impl Guest for Noop {
    fn run() -> Result<(), Failure> {
        Ok(())
    }
}
