//! What of a cluster can be scaled, upgraded and rolled out: its control plane and
//! MachineDeployments, or their entries in the topology.

use serde_json::{Value, json};

use super::error::{Exit, Failure};
use super::kinds::{Kind, Served};
use super::wait::Awaited;
use crate::client::Client;
use crate::describe::Reference;

/// A cluster as a command changes it.
pub(crate) struct Members {
    pub(crate) cluster_kind: Kind,
    pub(crate) cluster: Value,
    pub(crate) control_plane: Option<(Kind, Value)>,
    pub(crate) deployment_kind: Kind,
    pub(crate) deployments: Vec<Value>,
    pub(crate) namespace: String,
}

impl Members {
    /// Reads them.
    pub(crate) async fn read(
        client: &Client,
        served: &Served,
        namespace: &str,
        name: &str,
    ) -> Result<Self, Failure> {
        let cluster_kind = served.find("clusters.cluster.x-k8s.io")?.clone();
        let cluster = cluster_kind.require(client, namespace, name).await?;
        let deployment_kind = served.find("machinedeployments.cluster.x-k8s.io")?.clone();
        let selector = format!("cluster.x-k8s.io/cluster-name={name}");
        let deployments = deployment_kind.list(client, namespace, &selector).await?;
        let control_plane = match Reference::of(&cluster["spec"]["controlPlaneRef"]) {
            Some(reference) => {
                let kind = served.find(&format!("{}.{}", reference.kind, reference.group))?;
                let object = kind.get(client, namespace, &reference.name).await?;
                object.map(|object| (kind.clone(), object))
            }
            None => None,
        };
        let namespace = namespace.to_owned();
        Ok(Self { cluster_kind, cluster, control_plane, deployment_kind, deployments, namespace })
    }

    /// Whether a ClusterClass decides about control plane and MachineDeployments.
    pub(crate) fn has_topology(&self) -> bool {
        self.cluster["spec"]["topology"].is_object()
    }

    /// Name of the cluster.
    pub(crate) fn name(&self) -> &str {
        name(&self.cluster)
    }

    /// The control plane.
    ///
    /// # Errors
    /// `E030` if the cluster has none.
    pub(crate) fn control_plane(&self) -> Result<&(Kind, Value), Failure> {
        self.control_plane.as_ref().ok_or_else(|| {
            let message = format!("cluster {:?} has no control plane", self.name());
            Failure::new("E030", Exit::NotFound, message)
        })
    }

    /// The MachineDeployment of a name (its entry's name in a topology, too), or the only one.
    ///
    /// # Errors
    /// `E030` if there is none, `E002` if it is not clear which one is meant.
    pub(crate) fn deployment(&self, wanted: Option<&str>) -> Result<&Value, Failure> {
        let is_wanted = |deployment: &&Value| {
            let topology_name = &deployment["metadata"]["labels"][TOPOLOGY_NAME];
            wanted.is_none_or(|wanted| name(deployment) == wanted || topology_name == wanted)
        };
        let found: Vec<&Value> = self.deployments.iter().filter(is_wanted).collect();
        let names = || self.deployments.iter().map(name).collect::<Vec<_>>().join(", ");
        match (found.as_slice(), wanted) {
            ([one], _) => Ok(one),
            ([], None) => {
                let message = format!("cluster {:?} has no MachineDeployment", self.name());
                Err(Failure::new("E030", Exit::NotFound, message))
            }
            ([], Some(wanted)) => {
                let message =
                    format!("cluster {:?} has no MachineDeployment {wanted:?}", self.name());
                Err(Failure::new("E030", Exit::NotFound, message)
                    .note(format!("it has {}", names())))
            }
            ([..], _) => {
                let message = format!("cluster {:?} has several MachineDeployments", self.name());
                Err(Failure::new("E002", Exit::Usage, message)
                    .note(names())
                    .hint("--md NAME                    says which one"))
            }
        }
    }

    /// Patches an object, or its entry in the topology; answers the object that will follow.
    pub(crate) async fn patch(
        &self,
        client: &Client,
        kind: &Kind,
        object: &Value,
        patch: Value,
    ) -> Result<(), Failure> {
        let path = kind.object_path(&self.namespace, name(object));
        client.merge_patch_json(&path, &patch).await.map(|_| ()).map_err(|error| {
            Failure::request(&format!("change {} {:?}", kind.singular, name(object)), &error)
        })
    }

    /// Patches the Cluster's topology, beside its lists.
    pub(crate) async fn patch_topology(
        &self,
        client: &Client,
        topology: Value,
    ) -> Result<(), Failure> {
        let patch = json!({"spec": {"topology": topology}});
        self.patch(client, &self.cluster_kind, &self.cluster, patch).await
    }

