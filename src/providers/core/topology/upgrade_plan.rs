//! Which versions an upgrade goes through: pure. (CAPI v1.14: exp/topology/desiredstate/
//! upgrade_plan.go)

use std::collections::{BTreeMap, BTreeSet};

use super::version::{Order, compare, parse};
use crate::contract::version::Version;

/// Where an upgrade starts and ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Journey<'a> {
    /// Version of the topology.
    pub desired: &'a str,
    /// Version of the control plane's spec.
    pub control_plane: &'a str,
    /// Oldest version of any workers; empty without workers.
    pub min_workers: &'a str,
}

/// Versions to go through, in order, the last of which is the desired one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Of the control plane.
    pub control_plane: Vec<String>,
    /// Of the workers.
    pub workers: Vec<String>,
}

/// The oldest version of workers, as `vX.Y.Z`; empty without workers. `workers` are named for the
/// error only.
///
/// # Errors
/// A version that is none.
pub(super) fn min_workers_version<'a>(
    workers: impl IntoIterator<Item = (&'static str, &'a str, &'a str)>,
    control_plane: &Version,
) -> Result<String, String> {
    let mut min: Option<Version> = None;
    for (kind, name, version) in workers {
        if version.is_empty() {
            continue;
        }
        let version = parse(version).map_err(|error| {
            format!("failed to parse version {version} of {kind} {name}: {error}")
        })?;
        let is_lower = min.as_ref().is_none_or(|min| match compare(&version, min) {
            Order::Less => true,
            // Workers are at the control plane's version or at an older one.
            Order::Different => version.to_string() != control_plane.to_string(),
            Order::Equal | Order::Greater => false,
        });
        if is_lower {
            min = Some(version);
        }
    }
    Ok(min.map(|min| format!("v{min}")).unwrap_or_default())
}

/// The plan of a class without versions: to the next minor at most.
///
/// # Errors
/// The desired version is too far away.
pub(super) fn one_minor(journey: Journey<'_>) -> Result<Vec<String>, String> {
    let desired = parse(journey.desired).map_err(in_context("failed to parse desired version"))?;
    let current = parse(journey.control_plane)
        .map_err(in_context("failed to parse current ControlPlane version"))?;
    if current.to_string() == desired.to_string() {
        return Ok(Vec::new());
    }
    if desired.minor > current.minor.saturating_add(1) {
        return Err(format!(
            "cannot compute an upgrade plan from {} to {}",
            journey.control_plane, journey.desired
        ));
    }
    Ok(vec![journey.desired.to_owned()])
}

/// The plan of a class with versions: the newest of each minor on the way.
///
/// # Errors
/// A version that is none.
pub(super) fn from_versions(
    versions: &[String],
    journey: Journey<'_>,
) -> Result<Vec<String>, String> {
    let desired = parse(journey.desired).map_err(in_context("failed to parse desired version"))?;
    let current = parse(journey.control_plane)
        .map_err(in_context("failed to parse current ControlPlane version"))?;
    if current.to_string() == desired.to_string() {
        return Ok(Vec::new());
    }
    let mut candidates: Vec<(&String, Version)> = Vec::new();
    for text in versions {
        let version =
            parse(text).map_err(|error| format!("failed to parse version {text}: {error}"))?;
        if version.compare(&current).is_le() {
            continue;
        }
        if compare(&version, &desired) == Order::Greater {
            break;
        }
        let is_last = version.to_string() == desired.to_string();
        candidates.push((text, version));
        if is_last {
            break;
        }
    }
    let Some((first, _)) = candidates.first() else { return Ok(Vec::new()) };
    let mut plan: Vec<String> = Vec::new();
    let mut minor = current.minor;
    if minor == desired.minor {
        plan.push((*first).clone());
    }
    for (text, version) in &candidates {
        if version.minor > minor {
            plan.push((*text).clone());
        } else if version.minor == minor
            && let Some(last) = plan.last_mut()
        {
            last.clone_from(text);
        }
        minor = version.minor;
    }
    Ok(plan)
}

