//! Changes of a cluster that runs: its size, its version, its machines, whether it is reconciled.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::error::{Exit, Failure};
use super::kinds::{Kind, Served};
use super::members::{Members, is_of_topology, is_settled, name};
use super::wait::Awaited;
use crate::client::Client;

/// Most workers of a MachineDeployment that are accepted from the command line.
const WORKERS_MAX: i64 = 10_000;

/// A number of machines, or a change of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// That many.
    Exactly(u32),
    /// That many more or less.
    Change(i32),
}

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_change = text.starts_with(['+', '-']);
        let number: i32 =
            text.parse().map_err(|_| "expected a number, or a change such as +2".to_owned())?;
        if i64::from(number).abs() > WORKERS_MAX {
            return Err(format!("at most {WORKERS_MAX}"));
        }
        Ok(match u32::try_from(number) {
            Ok(number) if !is_change => Self::Exactly(number),
            _ => Self::Change(number),
        })
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(count) => write!(f, "{count}"),
            Self::Change(change) => write!(f, "{change:+}"),
        }
    }
}

impl Count {
    /// The new number after the present one.
    pub fn after(self, present: i64) -> u32 {
        let count = match self {
            Self::Exactly(count) => i64::from(count),
            Self::Change(change) => present.saturating_add(i64::from(change)),
        };
        u32::try_from(count.clamp(0, WORKERS_MAX)).unwrap_or_default()
    }
}

/// A number of control plane machines that etcd can have a majority in.
///
/// # Errors
/// What was expected.
pub fn parse_control_planes(text: &str) -> Result<u32, String> {
    let count: u32 = text.parse().map_err(|error| format!("{error}"))?;
    if count.is_multiple_of(2) || count > 9 {
        return Err(
            "etcd needs an odd number of control plane machines: 1, 3, 5, 7 or 9".to_owned()
        );
    }
    Ok(count)
}

/// A version as machines have it: `v1.37.0`, with whatever follows after `-` or `+`.
///
/// # Errors
/// What was expected.
pub fn parse_version(text: &str) -> Result<String, String> {
    let core = text.strip_prefix('v').unwrap_or(text);
    let numbers: Vec<&str> = core.split(['-', '+']).next().unwrap_or_default().split('.').collect();
    let is_number = |part: &&str| {
        !part.is_empty() && part.len() < 6 && part.bytes().all(|b| b.is_ascii_digit())
    };
    if numbers.len() != 3 || !numbers.iter().all(is_number) || text.len() > 64 {
        return Err("expected a version such as v1.37.0".to_owned());
    }
    Ok(format!("v{core}"))
}

/// New numbers of machines of a cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resize {
    /// Workers.
    pub(crate) workers: Option<Count>,
    /// Of which MachineDeployment; of the only one if `None`.
    pub(crate) deployment: Option<String>,
    /// Control plane machines.
    pub(crate) control_planes: Option<u32>,
}

/// An object whose number of replicas was changed.
pub(crate) struct Resized<'a> {
    pub(crate) kind: &'a Kind,
    /// As it was before.
    pub(crate) object: &'a Value,
    pub(crate) before: u32,
    pub(crate) after: u32,
}

impl Resized<'_> {
    /// Whether the object has taken the change on and its machines are there and ready.
    pub(crate) fn is_done(&self, object: Option<&Value>) -> Result<(), String> {
        match object {
            // A topology reaches the object later.
            Some(object) if object["spec"]["replicas"].as_u64() != Some(u64::from(self.after)) => {
                Err(format!("spec.replicas is {}", object["spec"]["replicas"]))
            }
            object => is_settled(object),
        }
    }
}

/// A part of a cluster whose machines are of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Part {
    /// Control plane and all MachineDeployments.
    #[default]
    All,
    /// The control plane.
    ControlPlane,
    /// One MachineDeployment.
    Deployment(String),
}

