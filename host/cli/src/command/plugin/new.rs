//! `oxide plugin new`: a plugin to begin with.

use std::path::{Path, PathBuf};

use oxide_plugin_build::{
    Project,
    language::TemplateKind,
    new_project::{self, NewProjectError, PluginName},
    sync,
};

use crate::{
    command::init,
    exit_code::Exit,
    failure::Failure,
    terminal::{print, without_controls},
};

/// Arguments of `oxide plugin new`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of the plugin, which is made if it is not there.
    #[arg(default_value = ".")]
    directory: PathBuf,
    /// What it is written in.
    #[arg(long, value_enum)]
    lang: Lang,
    /// Its name, such as `acme:greet` (default: `acme:` and the name of the folder).
    #[arg(long)]
    name: Option<String>,
    /// Print what was made as JSON.
    #[arg(long)]
    json: bool,
}

/// The languages that there are templates of.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Lang {
    Rust,
    #[value(name = "javascript", alias = "js")]
    JavaScript,
    #[value(name = "typescript", alias = "ts")]
    TypeScript,
    Python,
    C,
    Go,
}

impl From<Lang> for TemplateKind {
    fn from(lang: Lang) -> TemplateKind {
        match lang {
            Lang::Rust => TemplateKind::Rust,
            Lang::JavaScript => TemplateKind::JavaScript,
            Lang::TypeScript => TemplateKind::TypeScript,
            Lang::Python => TemplateKind::Python,
            Lang::C => TemplateKind::C,
            Lang::Go => TemplateKind::Go,
        }
    }
}

/// Makes the project, with the contract and the SDK in it, so that an editor knows them at once.
pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let directory = &arguments.directory;
    let shown = without_controls(&directory.display().to_string());
    let failed = || format!("could not make a plugin in {shown}");
    let name = match &arguments.name {
        Some(text) => PluginName::parse(text).map_err(|error| Failure::usage(failed()).because(&error))?,
        None => PluginName::of_directory(&folder_name(directory)),
    };
    let written = new_project::create(directory, arguments.lang.into(), &name).map_err(|error| match error {
        NewProjectError::NotEmpty(_) => Failure::usage(failed()).because(&error),
        error => Failure::trouble(failed()).because(&error),
    })?;
    let project = Project::open(directory).map_err(|error| Failure::trouble(failed()).because(&error))?;
    sync(&project).map_err(|error| Failure::trouble(failed()).because(&error))?;
    if arguments.json {
        let made = serde_json::json!({ "name": name.to_string(), "directory": directory, "files": written });
        print(&format!("{made}\n"))?;
        return Ok(Exit::Success);
    }
    let mut text = format!("made {name} in {shown}\n");
    for file in written {
        text.push_str(&format!("  {file}\n"));
    }
    let place = if directory == Path::new(".") {
        String::new()
    } else {
        format!(" {}", init::quoted(&directory.to_string_lossy()))
    };
    text.push_str(&format!("next:\n  oxide plugin build{place}\n  oxide plugin test{place}\n"));
    print(&text)?;
    Ok(Exit::Success)
}

/// The last part of the path, which may be `.`.
fn folder_name(directory: &Path) -> String {
    let whole = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let whole = whole.canonicalize().unwrap_or(whole);
    whole.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
