//! The contract as `wit-bindgen` words it, generated from `wit/`: every interface of `oxide:ci`, once.
//!
//! An interface that a plugin does not use leaves no trace in its component.

#![allow(missing_docs, clippy::all)]

wit_bindgen::generate!({
    path: "wit",
    inline: "
        package oxide:sdk;

        world everything {
            include oxide:ci/plugin@0.1.0;
            import oxide:ci/artifacts@0.1.0;
            import oxide:ci/cache@0.1.0;
            import oxide:ci/containers@0.1.0;
            import oxide:ci/environment@0.1.0;
            import oxide:ci/git@0.1.0;
            import oxide:ci/secrets@0.1.0;
            import oxide:ci/workspace@0.1.0;
        }
    ",
    world: "oxide:sdk/everything",
    generate_all,
    generate_unused_types: true,
    additional_derives: [PartialEq, Eq],
});
