//! Computes one metav1 condition out of several: a summary of one object's conditions, or an
//! aggregate of one condition over several objects.
//! (CAPI v1.14: util/conditions/{summary,aggregate,merge_strategies}.go)

use std::collections::{BTreeMap, BTreeSet};

use super::{ConditionStatus, NOT_YET_REPORTED, New};
use crate::api::conditions::Condition;

/// How much a condition matters to the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Makes the result bad.
    Issue,
    /// Makes the result unknown.
    Unknown,
    /// Only informs.
    Info,
}

/// The default: a status that is bad in the type's polarity is an issue.
pub fn default_priority(condition: &Condition, negative: &[&str]) -> Priority {
    let is_negative = negative.contains(&condition.type_.as_str());
    match (ConditionStatus::parse(&condition.status), is_negative) {
        (ConditionStatus::True, true) | (ConditionStatus::False, false) => Priority::Issue,
        (ConditionStatus::True, false) | (ConditionStatus::False, true) => Priority::Info,
        (ConditionStatus::Unknown, _) => Priority::Unknown,
    }
}

/// Reasons of the result, by the worst priority found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reasons {
    /// There is an issue.
    pub issue: &'static str,
    /// Something is unknown.
    pub unknown: &'static str,
    /// All is well.
    pub info: &'static str,
}

/// Upstream's reasons where none are given.
pub const GENERIC_REASONS: Reasons =
    Reasons { issue: "IssuesReported", unknown: "UnknownReported", info: "InfoReported" };

/// Whether `True` is good for the result's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polarity {
    /// `True` is good.
    Positive,
    /// `True` is bad.
    Negative,
}

/// The computed state of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// Status.
    pub status: ConditionStatus,
    /// Reason.
    pub reason: String,
    /// Message.
    pub message: String,
}

impl Merged {
    /// The condition to set.
    pub fn named(self, type_: &'static str) -> New {
        New { type_, status: self.status, reason: self.reason, message: self.message }
    }
}

/// Rewrites the lines of a summary.
pub type Transform<'a> = &'a (dyn Fn(Vec<String>) -> Vec<String> + Send + Sync);

/// Prioritises a condition.
pub type Prioritise<'a> = &'a (dyn Fn(&Condition) -> Priority + Send + Sync);

/// A summary of conditions of one object.
#[derive(Clone)]
pub struct Summary<'a> {
    /// Types that count, in the order in which messages appear.
    pub types: &'a [&'a str],
    /// Types where `True` is bad.
    pub negative: &'a [&'a str],
    /// Types that do not count when they are missing; other missing types are Unknown.
    pub ignore_if_missing: &'a [&'a str],
    /// Conditions that stand in for the object's own of the same type.
    pub overrides: &'a [Condition],
    /// Reasons of the result.
    pub reasons: Reasons,
    /// Replaces the default priorities.
    pub prioritise: Option<Prioritise<'a>>,
    /// Rewrites the message's lines.
    pub transform: Option<Transform<'a>>,
}

impl Default for Summary<'_> {
    fn default() -> Self {
        Self {
            types: &[],
            negative: &[],
            ignore_if_missing: &[],
            overrides: &[],
            reasons: GENERIC_REASONS,
            prioritise: None,
            transform: None,
        }
    }
}

impl Summary<'_> {
    /// Summarises an object's conditions. With nothing in scope the result is Unknown with an
    /// empty message.
    pub fn of(&self, conditions: &[Condition]) -> Merged {
        let mut in_scope: Vec<Condition> = Vec::with_capacity(self.types.len());
        for type_ in self.types {
            let found = super::get(conditions, type_);
            match (found, super::get(self.overrides, type_)) {
                (Some(_), Some(override_)) => in_scope.push(override_.clone()),
                (Some(condition), None) => in_scope.push(condition.clone()),
                (None, _) if self.ignore_if_missing.contains(type_) => {}
                (None, _) => in_scope.push(not_yet_reported(type_, "Condition not yet reported")),
            }
        }
        let priority = |condition: &Condition| match self.prioritise {
            Some(prioritise) => prioritise(condition),
            None => default_priority(condition, self.negative),
        };
        let (status, reason) =
            outcome(in_scope.iter().map(priority), Polarity::Positive, self.reasons);
        let mut lines: Vec<String> = Vec::new();
        for condition in &in_scope {
            let informs = priority(condition) == Priority::Info;
            if informs && (status != ConditionStatus::True || condition.message.is_empty()) {
                continue;
            }
            lines.push(if condition.message.is_empty() {
                format!("* {}: {}", condition.type_, condition.reason)
            } else {
                format!("* {}:{}", condition.type_, indented(&condition.message))
            });
        }
        if let Some(transform) = self.transform {
            lines = transform(lines);
        }
        Merged { status, reason, message: lines.join("\n") }
    }
}

