//! Keeps the rules of aggregated ClusterRoles the union of those that they select. (kubernetes
//! 1.36: pkg/controller/clusterroleaggregation)

use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::core::ApiResource;
use serde_json::{Value, json};

use super::follow::{Follower, persist};
use crate::apiserver::ApiServer;
use crate::apiserver::authorization::{aggregated_rules, is_aggregated};
use crate::client::{Client, ClientError};
use crate::clock::Clock;

const GROUP: &str = "rbac.authorization.k8s.io";

pub(super) struct RoleAggregation {
    pub(super) server: ApiServer,
    pub(super) client: Client,
    pub(super) clock: Clock,
}

impl RoleAggregation {
    /// Works for ever.
    pub(super) async fn run(self) {
        let mut roles = Follower::new(&self.server, GROUP, "clusterroles");
        loop {
            roles.next().await;
            let all: Vec<Value> = roles
                .all()
                .iter()
                .filter_map(|entry| serde_json::from_slice(&entry.raw).ok())
                .collect();
            for role in all.iter().filter(|role| is_aggregated(role)) {
                if role["metadata"]["deletionTimestamp"].is_null() {
                    self.aggregate(role, &all).await;
                }
            }
        }
    }

    /// Writes the rules of one role if they are not what they should be. That write is seen, too,
    /// and takes roles along that aggregate this one.
    async fn aggregate(&self, role: &Value, all: &[Value]) {
        let Some(rules) = aggregated_rules(role, all.iter()) else { return };
        let rules: Vec<Value> = rules.iter().map(|rule| rule.to_value()).collect();
        let before = role["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
        if before == rules {
            return;
        }
        let name = role["metadata"]["name"].clone();
        let object = json!({"apiVersion": format!("{GROUP}/v1"), "kind": "ClusterRole",
            "metadata": {"name": name}, "rules": rules});
        persist(&self.clock, "aggregated ClusterRole", || self.apply(&object)).await;
    }

    async fn apply(&self, object: &Value) -> Result<(), ClientError> {
        let resource = ApiResource::erase::<ClusterRole>(&());
        self.client.apply(&resource, object).await.map(|_| ())
    }
}
