//! Evicting pods: a deletion that disruption budgets may refuse.
//! (kubernetes 1.36: pkg/registry/core/pod/storage/eviction.go)

use axum::body::Body;
use http::Response;
use serde_json::{Value, json};

use super::binding::{set_condition, success};
use super::delete::delete_entry;
use super::pipeline::{Target, Write};
use super::update::{ATTEMPTS, conflict};
use super::{commit, encode, metadata};
use crate::apiserver::admission::subresources;
use crate::apiserver::body;
use crate::apiserver::options::DeleteOptions;
use crate::apiserver::profile::Resource;
use crate::apiserver::route::Call;
use crate::machinery::gvk::{GroupResource, GroupVersionKind};
use crate::machinery::selector::LabelSelector;
use crate::machinery::status::{Cause, Status};
use crate::store::{Entry, RangeQuery, WriteError};

const REFUSED: &str = "Cannot evict pod as it would violate the pod's disruption budget.";
const SEVERAL: &str = "This pod has more than one PodDisruptionBudget, which the eviction \
                       subresource does not support.";
/// Evictions that a budget remembers until its controller has seen them.
const DISRUPTED_MAX: usize = 2_000;

/// Answers the creation of an eviction of the pod that the path names.
///
/// # Errors
/// 400 for what is no eviction of this pod, 404 without such a pod, 429 if the pod's budget allows
/// no disruption, 500 if the pod has several budgets.
pub(in crate::apiserver) async fn evict(
    call: &Call<'_>,
    body: Body,
) -> Result<Response<Body>, Box<Status>> {
    let bytes = body::read(body).await?;
    let eviction = body::decode(call.headers, &bytes, "Eviction")?.value;
    if eviction["kind"].as_str().is_some_and(|kind| !matches!(kind, "" | "Eviction")) {
        return Err(Status::bad_request(format!("not a Eviction object: {eviction}")));
    }
    if metadata::text(&eviction, "name") != call.info.name {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    let given = Some(eviction["deleteOptions"].clone()).filter(Value::is_object);
    let mut options = DeleteOptions::parse(call.info, given)?;
    let mut write = Write::new(call, Target::Main, "CreateOptions")?;
    if write.options.dry_run {
        options.set_dry_run();
    }
    call.find().ok_or_else(|| call.not_found())?;
    let kind = GroupVersionKind::new("policy", "v1", "Eviction");
    let given = (eviction, options.is_dry_run());
    subresources::created(call, &kind, given, &mut write.warnings).await?;
    for _ in 0..ATTEMPTS {
        let entry = call.find().ok_or_else(|| call.not_found())?;
        let mut pod = encode::decode(&entry)?;
        if !ignores_budgets(&pod) && !spend(call, &pod, options.is_dry_run())? {
            continue;
        }
        let mut current = Some(entry.clone());
        if !options.is_dry_run() && pod["metadata"]["deletionTimestamp"].is_null() {
            set_condition(
                &mut pod,
                json!({
                    "type": "DisruptionTarget", "status": "True",
                    "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting",
                    "lastProbeTime": null, "lastTransitionTime": metadata::timestamp(write.now),
                }),
            );
            let draft = encode::encode(call.resource.version(), &pod)?;
            current = match call.server.store().update(&call.resource.key, entry.revision, draft) {
                Ok(event) => {
                    commit::committed(call, &event);
                    Some(event.entry.clone())
                }
                Err(_) => None,
            };
        }
        let Some(entry) = current else { continue };
        if delete_entry(call, &options, &mut write, &entry).await?.is_some() {
            return Ok(success(&write.warnings));
        }
    }
    Err(conflict(call))
}

/// Pods that do not run any more, or not yet, disrupt nothing.
fn ignores_budgets(pod: &Value) -> bool {
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    matches!(phase, "Succeeded" | "Failed" | "Pending")
        || !pod["metadata"]["deletionTimestamp"].is_null()
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|it| it["type"] == "Ready" && it["status"] == "True")
}

/// Takes a disruption from the pod's budget, if it has one; false if another write came between.
fn spend(call: &Call<'_>, pod: &Value, dry_run: bool) -> Result<bool, Box<Status>> {
    let Some(budgets) = call.server.resolve("policy", "v1", "poddisruptionbudgets") else {
        return Ok(true);
    };
    let mut matching = Vec::new();
    let query = RangeQuery {
        resource: &budgets.key,
        namespace: Some(call.namespace()),
        after: None,
        at: None,
        limit: 0,
    };
    let page = call.server.store().range(query, |_| true).map_err(Status::internal)?;
    for entry in page.entries {
        let budget = encode::decode(&entry)?;
        if selects(&budget, pod) {
            matching.push((entry, budget));
        }
    }
    if matching.len() > 1 {
        return Err(Status::unknown(SEVERAL));
    }
    let Some((entry, mut budget)) = matching.pop() else { return Ok(true) };
    if !is_ready(pod) && lets_unhealthy_go(&budget) {
        return Ok(true);
    }
    decrement(&mut budget, pod, &metadata::timestamp(call.server.clock().now()))?;
    if dry_run {
        return Ok(true);
    }
    store(call, &budgets, &entry, &budget)
}

