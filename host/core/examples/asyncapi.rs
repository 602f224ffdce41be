//! Prints the AsyncAPI document of all events: `cargo run -p oxide-core --example asyncapi`.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(oxide_core::asyncapi::document_text().as_bytes())
}
