//! What a class must keep, and what of it Clusters name.
//! (CAPI v1.14: internal/topology/check/compatibility.go)

use std::collections::BTreeSet;

use serde_json::json;

use crate::api::core::Cluster;
use crate::api::topology::{ClusterClass, TemplateRef};
use crate::machinery::status::{Cause, quote};

/// Checks that Clusters can go from one class, or one form of a class, to another.
pub(super) fn classes_are_compatible(current: &ClusterClass, desired: &ClusterClass) -> Vec<Cause> {
    let (old, new) = (&current.spec, &desired.spec);
    let mut causes = Vec::new();
    let mut compare = |old: &TemplateRef, new: &TemplateRef, path: String| {
        causes.extend(templates_are_compatible(old, new, &path));
    };
    let templates = (&old.infrastructure.template_ref, &new.infrastructure.template_ref);
    compare(templates.0, templates.1, "spec.infrastructure.templateRef".to_owned());
    let templates = (&old.control_plane.template_ref, &new.control_plane.template_ref);
    compare(templates.0, templates.1, "spec.controlPlane.templateRef".to_owned());
    let machines = &old.control_plane.machine_infrastructure.template_ref;
    let new_machines = &new.control_plane.machine_infrastructure.template_ref;
    if machines.is_defined() || new_machines.is_defined() {
        let path = "spec.controlPlane.machineInfrastructure.templateRef".to_owned();
        compare(machines, new_machines, path);
    }
    for (index, class) in new.workers.machine_deployments.iter().enumerate() {
        let known = old.workers.machine_deployments.iter().filter(|one| one.class == class.class);
        for old in known {
            let path =
                format!("spec.workers.machineDeployments[{index}].infrastructure.templateRef");
            compare(&old.infrastructure.template_ref, &class.infrastructure.template_ref, path);
        }
    }
    for (index, class) in new.workers.machine_pools.iter().enumerate() {
        let known = old.workers.machine_pools.iter().filter(|one| one.class == class.class);
        for old in known {
            let path = format!("spec.workers.machinePools[{index}].infrastructure.templateRef");
            compare(&old.infrastructure.template_ref, &class.infrastructure.template_ref, path);
        }
    }
    causes
}

fn templates_are_compatible(old: &TemplateRef, new: &TemplateRef, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let (old_group, new_group) = (old.group_version().0, new.group_version().0);
    let mut refuse = |field: &str, what: &str, old: &str, new: &str| {
        let detail = format!(
            "{what} cannot be changed from {} to {} to prevent incompatible changes in the \
             Clusters",
            quote(old),
            quote(new)
        );
        causes.push(Cause::forbidden(format!("{path}.{field}"), &detail));
    };
    if old_group != new_group {
        refuse("apiVersion", "group of apiVersion", old_group, new_group);
    }
    if old.kind != new.kind {
        refuse("kind", "kind", &old.kind, &new.kind);
    }
    causes
}

/// Checks the references of a class.
pub(super) fn templates_are_valid(class: &ClusterClass) -> Vec<Cause> {
    let spec = &class.spec;
    let mut causes = Vec::new();
    causes.extend(template_is_valid(&spec.infrastructure.template_ref, "spec.infrastructure"));
    causes.extend(template_is_valid(&spec.control_plane.template_ref, "spec.controlPlane"));
    let machines = &spec.control_plane.machine_infrastructure.template_ref;
    if machines.is_defined() {
        let path = "spec.controlPlane.machineInfrastructure";
        causes.extend(template_is_valid(machines, path));
    }
    let deployments = spec.workers.machine_deployments.iter();
    let deployments = deployments.map(|one| (&one.bootstrap, &one.infrastructure));
    let pools = spec.workers.machine_pools.iter();
    let pools = pools.map(|one| (&one.bootstrap, &one.infrastructure));
    let lists = [
        ("machineDeployments", deployments.collect::<Vec<_>>()),
        ("machinePools", pools.collect()),
    ];
    for (list, classes) in lists {
        for (index, (bootstrap, infrastructure)) in classes.into_iter().enumerate() {
            let at = format!("spec.workers.{list}[{index}].template");
            causes.extend(template_is_valid(&bootstrap.template_ref, &format!("{at}.bootstrap")));
            let at = format!("{at}.infrastructure");
            causes.extend(template_is_valid(&infrastructure.template_ref, &at));
        }
    }
    causes
}