/// Checks a plan and fills in the workers' one: as few steps as the allowed skew (three minors)
/// permits.
///
/// # Errors
/// What is wrong with the plan.
pub(super) fn complete(journey: Journey<'_>, plan: Plan) -> Result<Plan, String> {
    let desired = parse(journey.desired)
        .map_err(|error| format!("failed to parse Cluster version {}: {error}", journey.desired))?;
    let control_plane = parse(journey.control_plane).map_err(|error| {
        format!("failed to parse ControlPlane version {}: {error}", journey.control_plane)
    })?;
    let min_workers = match journey.min_workers {
        "" => None,
        text => Some(
            parse(text)
                .map_err(|error| format!("failed to parse min workers version {text}: {error}"))?,
        ),
    };
    let known = check_control_plane(journey, &control_plane, &desired, &plan.control_plane)?;
    let Some(min_workers) =
        min_workers.filter(|version| compare(version, &desired) != Order::Equal)
    else {
        if !plan.workers.is_empty() {
            return Err("invalid worker upgrade plan; there are no workers or workers already at \
                        the desired version"
                .to_owned());
        }
        return Ok(plan);
    };
    check_workers_are_known(journey, &plan)?;
    let workers = match plan.workers.is_empty() {
        true => fewest_steps(journey, &min_workers, &desired, &known)?,
        false => plan.workers,
    };
    check_workers(journey, min_workers, &desired, &workers, &known)?;
    Ok(Plan { control_plane: plan.control_plane, workers })
}

/// What the control plane goes through.
struct Known {
    /// Newest version of each minor.
    minors: BTreeMap<u64, String>,
    /// Place of each version in the plan; the present one comes before all.
    places: BTreeMap<String, i64>,
}

fn check_control_plane(
    journey: Journey<'_>,
    current: &Version,
    desired: &Version,
    plan: &[String],
) -> Result<Known, String> {
    const INVALID: &str = "invalid ControlPlane upgrade plan:";
    let mut known = Known {
        minors: [(current.minor, journey.control_plane.to_owned())].into(),
        places: [(journey.control_plane.to_owned(), -1)].into(),
    };
    if compare(current, desired) == Order::Equal {
        if plan.is_empty() {
            return Ok(known);
        }
        return Err(format!("{INVALID} control plane is already at the desired version"));
    }
    let mut before = current.clone();
    for (index, text) in plan.iter().enumerate() {
        known.places.insert(text.clone(), i64::try_from(index).unwrap_or(i64::MAX));
        let version = parse(text).map_err(|error| {
            format!("{INVALID} item {index}; failed to parse version {text}: {error}")
        })?;
        if matches!(compare(&version, &before), Order::Less | Order::Equal) {
            return Err(format!(
                "{INVALID} item {index}; version {text} must be greater than v{before}"
            ));
        }
        if before.minor != version.minor && before.minor.wrapping_add(1) != version.minor {
            return Err(format!(
                "{INVALID} item {index}; expecting a version with minor {} or {}, found version {text}",
                before.minor,
                before.minor.wrapping_add(1)
            ));
        }
        known.minors.insert(version.minor, text.clone());
        before = version;
    }
    if compare(&before, desired) != Order::Equal {
        return Err(format!(
            "{INVALID} control plane upgrade plan must end with version {}, ends with v{before} instead",
            journey.desired
        ));
    }
    Ok(known)
}

fn check_workers_are_known(journey: Journey<'_>, plan: &Plan) -> Result<(), String> {
    if plan.control_plane.is_empty() {
        return Ok(());
    }
    let unknown: BTreeSet<&str> = plan
        .workers
        .iter()
        .map(String::as_str)
        .filter(|text| *text != journey.control_plane)
        .filter(|text| !plan.control_plane.iter().any(|known| known == text))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let unknown: Vec<&str> = unknown.into_iter().collect();
    Err(format!(
        "invalid workers upgrade plan: versions {} doesn't match any versions in the control plane upgrade plan nor the control plane version",
        unknown.join(",")
    ))
}

