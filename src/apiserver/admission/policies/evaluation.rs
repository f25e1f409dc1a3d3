//! A policy's expressions, evaluated for one request and one parameter.
//! (kubernetes 1.36: apiserver/pkg/admission/plugin/policy/validating/validator.go)

use serde_json::Value;

use super::compiled::{Policy, Validation};
use crate::apiserver::admission::inputs::{Failure, Inputs, evaluate};
use crate::apiserver::admission::webhooks::FailurePolicy;
use crate::machinery::cel::{Activation, CostBudget, RUNTIME_BUDGET};

/// Longest message that an expression may make.
const MESSAGE_MAX: usize = 5 * 1024;

/// Something that is wrong with the request.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) message: String,
    /// Reason of the refusal.
    pub(super) reason: Option<String>,
    /// Whether it refuses the request whatever the binding's actions are.
    pub(super) is_final: bool,
}

impl Decision {
    fn failed(message: String) -> Self {
        Self { message, reason: None, is_final: false }
    }
}

impl Policy {
    /// What is wrong with the request; nothing if match conditions exempt it.
    pub(super) fn evaluate(&self, inputs: &Inputs<'_>, params: Option<&Value>) -> Vec<Decision> {
        let fails = |why: String| match self.failure_policy {
            FailurePolicy::Fail => vec![Decision::failed(why)],
            FailurePolicy::Ignore => Vec::new(),
        };
        if let Some(why) = &self.rules.failure {
            return fails(why.clone());
        }
        match self.rules.conditions.hold(inputs, params, self.failure_policy) {
            Ok(true) => {}
            Ok(false) => return Vec::new(),
            Err(why) => return fails(why),
        }
        let mut activation = inputs.activation(params);
        for (name, program) in &self.rules.variables {
            activation = activation.with_lazy(name, program);
        }
        let mut budget = CostBudget::new(RUNTIME_BUDGET);
        let mut decisions = Vec::new();
        for validation in &self.rules.validations {
            match validation.decide(&activation, &mut budget) {
                Ok(None) => {}
                Ok(Some(decision)) => decisions.push(decision),
                Err(Failure::Evaluation(why)) => decisions.extend(fails(why)),
                Err(Failure::Budget(why)) => return fails(why),
            }
        }
        decisions.extend(self.annotate(&activation));
        decisions
    }

    /// Evaluates audit annotations: nobody reads them, but their failures refuse the request.
    fn annotate(&self, activation: &Activation<'_>) -> Vec<Decision> {
        let mut budget = CostBudget::new(RUNTIME_BUDGET);
        let mut decisions = Vec::new();
        for (text, program) in &self.rules.annotations {
            let outcome = evaluate((text, program), activation, &mut budget);
            if let Err(Failure::Evaluation(message) | Failure::Budget(message)) = outcome
                && self.failure_policy == FailurePolicy::Fail
            {
                decisions.push(Decision { message, reason: None, is_final: true });
            }
        }
        decisions
    }
}

impl Validation {
    fn decide(
        &self,
        activation: &Activation<'_>,
        budget: &mut CostBudget,
    ) -> Result<Option<Decision>, Failure> {
        let value = evaluate((&self.expression, &self.program), activation, budget)?;
        if value.as_bool() == Some(true) {
            return Ok(None);
        }
        let made = self.made_message(activation, budget).map_err(|failure| match failure {
            Failure::Budget(why) => Failure::Evaluation(format!("failed messageExpression: {why}")),
            other => other,
        })?;
        let message = made.unwrap_or_else(|| match self.message.trim() {
            "" => format!("failed expression: {}", self.expression.trim()),
            message => message.to_owned(),
        });
        Ok(Some(Decision { message, reason: self.reason.clone(), is_final: false }))
    }

    /// What `messageExpression` says, if that can be shown.
    fn made_message(
        &self,
        activation: &Activation<'_>,
        budget: &mut CostBudget,
    ) -> Result<Option<String>, Failure> {
        let Some((text, program)) = &self.message_program else { return Ok(None) };
        match evaluate((text, program), activation, budget) {
            Ok(value) => {
                let text = value.as_str().unwrap_or_default().trim();
                let shown = !text.is_empty() && text.len() <= MESSAGE_MAX && !text.contains('\n');
                Ok(shown.then(|| text.to_owned()))
            }
            Err(Failure::Evaluation(_)) => Ok(None),
            Err(budget) => Err(budget),
        }
    }
}
