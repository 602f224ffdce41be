//! Values of expressions.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use cel::{Context, Env, ExecutionError, Value, extractors::Arguments};
use serde_json::{Map, Value as Json};

use super::{
    compile::{Compiled, compile, shortened},
    convert,
    references::Reference,
    scope::{GIT_FACTS, Scope},
    template::{Part, parts, span_of, value_as_text},
};
use crate::{
    diagnostic::Diagnostic,
    plan::Condition,
    yaml::{Content, Node, Span},
};

/// How many different `hash_files` calls one expression may make.
const MAX_HASHES: usize = 16;

/// Evaluates one expression, without `${{ }}`.
///
/// # Errors
/// It is no expression, names what is not there, or goes wrong while it is evaluated.
pub fn evaluate(expression: &str, span: Span, scope: &Scope<'_>) -> Result<Json, Diagnostic> {
    let compiled = compile(expression, span)?;
    run(&compiled, expression, span, scope)
}

/// Evaluates all expressions of a text, list or mapping. A scalar that is one whole expression keeps the type of its
/// value; within other text a value becomes text.
///
/// # Errors
/// The first expression that has no value.
pub fn interpolate(node: &Node, scope: &Scope<'_>) -> Result<Node, Diagnostic> {
    let content = match &node.content {
        Content::Scalar { text, plain } if text.contains("${{") => interpolate_text(text, *plain, node.span, scope)?,
        Content::List(items) => {
            Content::List(items.iter().map(|item| interpolate(item, scope)).collect::<Result<_, _>>()?)
        }
        Content::Map(entries) => {
            let entries = entries.iter().map(|(key, value)| Ok((key.clone(), interpolate(value, scope)?)));
            Content::Map(entries.collect::<Result<_, Diagnostic>>()?)
        }
        other => other.clone(),
    };
    Ok(Node { span: node.span, content })
}

/// Is the condition true? One that asks no status function is true only if `success()` is, too.
///
/// # Errors
/// It has no value, or one that is neither true nor false.
pub fn condition(condition: &Condition, scope: &Scope<'_>) -> Result<bool, Diagnostic> {
    let compiled = compile(&condition.expression, condition.span)?;
    if !compiled.references.asks_for_status() && !scope.status.success {
        return Ok(false);
    }
    match run(&compiled, &condition.expression, condition.span, scope)? {
        Json::Bool(value) => Ok(value),
        other => {
            let expression = shortened(&condition.expression);
            let message = format!("the condition `{expression}` must be true or false, and is {}", described(&other));
            Err(Diagnostic::at(condition.span, message).hint("compare it, as in `… == 'yes'` or `… != null`"))
        }
    }
}

fn interpolate_text(text: &str, plain: bool, span: Span, scope: &Scope<'_>) -> Result<Content, Diagnostic> {
    let parts = parts(text, span)?;
    let value_of = |expression: &str, offset: usize| {
        evaluate(expression, span_of(text, offset, expression.chars().count(), span), scope)
    };
    if let [Part::Expression { text: expression, offset }] = parts.as_slice() {
        return value_of(expression, *offset).map(Content::Evaluated);
    }
    let mut whole = String::new();
    for part in parts {
        match part {
            Part::Text(text) => whole.push_str(text),
            Part::Expression { text, offset } => whole.push_str(&value_as_text(&value_of(text, offset)?)),
        }
    }
    Ok(Content::Scalar { text: whole, plain })
}

fn described(value: &Json) -> String {
    match value {
        Json::Null => "null".to_owned(),
        Json::String(text) => format!("the text '{}'", shortened(text)),
        Json::Number(number) => format!("the number {number}"),
        Json::Bool(value) => value.to_string(),
        Json::Array(_) => "a list".to_owned(),
        Json::Object(_) => "a mapping".to_owned(),
    }
}

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// What `hash_files` has answered so far, and what it was asked and could not answer yet. CEL's functions cannot borrow,
/// so an unanswered call ends the evaluation, the caller asks the scope, and the evaluation begins again.
#[derive(Clone, Default)]
struct Hashes(Arc<Mutex<HashState>>);

#[derive(Default)]
struct HashState {
    known: HashMap<Vec<String>, Result<String, String>>,
    asked: Option<Vec<String>>,
}