/// An object whose condition is aggregated.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Kind.
    pub kind: &'a str,
    /// Name.
    pub name: &'a str,
    /// Whether it is a control plane Machine; those are named first.
    pub is_control_plane_machine: bool,
    /// metav1 conditions.
    pub conditions: &'a [Condition],
}

/// Aggregates one condition type over objects; `None` without objects. Messages name at most three
/// objects each, and at most three messages are spelled out.
pub fn aggregate(
    sources: &[Source<'_>],
    type_: &str,
    polarity: Polarity,
    reasons: Reasons,
) -> Option<Merged> {
    if sources.is_empty() {
        return None;
    }
    let negative: &[&str] = match polarity {
        Polarity::Positive => &[],
        Polarity::Negative => std::slice::from_ref(&type_),
    };
    let mut in_scope: Vec<Owned<'_>> = sources
        .iter()
        .map(|source| {
            let condition = super::get(source.conditions, type_).cloned().unwrap_or_else(|| {
                not_yet_reported(type_, &format!("Condition {type_} not yet reported"))
            });
            let priority = default_priority(&condition, negative);
            Owned { source: *source, condition, priority }
        })
        .collect();
    in_scope.sort_by_key(|owned| owned.condition.last_transition_time.0);
    let (status, reason) = outcome(in_scope.iter().map(|o| o.priority), polarity, reasons);
    // Issues come before unknowns: a stable sort keeps the order of transition within each.
    in_scope.sort_by_key(|owned| owned.priority);
    let (bad, info): (Vec<Owned<'_>>, Vec<Owned<'_>>) =
        in_scope.into_iter().partition(|owned| owned.priority != Priority::Info);
    let lines = if bad.is_empty() {
        let told = info.iter().filter(|owned| !owned.condition.message.is_empty()).collect();
        aggregate_lines(told)
    } else {
        aggregate_lines(bad.iter().collect())
    };
    Some(Merged { status, reason, message: lines.join("\n") })
}

fn outcome(
    priorities: impl Iterator<Item = Priority>,
    polarity: Polarity,
    reasons: Reasons,
) -> (ConditionStatus, String) {
    let good = polarity == Polarity::Positive;
    let (status, reason) = match priorities.min().unwrap_or(Priority::Unknown) {
        Priority::Issue => (ConditionStatus::of(!good), reasons.issue),
        Priority::Unknown => (ConditionStatus::Unknown, reasons.unknown),
        Priority::Info => (ConditionStatus::of(good), reasons.info),
    };
    (status, reason.to_owned())
}

fn not_yet_reported(type_: &str, message: &str) -> Condition {
    Condition {
        type_: type_.to_owned(),
        status: ConditionStatus::Unknown.as_str().to_owned(),
        reason: NOT_YET_REPORTED.to_owned(),
        message: message.to_owned(),
        observed_generation: None,
        last_transition_time: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            jiff::Timestamp::UNIX_EPOCH,
        ),
    }
}

struct Owned<'a> {
    source: Source<'a>,
    condition: Condition,
    priority: Priority,
}

/// Objects that share a message.
#[derive(Default)]
struct Group<'a> {
    names: Vec<&'a str>,
    has_control_plane: bool,
}

const MESSAGES_MAX: usize = 3;
const NAMES_MAX: usize = 3;

fn aggregate_lines(in_scope: Vec<&Owned<'_>>) -> Vec<String> {
    let mut by_kind: BTreeMap<&str, BTreeMap<&str, Group<'_>>> = BTreeMap::new();
    // Priority and rank of a message hold over all kinds.
    let mut priorities: BTreeMap<&str, Priority> = BTreeMap::new();
    let mut control_plane: BTreeSet<&str> = BTreeSet::new();
    for owned in &in_scope {
        let message = owned.condition.message.as_str();
        let group = by_kind.entry(owned.source.kind).or_default().entry(message).or_default();
        group.names.push(owned.source.name);
        if owned.source.is_control_plane_machine {
            group.has_control_plane = true;
            control_plane.insert(owned.source.name);
        }
        let known = priorities.entry(message).or_insert(owned.priority);
        *known = owned.priority.min(*known);
    }
    let mut lines = Vec::new();
    let mut left = MESSAGES_MAX;
    for (kind, messages) in by_kind {
        let mut ordered: Vec<(&str, Group<'_>)> = messages.into_iter().collect();
        ordered.sort_by(|(a_message, a), (b_message, b)| {
            b.has_control_plane
                .cmp(&a.has_control_plane)
                .then_with(|| priorities[a_message].cmp(&priorities[b_message]))
                .then_with(|| b.names.len().cmp(&a.names.len()))
                .then_with(|| a.names.join(",").cmp(&b.names.join(",")))
        });
        let mut others: BTreeMap<Priority, usize> = BTreeMap::new();
        for (message, mut group) in ordered {
            if left == 0 {
                *others.entry(priorities[message]).or_default() += group.names.len();
                continue;
            }
            left -= 1;
            group.names.sort_by_key(|name| (!control_plane.contains(name), *name));
            lines.push(format!("* {}:{}", named(kind, &group.names), indented(message)));
        }
        for (priority, count) in others {
            let what = match priority {
                Priority::Issue => "with other issues",
                Priority::Unknown => "with status unknown",
                Priority::Info => "with additional info",
            };
            let kind = if count == 1 { kind.to_owned() } else { plural(kind) };
            lines.push(format!("And {count} {kind} {what}"));
        }
    }
    lines
}

fn named(kind: &str, names: &[&str]) -> String {
    match names.len() {
        1 => format!("{kind} {}", names[0]),
        count if count <= NAMES_MAX => format!("{} {}", plural(kind), names.join(", ")),
        count => format!(
            "{} {}, ... ({} more)",
            plural(kind),
            names[..NAMES_MAX].join(", "),
            count - NAMES_MAX
        ),
    }
}

/// English plural of a kind.
fn plural(kind: &str) -> String {
    match kind.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ if kind.ends_with(['s', 'x']) => format!("{kind}es"),
        _ => format!("{kind}s"),
    }
}

