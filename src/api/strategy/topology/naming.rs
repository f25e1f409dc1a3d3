//! Templates of names in classes. (CAPI v1.14: core/webhooks/admission/clusterclass.go,
//! internal/topology/names)

use serde_json::{Value, json};

use crate::api::topology::{ClusterClass, NamingTemplate};
use crate::machinery::status::Cause;
use crate::machinery::{name_template, names};

/// Stands for what is drawn when a name is made.
const RANDOM: &str = "bcdfg";

/// Checks all templates of a class with names that Clusters might have.
pub(super) fn validate(class: &ClusterClass) -> Vec<Cause> {
    let spec = &class.spec;
    let mut causes = Vec::new();
    let mut check = |naming: &NamingTemplate, what: &str, path: String, extra: Value| {
        if !naming.template.is_empty() {
            causes.extend(validate_one(&naming.template, what, &path, extra));
        }
    };
    let path = "spec.infrastructure.naming.template".to_owned();
    check(&spec.infrastructure.naming, "InfraCluster", path, json!({}));
    let path = "spec.controlPlane.naming.template".to_owned();
    check(&spec.control_plane.naming, "ControlPlane", path, json!({}));
    for one in &spec.workers.machine_deployments {
        let path = format!("spec.workers.machineDeployments[{}].naming.template", one.class);
        let extra = json!({"machineDeployment": {"topologyName": "mdtopology"}});
        check(&one.naming, "MachineDeployment", path, extra);
    }
    for one in &spec.workers.machine_pools {
        let path = format!("spec.workers.machinePools[{}].naming.template", one.class);
        let extra = json!({"machinePool": {"topologyName": "mptopology"}});
        check(&one.naming, "MachinePool", path, extra);
    }
    causes
}

fn validate_one(template: &str, what: &str, path: &str, mut data: Value) -> Vec<Cause> {
    data["cluster"] = json!({"name": "cluster"});
    data["random"] = json!(RANDOM);
    match name_template::render(template, &data, RANDOM) {
        Err(error) => {
            let detail = format!("invalid {what} name template: {error}");
            vec![Cause::invalid(path, &json!(template), &detail)]
        }
        Ok(name) => {
            let errors = names::check_subdomain(&name).into_iter();
            errors.map(|error| Cause::invalid(path, &json!(template), &error)).collect()
        }
    }
}
