//! Events of a topology. (CAPI v1.14: reconcile_state.go)

use k8s_openapi::api::core::v1::ObjectReference;
use serde_json::Value;

use super::tree;
use crate::api::core::Cluster;
use crate::runtime::{EventRecorder, EventType};

/// Records Events, or none where nothing really happens.
pub(crate) struct Events(pub(super) Option<EventRecorder>);

impl Events {
    /// Something was made.
    pub(super) fn created(&self, cluster: &Cluster, message: String) {
        self.on_cluster(cluster, "TopologyCreate", message);
    }

    /// Something was changed.
    pub(super) fn updated(&self, cluster: &Cluster, message: String) {
        self.on_cluster(cluster, "TopologyUpdate", message);
    }

    /// Something was deleted.
    pub(super) fn deleted(&self, cluster: &Cluster, message: String) {
        self.on_cluster(cluster, "TopologyDelete", message);
    }

    fn on_cluster(&self, cluster: &Cluster, reason: &str, message: String) {
        if let Some(recorder) = &self.0 {
            recorder.event(cluster, EventType::Normal, reason, message);
        }
    }

    /// Something happened to an object of any kind.
    pub(super) fn on(&self, object: &Value, reason: &str, message: String) {
        let Some(recorder) = &self.0 else { return };
        let text =
            |pointer| Some(tree::text(object, pointer).to_owned()).filter(|it| !it.is_empty());
        let about = ObjectReference {
            api_version: text("/apiVersion"),
            kind: text("/kind"),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
            uid: text("/metadata/uid"),
            resource_version: text("/metadata/resourceVersion"),
            field_path: None,
        };
        recorder.event_about(about, EventType::Normal, reason, message);
    }
}
