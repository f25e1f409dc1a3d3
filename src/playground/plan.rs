//! `capim topology plan`: what a change of ClusterClasses, templates or Clusters would do.
//!
//! The changed objects are tried on the server; what comes back stands in for them in a
//! [`Preview`], and the topology reconciler makes one pass over every Cluster that the change
//! touches. One pass is one step: an upgrade over several versions shows its first.

use std::collections::BTreeSet;

use kube::core::ApiResource;
use serde_json::{Value, json};

use super::process::contract_versions;
use super::providers::management_api;
use super::{Applier, ApplyError, Manifest};
use crate::api::conversion;
use crate::api::core::Cluster;
use crate::api::topology::ClusterClass;
use crate::apiserver::{Identity, ServiceUrls};
use crate::client::{Client, ClientError, ObjectKey, Preview, Tried};
use crate::clock::Clock;
use crate::controllers;
use crate::providers::core::topology::preview::{is_rollout, try_pass};

/// What would happen.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Clusters that the change touches, by namespace and name.
    pub clusters: Vec<ClusterPlan>,
}

/// What would happen to a Cluster.
#[derive(Clone, Debug)]
pub struct ClusterPlan {
    /// The Cluster.
    pub cluster: ObjectKey,
    /// What an upgrade waits for, or why the change does not work; empty if there is nothing to
    /// tell.
    pub message: String,
    /// Whether the change works.
    pub is_ok: bool,
    /// What would happen to objects, in order.
    pub steps: Vec<Step>,
}

/// What would happen to an object.
#[derive(Clone, Debug)]
pub struct Step {
    /// What happens.
    pub action: Action,
    /// Kind.
    pub kind: String,
    /// Name. Those of new objects are drawn anew when it happens.
    pub name: String,
    /// Machines that are replaced.
    pub rolls: Option<i64>,
    /// Fields that change: path, value before, value after.
    pub fields: Vec<(String, Value, Value)>,
}

/// What happens to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is made.
    Create,
    /// It is changed.
    Patch,
    /// It is deleted.
    Delete,
}