    /// Changes the number of replicas of a MachineDeployment's entry in the topology. The list that
    /// it is in is replaced as a whole, so the patch says which version of the Cluster it is about;
    /// as the Cluster's status changes all the time, it is tried again with the next version.
    pub(crate) async fn scale_in_topology(
        &self,
        client: &Client,
        deployment: &Value,
        replicas: u32,
    ) -> Result<(), Failure> {
        let path = self.cluster_kind.object_path(&self.namespace, self.name());
        let mut cluster = self.cluster.clone();
        for left in (0..CONFLICTS_MAX).rev() {
            let patch = json!({
                "metadata": {"resourceVersion": cluster["metadata"]["resourceVersion"]},
                "spec": {"topology": {"workers": workers_with(&cluster, deployment, replicas)}},
            });
            match client.merge_patch_json(&path, &patch).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_conflict() && left > 0 => {
                    cluster =
                        self.cluster_kind.require(client, &self.namespace, self.name()).await?;
                }
                Err(error) => {
                    let what = format!("change cluster {:?}", self.name());
                    return Err(Failure::request(&what, &error));
                }
            }
        }
        Ok(())
    }

    /// Machines that control plane or MachineDeployments have now.
    pub(crate) async fn machines(
        &self,
        client: &Client,
        served: &Served,
        of: &[(&Kind, &Value)],
    ) -> Result<Vec<Awaited>, Failure> {
        let kind = served.find("machines.cluster.x-k8s.io")?;
        let selector = format!("cluster.x-k8s.io/cluster-name={}", self.name());
        let machines = kind.list(client, &self.namespace, &selector).await?;
        let belongs = |machine: &&Value| {
            let labels = &machine["metadata"]["labels"];
            let deployment = &labels["cluster.x-k8s.io/deployment-name"];
            of.iter().any(|(kind, owner)| match **kind == self.deployment_kind {
                true => deployment == name(owner),
                false => labels.get("cluster.x-k8s.io/control-plane").is_some(),
            })
        };
        Ok(machines.iter().filter(belongs).map(|machine| self.awaited(kind, machine)).collect())
    }

    /// An object of the cluster, to be waited for.
    pub(crate) fn awaited(&self, kind: &Kind, object: &Value) -> Awaited {
        Awaited {
            kind: kind.clone(),
            namespace: self.namespace.clone(),
            name: name(object).to_owned(),
        }
    }
}

/// Label of the objects of an entry of a topology.
const TOPOLOGY_NAME: &str = "topology.cluster.x-k8s.io/deployment-name";
/// How often a patch about a version of an object is tried.
const CONFLICTS_MAX: u32 = 10;

/// Whether a MachineDeployment follows an entry of its Cluster's topology.
pub(crate) fn is_of_topology(deployment: &Value) -> bool {
    deployment["metadata"]["labels"].get(TOPOLOGY_NAME).is_some()
}

/// `spec.topology.workers` with another number of replicas for the entry of a MachineDeployment.
fn workers_with(cluster: &Value, deployment: &Value, replicas: u32) -> Value {
    let entry = &deployment["metadata"]["labels"][TOPOLOGY_NAME];
    let mut list = cluster["spec"]["topology"]["workers"]["machineDeployments"].clone();
    for item in list.as_array_mut().into_iter().flatten() {
        if &item["name"] == entry && item.is_object() {
            item["replicas"] = replicas.into();
        }
    }
    json!({"machineDeployments": list})
}

/// Name of an object.
pub(crate) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// Whether all replicas of an object are there, ready and of the latest template; if not, what is.
pub(crate) fn is_settled(object: Option<&Value>) -> Result<(), String> {
    let Some(object) = object else { return Err("it does not exist".to_owned()) };
    let (spec, status) = (&object["spec"], &object["status"]);
    let desired = spec["replicas"].as_i64().unwrap_or(1);
    let count = |field: &str| status[field].as_i64().unwrap_or_default();
    if status["observedGeneration"].as_i64().unwrap_or_default()
        < object["metadata"]["generation"].as_i64().unwrap_or_default()
    {
        return Err("the change was not seen yet".to_owned());
    }
    let (all, ready, fresh) =
        (count("replicas"), count("readyReplicas"), count("upToDateReplicas"));
    if (all, ready, fresh) == (desired, desired, desired) {
        return Ok(());
    }
    Err(format!("{desired} machines wanted, {all} there, {ready} ready, {fresh} up to date"))
}
