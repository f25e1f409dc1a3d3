//! Match conditions of webhooks and policies.
//! (kubernetes 1.36: apiserver/pkg/admission/plugin/webhook/matchconditions/matcher.go)

use serde_json::Value;

use super::expressions::{self, Expected};
use super::inputs::{Failure, Inputs, evaluate};
use super::webhooks::FailurePolicy;
use crate::machinery::cel::{CostBudget, MATCH_CONDITIONS_BUDGET, Program};

/// Conditions of which all must hold.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    /// Each with its text. The outer error is that of a condition that was stored by a server that
    /// knew more than this one.
    compiled: Vec<(String, Result<Program, String>)>,
}

impl Conditions {
    /// Compiles `matchConditions`.
    pub(super) fn parse(conditions: &Value, has_params: bool) -> Self {
        let conditions = conditions.as_array().into_iter().flatten();
        let expected = Expected::CONDITION.with_params(has_params);
        let compiled = conditions.map(|condition| {
            let text = condition["expression"].as_str().unwrap_or_default().trim();
            (text.to_owned(), expressions::compile(text, expected))
        });
        Self { compiled: compiled.collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.compiled.is_empty()
    }

    /// Whether all hold. One that does not decides, even if others fail.
    ///
    /// # Errors
    /// What failed, if that is a reason to refuse the request.
    pub(super) fn hold(
        &self,
        inputs: &Inputs<'_>,
        params: Option<&Value>,
        policy: FailurePolicy,
    ) -> Result<bool, String> {
        if self.is_empty() {
            return Ok(true);
        }
        let activation = inputs.activation(params);
        let mut budget = CostBudget::new(MATCH_CONDITIONS_BUDGET);
        let mut failures = Vec::new();
        for (text, program) in &self.compiled {
            let program = match program {
                Ok(program) => program,
                Err(why) => {
                    failures.push(format!("compilation error: {why}"));
                    continue;
                }
            };
            match evaluate((text, program), &activation, &mut budget) {
                Ok(value) if value.as_bool() == Some(false) => return Ok(false),
                Ok(_) => {}
                Err(Failure::Evaluation(why)) => failures.push(why),
                Err(Failure::Budget(why)) => {
                    failures = vec![why];
                    break;
                }
            }
        }
        match (failures.len(), policy) {
            (0, _) => Ok(true),
            (_, FailurePolicy::Ignore) => Ok(false),
            (1, FailurePolicy::Fail) => Err(failures.swap_remove(0)),
            (_, FailurePolicy::Fail) => Err(format!("[{}]", failures.join(", "))),
        }
    }
}
