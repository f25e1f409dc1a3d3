use serde_json::{Value, json};

use super::*;
use crate::machinery::definition::{Objects, Verdict};
use crate::machinery::selector::LabelSelector;

/// Objects by kind, as a server has them.
#[derive(Default)]
struct Held(Vec<Value>);

impl Held {
    fn with(objects: impl IntoIterator<Item = Value>) -> Self {
        Self(objects.into_iter().collect())
    }
}

impl Objects for Held {
    fn get(&self, kind: ObjectKind<'_>, namespace: &str, name: &str) -> Option<Value> {
        let all = self.list(kind, Some(namespace), &LabelSelector::default());
        all.into_iter().find(|one| one["metadata"]["name"] == name)
    }

    fn list(
        &self,
        kind: ObjectKind<'_>,
        namespace: Option<&str>,
        labels: &LabelSelector,
    ) -> Vec<Value> {
        let of_kind = self.0.iter().filter(|one| one["kind"] == kind.kind);
        let of_kind =
            of_kind.filter(|one| labels.matches_by(|key| one["metadata"]["labels"][key].as_str()));
        let here =
            of_kind.filter(|one| namespace.is_none_or(|here| one["metadata"]["namespace"] == here));
        here.cloned().collect()
    }
}

fn class() -> Value {
    let template = |kind: &str| {
        json!({"templateRef": {"kind": kind, "name": "t",
        "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta2"}})
    };
    let mut control_plane = template("KubeadmControlPlaneTemplate");
    control_plane["machineInfrastructure"] = template("DevMachineTemplate");
    json!({
        "apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "ClusterClass",
        "metadata": {"name": "class", "namespace": "ns", "generation": 1},
        "spec": {
            "infrastructure": template("DevClusterTemplate"),
            "controlPlane": control_plane,
            "workers": {"machineDeployments": [{"class": "worker",
                "bootstrap": template("KubeadmConfigTemplate"),
                "infrastructure": template("DevMachineTemplate")}]},
            "variables": [{"name": "image", "schema": {"openAPIV3Schema": {"type": "string"}}}],
        },
        "status": {
            "observedGeneration": 1,
            "conditions": [{"type": "VariablesReady", "status": "True", "reason": "VariablesReady",
                "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            "variables": [
                {"name": "image", "definitions": [{"from": "inline", "required": true,
                    "schema": {"openAPIV3Schema": {"type": "string", "default": "base"}}}]},
                {"name": "size", "definitions": [{"from": "inline", "required": true,
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                        "cpu": {"type": "integer", "default": 2, "maximum": 8}}}}}]},
            ],
        },
    })
}

fn cluster() -> Value {
    json!({
        "apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster",
        "metadata": {"name": "c", "namespace": "ns"},
        "spec": {
            "controlPlaneRef": {"apiGroup": "controlplane.cluster.x-k8s.io",
                "kind": "KubeadmControlPlane", "name": "c-cp"},
            "topology": {
                "classRef": {"name": "class"}, "version": "v1.33.0",
                "workers": {"machineDeployments": [{"name": "md", "class": "worker", "replicas": 1}]},
                "variables": [{"name": "size", "value": {}}],
            },
        },
    })
}

fn told(verdict: &Verdict) -> Vec<String> {
    verdict.causes.iter().map(ToString::to_string).collect()
}

fn check(new: &Value, old: Option<&Value>, objects: &Held) -> Vec<String> {
    told(&cluster::validate(new, old, objects))
}

fn check_class(new: &Value, old: Option<&Value>, objects: &Held) -> Vec<String> {
    told(&class::validate(new, old, objects))
}

#[test]
fn variables_get_defaults_from_the_class() {
    let held = Held::with([class()]);
    let mut new = cluster();
    new["spec"]["topology"]["version"] = json!("1.33.0");
    new["spec"]["topology"]["workers"]["machineDeployments"][0]["variables"] =
        json!({"overrides": [{"name": "size", "value": {}}]});
    assert_eq!(cluster::default(&mut new, None, &held), []);
    let topology = &new["spec"]["topology"];
    assert_eq!(topology["version"], "v1.33.0");
    assert_eq!(
        topology["variables"],
        json!([{"name": "size", "value": {"cpu": 2}}, {"name": "image", "value": "base"}])
    );
    assert_eq!(
        topology["workers"]["machineDeployments"][0]["variables"]["overrides"],
        json!([{"name": "size", "value": {"cpu": 2}}])
    );
    let before = new.clone();
    assert_eq!(cluster::default(&mut new, Some(&before), &held), []);
    assert_eq!(new, before, "defaults are found where they are");
}

