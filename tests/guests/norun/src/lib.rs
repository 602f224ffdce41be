//! A component that is no plugin: its world has no `run`.

wit_bindgen::generate!({ path: ["../../../wit", "wit"], world: "test:norun/norun", generate_all });

struct NoRun;

export!(NoRun);

impl Guest for NoRun {
    fn hello() -> String {
        "hello".to_owned()
    }
}