fn template_is_valid(template: &TemplateRef, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let at = |field: &str| format!("{path}.ref.{field}");
    if template.name.is_empty() {
        causes.push(Cause::required(at("name"), "template name must be defined"));
    }
    let stem = template.kind.strip_suffix("Template");
    if stem.is_none_or(str::is_empty) {
        let detail = "template kind must be of form \"<name>Template\"";
        causes.push(Cause::invalid(at("kind"), &json!(template.kind), detail));
    }
    let version = &template.api_version;
    if version.is_empty() || version == "/" {
        causes.push(Cause::required(at("apiVersion"), "template apiVersion must be defined"));
    } else if version.matches('/').count() > 1 {
        let detail = format!(
            "template apiVersion must be a valid Kubernetes apiVersion: unexpected GroupVersion \
             string: {version}"
        );
        causes.push(Cause::invalid(at("apiVersion"), &json!(version), &detail));
    }
    causes
}

/// Checks that no two classes of MachineDeployments or of MachinePools have one name.
pub(super) fn worker_classes_are_unique(class: &ClusterClass) -> Vec<Cause> {
    let workers = &class.spec.workers;
    let deployments = workers.machine_deployments.iter().map(|one| one.class.as_str()).collect();
    let pools = workers.machine_pools.iter().map(|one| one.class.as_str()).collect();
    let lists: [(&str, &str, Vec<&str>); 2] = [
        ("MachineDeployment", "machineDeployments", deployments),
        ("MachinePool", "machinePools", pools),
    ];
    let mut causes = Vec::new();
    for (kind, list, classes) in lists {
        let mut known = BTreeSet::new();
        for (index, class) in classes.into_iter().enumerate() {
            if !known.insert(class) {
                let detail = format!(
                    "{kind} class must be unique. {kind} with class {} is defined more than once",
                    quote(class)
                );
                let at = format!("spec.workers.{list}[{index}].class");
                causes.push(Cause::invalid(at, &json!(class), &detail));
            }
        }
    }
    causes
}

/// Checks that a Cluster's workers have names of their own and classes that exist.
pub(super) fn workers_are_defined(cluster: &Cluster, class: &ClusterClass) -> Vec<Cause> {
    let (workers, classes) = (&cluster.spec.topology.workers, &class.spec.workers);
    let deployments = workers.machine_deployments.iter();
    let pools = workers.machine_pools.iter();
    /// Kind, field, names with their classes, classes there are.
    type Workers<'a> = (&'static str, &'static str, Vec<(&'a str, &'a str)>, Vec<&'a str>);
    let lists: [Workers<'_>; 2] = [
        (
            "MachineDeployment",
            "machineDeployments",
            deployments.map(|one| (one.name.as_str(), one.class.as_str())).collect(),
            classes.machine_deployments.iter().map(|one| one.class.as_str()).collect(),
        ),
        (
            "MachinePool",
            "machinePools",
            pools.map(|one| (one.name.as_str(), one.class.as_str())).collect(),
            classes.machine_pools.iter().map(|one| one.class.as_str()).collect(),
        ),
    ];
    let class_name = quote(class.metadata.name.as_deref().unwrap_or_default());
    let mut causes = Vec::new();
    for (kind, list, workers, classes) in lists {
        let mut names = BTreeSet::new();
        for (index, (name, class)) in workers.into_iter().enumerate() {
            let at = |field: &str| format!("spec.topology.workers.{list}[{index}].{field}");
            if !classes.contains(&class) {
                let detail = format!(
                    "{kind}Class with name {} does not exist in ClusterClass {class_name}",
                    quote(class)
                );
                causes.push(Cause::invalid(at("class"), &json!(class), &detail));
            }
            if name.is_empty() {
                causes.push(Cause::required(at("name"), "name must not be empty"));
            } else if !names.insert(name) {
                let detail = format!(
                    "name must be unique. {kind} with name {} is defined more than once",
                    quote(name)
                );
                causes.push(Cause::invalid(at("name"), &json!(name), &detail));
            }
        }
    }
    causes
}