#[test]
fn variables_that_do_not_fit_are_refused_when_defaults_are_set() {
    let held = Held::with([class()]);
    let mut new = cluster();
    new["spec"]["topology"]["variables"] =
        json!([{"name": "size", "value": {"cpu": 9}}, {"name": "other", "value": 1}]);
    let causes = cluster::default(&mut new, None, &held);
    let causes: Vec<String> = causes.iter().map(ToString::to_string).collect();
    assert_eq!(
        causes[0],
        "spec.topology.variables[other]: Invalid value: \"1\": variable is not defined"
    );
    assert!(causes.iter().any(|one| one.starts_with("spec.topology.variables[size].value.cpu: ")));
}

#[test]
fn a_class_that_is_missing_or_not_ready_is_a_warning() {
    let warned = |held: &Held| cluster::validate(&cluster(), None, held).warnings;
    assert_eq!(
        warned(&Held::default()),
        ["Cluster refers to ClusterClass ns/class, but this ClusterClass does not exist. Cluster \
          topology has not been fully validated. The ClusterClass must be created to reconcile \
          the Cluster"]
    );
    let mut late = class();
    late["metadata"]["generation"] = json!(2);
    let held = Held::with([late]);
    assert_eq!(
        warned(&held),
        [
            "Cluster refers to ClusterClass ns/class, but this ClusterClass hasn't been successfully \
          reconciled. Cluster topology has not been fully validated. Please take a look at the \
          ClusterClass status"
        ]
    );
    assert_eq!(cluster::awaits(&cluster(), &held), Some(CLASSES));
    assert_eq!(cluster::awaits(&cluster(), &Held::default()), None);
    let mut new = cluster();
    assert_eq!(cluster::default(&mut new, None, &held), []);
    assert_eq!(new, cluster(), "an unfinished class gives no defaults");
}

#[test]
fn a_cluster_names_what_its_class_has() {
    let held = Held::with([class()]);
    assert_eq!(check(&cluster(), None, &held), Vec::<String>::new());
    let changed = |pointer: &str, value: Value| {
        let mut new = cluster();
        *new.pointer_mut(pointer).expect("is there") = value;
        check(&new, None, &held)
    };
    let worker = "/spec/topology/workers/machineDeployments/0/class";
    assert_eq!(
        changed(worker, json!("nope")),
        ["spec.topology.workers.machineDeployments[0].class: Invalid value: \"nope\": \
          MachineDeploymentClass with name \"nope\" does not exist in ClusterClass \"class\""]
    );
    assert_eq!(
        changed("/spec/topology/version", json!("v1.33")),
        ["spec.topology.version: Invalid value: \"v1.33\": version must be a valid semantic \
          version"]
    );
    let one = json!({"name": "md", "class": "worker"});
    assert_eq!(
        changed("/spec/topology/workers/machineDeployments", json!([one, one])),
        ["spec.topology.workers.machineDeployments[1].name: Invalid value: \"md\": name must be \
          unique. MachineDeployment with name \"md\" is defined more than once"]
    );
    let check = json!({"name": "md", "class": "worker", "healthCheck": {"enabled": true}});
    assert_eq!(
        changed("/spec/topology/workers/machineDeployments", json!([check])),
        ["spec.topology.workers.machineDeployments[md].healthCheck.enable: Forbidden: cannot be \
          set to true as healthCheck definition is not available in the Cluster topology or the \
          ClusterClass"]
    );
}

/// A Cluster at v1.33.0 whose parts have arrived there.
fn settled() -> Held {
    Held::with([
        class(),
        json!({"kind": "KubeadmControlPlane", "metadata": {"name": "c-cp", "namespace": "ns"},
            "spec": {"version": "v1.33.0"}, "status": {"versions": [{"version": "v1.33.0"}]}}),
        json!({"kind": "MachineDeployment", "metadata": {"name": "c-md", "namespace": "ns",
            "labels": {"cluster.x-k8s.io/cluster-name": "c", "topology.cluster.x-k8s.io/owned": ""}},
            "spec": {"selector": {"matchLabels": {"md": "c-md"}},
                "template": {"spec": {"version": "v1.33.0"}}}}),
        json!({"kind": "Machine", "metadata": {"name": "m", "namespace": "ns",
            "labels": {"md": "c-md"}}, "spec": {"version": "v1.33.0"}}),
    ])
}

