//! What a kubelet reports of containers: images by their full names, ids, states. Pure.

use serde_json::{Value, json};

use crate::clock::Seed;

/// Statuses of a running Pod's containers, by field of its status.
pub(super) fn statuses(pod: &Value, now: &str) -> Vec<(&'static str, Value)> {
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    let running = json!({"running": {"startedAt": now}});
    let mut fields = Vec::new();
    let containers = each(pod, "containers", |it| status(it, uid, running.clone(), true));
    fields.push(("containerStatuses", containers));
    if pod["spec"]["initContainers"].is_array() {
        let list = each(pod, "initContainers", |container| {
            if container["restartPolicy"] == "Always" {
                return status(container, uid, running.clone(), true);
            }
            let mut status = status(container, uid, Value::Null, false);
            status["state"] = ended(&status["containerID"], now, now);
            // A container that did what it was there for counts as ready.
            status["ready"] = true.into();
            status
        });
        fields.push(("initContainerStatuses", list));
    }
    if pod["spec"]["ephemeralContainers"].is_array() {
        let list = each(pod, "ephemeralContainers", |it| status(it, uid, running.clone(), false));
        fields.push(("ephemeralContainerStatuses", list));
    }
    fields
}

/// Statuses of containers that were told to stop.
pub(super) fn stopped(pod: &Value, now: &str) -> Vec<(&'static str, Value)> {
    let fields = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"];
    let mut changed = Vec::new();
    for field in fields {
        let Some(list) = pod["status"][field].as_array() else { continue };
        let list = list.iter().map(|known| {
            let mut known = known.clone();
            if let Some(started) = known["state"]["running"]["startedAt"].as_str() {
                known["state"] = ended(&known["containerID"], started, now);
                known["ready"] = false.into();
                known["started"] = false.into();
            }
            known
        });
        changed.push((field, Value::Array(list.collect())));
    }
    changed
}

fn each(pod: &Value, field: &str, make: impl Fn(&Value) -> Value) -> Value {
    pod["spec"][field].as_array().into_iter().flatten().map(make).collect()
}

fn ended(id: &Value, started: &str, now: &str) -> Value {
    json!({"terminated": {
        "containerID": id, "exitCode": 0, "reason": "Completed",
        "startedAt": started, "finishedAt": now,
    }})
}

fn status(container: &Value, uid: &str, state: Value, ready: bool) -> Value {
    let text = |field: &str| container[field].as_str().unwrap_or_default();
    let name = full_name(text("image"));
    let repository = repository_of(&name);
    json!({
        "name": text("name"),
        "image": name,
        "imageID": format!("{repository}@sha256:{}", digest(&[&name])),
        "containerID": format!("containerd://{}", digest(&[uid, text("name")])),
        "lastState": {},
        "ready": ready,
        "started": ready,
        "restartCount": 0,
        "state": state,
    })
}

/// 64 hexadecimal digits that depend on the parts only.
fn digest(parts: &[&str]) -> String {
    (0..4_u64).map(|block| format!("{:016x}", Seed(block).number(parts))).collect()
}

/// An image's name as containerd reports it: with registry and tag.
/// (distribution/reference: ParseNormalizedNamed, TagNameOnly)
fn full_name(image: &str) -> String {
    let has_registry = image.split_once('/').is_some_and(|(first, _)| {
        first.contains('.') || first.contains(':') || first == "localhost"
    });
    let mut name = match (has_registry, image.contains('/')) {
        (true, _) => image.to_owned(),
        (false, true) => format!("docker.io/{image}"),
        (false, false) => format!("docker.io/library/{image}"),
    };
    let last = name.rsplit('/').next().unwrap_or_default();
    if !last.contains(':') && !last.contains('@') {
        name.push_str(":latest");
    }
    name
}

/// A full name without tag and digest.
fn repository_of(name: &str) -> &str {
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_full_names() {
        for (image, name, repository) in [
            ("nginx", "docker.io/library/nginx:latest", "docker.io/library/nginx"),
            ("a/b:1", "docker.io/a/b:1", "docker.io/a/b"),
            ("localhost:5000/b", "localhost:5000/b:latest", "localhost:5000/b"),
            ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10", "registry.k8s.io/pause"),
            ("a.b/c@sha256:12", "a.b/c@sha256:12", "a.b/c"),
        ] {
            assert_eq!(full_name(image), name);
            assert_eq!(repository_of(name), repository);
        }
    }

    #[test]
    fn init_containers_have_done_their_work() {
        let pod = json!({
            "metadata": {"uid": "u"},
            "spec": {
                "containers": [{"name": "a", "image": "a"}],
                "initContainers": [
                    {"name": "b", "image": "b"},
                    {"name": "c", "image": "c", "restartPolicy": "Always"},
                ],
            },
        });
        let statuses: std::collections::HashMap<_, _> = statuses(&pod, "t").into_iter().collect();
        assert_eq!(
            statuses["containerStatuses"][0]["state"],
            json!({"running": {"startedAt": "t"}})
        );
        let init = &statuses["initContainerStatuses"];
        assert_eq!(init[0]["state"]["terminated"]["reason"], "Completed");
        assert_eq!(init[1]["state"]["running"]["startedAt"], "t");
        let id = init[0]["containerID"].as_str().unwrap();
        assert_eq!(id.len(), "containerd://".len() + 64);
    }
}
