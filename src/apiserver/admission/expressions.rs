//! CEL expressions of match conditions and policies: what they may refer to and must evaluate to.
//! (kubernetes 1.36: apiserver/pkg/admission/plugin/cel/{compile,composition}.go)

use std::sync::LazyLock;

use crate::machinery::cel::{Environment, Program, Type, authorizer_type, resource_check_type};

/// What an expression must evaluate to, and what it may refer to beyond the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    value: Expects,
    /// Whether there are `params`.
    has_params: bool,
    /// Whether there is an `authorizer`.
    has_authorizer: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    Anything,
    Bool,
    String,
    StringOrNull,
}

impl Expected {
    /// A condition.
    pub(crate) const CONDITION: Self =
        Self { value: Expects::Bool, has_params: false, has_authorizer: true };
    /// The message of a refusal.
    pub(crate) const MESSAGE: Self =
        Self { value: Expects::String, has_params: false, has_authorizer: false };
    /// The value of an audit annotation.
    pub(crate) const ANNOTATION: Self =
        Self { value: Expects::StringOrNull, has_params: false, has_authorizer: true };
    /// A variable of a policy.
    const VARIABLE: Self =
        Self { value: Expects::Anything, has_params: false, has_authorizer: true };

    /// The same with or without parameters.
    pub(crate) fn with_params(self, has_params: bool) -> Self {
        Self { has_params, ..self }
    }
}

/// Compiles an expression without variables of a policy.
///
/// # Errors
/// What is wrong with it, in upstream's words.
pub(crate) fn compile(expression: &str, expected: Expected) -> Result<Program, String> {
    compile_in(&environment(expected, &OBJECTS), expression, expected)
}

/// Compiles the expressions of one policy, whose variables may refer to those before them.
pub(crate) struct PolicyCompiler {
    objects: Objects,
    has_params: bool,
    /// Names and types.
    variables: Vec<(String, Type)>,
}

/// Types of the objects of a request.
#[derive(Clone)]
pub(super) struct Objects {
    pub(super) object: Type,
    pub(super) params: Type,
}

/// Nothing is known of them.
const OBJECTS: Objects = Objects { object: Type::Dyn, params: Type::Dyn };

impl PolicyCompiler {
    /// Without variables, for objects of any kind.
    pub(crate) fn new(has_params: bool) -> Self {
        Self::of(OBJECTS, has_params)
    }

    /// Without variables, for objects of these types.
    pub(super) fn of(objects: Objects, has_params: bool) -> Self {
        Self { objects, has_params, variables: Vec::new() }
    }

    /// Adds a variable. One that cannot be compiled may be anything.
    ///
    /// # Errors
    /// What is wrong with its expression.
    pub(crate) fn add_variable(&mut self, name: &str, text: &str) -> Result<Program, String> {
        let program = self.compile(text, Expected::VARIABLE);
        let kind = program.as_ref().map_or(Type::Dyn, |program| program.output_type().clone());
        self.variables.push((name.to_owned(), kind));
        program
    }

    /// Compiles an expression that may refer to the variables.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn compile(&self, expression: &str, expected: Expected) -> Result<Program, String> {
        let expected = expected.with_params(self.has_params);
        let mut environment = environment(expected, &self.objects);
        if !self.variables.is_empty() {
            let fields = self.variables.iter().map(|(name, kind)| (name.as_str(), kind.clone()));
            environment = environment.with_lazy("variables", fields);
        }
        compile_in(&environment, expression, expected)
    }

    /// Compiles an expression whatever it evaluates to.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn check(&self, expression: &str) -> Result<(), String> {
        self.compile(expression, Expected::VARIABLE).map(|_| ())
    }
}