/// Whether a line holds a bullet: an asterisk before white space.
fn has_bullet(line: &str) -> bool {
    line.match_indices('*').any(|(at, _)| line[at + 1..].starts_with(char::is_whitespace))
}

/// A message behind a colon: on the same line, or as an indented list if it has several lines.
pub fn indented(message: &str) -> String {
    if !message.contains('\n') && !has_bullet(message) {
        return format!(" {message}");
    }
    let has_plain_lines = message.split('\n').any(|line| !has_bullet(line));
    let lines: Vec<String> = message
        .split('\n')
        .map(|line| match (has_plain_lines, has_bullet(line)) {
            (false, _) => format!("  {line}"),
            (true, true) => format!("    {line}"),
            (true, false) => format!("  * {line}"),
        })
        .collect();
    format!("\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::conditions::set;
    use jiff::Timestamp;

    fn one(type_: &'static str, status: ConditionStatus, message: &str) -> Vec<Condition> {
        let mut conditions = Vec::new();
        set(
            &mut conditions,
            New::with_status(type_, status, "R", message),
            None,
            Timestamp::UNIX_EPOCH,
        );
        conditions
    }

    fn machine<'a>(name: &'a str, conditions: &'a [Condition]) -> Source<'a> {
        Source { kind: "Machine", name, is_control_plane_machine: false, conditions }
    }

    #[test]
    fn aggregate_names_three_objects_and_counts_the_rest() {
        let bad = one("Ready", ConditionStatus::False, "boom");
        let sources: Vec<Source<'_>> =
            ["e", "d", "c", "b", "a"].iter().map(|name| machine(name, &bad)).collect();
        let merged = aggregate(&sources, "Ready", Polarity::Positive, GENERIC_REASONS).unwrap();
        assert_eq!(merged.status, ConditionStatus::False);
        assert_eq!(merged.message, "* Machines a, b, c, ... (2 more): boom");
    }

    #[test]
    fn a_fourth_message_is_only_counted() {
        let messages: Vec<Vec<Condition>> = ["1", "2", "3", "4"]
            .iter()
            .map(|message| one("Ready", ConditionStatus::False, message))
            .collect();
        let sources: Vec<Source<'_>> = ["a", "b", "c", "d"]
            .iter()
            .zip(&messages)
            .map(|(name, conditions)| machine(name, conditions))
            .collect();
        let merged = aggregate(&sources, "Ready", Polarity::Positive, GENERIC_REASONS).unwrap();
        assert_eq!(
            merged.message,
            "* Machine a: 1\n* Machine b: 2\n* Machine c: 3\nAnd 1 Machine with other issues"
        );
    }

    #[test]
    fn missing_conditions_are_unknown() {
        let sources = [machine("a", &[])];
        let merged = aggregate(&sources, "Ready", Polarity::Positive, GENERIC_REASONS).unwrap();
        assert_eq!(merged.status, ConditionStatus::Unknown);
        assert_eq!(merged.message, "* Machine a: Condition Ready not yet reported");
    }

    #[test]
    fn summary_lists_only_what_is_wrong() {
        let mut conditions = one("Ready", ConditionStatus::True, "fine");
        conditions.extend(one("NodeHealthy", ConditionStatus::False, "* a\n* b"));
        let summary = Summary {
            types: &["Ready", "NodeHealthy", "Other", "Deleting"],
            ignore_if_missing: &["Deleting"],
            ..Summary::default()
        };
        let merged = summary.of(&conditions);
        assert_eq!(merged.reason, "IssuesReported");
        assert_eq!(
            merged.message,
            "* NodeHealthy:\n  * a\n  * b\n* Other: Condition not yet reported"
        );
    }

    #[test]
    fn multiline_messages_become_bullets() {
        assert_eq!(indented("x\ny"), "\n  * x\n  * y");
        assert_eq!(indented("x\n* y"), "\n  * x\n    * y");
    }
}
