//! What an expression names: variables with the way below them, and functions.

use std::collections::BTreeSet;

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue};

use super::compile;
use crate::{diagnostic::Diagnostic, yaml::Span};

/// What an expression names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// The variables, as often as they are named.
    pub variables: Vec<Reference>,
    /// The functions; operators are not among them.
    pub functions: BTreeSet<String>,
    /// How deep loops (`all`, `map`, …) are nested.
    pub(super) loop_depth: usize,
}

/// A variable with the way below it: `steps.unit.outputs.report`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The names, the variable first. Indices by text (`matrix["os"]`) are names, too; at any other index the way ends.
    pub path: Vec<String>,
    /// It stands in `has(…)`, which asks whether the last name is there.
    pub is_test: bool,
}

impl Reference {
    /// The names with dots between them.
    pub fn shown(&self) -> String {
        self.path.join(".")
    }
}

impl References {
    /// Is `success()`, `failure()`, `always()` or `cancelled()` among them?
    pub fn asks_for_status(&self) -> bool {
        ["success", "failure", "always", "cancelled"].iter().any(|name| self.functions.contains(*name))
    }
}

/// What the expression names.
///
/// # Errors
/// It is no expression, or one beyond the bounds.
pub fn references(expression: &str, span: Span) -> Result<References, Diagnostic> {
    compile::compile(expression, span).map(|compiled| compiled.references)
}

pub(super) fn collect(expression: &IdedExpr) -> References {
    let mut walk = Walk { found: References::default(), bound: Vec::new(), loops: 0 };
    walk.expression(expression);
    walk.found
}

struct Walk<'a> {
    found: References,
    /// The variables of the loops around.
    bound: Vec<&'a str>,
    loops: usize,
}

impl<'a> Walk<'a> {
    fn expression(&mut self, expression: &'a IdedExpr) {
        if let Some((path, is_test)) = path_of(expression) {
            if !self.bound.contains(&path[0].as_str()) {
                self.found.variables.push(Reference { path, is_test });
            }
            return;
        }
        match &expression.expr {
            Expr::Call(call) => {
                let operator = !call.func_name.starts_with(|c: char| c.is_ascii_alphabetic());
                if !operator {
                    self.found.functions.insert(call.func_name.clone());
                }
                call.target.iter().for_each(|target| self.expression(target));
                call.args.iter().for_each(|argument| self.expression(argument));
            }
            Expr::Comprehension(comprehension) => {
                self.expression(&comprehension.iter_range);
                self.loops += 1;
                self.found.loop_depth = self.found.loop_depth.max(self.loops);
                let outside = self.bound.len();
                self.bound.push(&comprehension.iter_var);
                self.bound.extend(comprehension.iter_var2.as_deref());
                self.bound.push(&comprehension.accu_var);
                for part in [
                    &comprehension.accu_init,
                    &comprehension.loop_cond,
                    &comprehension.loop_step,
                    &comprehension.result,
                ] {
                    self.expression(part);
                }
                self.bound.truncate(outside);
                self.loops -= 1;
            }
            Expr::List(list) => list.elements.iter().for_each(|element| self.expression(element)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(&entry.expr)),
            Expr::Struct(fields) => fields.entries.iter().for_each(|entry| self.entry(&entry.expr)),
            Expr::Select(select) => self.expression(&select.operand),
            Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
        }
    }

    fn entry(&mut self, entry: &'a EntryExpr) {
        match entry {
            EntryExpr::StructField(field) => self.expression(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.expression(&entry.key);
                self.expression(&entry.value);
            }
        }
    }
}

/// The names of a variable with fields and text indices below it, if the expression is that.
fn path_of(expression: &IdedExpr) -> Option<(Vec<String>, bool)> {
    match &expression.expr {
        Expr::Ident(name) => Some((vec![name.trim_start_matches('.').to_owned()], false)),
        Expr::Select(select) => {
            let (mut path, _) = path_of(&select.operand)?;
            path.push(select.field.clone());
            Some((path, select.test))
        }
        Expr::Call(call) if call.func_name == "_[_]" && call.target.is_none() => {
            let [operand, index] = call.args.as_slice() else { return None };
            let Expr::Literal(LiteralValue::String(index)) = &index.expr else { return None };
            let (mut path, _) = path_of(operand)?;
            path.push(index.inner().to_owned());
            Some((path, false))
        }
        _ => None,
    }
}
