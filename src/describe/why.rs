//! From an object that is not as it should be to the cause, one object a step; what remains of
//! simulated times, and what happens next.
//!
//! Each step names the condition that speaks, and the next object is the one which that condition
//! sums up or waits for. An object is visited once, so the walk ends.

mod remaining;
mod steps;

use jiff::Timestamp;
use serde_json::Value;

pub use remaining::Remaining;

use super::object::{self, Condition};
use super::sources::Sources;

/// Steps of the longest chain.
const STEPS_MAX: usize = 16;

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Kind.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Subject {
    /// Of an object.
    pub fn of(object: &Value) -> Self {
        Self {
            kind: object::kind(object).to_owned(),
            namespace: object::namespace(object).to_owned(),
            name: object::name(object).to_owned(),
        }
    }
}

/// One object on the way to the cause.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Whose condition it is.
    pub subject: Subject,
    /// What it says; `None` if the object has no conditions yet.
    pub condition: Option<Condition>,
    /// Simulated time until it changes, if that is known.
    pub remaining: Option<Remaining>,
}

/// Why an object is as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The object that was asked about.
    pub subject: Subject,
    /// Whether nothing is wrong.
    pub healthy: bool,
    /// From the object to the cause.
    pub steps: Vec<Step>,
    /// What happens after the cause is gone, in order.
    pub next: Vec<String>,
}

/// Explains an object, which is the cluster or one of its objects.
pub fn explain(sources: &Sources, object: &Value, now: Timestamp) -> Explanation {
    let mut explanation = Explanation {
        subject: Subject::of(object),
        healthy: false,
        steps: Vec::new(),
        next: Vec::new(),
    };
    let mut current = object;
    let mut seen = Vec::new();
    loop {
        let Some(condition) = steps::trouble(current) else {
            // A summary may lag behind its parts; the chain then ends one step before.
            if explanation.steps.is_empty() {
                explanation.healthy = true;
            }
            break;
        };
        let subject = Subject::of(current);
        let next = steps::next(sources, current, &condition);
        let remaining = remaining::of(current, &condition, now);
        if explanation.next.len() < STEPS_MAX {
            explanation.next.splice(0..0, steps::outlook(current, &condition));
        }
        seen.push(subject.clone());
        explanation.steps.push(Step { subject, condition: known(condition), remaining });
        match next {
            Some(next)
                if explanation.steps.len() < STEPS_MAX && !seen.contains(&Subject::of(next)) =>
            {
                current = next;
            }
            _ => break,
        }
    }
    explanation
}

fn known(condition: Condition) -> Option<Condition> {
    Some(condition).filter(|condition| !condition.type_.is_empty())
}

#[cfg(test)]
mod tests;