impl Hashes {
    fn with<T>(&self, act: impl FnOnce(&mut HashState) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The function as CEL calls it.
    fn call(&self, arguments: &[Value]) -> Result<Value, ExecutionError> {
        let failed = |message: &str| Err(ExecutionError::function_error("hash_files", message));
        let mut patterns = Vec::new();
        for argument in arguments {
            match argument {
                Value::String(pattern) => patterns.push(pattern.to_string()),
                _ => return failed("it takes texts, such as `hash_files('Cargo.lock', 'src/**')`"),
            }
        }
        if patterns.is_empty() {
            return failed("it takes at least one pattern, such as `hash_files('Cargo.lock')`");
        }
        self.with(|state| match state.known.get(&patterns) {
            Some(Ok(hash)) => Ok(Value::String(Arc::new(hash.clone()))),
            Some(Err(message)) => failed(message),
            None => {
                state.asked = Some(patterns);
                failed("not known yet")
            }
        })
    }
}

fn run(compiled: &Compiled, expression: &str, span: Span, scope: &Scope<'_>) -> Result<Json, Diagnostic> {
    let variables = variables(compiled, expression, span, scope)?;
    let hashes = Hashes::default();
    let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
    for (name, value) in &variables {
        context.add_variable_from_value(name.as_str(), convert::map_to_cel(value));
    }
    let status = scope.status;
    let asked = hashes.clone();
    context
        .add_function("success", move || status.success)
        .and_then(|()| context.add_function("failure", move || status.failure))
        .and_then(|()| context.add_function("cancelled", move || status.cancelled))
        .and_then(|()| context.add_function("always", || true))
        .and_then(|()| context.add_function("hash_files", move |Arguments(args): Arguments| asked.call(&args)))
        .map_err(|error| Diagnostic::at(span, error.to_string()))?;

    for _ in 0..=MAX_HASHES {
        // As in `compile`: a panic in the library is an error of this expression only.
        let result = catch_unwind(AssertUnwindSafe(|| compiled.program.execute(&context)));
        if let Some(patterns) = hashes.with(|state| state.asked.take()) {
            let answer = (scope.hash_files)(&patterns);
            hashes.with(|state| state.known.insert(patterns, answer));
            continue;
        }
        let failed = |message: String| {
            Diagnostic::at(span, format!("the expression `{}` has no value: {message}", shortened(expression)))
        };
        return match result {
            Err(_) => Err(failed("it cannot be evaluated".to_owned())),
            Ok(Ok(value)) => {
                convert::to_json(&value).map_err(|kind| failed(format!("{kind} cannot be used in a pipeline")))
            }
            Ok(Err(error)) => Err(explain(&error, compiled, &variables, failed)),
        };
    }
    Err(Diagnostic::at(span, format!("the expression calls `hash_files` more than {MAX_HASHES} times")))
}

/// The variables that the expression names, with null where a fact may be absent.
fn variables(
    compiled: &Compiled,
    expression: &str,
    span: Span,
    scope: &Scope<'_>,
) -> Result<HashMap<String, Map<String, Json>>, Diagnostic> {
    let mut variables: HashMap<String, Map<String, Json>> = HashMap::new();
    let tested: Vec<&[String]> =
        compiled.references.variables.iter().filter(|it| it.is_test).map(|it| it.path.as_slice()).collect();
    for reference in &compiled.references.variables {
        let root = &reference.path[0];
        if is_type_name(root) {
            continue;
        }
        let Some(values) = scope.root(root) else {
            return Err(unknown_root(root, expression, span));
        };
        let values = variables.entry(root.clone()).or_insert_with(|| values.clone());
        // What `has(…)` asks for must not be there because another place of the expression names it.
        let asked_for = tested.iter().filter(|path| reference.path.starts_with(path)).map(|path| path.len()).min();
        fill_in(&reference.path, asked_for, values);
    }
    Ok(variables)
}

/// The error for a variable that does not exist.
pub(crate) fn unknown_root(root: &str, expression: &str, span: Span) -> Diagnostic {
    let message = format!("`{root}` is not known in the expression `{}`", shortened(expression));
    let diagnostic = Diagnostic::at(span, message).did_you_mean(root, Scope::ROOTS);
    match diagnostic.hint {
        Some(_) => diagnostic,
        None => diagnostic.hint(format!("texts stand in quotes ('{root}'); known are {}", Scope::ROOTS.join(", "))),
    }
}

/// Names of CEL's types, which are values in expressions such as `type(x) == string`.
pub(crate) fn is_type_name(name: &str) -> bool {
    matches!(name, "bool" | "int" | "uint" | "double" | "string" | "bytes" | "list" | "map" | "null_type" | "type")
}

/// Puts null where a fact is absent that belongs to a fixed set, or that planning has found to exist: an output of a step
/// that was skipped has no value, and asking for it is no mistake. If `has(…)` asks whether the first so many names lead
/// somewhere, only the way to the last of them is made.
fn fill_in(path: &[String], asked_for: Option<usize>, values: &mut Map<String, Json>) {
    let null = || Json::Null;
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["git", fact] if GIT_FACTS.contains(fact) && asked_for.is_none() => {
            values.entry(*fact).or_insert_with(null);
        }
        ["trigger", fact] if asked_for.is_none() => {
            values.entry(*fact).or_insert_with(null);
        }
        // A run that may not spend it sees an empty text.
        ["secrets", name] => {
            values.entry(*name).or_insert_with(|| Json::from(""));
        }
        ["steps" | "stages", name, below @ ..] => {
            if asked_for.is_some_and(|names| names <= 2) {
                return;
            }
            let mut place = values.entry(*name).or_insert_with(|| Json::Object(Map::new()));
            // `name` is the second one of the path.
            let made = asked_for.map_or(below.len(), |names| names - 3);
            for (index, key) in below.iter().enumerate().take(made) {
                let last = index + 1 == below.len();
                let Json::Object(entries) = place else { return };
                place = entries.entry(*key).or_insert_with(|| if last { Json::Null } else { Json::Object(Map::new()) });
            }
        }
        _ => {}
    }
}

