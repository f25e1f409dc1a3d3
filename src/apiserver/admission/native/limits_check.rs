//! Whether pods and claims keep within a limit.
//! (kubernetes 1.36: plugin/pkg/admission/limitranger/admission.go)

use std::collections::BTreeMap;

use serde_json::Value;

use crate::machinery::quantity::Quantity;

/// Amounts by resource, in thousandths, with their texts.
type Amounts = BTreeMap<String, (i128, String)>;

/// What of a pod is beyond a limit.
pub(super) fn check_pod(limit: &Value, pod: &Value) -> Vec<String> {
    let mut why = Vec::new();
    let containers =
        |list: &str| pod["spec"][list].as_array().map(Vec::as_slice).unwrap_or_default();
    match limit["type"].as_str() {
        Some("Container") => {
            for container in containers("containers").iter().chain(containers("initContainers")) {
                let resources = &container["resources"];
                let usage = (amounts(&resources["requests"]), amounts(&resources["limits"]));
                check(limit, "Container", &usage, &mut why);
            }
        }
        Some("Pod") => {
            let total = |field: &str| {
                let of = |list: &[Value]| -> Vec<Amounts> {
                    list.iter().map(|it| amounts(&it["resources"][field])).collect()
                };
                largest(sum(of(containers("containers"))), of(containers("initContainers")))
            };
            check(limit, "Pod", &(total("requests"), total("limits")), &mut why);
        }
        _ => {}
    }
    why
}

/// What of a claim is beyond a limit.
pub(super) fn check_claim(limit: &Value, claim: &Value) -> Vec<String> {
    let mut why = Vec::new();
    if limit["type"] != "PersistentVolumeClaim" {
        return why;
    }
    let requests = amounts(&claim["spec"]["resources"]["requests"]);
    let kind = "PersistentVolumeClaim";
    for (name, (bound, shown)) in amounts(&limit["min"]) {
        why.extend(below(kind, &name, (bound, &shown), (requests.get(&name), None)));
    }
    for (name, (bound, shown)) in amounts(&limit["max"]) {
        let prefix = format!("maximum {name} usage per {kind} is {shown}");
        match requests.get(&name) {
            None => why.push(format!("{prefix}.  No request is specified")),
            Some((request, text)) if *request > bound => {
                why.push(format!("{prefix}, but request is {text}"));
            }
            Some(_) => {}
        }
    }
    why
}

fn check(
    limit: &Value,
    kind: &str,
    (requests, limits): &(Amounts, Amounts),
    why: &mut Vec<String>,
) {
    let usage = |name: &str| (requests.get(name), limits.get(name));
    for (name, (bound, shown)) in amounts(&limit["min"]) {
        why.extend(below(kind, &name, (bound, &shown), usage(&name)));
    }
    for (name, (bound, shown)) in amounts(&limit["max"]) {
        why.extend(above(kind, &name, (bound, &shown), usage(&name)));
    }
    for (name, (bound, shown)) in amounts(&limit["maxLimitRequestRatio"]) {
        why.extend(uneven(kind, &name, (bound, &shown), usage(&name)));
    }
}

/// Request and limit of one resource.
type Usage<'a> = (Option<&'a (i128, String)>, Option<&'a (i128, String)>);

fn below(
    kind: &str,
    name: &str,
    (bound, shown): (i128, &str),
    (request, limit): Usage<'_>,
) -> Option<String> {
    let prefix = format!("minimum {name} usage per {kind} is {shown}");
    match (request, limit) {
        (None, _) => Some(format!("{prefix}.  No request is specified")),
        (Some((given, text)), _) if *given < bound => {
            Some(format!("{prefix}, but request is {text}"))
        }
        (_, Some((given, text))) if *given < bound => {
            Some(format!("{prefix}, but limit is {text}"))
        }
        _ => None,
    }
}

fn above(
    kind: &str,
    name: &str,
    (bound, shown): (i128, &str),
    (request, limit): Usage<'_>,
) -> Option<String> {
    let prefix = format!("maximum {name} usage per {kind} is {shown}");
    match (request, limit) {
        (_, None) => Some(format!("{prefix}.  No limit is specified")),
        (_, Some((given, text))) if *given > bound => {
            Some(format!("{prefix}, but limit is {text}"))
        }
        (Some((given, text)), _) if *given > bound => {
            Some(format!("{prefix}, but request is {text}"))
        }
        _ => None,
    }
}

fn uneven(
    kind: &str,
    name: &str,
    (bound, shown): (i128, &str),
    (request, limit): Usage<'_>,
) -> Option<String> {
    let prefix = format!("{name} max limit to request ratio per {kind} is {shown}");
    let amount = |usage: Option<&(i128, String)>| usage.map_or(0, |(amount, _)| *amount);
    let (request, limit) = (amount(request), amount(limit));
    if request == 0 {
        return Some(format!("{prefix}, but no request is specified or request is 0"));
    }
    if limit == 0 {
        return Some(format!("{prefix}, but no limit is specified or limit is 0"));
    }
    if limit * 1000 <= request * bound {
        return None;
    }
    let ratio = limit as f64 / request as f64;
    Some(format!("{prefix}, but provided ratio is {ratio:.6}"))
}

fn amounts(list: &Value) -> Amounts {
    let list = list.as_object().into_iter().flatten();
    let amount = |(name, text): (&String, &Value)| {
        let text = text.as_str().map_or_else(|| text.to_string(), str::to_owned);
        let amount = Quantity::parse(&text).ok()?.milli_value();
        Some((name.clone(), (amount, text)))
    };
    list.filter_map(amount).collect()
}

/// The sum of what all containers have; a resource that one lacks is summed over the others.
fn sum(all: Vec<Amounts>) -> Amounts {
    let mut total = Amounts::new();
    for (name, (amount, text)) in all.into_iter().flatten() {
        let entry = total.entry(name).or_insert_with(|| (0, String::new()));
        entry.0 += amount;
        entry.1 = if entry.1.is_empty() { text } else { shown(entry.0) };
    }
    total
}

/// Init containers run before the others, one by one.
fn largest(mut total: Amounts, others: Vec<Amounts>) -> Amounts {
    for (name, (amount, text)) in others.into_iter().flatten() {
        let entry = total.entry(name).or_insert_with(|| (0, String::new()));
        if amount > entry.0 {
            *entry = (amount, text);
        }
    }
    total
}

/// An amount in thousandths as a quantity.
fn shown(milli: i128) -> String {
    if milli % 1000 == 0 { (milli / 1000).to_string() } else { format!("{milli}m") }
}
