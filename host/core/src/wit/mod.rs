//! WIT types and values, and their mapping from and to YAML and JSON. See `contract` in the documentation of `wit/`.
//!
//! One rule for names: kebab-case in WIT, snake_case in YAML and JSON (kebab-case is read, too), so that expressions can
//! name them.
//!
//! | WIT | YAML and JSON |
//! | --- | --- |
//! | `option<T>` | left out or null is none; an option of an option is `{ some: value }` |
//! | `result<T, E>` | `{ ok: value }` or `{ err: value }`; without payload `ok` or `err` |
//! | `variant` | `case`, or `{ case: payload }` |
//! | `flags` | a list of names |
//! | `list<tuple<string, T>>` | a mapping; where a key appears twice, a list of pairs |
//! | `char` | a text of one character |
//! | `f32`, `f64` | a number; `.nan`, `.inf`, `-.inf`, in JSON the texts `NaN`, `Infinity`, `-Infinity` |

mod error;
mod names;
mod read;
mod scalars;
mod source;
mod to_json;
mod ty;
mod value;

#[cfg(test)]
pub(crate) mod tests;

pub use error::{MappingError, MappingErrors};
pub use names::snake_case;
pub use read::check_inputs;
pub use ty::{Case, NamedType, Type};
pub use value::Value;
