//! End to end: the real program on real projects. One binary, a module for each kind of story.
//!
//! `cases` runs every folder of `tests/cases`, `examples` every pipeline of `examples`; `c_project` is one of them from
//! its checkout to an image in a registry; `authoring` makes plugins in each language, `golden` runs those of earlier contracts;
//! `crash` kills things; `agent_command` is about agents on other machines; `api_conformance` compares the API with its documents; `compiling` is about plugins that are large or hostile;
//! `http` about what plugins reach over the network; `plugin_cases` about tests of plugins; `registry_plugins` about those of registries; `private` about rights on
//! files; `embedded_registry` serves our own registry, `signatures` verify who made a plugin;
//! `nix` runs a stage in a development shell; `services` looks for what containers leave, `terminal` for what people are shown; `tidy` holds the rules of the house.

#![expect(clippy::unwrap_used, reason = "a test may unwrap, and so may what only tests call")]

mod agent_command;
mod api_conformance;
mod authoring;
mod blobs;
mod c_project;
mod cases;
mod certificates;
mod compiling;
mod crash;
mod docker_build;
mod docker_proxy;
mod embedded_registry;
mod examples;
mod fleet;
mod golden;
mod http;
mod inspect;
mod languages;
mod nix;
mod oxide;
mod plugin_cases;
mod private;
mod registry;
mod registry_clients;
mod registry_plugins;
mod services;
mod signatures;
mod terminal;
mod tidy;
mod web_server;