fn store(
    call: &Call<'_>,
    budgets: &Resource,
    entry: &Entry,
    budget: &Value,
) -> Result<bool, Box<Status>> {
    let draft = encode::encode(budgets.version(), budget)?;
    match call.server.store().update(&budgets.key, entry.revision, draft) {
        Ok(_) => Ok(true),
        Err(WriteError::Conflict(_) | WriteError::NotFound | WriteError::Exists(_)) => Ok(false),
    }
}

fn selects(budget: &Value, pod: &Value) -> bool {
    let labels = &pod["metadata"]["labels"];
    LabelSelector::from_label_selector(&budget["spec"]["selector"])
        .is_ok_and(|selector| selector.matches_by(|key| labels[key].as_str()))
}

fn lets_unhealthy_go(budget: &Value) -> bool {
    let number = |field: &str| budget["status"][field].as_i64().unwrap_or(0);
    if budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow" {
        return true;
    }
    number("desiredHealthy") > 0 && number("currentHealthy") >= number("desiredHealthy")
}

/// Takes one disruption from a budget.
///
/// # Errors
/// 429 if there is none left, 403 for a status that makes no sense.
fn decrement(budget: &mut Value, pod: &Value, now: &str) -> Result<(), Box<Status>> {
    let name = metadata::text(budget, "name").to_owned();
    let number = |budget: &Value, field: &str| budget["status"][field].as_i64().unwrap_or(0);
    let generation = budget["metadata"]["generation"].as_i64().unwrap_or(0);
    let refused = |why: String, seconds: u32| {
        let mut status = Status::too_many_requests(REFUSED, seconds);
        status.details.get_or_insert_default().causes.push(Cause {
            reason: "DisruptionBudget".to_owned(),
            message: why,
            field: String::new(),
        });
        status
    };
    if number(budget, "observedGeneration") < generation {
        let why = format!("The disruption budget {name} is still being processed by the server.");
        return Err(refused(why, 10));
    }
    let forbidden = |why: &str| {
        Status::forbidden(&GroupResource::new("policy", "poddisruptionbudget"), &name, why)
    };
    let allowed = number(budget, "disruptionsAllowed");
    if allowed < 0 {
        return Err(forbidden("pdb disruptions allowed is negative"));
    }
    let disrupted = budget["status"]["disruptedPods"].as_object().map_or(0, serde_json::Map::len);
    if disrupted > DISRUPTED_MAX {
        let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
        return Err(forbidden(why));
    }
    if allowed == 0 {
        let why = format!(
            "The disruption budget {name} needs {} healthy pods and has {} currently",
            number(budget, "desiredHealthy"),
            number(budget, "currentHealthy")
        );
        return Err(refused(why, 0));
    }
    budget["status"]["disruptionsAllowed"] = (allowed - 1).into();
    let pod = metadata::text(pod, "name");
    budget["status"]["disruptedPods"][pod] = now.into();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(allowed: i64) -> Value {
        json!({
            "metadata": {"name": "b", "generation": 1},
            "spec": {"selector": {"matchLabels": {"a": "b"}}},
            "status": {"observedGeneration": 1, "disruptionsAllowed": allowed,
                       "desiredHealthy": 2, "currentHealthy": 1},
        })
    }

    #[test]
    fn budgets_are_spent() {
        let pod = json!({"metadata": {"name": "p", "labels": {"a": "b"}}});
        assert!(selects(&budget(1), &pod));
        let mut one = budget(1);
        assert!(decrement(&mut one, &pod, "t").is_ok());
        assert_eq!(one["status"]["disruptionsAllowed"], 0);
        assert_eq!(one["status"]["disruptedPods"], json!({"p": "t"}));
        let status = decrement(&mut one, &pod, "t").unwrap_err();
        assert_eq!((status.code, status.message.as_str()), (429, REFUSED));
        let cause = &status.details.as_ref().unwrap().causes[0];
        assert_eq!(
            cause.message,
            "The disruption budget b needs 2 healthy pods and has 1 currently"
        );
    }

    #[test]
    fn unhealthy_pods_may_go_where_there_are_enough() {
        let mut budget = budget(0);
        assert!(!lets_unhealthy_go(&budget));
        budget["status"]["currentHealthy"] = 2.into();
        assert!(lets_unhealthy_go(&budget));
    }
}
