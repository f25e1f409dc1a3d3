//! What an expression may refer to, besides the functions of Kubernetes' environment.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::declared::Declared;
use super::types::Type;

/// Variables with their types. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<Arc<str>, Variable>,
}

#[derive(Clone, Debug)]
struct Variable {
    kind: Type,
    /// Sizes for the estimate of costs.
    declared: Option<Arc<Declared>>,
    /// Its fields are programs, evaluated when they are first looked at.
    lazy: bool,
}

impl Environment {
    /// Without variables.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a variable.
    #[must_use]
    pub fn with(self, name: &str, kind: Type) -> Self {
        self.insert(name, Variable { kind, declared: None, lazy: false })
    }

    /// Adds a variable with a declared type, whose sizes bound the estimate of costs.
    #[must_use]
    pub fn with_declared(self, name: &str, declared: &Arc<Declared>) -> Self {
        let (kind, declared) = (declared.kind.clone(), Some(declared.clone()));
        self.insert(name, Variable { kind, declared, lazy: false })
    }

    /// Adds an optional variable with a declared type.
    #[must_use]
    pub fn with_optional(self, name: &str, declared: &Arc<Declared>) -> Self {
        let kind = Type::optional(declared.kind.clone());
        self.insert(name, Variable { kind, declared: Some(declared.clone()), lazy: false })
    }

    /// Adds an object whose fields are further expressions (`variables` of a
    /// ValidatingAdmissionPolicy). An activation gives their programs.
    #[must_use]
    pub fn with_lazy<'f>(
        self,
        name: &str,
        fields: impl IntoIterator<Item = (&'f str, Type)>,
    ) -> Self {
        let kind = Type::object(&format!("kubernetes.{name}"), fields);
        self.insert(name, Variable { kind, declared: None, lazy: true })
    }

    fn insert(mut self, name: &str, variable: Variable) -> Self {
        self.variables.insert(name.into(), variable);
        self
    }

    pub(super) fn variable(&self, name: &str) -> Option<&Type> {
        self.variables.get(name).map(|variable| &variable.kind)
    }

    pub(super) fn is_lazy(&self, name: &str) -> bool {
        self.variables.get(name).is_some_and(|variable| variable.lazy)
    }

    pub(super) fn declared(&self, name: &str) -> Option<&Declared> {
        self.variables.get(name)?.declared.as_deref()
    }
}
