//! The one line that a plugin needs beside its code.

/// Makes Rust types of the world in `wit/`, declares the plugin and exports it as the component's `run`.
///
/// In scope are then the trait `Guest` with its one function `run`, and the types of the world: `Inputs`, `Outputs`,
/// `Failure` and what else it declares. `Failure` is [`Failure`](crate::Failure).
///
/// ```ignore
/// oxide_plugin::plugin!(Greet);                  // the only world in `wit/`
/// oxide_plugin::plugin!(Greet, world: "greet");  // this one of several
/// ```
///
/// `wit/deps/oxide-ci/` holds the contract; `oxide plugin build` writes it. The world must `include oxide:ci/plugin@0.1.0`.
#[macro_export]
macro_rules! plugin {
    ($plugin:ident $(, world: $world:literal)? $(,)?) => {
        #[allow(missing_docs, dead_code, unused_imports, clippy::all, clippy::pedantic)]
        mod bindings {
            $crate::wit_bindgen::generate!({
                path: "wit",
                $(world: $world,)?
                generate_all,
                runtime_path: "::oxide_plugin::wit_bindgen::rt",
                with: {
                    "oxide:ci/types@0.1.0": ::oxide_plugin::bindings::oxide::ci::types,
                    "oxide:ci/log@0.1.0": ::oxide_plugin::bindings::oxide::ci::log,
                    "oxide:ci/output@0.1.0": ::oxide_plugin::bindings::oxide::ci::output,
                    "oxide:ci/run-info@0.1.0": ::oxide_plugin::bindings::oxide::ci::run_info,
                },
            });
        }

        #[allow(unused_imports)]
        use bindings::*;

        struct $plugin;

        bindings::export!($plugin with_types_in bindings);
    };
}
