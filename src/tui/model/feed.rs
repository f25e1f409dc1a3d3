//! What changed since somebody last asked, from the informers' handlers. A change costs the
//! informer's task one entry in a map; many changes of one object are one entry.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use k8s_openapi::api::core::v1::Event;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::api::controlplane::KubeadmControlPlane;
use crate::api::core::{Cluster, Machine, MachineDeployment, MachineSet};
use crate::api::pools::MachinePool;
use crate::api::topology::ClusterClass;
use crate::client::ObjectKey;
use crate::runtime::{Informer, Manager};
use crate::tui::Sources;

/// What became of objects of a kind.
pub type Changed<K> = Vec<(ObjectKey, Option<Arc<K>>)>;

/// What became of all objects since the last time.
#[derive(Default)]
pub struct Changes {
    /// Clusters.
    pub clusters: Changed<Cluster>,
    /// Machines.
    pub machines: Changed<Machine>,
    /// KubeadmControlPlanes.
    pub control_planes: Changed<KubeadmControlPlane>,
    /// Events.
    pub events: Changed<Event>,
    /// MachineDeployments.
    pub deployments: Changed<MachineDeployment>,
    /// MachineSets.
    pub sets: Changed<MachineSet>,
    /// MachinePools.
    pub pools: Changed<MachinePool>,
    /// ClusterClasses.
    pub classes: Changed<ClusterClass>,
}

/// Gathers changes. Kinds that few views show are copied from the first time they are asked for.
pub(in crate::tui) struct Feed {
    changed: Arc<Notify>,
    clusters: Gathered<Cluster>,
    machines: Gathered<Machine>,
    control_planes: Gathered<KubeadmControlPlane>,
    events: Option<Gathered<Event>>,
    workers: Option<Workers>,
    classes: Option<Gathered<ClusterClass>>,
}

struct Workers {
    deployments: Gathered<MachineDeployment>,
    sets: Gathered<MachineSet>,
    pools: Gathered<MachinePool>,
}

impl Feed {
    pub(in crate::tui) fn new(sources: &Sources) -> Self {
        let changed = Arc::new(Notify::new());
        Self {
            clusters: Gathered::of(&sources.clusters, &changed),
            machines: Gathered::of(&sources.machines, &changed),
            control_planes: Gathered::of(&sources.control_planes, &changed),
            events: sources.events.as_ref().map(|events| Gathered::of(events, &changed)),
            workers: None,
            classes: None,
            changed,
        }
    }

    /// Begins to copy MachineDeployments, MachineSets and MachinePools.
    pub(in crate::tui) fn want_workers(&mut self, copies: &Manager) {
        self.workers.get_or_insert_with(|| Workers {
            deployments: Gathered::of(&copies.informer(), &self.changed),
            sets: Gathered::of(&copies.informer(), &self.changed),
            pools: Gathered::of(&copies.informer(), &self.changed),
        });
    }

    /// Begins to copy ClusterClasses.
    pub(in crate::tui) fn want_classes(&mut self, copies: &Manager) {
        self.classes.get_or_insert_with(|| Gathered::of(&copies.informer(), &self.changed));
    }

    /// Waits until something changed.
    pub(in crate::tui) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What changed since the last time.
    pub(in crate::tui) fn take(&self) -> Changes {
        fn of<K>(gathered: Option<&Gathered<K>>) -> Changed<K> {
            gathered.map(Gathered::take).unwrap_or_default()
        }
        let workers = self.workers.as_ref();
        Changes {
            clusters: self.clusters.take(),
            machines: self.machines.take(),
            control_planes: self.control_planes.take(),
            events: of(self.events.as_ref()),
            deployments: of(workers.map(|workers| &workers.deployments)),
            sets: of(workers.map(|workers| &workers.sets)),
            pools: of(workers.map(|workers| &workers.pools)),
            classes: of(self.classes.as_ref()),
        }
    }
}

/// Changes of one kind.
struct Gathered<K> {
    /// Written by the informer's task, emptied by the dashboard's.
    changes: Arc<Mutex<HashMap<ObjectKey, Option<Arc<K>>>>>,
}

impl<K: kube::Resource + Send + Sync + 'static> Gathered<K> {
    fn of(informer: &Informer<K>, changed: &Arc<Notify>) -> Self {
        let changes = Arc::new(Mutex::new(HashMap::new()));
        // The informer may outlive the dashboard.
        let (into, changed): (Weak<Mutex<_>>, _) = (Arc::downgrade(&changes), changed.clone());
        informer.on_change(move |change| {
            let Some(into) = into.upgrade() else { return };
            let key = ObjectKey::of(change.object().as_ref());
            into.lock().insert(key, change.new.clone());
            changed.notify_one();
        });
        Self { changes }
    }
}

impl<K> Gathered<K> {
    fn take(&self) -> Changed<K> {
        std::mem::take(&mut *self.changes.lock()).into_iter().collect()
    }
}
