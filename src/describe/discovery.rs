//! From the objects of a cluster to its tree.
//! (CAPI v1.14: cmd/clusterctl/client/tree/discovery.go)

use std::collections::BTreeSet;

use serde_json::Value;

use super::object;
use super::sources::{Reference, Sources};
use super::tree::{Node, Options, Tree};

pub(super) fn discover(sources: &Sources, options: Options) -> Tree<'_> {
    let mut builder = Builder {
        namespace: object::namespace(&sources.cluster),
        tree: Tree::new(&sources.cluster, options),
        sources,
        placed: BTreeSet::new(),
    };
    builder.infrastructure();
    builder.resource_sets();
    builder.control_plane();
    builder.workers();
    builder.tree
}

struct Builder<'a> {
    namespace: &'a str,
    tree: Tree<'a>,
    sources: &'a Sources,
    /// Machines that have found their place.
    placed: BTreeSet<&'a str>,
}

impl<'a> Builder<'a> {
    fn infrastructure(&mut self) {
        if let Some(infrastructure) = self.sources.infrastructure() {
            let node = Node::object(infrastructure).role("ClusterInfrastructure");
            self.tree.add(Tree::ROOT, node);
        }
    }

    fn resource_sets(&mut self) {
        let Some(binding) = &self.sources.resource_set_binding else { return };
        if !self.tree.options.show_resource_sets {
            return;
        }
        let group =
            Node::virtual_("ClusterResourceSetGroup", self.namespace, "ClusterResourceSets");
        let Some(group) = self.tree.add(Tree::ROOT, group) else { return };
        for entry in binding["spec"]["bindings"].as_array().into_iter().flatten() {
            let name = entry["clusterResourceSetName"].as_str().unwrap_or_default();
            let node = Node::reference("ClusterResourceSet", self.namespace, name);
            self.tree.add(group, node);
        }
    }

    fn control_plane(&mut self) {
        let Some(control_plane) = self.sources.control_plane() else { return };
        let node = Node::object(control_plane).role("ControlPlane").grouping(true);
        let Some(parent) = self.tree.add(Tree::ROOT, node) else { return };
        let template = &control_plane["spec"]["machineTemplate"];
        let reference = Reference::of(&template["spec"]["infrastructureRef"])
            .or_else(|| Reference::of(&template["infrastructureRef"]));
        self.templates(parent, [(reference, "MachineInfrastructureTemplate")]);
        let machines = self.sources.machines.iter();
        for machine in machines.filter(|machine| object::is_control_plane_machine(machine)) {
            self.machine(parent, machine);
        }
    }

    fn workers(&mut self) {
        let has_machines =
            self.sources.machines.iter().any(|machine| !object::is_control_plane_machine(machine));
        let deployments = &self.sources.machine_deployments;
        let pools = &self.sources.machine_pools;
        // Upstream hides MachineDeployments until the cluster has its first worker, which is when
        // one wants to see them.
        if !has_machines && deployments.is_empty() && pools.is_empty() {
            return;
        }
        let group = Node::virtual_("WorkerGroup", self.namespace, "Workers");
        let Some(workers) = self.tree.add(Tree::ROOT, group) else { return };
        for deployment in deployments {
            self.machine_deployment(workers, deployment);
        }
        for pool in pools {
            self.machine_pool(workers, pool);
        }
        self.others(workers);
    }

    fn machine_deployment(&mut self, workers: usize, deployment: &'a Value) {
        let show_sets = self.tree.options.show_machine_sets;
        let node = Node::object(deployment).grouping(!show_sets);
        let Some(parent) = self.tree.add(workers, node) else { return };
        let spec = &deployment["spec"]["template"]["spec"];
        let bootstrap = Reference::of(&spec["bootstrap"]["configRef"]);
        let infrastructure = Reference::of(&spec["infrastructureRef"]);
        self.templates(
            parent,
            [
                (bootstrap, "BootstrapConfigTemplate"),
                (infrastructure, "MachineInfrastructureTemplate"),
            ],
        );
        for set in self.sources.sets_of(deployment) {
            let mut place = parent;
            if show_sets {
                let node = Node::object(set).grouping(true);
                place = self.tree.add(parent, node).unwrap_or(parent);
            }
            for machine in self.sources.machines_of(set) {
                self.machine(place, machine);
            }
        }
    }

    fn machine_pool(&mut self, workers: usize, pool: &'a Value) {
        let Some(parent) = self.tree.add(workers, Node::object(pool).grouping(true)) else {
            return;
        };
        let spec = &pool["spec"]["template"]["spec"];
        let bootstrap = (&spec["bootstrap"]["configRef"], "BootstrapConfig");
        let infrastructure = (&spec["infrastructureRef"], "MachinePoolInfrastructure");
        for (reference, role) in [bootstrap, infrastructure] {
            if let Some(found) = self.sources.resolve(reference) {
                self.tree.add(parent, Node::object(found).role(role).echoing());
            }
        }
        for machine in self.sources.machines_of(pool) {
            self.machine(parent, machine);
        }
    }

    /// Machines that nobody shown above controls.
    fn others(&mut self, workers: usize) {
        if self.placed.len() >= self.sources.machines.len() {
            return;
        }
        let group = Node::virtual_("OtherGroup", self.namespace, "Other");
        let Some(group) = self.tree.add(workers, group) else { return };
        for machine in &self.sources.machines {
            if !self.placed.contains(object::name(machine)) {
                self.machine(group, machine);
            }
        }
    }

    fn machine(&mut self, parent: usize, machine: &'a Value) {
        self.placed.insert(object::name(machine));
        let Some(id) = self.tree.add(parent, Node::object(machine)) else { return };
        let spec = &machine["spec"];
        let infrastructure = (&spec["infrastructureRef"], "MachineInfrastructure");
        let bootstrap = (&spec["bootstrap"]["configRef"], "BootstrapConfig");
        for (reference, role) in [infrastructure, bootstrap] {
            if let Some(found) = self.sources.resolve(reference) {
                self.tree.add(id, Node::object(found).role(role).echoing());
            }
        }
    }

    fn templates<const N: usize>(
        &mut self,
        parent: usize,
        references: [(Option<Reference>, &'static str); N],
    ) {
        if !self.tree.options.show_templates || references.iter().all(|(it, _)| it.is_none()) {
            return;
        }
        let name = self.tree.node(parent).name.clone();
        let group =
            Node::virtual_("TemplateGroup", self.namespace, &name).role("Templates").order(1);
        let Some(group) = self.tree.add(parent, group) else { return };
        for (reference, role) in references {
            let Some(reference) = reference else { continue };
            let node = Node::reference(&reference.kind, self.namespace, &reference.name);
            self.tree.add(group, node.role(role));
        }
    }
}