impl Members {
    /// Changes numbers of machines. Everything is looked up before anything is changed.
    ///
    /// # Errors
    /// [`Failure`]: there is no such part, or the API refuses.
    pub(crate) async fn resize(
        &self,
        client: &Client,
        resize: &Resize,
    ) -> Result<Vec<Resized<'_>>, Failure> {
        let mut changes = Vec::new();
        let present = |object: &Value| object["spec"]["replicas"].as_i64().unwrap_or(1);
        let number = |count: i64| u32::try_from(count).unwrap_or_default();
        if let Some(after) = resize.control_planes {
            let (kind, object) = self.control_plane()?;
            changes.push(Resized { kind, object, before: number(present(object)), after });
        }
        if let Some(count) = resize.workers {
            let object = self.deployment(resize.deployment.as_deref())?;
            let (before, after) = (number(present(object)), count.after(present(object)));
            changes.push(Resized { kind: &self.deployment_kind, object, before, after });
        }
        for change in &changes {
            if *change.kind == self.deployment_kind && is_of_topology(change.object) {
                self.scale_in_topology(client, change.object, change.after).await?;
            } else if *change.kind != self.deployment_kind && self.has_topology() {
                let topology = json!({"controlPlane": {"replicas": change.after}});
                self.patch_topology(client, topology).await?;
            } else {
                let patch = json!({"spec": {"replicas": change.after}});
                self.patch(client, change.kind, change.object, patch).await?;
            }
        }
        Ok(changes)
    }

    /// Asks for a version: of the topology, or of the control plane, which goes first. Answers what
    /// is upgraded by it.
    ///
    /// # Errors
    /// [`Failure`]: there is no control plane, or the API refuses.
    pub(crate) async fn upgrade(&self, client: &Client, version: &str) -> Result<String, Failure> {
        let (kind, control_plane) = self.control_plane()?;
        if self.has_topology() {
            self.patch_topology(client, json!({"version": version})).await?;
            return Ok(format!("cluster {:?}", self.name()));
        }
        self.patch(client, kind, control_plane, json!({"spec": {"version": version}})).await?;
        Ok(format!("{} {:?}", kind.singular, name(control_plane)))
    }

    /// Asks for a version of all workers of a cluster without a topology, when the control plane has
    /// it. Answers what is upgraded by it.
    ///
    /// # Errors
    /// [`Failure`]: the API refuses.
    pub(crate) async fn upgrade_workers(
        &self,
        client: &Client,
        version: &str,
    ) -> Result<Vec<String>, Failure> {
        let mut upgraded = Vec::new();
        for deployment in &self.deployments {
            let patch = json!({"spec": {"template": {"spec": {"version": version}}}});
            self.patch(client, &self.deployment_kind, deployment, patch).await?;
            upgraded.push(format!("machinedeployment {:?}", name(deployment)));
        }
        Ok(upgraded)
    }

    /// Whether workers have to be upgraded after the control plane by whoever upgrades.
    pub(crate) fn upgrades_in_steps(&self) -> bool {
        !self.has_topology() && !self.deployments.is_empty()
    }

    /// The control plane, to be waited for.
    ///
    /// # Errors
    /// `E030` if the cluster has none.
    pub(crate) fn awaited_control_plane(&self) -> Result<Awaited, Failure> {
        let (kind, object) = self.control_plane()?;
        Ok(self.awaited(kind, object))
    }

    /// Objects of a part.
    ///
    /// # Errors
    /// `E030` if there is no such part.
    pub(crate) fn part(&self, part: &Part) -> Result<Vec<(&Kind, &Value)>, Failure> {
        let control_plane = || self.control_plane().map(|(kind, object)| (kind, object));
        let deployment_kind = &self.deployment_kind;
        match part {
            Part::ControlPlane => Ok(vec![control_plane()?]),
            Part::Deployment(name) => Ok(vec![(deployment_kind, self.deployment(Some(name))?)]),
            Part::All => {
                let mut objects = vec![control_plane()?];
                objects.extend(self.deployments.iter().map(|it| (deployment_kind, it)));
                Ok(objects)
            }
        }
    }
}

/// Whether an object has taken a version on, and all its machines have it; `path` leads to the
/// version.
pub(crate) fn has_version(object: Option<&Value>, path: &str, version: &str) -> Result<(), String> {
    match object.map(|object| object.pointer(path)) {
        Some(found) if found.and_then(Value::as_str) != Some(version) => {
            Err(format!("its version is {}", found.unwrap_or(&Value::Null)))
        }
        _ => is_settled(object),
    }
}

/// Has the machines of some objects of a cluster replaced.
/// (CAPI v1.14: cmd/clusterctl/client/alpha/rollout_restarter.go)
///
/// # Errors
/// `E033` before anything is changed, for one that would not follow; [`Failure`] if the API refuses.
pub(crate) async fn restart(
    client: &Client,
    members: &Members,
    objects: &[(&Kind, &Value)],
    now: Timestamp,
) -> Result<(), Failure> {
    if is_paused(&members.cluster) {
        let message = format!("cluster {:?} is paused", members.name());
        return Err(Failure::new("E033", Exit::Conflict, message)
            .note("nothing of a paused cluster is reconciled")
            .hint(format!("capim resume {}", members.name())));
    }
    for (kind, object) in objects {
        refuse_restart(kind, object, now)?;
    }
    let after = format!("{now:.0}");
    for (kind, object) in objects {
        let patch = json!({"spec": {"rollout": {"after": after}}});
        members.patch(client, kind, object, patch).await?;
    }
    Ok(())
}