#[test]
fn versions_go_up_one_minor_at_a_time_when_all_is_settled() {
    let to = |version: &str, held: &Held| {
        let mut new = cluster();
        new["spec"]["topology"]["version"] = json!(version);
        check(&new, Some(&cluster()), held)
    };
    let invalid = |version: &str, detail: &str| {
        vec![format!("spec.topology.version: Invalid value: \"{version}\": {detail}")]
    };
    assert_eq!(to("v1.34.1", &settled()), Vec::<String>::new());
    assert_eq!(
        to("v1.35.0", &settled()),
        invalid("v1.35.0", "version cannot be increased from \"1.33.0\" to \"1.35.0\"")
    );
    assert_eq!(
        to("v1.32.9", &settled()),
        invalid("v1.32.9", "version cannot be decreased from \"1.33.0\" to \"1.32.9\"")
    );
    let mut held = settled();
    held.0[1]["spec"]["version"] = json!("v1.32.0");
    held.0[3]["spec"]["version"] = json!("v1.32.0");
    assert_eq!(
        to("v1.34.0", &held),
        invalid(
            "v1.34.0",
            "version cannot be changed: [Cluster.spec.topology.version 1.33.0 was not propagated \
             to control plane yet (control plane version 1.32.0), there are still \
             MachineDeployments completing a previous upgrade: [c-md]]"
        )
    );
    let mut held = settled();
    held.0[1]["status"] = json!({"versions": [{"version": "v1.32.0"}, {"version": "v1.33.0"}]});
    assert_eq!(
        to("v1.34.0", &held),
        invalid(
            "v1.34.0",
            "version cannot be changed: control plane is still completing a previous upgrade"
        )
    );
    let mut held = settled();
    held.0[0]["spec"]["kubernetesVersions"] = json!(["v1.33.0", "v1.34.0", "v1.35.0"]);
    assert_eq!(to("v1.35.0", &held), Vec::<String>::new());
    assert_eq!(
        to("v1.34.1", &held),
        invalid("v1.34.1", "version must match one of the versions defined in the ClusterClass")
    );
}

#[test]
fn rebases_keep_kinds() {
    let mut other = class();
    other["metadata"]["name"] = json!("other");
    other["spec"]["infrastructure"]["templateRef"]["kind"] = json!("XClusterTemplate");
    let mut held = settled();
    held.0.push(other);
    let mut new = cluster();
    new["spec"]["topology"]["classRef"]["name"] = json!("other");
    assert_eq!(
        check(&new, Some(&cluster()), &held),
        ["spec.infrastructure.templateRef.kind: Forbidden: kind cannot be changed from \
          \"DevClusterTemplate\" to \"XClusterTemplate\" to prevent incompatible changes in the \
          Clusters"]
    );
    new["spec"]["topology"]["classRef"]["name"] = json!("nope");
    assert_eq!(
        check(&new, Some(&cluster()), &held),
        ["spec.topology.class: Internal error: ClusterClass ns/nope not found"]
    );
}

#[test]
fn classes_in_use_keep_what_is_used_and_stay() {
    let held = Held::with([cluster()]);
    assert_eq!(check_class(&class(), Some(&class()), &held), Vec::<String>::new());
    let mut new = class();
    new["spec"]["workers"]["machineDeployments"][0]["class"] = json!("renamed");
    assert_eq!(
        check_class(&new, Some(&class()), &held),
        [
            "spec.workers.machineDeployments: Forbidden: MachineDeploymentClass \"worker\" cannot be \
          deleted because it is used by Cluster \"c\""
        ]
    );
    assert_eq!(
        usage::refuse_deletion(&class(), &held).map(|refusal| refusal.why).as_deref(),
        Some("ClusterClass cannot be deleted because it is used by Cluster(s): ns/c")
    );
    assert_eq!(usage::refuse_deletion(&class(), &Held::default()), None);
    let mut elsewhere = cluster();
    elsewhere["metadata"]["namespace"] = json!("other");
    assert_eq!(usage::refuse_deletion(&class(), &Held::with([elsewhere])), None);
}