fn compile_in(
    environment: &Environment,
    expression: &str,
    expected: Expected,
) -> Result<Program, String> {
    let program = Program::compile(environment, expression).map_err(|error| {
        let text = error.to_string();
        match text.starts_with("program instantiation failed") {
            true => text,
            false => format!("compilation failed: {text}"),
        }
    })?;
    let output = program.output_type();
    let wanted = match expected.value {
        Expects::Anything => return Ok(program),
        Expects::Bool if *output == Type::Bool => return Ok(program),
        Expects::String | Expects::StringOrNull if *output == Type::String => return Ok(program),
        Expects::StringOrNull if *output == Type::Null => return Ok(program),
        Expects::Bool => "bool",
        Expects::String => "string",
        Expects::StringOrNull => {
            return Err(format!("must evaluate to one of [string null_type] but got {output}"));
        }
    };
    Err(format!("must evaluate to {wanted} but got {output}"))
}

fn environment(expected: Expected, objects: &Objects) -> Environment {
    let mut environment = REQUEST
        .clone()
        .with("object", objects.object.clone())
        .with("oldObject", objects.object.clone());
    if expected.has_params {
        environment = environment.with("params", objects.params.clone());
    }
    if expected.has_authorizer {
        environment = environment
            .with("authorizer", authorizer_type())
            .with("authorizer.requestResource", resource_check_type());
    }
    environment
}

/// `request` and `namespaceObject`.
static REQUEST: LazyLock<Environment> = LazyLock::new(|| {
    Environment::new().with("request", request_type()).with("namespaceObject", namespace_type())
});

/// An AdmissionRequest without uid and objects.
fn request_type() -> Type {
    let strings = |names: [&'static str; 3]| names.map(|name| (name, Type::String));
    let kind = Type::object("kubernetes.GroupVersionKind", strings(["group", "version", "kind"]));
    let resource = strings(["group", "version", "resource"]);
    let resource = Type::object("kubernetes.GroupVersionResource", resource);
    let texts = || Type::list(Type::String);
    let user = Type::object(
        "kubernetes.UserInfo",
        [
            ("username", Type::String),
            ("uid", Type::String),
            ("groups", texts()),
            ("extra", Type::map(Type::String, texts())),
        ],
    );
    Type::object(
        "kubernetes.AdmissionRequest",
        [
            ("kind", kind.clone()),
            ("resource", resource.clone()),
            ("subResource", Type::String),
            ("requestKind", kind),
            ("requestResource", resource),
            ("requestSubResource", Type::String),
            ("name", Type::String),
            ("namespace", Type::String),
            ("operation", Type::String),
            ("userInfo", user),
            ("dryRun", Type::Bool),
            ("options", Type::Dyn),
        ],
    )
}

/// A Namespace without managed fields and owners.
fn namespace_type() -> Type {
    let texts = || Type::map(Type::String, Type::String);
    let metadata = Type::object(
        "kubernetes.NamespaceMetadata",
        [
            ("name", Type::String),
            ("generateName", Type::String),
            ("namespace", Type::String),
            ("labels", texts()),
            ("annotations", texts()),
            ("UID", Type::String),
            ("creationTimestamp", Type::Timestamp),
            ("deletionGracePeriodSeconds", Type::Int),
            ("deletionTimestamp", Type::Timestamp),
            ("generation", Type::Int),
            ("resourceVersion", Type::String),
            ("finalizers", Type::list(Type::String)),
        ],
    );
    let spec = Type::object("kubernetes.NamespaceSpec", [("finalizers", Type::list(Type::String))]);
    let condition = Type::object(
        "kubernetes.NamespaceCondition",
        [
            ("status", Type::String),
            ("type", Type::String),
            ("lastTransitionTime", Type::Timestamp),
            ("message", Type::String),
            ("reason", Type::String),
        ],
    );
    let status = Type::object(
        "kubernetes.NamespaceStatus",
        [("conditions", Type::list(condition)), ("phase", Type::String)],
    );
    Type::object(
        "kubernetes.Namespace",
        [("metadata", metadata), ("spec", spec), ("status", status)],
    )
}