fn fewest_steps(
    journey: Journey<'_>,
    from: &Version,
    to: &Version,
    known: &Known,
) -> Result<Vec<String>, String> {
    let mut plan = Vec::new();
    // Versions come from users: the distance is bounded by the plan's minors.
    let distance = to.minor.saturating_sub(from.minor).min(10_000);
    for step in (3..distance).step_by(3) {
        let minor = from.minor + step;
        let version = known.minors.get(&minor).ok_or_else(|| {
            format!("invalid upgrade plan; unable to identify version for minor {minor}")
        })?;
        plan.push(version.clone());
    }
    if plan.last().map(String::as_str) != Some(journey.desired) {
        plan.push(journey.desired.to_owned());
    }
    Ok(plan)
}

fn check_workers(
    journey: Journey<'_>,
    from: Version,
    desired: &Version,
    plan: &[String],
    known: &Known,
) -> Result<(), String> {
    let mut before = from;
    for (index, text) in plan.iter().enumerate() {
        let invalid = format!("invalid workers upgrade plan, item {index};");
        let version = parse(text)
            .map_err(|error| format!("{invalid} failed to parse version {text}: {error}"))?;
        match compare(&version, &before) {
            Order::Less | Order::Equal => {
                return Err(format!("{invalid} version {text} must be greater than v{before}"));
            }
            Order::Different => {
                let place = |text: &str| known.places.get(text).copied();
                let target = place(text)
                    .ok_or_else(|| format!("{invalid} failer to determine version {text} order"))?;
                let current = place(&format!("v{before}"))
                    .ok_or_else(|| format!("failer to determine version v{before} order"))?;
                if target < current {
                    return Err(format!("{invalid} version {text} must be before v{before}"));
                }
            }
            Order::Greater => {}
        }
        if version.minor.wrapping_sub(before.minor) > 3 {
            return Err(format!(
                "{invalid} workers cannot go from minor {} (v{before}) to minor {} ({text}), an intermediate step is required to comply with Kubernetes version skew rules",
                before.minor, version.minor
            ));
        }
        before = version;
    }
    if compare(&before, desired) != Order::Equal {
        return Err(format!(
            "invalid workers upgrade plan; workers upgrade plan must end with version {}, ends with v{before} instead",
            journey.desired
        ));
    }
    Ok(())
}

