//! Compares what the bundle imports with what the world does: the engines say it in words that help nobody.

use std::collections::BTreeSet;

use wit_parser::WorldKey;

use super::LanguageError;
use crate::embed::DocumentedWit;

/// Refuses a bundle that imports an interface which the world lacks. Those of WASI are left to the engine, which has more
/// of them than the world says.
pub(super) fn check(bundle: &str, wit: &DocumentedWit) -> Result<(), LanguageError> {
    let (resolve, world) = wit.copy();
    let keys = resolve.worlds[world].imports.keys();
    let offered: BTreeSet<String> = keys
        .filter_map(|key| match key {
            WorldKey::Interface(id) => resolve.id_of(*id),
            WorldKey::Name(_) => None,
        })
        .collect();
    match imports(bundle).find(|import| import.starts_with("oxide:") && !offered.contains(*import)) {
        None => Ok(()),
        Some(missing) => Err(LanguageError::Source(format!(
            "the code uses `{missing}`, which the world does not import: add `import {missing};` to wit/world.wit, or remove \
             the `import` of the SDK's module from the code"
        ))),
    }
}

/// What the `import` statements of a bundle name, as esbuild writes them.
fn imports(bundle: &str) -> impl Iterator<Item = &str> {
    bundle.lines().filter_map(|line| {
        let is_import = line.starts_with("import ") || line.starts_with("} from ");
        line.strip_suffix("\";").filter(|_| is_import)?.rsplit_once('"').map(|(_, name)| name)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn an_interface_that_the_world_lacks_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            fs::create_dir_all(folder.path().join("deps/ci")).unwrap();
            fs::write(folder.path().join(name), text).unwrap();
        };
        write(
            "deps/ci/ci.wit",
            "package oxide:ci@0.1.0; interface log { write: func(); } interface cache { open: func(); }",
        );
        write("world.wit", "package a:b@0.1.0; world w { import oxide:ci/log@0.1.0; export run: func(); }");
        let wit = DocumentedWit::read_with_dependencies(folder.path()).unwrap();
        let sound = "import { write } from \"oxide:ci/log@0.1.0\";\nimport { get } from \"wasi:x/y@0.2.0\";\n\
                     const text = \"no } from \\\"oxide:ci/cache@0.1.0\\\"\";\n";
        check(sound, &wit).unwrap();
        for statement in ["import { open } from", "import * as cache from", "import {\n  open\n} from", "import"] {
            let error =
                check(&format!("{sound}{statement} \"oxide:ci/cache@0.1.0\";\n"), &wit).unwrap_err().to_string();
            let expected = "the code uses `oxide:ci/cache@0.1.0`, which the world does not import: \
                            add `import oxide:ci/cache@0.1.0;` to wit/world.wit";
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