impl Action {
    /// As written into results.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A changed object is refused.
    #[error(transparent)]
    Refused(#[from] ApplyError),
    /// A request failed.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Plan {
    /// Whether anything would happen, or cannot.
    pub fn is_empty(&self) -> bool {
        self.clusters.iter().all(|cluster| cluster.steps.is_empty() && cluster.is_ok)
    }

    /// The plan as JSON.
    pub fn to_json(&self) -> Value {
        let step = |step: &Step| {
            let fields: Vec<Value> = step
                .fields
                .iter()
                .map(
                    |(path, before, after)| json!({"path": path, "before": before, "after": after}),
                )
                .collect();
            json!({
                "action": step.action.as_str(),
                "kind": step.kind,
                "name": step.name,
                "rolls": step.rolls,
                "fields": fields,
            })
        };
        let clusters: Vec<Value> = self
            .clusters
            .iter()
            .map(|cluster| {
                json!({
                    "namespace": cluster.cluster.namespace,
                    "name": cluster.cluster.name,
                    "ok": cluster.is_ok,
                    "message": cluster.message,
                    "steps": cluster.steps.iter().map(step).collect::<Vec<_>>(),
                })
            })
            .collect();
        json!({ "clusters": clusters })
    }
}

/// An API without anything in it, for plans from files alone.
///
/// # Errors
/// A request failed.
pub async fn empty_api(clock: &Clock) -> Result<Client, ClientError> {
    let kubelets = super::kubelets::ManagementKubelets::new();
    let server = management_api(clock, &ServiceUrls::default(), kubelets);
    let client = Client::in_process(&server, Identity::administrator("capim"), "capim");
    controllers::seed_namespaces(&client).await?;
    Ok(client)
}

/// What applying manifests would do to topologies. `namespace` is used for objects that name none.
///
/// # Errors
/// [`PlanError`]
pub async fn plan(
    client: &Client,
    clock: &Clock,
    namespace: &str,
    manifests: &[Manifest],
) -> Result<Plan, PlanError> {
    let written = Applier::discover(client).await?.dry_run(namespace, manifests).await?;
    let preview = Preview::new(client);
    let mut changed = Vec::new();
    for (resource, object) in written {
        // Classes may name templates in another version than that in which they are written.
        let mut forms: Vec<_> =
            VERSIONS.iter().filter_map(|version| in_version(&resource, &object, version)).collect();
        for (resource, object) in &forms {
            preview.put(resource, object);
        }
        changed.push(match forms.pop() {
            Some(newest) => newest,
            None => {
                preview.put(&resource, &object);
                (resource, object)
            }
        });
    }
    let versions = contract_versions(client).await?;
    let touched = Touched::by(&changed);
    let mut plan = Plan::default();
    for cluster in touched.clusters(client, &changed).await? {
        let class = touched.class(client, &changed, &cluster).await?;
        // Each Cluster is tried on its own, as if it were the only one.
        put_cluster(&preview, &cluster);
        let outlook = try_pass(&preview, &versions, clock, &cluster, class).await?;
        plan.clusters.push(ClusterPlan {
            cluster: ObjectKey::of(&cluster),
            message: outlook.message,
            is_ok: outlook.is_ok,
            steps: outlook.tried.iter().filter_map(step).collect(),
        });
    }
    Ok(plan)
}

/// Versions of Cluster API's kinds, the newest last.
const VERSIONS: [&str; 2] = ["v1beta1", "v1beta2"];

/// An object in another version, if capim converts its kind.
fn in_version(
    resource: &ApiResource,
    object: &Value,
    version: &str,
) -> Option<(ApiResource, Value)> {
    conversion::of(&resource.group, &resource.kind)?;
    let mut converted = object.clone();
    conversion::convert(&mut converted, &resource.version, version).ok()?;
    let api_version = format!("{}/{version}", resource.group);
    Some((ApiResource { version: version.to_owned(), api_version, ..resource.clone() }, converted))
}

fn put_cluster(preview: &Preview, cluster: &Cluster) {
    let mut object = json!(cluster);
    object["apiVersion"] = json!("cluster.x-k8s.io/v1beta2");
    object["kind"] = json!("Cluster");
    preview.put(&resource("Cluster", "clusters"), &object);
}

fn resource(kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: "cluster.x-k8s.io".to_owned(),
        version: "v1beta2".to_owned(),
        api_version: "cluster.x-k8s.io/v1beta2".to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

/// What the change is about.
struct Touched {
    /// Namespaces and names of changed classes.
    classes: BTreeSet<ObjectKey>,
    /// Namespaces, kinds and names of changed templates.
    templates: BTreeSet<(String, String, String)>,
}

fn key_of(object: &Value) -> ObjectKey {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    ObjectKey { namespace: text("namespace"), name: text("name") }
}

impl Touched {
    fn by(changed: &[(ApiResource, Value)]) -> Self {
        let of_kind = |wanted: &'static str| {
            changed.iter().filter(move |(resource, _)| resource.kind == wanted)
        };
        let classes = of_kind("ClusterClass").map(|(_, object)| key_of(object)).collect();
        let templates = changed.iter().filter(|(resource, _)| resource.kind.ends_with("Template"));
        let templates = templates.map(|(resource, object)| {
            let key = key_of(object);
            (key.namespace, resource.kind.clone(), key.name)
        });
        Self { classes, templates: templates.collect() }
    }

    /// Changed Clusters, and those of classes that changed themselves or in a template.
    async fn clusters(
        &self,
        client: &Client,
        changed: &[(ApiResource, Value)],
    ) -> Result<Vec<Cluster>, ClientError> {
        let own = changed.iter().filter(|(resource, _)| resource.kind == "Cluster");
        let mut all: Vec<Cluster> =
            own.filter_map(|(_, object)| serde_json::from_value(object.clone()).ok()).collect();
        let classes = client.list::<ClusterClass>("", "").await?;
        let touched = classes.iter().filter(|class| self.is_touched(class));
        let mut touched: BTreeSet<ObjectKey> = touched.map(ObjectKey::of).collect();
        touched.extend(self.classes.iter().cloned());
        for cluster in client.list::<Cluster>("", "").await? {
            let class =
                cluster.class_key().map(|(namespace, name)| ObjectKey::new(namespace, name));
            let is_known = all.iter().any(|known| ObjectKey::of(known) == ObjectKey::of(&cluster));
            if !is_known && class.is_some_and(|class| touched.contains(&class)) {
                all.push(cluster);
            }
        }
        all.retain(|cluster| cluster.spec.topology.is_defined());
        all.sort_by_key(ObjectKey::of);
        Ok(all)
    }

    fn is_touched(&self, class: &ClusterClass) -> bool {
        let namespace = class.metadata.namespace.clone().unwrap_or_default();
        let named = crate::providers::core::topology::template_refs(class);
        named.into_iter().any(|reference| {
            let key = (namespace.clone(), reference.kind.clone(), reference.name.clone());
            self.templates.contains(&key)
        })
    }

    /// The class of a Cluster, as it would be.
    async fn class(
        &self,
        client: &Client,
        changed: &[(ApiResource, Value)],
        cluster: &Cluster,
    ) -> Result<Option<ClusterClass>, ClientError> {
        let Some((namespace, name)) = cluster.class_key() else { return Ok(None) };
        let key = ObjectKey::new(namespace, name);
        let own = changed
            .iter()
            .find(|(resource, object)| resource.kind == "ClusterClass" && key_of(object) == key);
        match own {
            Some((_, object)) => Ok(serde_json::from_value(object.clone()).ok()),
            None => client.get::<ClusterClass>(&key).await,
        }
    }
}

/// A step for people. The shim and what does not change are left out.
fn step(tried: &Tried) -> Option<Step> {
    let object = tried.after.as_ref().or(tried.before.as_ref())?;
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    if matches!(kind.as_str(), "Secret" | "Cluster" | "Event") {
        return None;
    }
    let nothing = Value::Null;
    let (before, after) =
        (tried.before.as_ref().unwrap_or(&nothing), tried.after.as_ref().unwrap_or(&nothing));
    let action = match (&tried.before, &tried.after) {
        (None, _) => Action::Create,
        (Some(_), Some(_)) => Action::Patch,
        (Some(_), None) => Action::Delete,
    };
    let mut fields = Vec::new();
    if action == Action::Patch {
        for path in ["/spec", "/metadata/labels", "/metadata/annotations"] {
            let part = |object: &Value| object.pointer(path).cloned().unwrap_or_default();
            differences(&path.replace('/', ".")[1..], &part(before), &part(after), &mut fields);
        }
        if fields.is_empty() {
            return None;
        }
    }
    let rolls = (action == Action::Patch && is_rollout(before, after))
        .then(|| after["spec"]["replicas"].as_i64().unwrap_or(1));
    Some(Step { action, kind, name: key_of(object).name, rolls, fields })
}

/// Fields that differ, down to the smallest.
fn differences(path: &str, before: &Value, after: &Value, found: &mut Vec<(String, Value, Value)>) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                let part = |fields: &serde_json::Map<String, Value>| {
                    fields.get(name).cloned().unwrap_or_default()
                };
                differences(&format!("{path}.{name}"), &part(old), &part(new), found);
            }
        }
        (old, new) if old == new => {}
        (old, new) => found.push((path.to_owned(), old.clone(), new.clone())),
    }
}