fn in_context(what: &'static str) -> impl Fn(String) -> String {
    move |error| format!("{what}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journey<'a>(desired: &'a str, control_plane: &'a str, min_workers: &'a str) -> Journey<'a> {
        Journey { desired, control_plane, min_workers }
    }

    fn versions(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_class_without_versions_goes_one_minor_at_a_time() {
        let plan = |to, from| one_minor(journey(to, from, ""));
        assert_eq!(plan("v1.35.0", "v1.34.0"), Ok(versions("v1.35.0")));
        assert_eq!(plan("v1.34.2", "v1.34.0"), Ok(versions("v1.34.2")));
        assert_eq!(plan("v1.34.0", "v1.34.0"), Ok(Vec::new()));
        assert_eq!(
            plan("v1.35.0", "v1.33.0"),
            Err("cannot compute an upgrade plan from v1.33.0 to v1.35.0".to_owned())
        );
    }

    #[test]
    fn a_class_with_versions_takes_the_newest_of_each_minor() {
        let known = versions("v1.33.0 v1.33.1 v1.34.0 v1.34.2 v1.35.0 v1.35.1 v1.36.0");
        let plan = |to, from| from_versions(&known, journey(to, from, "")).unwrap();
        assert_eq!(plan("v1.35.0", "v1.33.0"), versions("v1.34.2 v1.35.0"));
        assert_eq!(plan("v1.36.0", "v1.33.0"), versions("v1.34.2 v1.35.1 v1.36.0"));
        assert_eq!(plan("v1.33.1", "v1.33.0"), versions("v1.33.1"));
        assert_eq!(plan("v1.34.0", "v1.33.1"), versions("v1.34.0"));
        assert_eq!(plan("v1.35.0", "v1.35.0"), versions(""));
    }

    /// Steps of the control plane to `to`, one minor each.
    fn check(from: (&str, &str), plan: &str, workers: &str, want: Result<&str, &str>) {
        let plan = Plan { control_plane: versions(plan), workers: versions(workers) };
        let to = plan.control_plane.last().cloned().unwrap_or_else(|| from.0.to_owned());
        let got = complete(journey(&to, from.0, from.1), plan).map(|plan| plan.workers);
        assert_eq!(got, want.map(versions).map_err(str::to_owned), "{from:?}");
    }

    #[test]
    fn workers_go_as_few_steps_as_the_skew_allows() {
        check(("v1.33.0", "v1.33.0"), "v1.34.0 v1.35.0", "", Ok("v1.35.0"));
        check(("v1.33.0", "v1.33.0"), "v1.34.0 v1.35.0 v1.36.0", "", Ok("v1.36.0"));
        check(("v1.33.0", "v1.33.0"), "v1.34.0 v1.35.0 v1.36.0 v1.37.0", "", Ok("v1.36.0 v1.37.0"));
        check(("v1.35.0", "v1.33.0"), "", "", Ok("v1.35.0"));
        check(("v1.33.0", ""), "v1.34.0", "", Ok(""));
        check(("v1.33.0", "v1.33.0"), "v1.34.0 v1.35.0", "v1.34.0 v1.35.0", Ok("v1.34.0 v1.35.0"));
    }

    #[test]
    fn impossible_plans_are_refused() {
        check(
            ("v1.33.0", ""),
            "v1.35.0",
            "",
            Err(
                "invalid ControlPlane upgrade plan: item 0; expecting a version with minor 33 or 34, found version v1.35.0",
            ),
        );
        check(
            ("v1.33.0", ""),
            "v1.34.0 v1.34.0",
            "",
            Err(
                "invalid ControlPlane upgrade plan: item 1; version v1.34.0 must be greater than v1.34.0",
            ),
        );
        check(
            ("v1.33.0", "v1.33.0"),
            "v1.34.0",
            "v1.34.1",
            Err(
                "invalid workers upgrade plan: versions v1.34.1 doesn't match any versions in the control plane upgrade plan nor the control plane version",
            ),
        );
        check(
            ("v1.33.0", "v1.33.0"),
            "v1.34.0 v1.35.0",
            "v1.34.0",
            Err(
                "invalid workers upgrade plan; workers upgrade plan must end with version v1.35.0, ends with v1.34.0 instead",
            ),
        );
        check(
            ("v1.34.0", ""),
            "",
            "v1.34.0",
            Err(
                "invalid worker upgrade plan; there are no workers or workers already at the desired version",
            ),
        );
    }

    #[test]
    fn versions_that_differ_in_words_of_their_build_keep_the_plans_order() {
        let plan = "v1.34.0+b v1.35.0+x v1.35.0+y";
        check(("v1.34.0+a", "v1.34.0+a"), plan, "", Ok("v1.35.0+y"));
        check(("v1.34.0+a", "v1.34.0+a"), plan, "v1.34.0+b v1.35.0+y", Ok("v1.34.0+b v1.35.0+y"));
        check(
            ("v1.34.0+a", "v1.34.0+a"),
            plan,
            "v1.35.0+y v1.35.0+x v1.35.0+y",
            Err("invalid workers upgrade plan, item 1; version v1.35.0+x must be before v1.35.0+y"),
        );
    }

    #[test]
    fn the_oldest_workers_count() {
        let control_plane = parse("v1.34.0+b").unwrap();
        let min = |all: &[&str]| {
            let all: Vec<_> = all.iter().map(|text| ("MachineDeployment", "a", *text)).collect();
            min_workers_version(all, &control_plane)
        };
        assert_eq!(min(&["v1.34.0", "v1.33.1", "", "v1.33.2"]).unwrap(), "v1.33.1");
        assert_eq!(min(&["v1.34.0+b", "v1.34.0+a"]).unwrap(), "v1.34.0+a");
        assert_eq!(min(&["v1.34.0+a", "v1.34.0+b"]).unwrap(), "v1.34.0+a");
        assert_eq!(min(&[]).unwrap(), "");
        assert!(min(&["x"]).unwrap_err().starts_with("failed to parse version x of Machine"));
    }
}
