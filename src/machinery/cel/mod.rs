//! CEL, the Common Expression Language, as kube-apiserver 1.36 has it: parser, type checker, cost
//! estimate and evaluator, with the functions of Kubernetes' environment.
//!
//! An `Environment` names variables with their types, `Program::compile` parses and checks an
//! expression against it, `Program::evaluate` runs it with the values of an `Activation`. Programs
//! have no state: compile once, share by `Arc`. Errors of compilation are cel-go's text, each with
//! its line and a mark; errors of evaluation have cel-go's messages. Nothing here waits, reads a
//! clock or recurses without bound: expressions nest at most 250 deep, evaluation stops at a cost.
//!
//! JSON is read in place. `Val::json` reads it as it is; rules of a CustomResourceDefinition read
//! it by its schema (`rules`), so that a duration is a duration and unknown fields cannot be seen.
//!
//! # Match conditions and ValidatingAdmissionPolicies
//!
//! The environment has `object` and `oldObject` (`Type::Dyn`), `request`
//! (`Type::object("kubernetes.AdmissionRequest", fields)`), `namespaceObject`, `params`
//! (`Type::Dyn`), and `authorizer` (`authorizer_type()`); a null is `Val::Null`, so declare what may
//! be null as `Dyn`. Variables of a policy are `Environment::with_lazy("variables", …)`, with the
//! output types of the programs compiled so far, so that each sees those before it:
//!
//! ```
//! use capim::machinery::cel::{
//!     Activation, CostBudget, Environment, Program, RUNTIME_BUDGET, Type, Val, authorizer_type,
//! };
//!
//! let object = serde_json::json!({"spec": {"replicas": 2}});
//! let environment =
//!     Environment::new().with("object", Type::Dyn).with("authorizer", authorizer_type());
//! let foo = Program::compile(&environment, "object.spec.replicas * 2").unwrap();
//! let environment = environment.with_lazy("variables", [("foo", foo.output_type().clone())]);
//! let program = Program::compile(&environment, "variables.foo > 3").unwrap();
//! assert_eq!(*program.output_type(), Type::Bool);
//! let activation = Activation::new().with("object", Val::json(&object)).with_lazy("foo", &foo);
//! let mut budget = CostBudget::new(RUNTIME_BUDGET); // or MATCH_CONDITIONS_BUDGET
//! let holds = program.evaluate(&activation, &mut budget).unwrap();
//! assert_eq!(holds.as_bool(), Some(true));
//! ```
//!
//! A variable is evaluated when it is first looked at, once an activation; its cost counts for who
//! looked. The authorizer is `authorizer(Arc<dyn Authorizer>)`; `authorizer.requestResource` is a
//! variable of the name `authorizer.requestResource` of type `resource_check_type()`, whose value
//! `resource_check` makes.

mod ast;
mod checker;
mod cost;
mod declarations;
mod declared;
mod environment;
mod equality;
mod error;
mod escaping;
mod estimate;
mod eval;
mod functions;
mod json;
mod lexer;
mod library;
mod macros;
mod parser;
mod plan;
mod program;
pub mod rules;
mod source;
mod time;
mod types;
mod validators;
mod value;

#[cfg(test)]
mod cost_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use cost::{CALL_LIMIT, CostBudget, MATCH_CONDITIONS_BUDGET, RUNTIME_BUDGET};
pub use declared::Declared;
pub use environment::Environment;
pub use error::{CompileError, EvalError, EvalErrorKind};
pub use json::Shape;
pub use library::{Authorizer, Check, Decision, Object};
pub use program::{Activation, Program};
pub use types::Type;
pub use value::{Entries, Key, List, Map, Text, Val};

/// The type of the `authorizer` variable.
pub fn authorizer_type() -> Type {
    library_type("kubernetes.authorization.Authorizer")
}

/// The type of the `authorizer.requestResource` variable.
pub fn resource_check_type() -> Type {
    library_type("kubernetes.authorization.ResourceCheck")
}

fn library_type(name: &str) -> Type {
    declarations::type_name(name).expect("the type is declared")
}

/// A value of the `authorizer` variable.
pub fn authorizer<'a>(authorizer: Arc<dyn Authorizer>) -> Val<'a> {
    Val::Object(Arc::new(Object::Authorizer(authorizer, None)))
}

/// A value of the `authorizer.requestResource` variable.
pub fn resource_check<'a>(authorizer: Arc<dyn Authorizer>, check: Check) -> Val<'a> {
    Val::Object(Arc::new(Object::Check(authorizer, check)))
}

/// Whether a name can be a variable of a policy, i.e. a plain identifier that is not reserved.
pub fn is_identifier(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && name.chars().all(plain) && !escaping::is_reserved(name)
}
