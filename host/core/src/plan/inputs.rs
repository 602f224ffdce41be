//! The inputs of a run: what was given, checked against `triggers.manual.inputs`, with defaults filled in.

use serde_json::{Map, Value as Json};

use super::JobContext;
use crate::{
    diagnostic::Diagnostic,
    expression::value_as_text,
    pipeline::{ManualInput, Pipeline},
};

/// The context of the run with all inputs that the pipeline has.
pub(super) fn complete(pipeline: &Pipeline, context: &JobContext, errors: &mut Vec<Diagnostic>) -> JobContext {
    let declared = pipeline.triggers.manual.as_deref().unwrap_or(&[]);
    for name in context.inputs.keys().filter(|name| !declared.iter().any(|input| input.name == **name)) {
        let error = Diagnostic::new(format!("the pipeline has no input `{name}`"));
        let error = error.did_you_mean(name, declared.iter().map(|input| input.name.as_str()));
        errors.push(match error.hint {
            None if declared.is_empty() => {
                error.hint("inputs are declared below `triggers: { manual: { inputs: … } }`")
            }
            None => {
                let names: Vec<&str> = declared.iter().map(|input| input.name.as_str()).collect();
                error.hint(format!("its inputs are: {}", names.join(", ")))
            }
            Some(_) => error,
        });
    }
    let manual = context.trigger.get("kind").is_none_or(|kind| kind == "manual");
    let inputs: Map<String, Json> = declared
        .iter()
        .map(|input| (input.name.clone(), value(input, context.inputs.get(&input.name), manual, errors)))
        .collect();
    JobContext { inputs, ..context.clone() }
}

fn value(input: &ManualInput, given: Option<&Json>, manual: bool, errors: &mut Vec<Diagnostic>) -> Json {
    let text = match (given, &input.default) {
        (Some(given), _) => value_as_text(given),
        (None, Some(default)) => default.as_text().unwrap_or("").to_owned(),
        (None, None) => {
            if input.required && manual {
                let error = Diagnostic::new(format!("the input `{}` needs a value", input.name));
                errors.push(error.hint(format!("add `--input {}=VALUE`", input.name)));
            }
            return Json::Null;
        }
    };
    input.kind.read(&text).unwrap_or_else(|problem| {
        errors.push(Diagnostic::new(format!("the input `{}` {problem}", input.name)));
        Json::Null
    })
}
