//! Summary, mirror and aggregate of v1beta1 conditions.
//! (CAPI v1.14: util/conditions/deprecated/v1beta1)

use crate::api::conditions::V1Beta1Condition;

/// Sorts v1beta1 conditions: `Ready` first, the rest by name.
pub fn sort(conditions: &mut [V1Beta1Condition]) {
    conditions.sort_by(|a, b| (a.type_ != "Ready", &a.type_).cmp(&(b.type_ != "Ready", &b.type_)));
}

/// A condition by type.
pub fn get<'a>(conditions: &'a [V1Beta1Condition], type_: &str) -> Option<&'a V1Beta1Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether a condition is there and True.
pub fn is_true(conditions: &[V1Beta1Condition], type_: &str) -> bool {
    get(conditions, type_).is_some_and(|condition| condition.status == "True")
}

/// A `True` condition.
pub fn yes(type_: &str) -> V1Beta1Condition {
    V1Beta1Condition { type_: type_.to_owned(), status: "True".to_owned(), ..Default::default() }
}

/// A `False` condition.
pub fn no(type_: &str, reason: &str, severity: &str, message: &str) -> V1Beta1Condition {
    V1Beta1Condition {
        type_: type_.to_owned(),
        status: "False".to_owned(),
        severity: severity.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: None,
    }
}

/// An `Unknown` condition.
pub fn unknown(type_: &str, reason: &str, message: &str) -> V1Beta1Condition {
    V1Beta1Condition { status: "Unknown".to_owned(), ..no(type_, reason, "", message) }
}

/// How a summary speaks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SummaryOptions<'a> {
    /// Types that count, in order of importance; all but `Ready` if empty.
    pub types: &'a [&'a str],
    /// The step counter is used only if every condition in scope is one of these; its total is
    /// their number. `None` never counts steps.
    pub count_steps_of: Option<&'a [&'a str]>,
}

/// The `Ready` summary of an object's own conditions; `None` if there is nothing to summarise.
pub fn summary(
    conditions: &[V1Beta1Condition],
    options: SummaryOptions<'_>,
) -> Option<V1Beta1Condition> {
    let in_scope: Vec<Localized<'_>> = conditions
        .iter()
        .filter(|condition| condition.type_ != "Ready")
        .filter(|condition| {
            options.types.is_empty() || options.types.contains(&condition.type_.as_str())
        })
        .map(|condition| Localized { condition, kind: "", name: "" })
        .collect();
    let steps = options.count_steps_of.filter(|types| {
        in_scope.iter().all(|localized| types.contains(&localized.condition.type_.as_str()))
    });
    let merge = Merge { order: options.types, steps: steps.map(<[_]>::len), with_source: false };
    merge.merge(in_scope, "Ready")
}

/// An object whose `Ready` condition is aggregated.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Kind.
    pub kind: &'a str,
    /// Name.
    pub name: &'a str,
    /// v1beta1 conditions.
    pub conditions: &'a [V1Beta1Condition],
}

/// Aggregates the `Ready` conditions of objects, with a step counter and the source in the reason;
/// `None` if no object has one.
pub fn aggregate(sources: &[Source<'_>], target: &str) -> Option<V1Beta1Condition> {
    let in_scope = sources
        .iter()
        .filter_map(|source| {
            let condition = get(source.conditions, "Ready")?;
            Some(Localized { condition, kind: source.kind, name: source.name })
        })
        .collect();
    let merge = Merge { order: &[], steps: Some(sources.len()), with_source: true };
    merge.merge(in_scope, target)
}

/// Mirrors the `Ready` condition of an object as `target`; a missing one becomes `fallback`.
pub fn mirror(
    ready: Option<&V1Beta1Condition>,
    target: &str,
    fallback: impl FnOnce() -> V1Beta1Condition,
) -> V1Beta1Condition {
    match ready {
        Some(condition) => V1Beta1Condition { type_: target.to_owned(), ..condition.clone() },
        None => V1Beta1Condition { type_: target.to_owned(), ..fallback() },
    }
}

struct Localized<'a> {
    condition: &'a V1Beta1Condition,
    kind: &'a str,
    name: &'a str,
}

struct Merge<'a> {
    order: &'a [&'a str],
    steps: Option<usize>,
    with_source: bool,
}

impl Merge<'_> {
    /// The worst group decides: False by severity, then True, then Unknown.
    fn merge(&self, in_scope: Vec<Localized<'_>>, target: &str) -> Option<V1Beta1Condition> {
        let worst = in_scope.iter().map(|localized| rank(localized.condition)).min()?;
        let done = in_scope
            .iter()
            .filter(|l| l.condition.status == "True" && l.condition.severity.is_empty())
            .count();
        let mut top: Vec<Localized<'_>> =
            in_scope.into_iter().filter(|l| rank(l.condition) == worst).collect();
        top.sort_by(|a, b| (&a.condition.type_, a.name).cmp(&(&b.condition.type_, b.name)));
        let first = self
            .order
            .iter()
            .find_map(|type_| top.iter().find(|l| l.condition.type_ == *type_))
            .or(top.first())?;
        if first.condition.status == "True" {
            return Some(yes(target));
        }
        let reason = if self.with_source && !first.condition.reason.contains('@') {
            format!("{} @ {}/{}", first.condition.reason, first.kind, first.name)
        } else {
            first.condition.reason.clone()
        };
        let message = match self.steps {
            Some(total) => format!("{done} of {total} completed"),
            None => first.condition.message.clone(),
        };
        Some(if first.condition.status == "False" {
            no(target, &reason, &first.condition.severity, &message)
        } else {
            unknown(target, &reason, &message)
        })
    }
}

fn rank(condition: &V1Beta1Condition) -> u8 {
    match (condition.status.as_str(), condition.severity.as_str()) {
        ("False", "Error") => 0,
        ("False", "Warning") => 1,
        ("False", "Info") => 2,
        ("True", _) => 3,
        ("Unknown", _) => 4,
        _ => 99,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worst_severity_wins_and_steps_are_counted() {
        let conditions = [
            yes("InfrastructureReady"),
            no("BootstrapReady", "Waiting", "Info", "wait"),
            yes("Ready"),
        ];
        let steps = ["InfrastructureReady", "BootstrapReady"];
        let options = SummaryOptions { types: &[], count_steps_of: Some(&steps) };
        let ready = summary(&conditions, options).unwrap();
        assert_eq!(
            (ready.status.as_str(), ready.reason.as_str(), ready.message.as_str()),
            ("False", "Waiting", "1 of 2 completed")
        );
    }

    #[test]
    fn aggregate_names_the_source() {
        let waiting = [no("Ready", "Waiting", "Warning", "")];
        let ready = [yes("Ready")];
        let sources = [
            Source { kind: "Machine", name: "b", conditions: &waiting },
            Source { kind: "Machine", name: "a", conditions: &ready },
        ];
        let condition = aggregate(&sources, "MachinesReady").unwrap();
        assert_eq!(condition.reason, "Waiting @ Machine/b");
        assert_eq!(condition.message, "1 of 2 completed");
    }
}