/// Says what went wrong in words of the pipeline.
fn explain(
    error: &ExecutionError,
    compiled: &Compiled,
    variables: &HashMap<String, Map<String, Json>>,
    failed: impl Fn(String) -> Diagnostic,
) -> Diagnostic {
    match error {
        ExecutionError::NoSuchKey(key) => {
            for reference in &compiled.references.variables {
                if let Some(missing) = missing_key(reference, variables, key) {
                    return failed(missing.message).did_you_mean(key, missing.siblings.iter().map(String::as_str));
                }
            }
            failed(format!("there is no `{key}`"))
        }
        ExecutionError::FunctionError { function, message } => failed(format!("{function}: {message}")),
        ExecutionError::UndeclaredReference(name) => {
            failed(format!("`{name}` is not known")).did_you_mean(name, FUNCTIONS)
        }
        ExecutionError::NoSuchOverload(overload) => {
            let types: Vec<&str> = overload.argument_types().iter().map(|name| type_in_words(name)).collect();
            let name = overload.function().trim_matches('_').replace("_:_", ":");
            failed(format!("`{name}` does not work on {}", types.join(" and ")))
        }
        ExecutionError::UnsupportedBinaryOperator(name, left, right) => {
            let sign = match *name {
                "add" => "+",
                "sub" => "-",
                "mul" => "*",
                "div" => "/",
                "rem" => "%",
                other => other,
            };
            let types = [left, right].map(|value| type_in_words(&value.type_of().to_string()).to_owned());
            failed(format!("`{sign}` does not work on {}", types.join(" and ")))
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            failed("it divides by zero".to_owned())
        }
        ExecutionError::Overflow(..) => failed("a number in it becomes too large".to_owned()),
        other => failed(shortened(&other.to_string())),
    }
}

fn type_in_words(name: &str) -> &str {
    match name {
        "string" => "a text",
        "int" | "uint" => "a whole number",
        "double" | "float" => "a number",
        "bool" => "a boolean",
        "null_type" | "null" => "null",
        "list" => "a list",
        "map" => "a mapping",
        other => other,
    }
}

struct MissingKey {
    message: String,
    siblings: Vec<String>,
}

/// Is it this reference whose key is missing?
fn missing_key(reference: &Reference, variables: &HashMap<String, Map<String, Json>>, key: &str) -> Option<MissingKey> {
    let mut place = variables.get(&reference.path[0])?;
    for (index, name) in reference.path.iter().enumerate().skip(1) {
        match place.get(name) {
            Some(Json::Object(below)) => place = below,
            Some(_) => return None,
            None if name == key => {
                let message = format!("there is no `{}`", reference.path[..=index].join("."));
                return Some(MissingKey { message, siblings: place.keys().cloned().collect() });
            }
            None => return None,
        }
    }
    None
}

/// The functions that expressions have, ours first.
pub(crate) const FUNCTIONS: [&str; 24] = [
    "success",
    "failure",
    "always",
    "cancelled",
    "hash_files",
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "string",
    "int",
    "uint",
    "double",
    "bool",
    "bytes",
    "type",
    "dyn",
    "has",
    "all",
    "exists",
    "exists_one",
    "map",
    "filter",
];
