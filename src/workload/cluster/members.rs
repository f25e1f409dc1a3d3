//! The etcd members of a cluster's machines and what their Pods tell of them.

use std::net::IpAddr;
use std::sync::{Arc, Weak};

use k8s_openapi::api::core::v1::Pod;
use kube::core::ApiResource;
use serde_json::{Value, json};
use tokio::io::DuplexStream;

use super::{Cluster, EtcdMemberRequest};
use crate::client::ObjectKey;
use crate::workload::etcd::{EtcdCluster, EtcdOptions};
use crate::workload::host::{HostError, Shared};
use crate::workload::network::node_address;
use crate::workload::node::seconds;
use crate::workload::pods::{self, Component, ETCD_ANNOTATIONS, EtcdIds, PodFacts};

/// What the Pod of a machine's member shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EtcdPod {
    /// There is no Pod: the member has not started.
    Absent,
    /// A member that leads.
    Leader,
    /// A member that does not lead.
    Follower,
    /// A member no more.
    Removed,
}

/// The etcd of a cluster, which it tells of changes.
pub(super) fn etcd(key: &ObjectKey, shared: &Shared, cluster: Weak<Cluster>) -> Arc<EtcdCluster> {
    Arc::new(EtcdCluster::new(EtcdOptions {
        seed: shared.seed,
        cluster: key.clone(),
        clock: shared.clock.clone(),
        key: shared.serving_key.clone(),
        changed: Box::new(move || {
            if let Some(cluster) = cluster.upgrade() {
                cluster.etcd_changed();
            }
        }),
    }))
}

impl Cluster {
    /// Lets a machine's etcd member join and shows its Pod, unless it joined before. The machine
    /// must have a Node.
    pub(in crate::workload) async fn add_etcd_member(
        &self,
        request: &EtcdMemberRequest<'_>,
    ) -> Result<(), HostError> {
        let name = request.name;
        let machine = self.machine(name)?;
        if machine.etcd != EtcdPod::Absent {
            return Ok(());
        }
        if let Some(ca) = request.ca {
            self.etcd.set_authority(ca);
        }
        let address = bracketed(node_address(machine.slot));
        self.etcd.start(name, &address).map_err(|reason| HostError::Etcd {
            cluster: self.key.clone(),
            name: name.to_owned(),
            reason,
        })?;
        if self.etcd.member_state(name).is_none() {
            return Ok(());
        }
        self.run_static_pod(name, Component::Etcd).await?;
        // The leader may have changed while the Pod was written.
        self.annotate_etcd_pods().await;
        Ok(())
    }

    /// The Pod of a machine's member as it is now, and what it shows.
    pub(super) fn etcd_pod(&self, facts: &PodFacts<'_>) -> (Value, EtcdPod) {
        let Some(state) = self.etcd.member_state(facts.node) else {
            let mut pod = pods::static_pod(Component::Etcd, facts);
            pod["metadata"]["annotations"][format!("{ETCD_ANNOTATIONS}/member-removed")] =
                "".into();
            return (pod, EtcdPod::Removed);
        };
        let ids = EtcdIds {
            cluster: state.cluster_id,
            member: state.member_id,
            leader_from: state.is_leader.then(|| self.now()),
        };
        let shown = if state.is_leader { EtcdPod::Leader } else { EtcdPod::Follower };
        (pods::etcd_pod(facts, &ids), shown)
    }

    /// Opens a connection to a port of a machine's etcd Pod, as a forwarded port does. Nobody
    /// listens where no member runs.
    pub(in crate::workload) fn connect_etcd(&self, node: &str, port: u16) -> Option<DuplexStream> {
        let connected = self.etcd.connect(node, port, &self.shared.tasks, &self.stop);
        connected.inspect_err(|reason| tracing::debug!(node, reason, "no connection to etcd")).ok()
    }

    /// Whether a machine's etcd member was started.
    pub(in crate::workload) fn has_etcd_member(&self, name: &str) -> bool {
        let machines = self.machines.lock();
        machines.by_name.get(name).is_some_and(|machine| machine.etcd != EtcdPod::Absent)
    }