/// By its annotation, or by its own field as Clusters and MachineDeployments have one.
fn is_paused(object: &Value) -> bool {
    let annotations = &object["metadata"]["annotations"];
    annotations.get("cluster.x-k8s.io/paused").is_some()
        || object["spec"]["paused"].as_bool() == Some(true)
}

/// A paused object would not follow, and a time in the future was meant by somebody.
fn refuse_restart(kind: &Kind, object: &Value, now: Timestamp) -> Result<(), Failure> {
    let what = format!("{} {:?}", kind.singular, name(object));
    if is_paused(object) {
        return Err(Failure::new("E033", Exit::Conflict, format!("{what} is paused"))
            .hint(format!("capim resume {}/{}", kind.singular, name(object))));
    }
    let after = object["spec"]["rollout"]["after"].as_str();
    let after = after.and_then(|after| after.parse::<Timestamp>().ok());
    if after.is_some_and(|after| after > now) {
        let message = format!("{what} is to be restarted later: its spec.rollout.after is ahead");
        return Err(Failure::new("E033", Exit::Conflict, message));
    }
    Ok(())
}

/// What objects become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PauseState {
    /// Not reconciled.
    Paused,
    /// Reconciled.
    Running,
}

/// Stops the reconciliation of an object (`KIND/NAME`, or a Cluster's name), or lets it go on. A
/// Cluster takes all that belongs to it along.
///
/// # Errors
/// `E030` if it does not exist, [`Failure`] if the API refuses.
pub(crate) async fn pause(
    client: &Client,
    served: &Served,
    namespace: &str,
    typed: &str,
    state: PauseState,
) -> Result<String, Failure> {
    let typed = match typed.contains('/') {
        true => typed.to_owned(),
        false => format!("clusters.cluster.x-k8s.io/{typed}"),
    };
    let (kind, name) = served.object(&typed)?;
    kind.require(client, namespace, name).await?;
    let patch = pause_patch(&kind.resource.kind, &kind.resource.group, state);
    client
        .merge_patch_json(&kind.object_path(namespace, name), &patch)
        .await
        .map_err(|error| Failure::request(&format!("change {typed}"), &error))?;
    let verb = if state == PauseState::Paused { "paused" } else { "resumed" };
    Ok(format!("{} {name:?} {verb}", kind.singular))
}

fn pause_patch(kind: &str, group: &str, state: PauseState) -> Value {
    let paused = state == PauseState::Paused;
    if (kind, group) == ("Cluster", "cluster.x-k8s.io") {
        return json!({"spec": {"paused": paused}});
    }
    let value = if paused { json!("") } else { Value::Null };
    let mut patch = json!({"metadata": {"annotations": {"cluster.x-k8s.io/paused": value}}});
    // What `clusterctl alpha rollout pause` has set. (CAPI v1.14: rollout_resumer.go)
    if (kind, group, paused) == ("MachineDeployment", "cluster.x-k8s.io", false) {
        patch["spec"] = json!({"paused": null});
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_numbers_or_changes() {
        let after = |text: &str, present| text.parse::<Count>().map(|it| it.after(present));
        assert_eq!(after("3", 1), Ok(3));
        assert_eq!(after("+2", 3), Ok(5));
        assert_eq!(after("-5", 3), Ok(0));
        assert_eq!(after("+2", i64::MAX), Ok(10_000));
        for bad in ["", "x", "+", "99999999999", "20000", "1.5"] {
            assert!(after(bad, 1).is_err(), "{bad}");
        }
    }

    #[test]
    fn versions_have_three_numbers() {
        assert_eq!(parse_version("1.37.0").as_deref(), Ok("v1.37.0"));
        assert_eq!(parse_version("v1.37.0-rc.1+x").as_deref(), Ok("v1.37.0-rc.1+x"));
        for bad in ["", "v1", "latest", "v1.37", "v1.a.0", "1.2.3.4"] {
            assert!(parse_version(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_refuses_a_restart_as_paused_is_resumed() {
        let group = "cluster.x-k8s.io";
        let resume = pause_patch("MachineDeployment", group, PauseState::Running);
        assert_eq!(resume["spec"], json!({"paused": null}));
        assert!(resume["metadata"]["annotations"]["cluster.x-k8s.io/paused"].is_null());
        let pause = pause_patch("MachineDeployment", group, PauseState::Paused);
        assert_eq!(pause["spec"], Value::Null, "the annotation is enough");
        let resume = pause_patch(
            "KubeadmControlPlane",
            "controlplane.cluster.x-k8s.io",
            PauseState::Running,
        );
        assert_eq!(resume["spec"], Value::Null, "it has no such field");
    }

    #[test]
    fn control_plane_counts_are_odd() {
        assert_eq!(parse_control_planes("3"), Ok(3));
        assert!(parse_control_planes("2").is_err());
    }
}