#[test]
fn classes_have_templates_names_and_versions() {
    let held = Held::default();
    let changed = |pointer: &str, value: Value| {
        let mut new = class();
        let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
        new.pointer_mut(parent).expect("is there")[field] = value;
        check_class(&new, None, &held)
    };
    assert_eq!(
        changed("/spec/infrastructure/templateRef/kind", json!("DevCluster")),
        ["spec.infrastructure.ref.kind: Invalid value: \"DevCluster\": template kind must be of \
          form \"<name>Template\""]
    );
    assert_eq!(
        changed("/spec/kubernetesVersions", json!(["v1.33.0", "v1.35.0", "v1.34.0"])),
        [
            "spec.kubernetesVersion[1]: Invalid value: \"v1.35.0\": expecting a version with minor \
             33 or 34, found version 1.35.0",
            "spec.kubernetesVersion[2]: Invalid value: \"v1.34.0\": version must be greater than \
             v1.35.0",
            "spec.kubernetesVersion[2]: Invalid value: \"v1.34.0\": expecting a version with minor \
             35 or 36, found version 1.34.0",
        ]
    );
    let naming =
        |template: &str| changed("/spec/controlPlane/naming", json!({"template": template}));
    assert_eq!(naming("{{ .cluster.name }}-cp-{{ .random }}"), Vec::<String>::new());
    assert_eq!(
        naming("{{ .cluster.nope }}"),
        ["spec.controlPlane.naming.template: Invalid value: \"{{ .cluster.nope }}\": invalid \
          ControlPlane name template: rendering template: template: template name generator:1:11: \
          executing \"template name generator\" at <.cluster.nope>: map has no entry for key \
          \"nope\""]
    );
    assert_eq!(
        naming("{{ upper .cluster.name }}"),
        [
            "spec.controlPlane.naming.template: Invalid value: \"{{ upper .cluster.name }}\": invalid \
          ControlPlane name template: parsing template \"{{ upper .cluster.name }}\": template: \
          template name generator:1: function \"upper\" not defined"
        ]
    );
}

#[test]
fn patches_select_and_patch_what_is_there() {
    let refused = |patch: Value| {
        let mut new = class();
        new["spec"]["patches"] = json!([patch]);
        check_class(&new, None, &Held::default())
    };
    let patch = |uses: Value, operation: Value| {
        json!({"name": "p", "definitions": [{
            "selector": {"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta2",
                "kind": "DevMachineTemplate", "matchResources": uses},
            "jsonPatches": [operation]}]})
    };
    let add = |path: &str, source: Value| json!({"op": "add", "path": path, "valueFrom": source});
    let fine = add("/spec/template/spec/x", json!({"variable": "image"}));
    let all = json!({"machineDeploymentClass": {"names": ["work*"]}, "controlPlane": true});
    assert_eq!(refused(patch(all.clone(), fine.clone())), Vec::<String>::new());
    let at = "spec.patches[0].definitions[0]";
    for (uses, operation, expected) in [
        (
            json!({"machineDeploymentClass": {"names": ["x"]}}),
            fine.clone(),
            format!(
                "{at}.selector.matchResources.machineDeploymentClass.names[0]: Invalid value: \
                     \"x\": selector is enabled but matches neither the bootstrap ref nor the \
                     infrastructure ref of a MachineDeployment class"
            ),
        ),
        (
            json!({"infrastructureCluster": true}),
            fine,
            format!(
                "{at}.selector.matchResources.infrastructureCluster: Invalid value: true: \
                     selector is enabled but does not match the infrastructure ref"
            ),
        ),
        (
            all.clone(),
            add("/spec/x", json!({"variable": "nope.a"})),
            format!(
                "{at}.jsonPatches[0].valueFrom.variable: Invalid value: \"nope.a\": variable \
                     with name nope.a cannot be found"
            ),
        ),
        (
            all.clone(),
            add("/spec/x", json!({"variable": "builtin.cluster.nope"})),
            format!(
                "{at}.jsonPatches[0].valueFrom.variable: Invalid value: \
                     \"builtin.cluster.nope\": not a defined builtin variable"
            ),
        ),
        (
            all.clone(),
            add("/spec/x", json!({"template": "{{ nope }}"})),
            format!(
                "{at}.jsonPatches[0].valueFrom.template: Invalid value: \"{{{{ nope }}}}\": \
                     template can not be parsed: template: valueFrom.template:1: function \
                     \\\"nope\\\" not defined"
            )
            .replace("\\\"", "\""),
        ),
        (
            all.clone(),
            add("/spec/list/3", json!({"variable": "image"})),
            format!(
                "{at}.jsonPatches[0].path: Invalid value: \"/spec/list/3\": arrays can only be \
                     accessed using \"0\" (prepend) or \"-\" (append)"
            ),
        ),
    ] {
        assert_eq!(refused(patch(uses, operation)), [expected]);
    }
    let found = refused(patch(all, json!({"op": "add", "path": "/metadata/x", "value": 1})));
    assert!(found[0].ends_with("jsonPatch path must start with \"/spec\""), "{found:?}");
    assert_eq!(
        refused(json!({"name": "inline"})),
        [
            "spec.patches[0].name: Required value: \"inline\" can not be used as the name of a patch",
            "spec.patches[0]: Required value: one of definitions or external must be defined",
        ]
    );
}