    /// Ends the member of a machine that goes. One that a control plane provider in another
    /// process has let go, which shows on its Pod only, leaves the cluster first.
    pub(super) async fn end_etcd_member(&self, name: &str) {
        let key = ObjectKey::new("kube-system", Component::Etcd.pod_name(name));
        let resource = ApiResource::erase::<Pod>(&());
        let pod = match self.engine.get() {
            Some(engine) => engine.client.get_dynamic(&resource, &key).await.ok().flatten(),
            None => None,
        };
        let annotations = pod.as_ref().and_then(|pod| pod.pointer("/metadata/annotations"));
        let removed = format!("{ETCD_ANNOTATIONS}/member-removed");
        if annotations.is_some_and(|annotations| annotations.get(&removed).is_some()) {
            self.etcd.remove(name);
        }
        self.etcd.stop(name);
    }

    /// Tells controllers, and in a moment the Pods.
    fn etcd_changed(&self) {
        self.journal.observe(&self.etcd.status(), self.now());
        self.shared.clusters.touch(&self.key);
        if self.stop.is_cancelled() || !self.is_annotation_due() {
            return;
        }
        let (me, stop) = (self.me.clone(), self.stop.clone());
        self.shared.tasks.spawn(async move {
            let Some(cluster) = me.upgrade() else { return };
            tokio::select! {
                () = cluster.annotate_etcd_pods() => {}
                () = stop.cancelled() => {}
            }
        });
    }

    fn is_annotation_due(&self) -> bool {
        let machines = self.machines.lock();
        machines.by_name.iter().any(|(name, machine)| self.due(name, machine.etcd).is_some())
    }

    /// What the Pod of a member should show, if it shows something else.
    fn due(&self, name: &str, shown: EtcdPod) -> Option<EtcdPod> {
        let truth = match (shown, self.etcd.member_state(name)) {
            (EtcdPod::Absent, _) => EtcdPod::Absent,
            (_, None) => EtcdPod::Removed,
            (_, Some(state)) if state.is_leader => EtcdPod::Leader,
            (_, Some(_)) => EtcdPod::Follower,
        };
        (truth != shown).then_some(truth)
    }

    /// Brings the annotations of all etcd Pods up to date, as upstream's in-memory provider
    /// shows members in them.
    pub(super) async fn annotate_etcd_pods(&self) {
        let _turn = self.annotating.lock().await;
        let due: Vec<(String, EtcdPod)> = {
            let machines = self.machines.lock();
            let due = |(name, machine): (&String, &super::Machine)| {
                self.due(name, machine.etcd).map(|due| (name.clone(), due))
            };
            machines.by_name.iter().filter_map(due).collect()
        };
        for (name, due) in due {
            self.annotate_etcd_pod(&name, due).await;
            self.update_machine(&name, |machine| machine.etcd = due);
        }
    }

    async fn annotate_etcd_pod(&self, name: &str, due: EtcdPod) {
        let (leader_from, removed) = match due {
            EtcdPod::Leader => (seconds(self.shared.clock.now()).into(), Value::Null),
            EtcdPod::Removed => (Value::Null, "".into()),
            EtcdPod::Follower | EtcdPod::Absent => (Value::Null, Value::Null),
        };
        let annotations = json!({
            format!("{ETCD_ANNOTATIONS}/leader-from"): leader_from,
            format!("{ETCD_ANNOTATIONS}/member-removed"): removed,
        });
        let patch = json!({"metadata": {"annotations": annotations}});
        let key = ObjectKey::new("kube-system", Component::Etcd.pod_name(name));
        let Some(engine) = self.engine.get() else { return };
        let resource = ApiResource::erase::<Pod>(&());
        // Somebody may have deleted the Pod, which tells nothing then.
        if let Err(error) = engine.client.merge_patch_dynamic(&resource, &key, "", &patch).await {
            tracing::debug!(%key, %error, "failed to annotate an etcd Pod");
        }
    }
}

/// An address as it stands in a URL.
pub(super) fn bracketed(address: IpAddr) -> String {
    if address.is_ipv6() { format!("[{address}]") } else { address.to_string() }
}
