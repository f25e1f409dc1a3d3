//! The engine as the topology controller calls it.

use serde_json::json;

use super::*;

fn class(patches: Value) -> ClusterClass {
    let variable = |name: &str| json!({"name": name, "definitions": [{"from": "inline"}]});
    let class = json!({
        "metadata": {"name": "class", "namespace": "ns"},
        "spec": {"patches": patches},
        "status": {"variables": [variable("image"), variable("list"), variable("on")]},
    });
    serde_json::from_value(class).expect("a class")
}

fn cluster() -> Cluster {
    serde_json::from_value(json!({
        "metadata": {"name": "c", "namespace": "ns", "uid": "u", "labels": {"l": "1"}},
        "spec": {
            "clusterNetwork": {"pods": {"cidrBlocks": ["10.0.0.0/16"]}, "serviceDomain": "local"},
            "topology": {
                "classRef": {"name": "class"}, "version": "v1.34.2",
                "controlPlane": {"replicas": 3,
                    "variables": {"overrides": [{"name": "image", "value": "cp"}]}},
                "workers": {
                    "machineDeployments": [
                        {"name": "md-a", "class": "large"},
                        {"name": "md-b", "class": "small",
                            "variables": {"overrides": [{"name": "image", "value": "small"}]}},
                    ],
                    "machinePools": [{"name": "mp", "class": "pool"}],
                },
                "variables": [
                    {"name": "image", "value": "base"}, {"name": "on", "value": true},
                    {"name": "list", "value": [{"a": 1}, {"a": 2}]}, {"name": "unknown", "value": 1},
                ],
            },
        },
    }))
    .expect("a cluster")
}

fn template(kind: &str) -> Value {
    json!({"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta2", "kind": kind,
        "metadata": {"name": "t", "namespace": "ns", "managedFields": [{}],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x"}},
        "spec": {"template": {"spec": {"list": ["x"]}}}})
}

fn object(kind: &str) -> Value {
    json!({"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta2", "kind": kind,
        "metadata": {"name": "c", "namespace": "ns",
            "labels": {"cluster.x-k8s.io/cluster-name": "c"}},
        "spec": {"list": ["x"], "version": "v1.34.2", "replicas": 3}})
}

/// The patched objects: infrastructure cluster, control plane, its machines, and bootstrap and
/// infrastructure of both MachineDeployments and the MachinePool.
fn patched(patches: Value) -> Result<Vec<Value>, String> {
    let (class, cluster) = (class(patches), cluster());
    let kinds = ["InfraClusterTemplate", "ControlPlaneTemplate", "InfraMachineTemplate"];
    let mut templates: Vec<Value> = kinds.map(template).to_vec();
    let mut objects = vec![object("InfraCluster"), object("ControlPlane")];
    objects.push(template("InfraMachineTemplate"));
    for _ in 0..2 {
        for kind in ["BootstrapTemplate", "InfraMachineTemplate"] {
            templates.push(template(kind));
            objects.push(template(kind));
        }
    }
    for (kind, made) in [("BootstrapTemplate", "Bootstrap"), ("InfraPoolTemplate", "InfraPool")] {
        templates.push(template(kind));
        objects.push(object(made));
    }
    let metadata: Vec<ObjectMeta> = ["c-md-a", "c-md-b", "c-mp"]
        .map(|name| ObjectMeta {
            name: Some(name.into()),
            namespace: Some("ns".into()),
            ..ObjectMeta::default()
        })
        .to_vec();
    let mut parts =
        templates.iter().zip(&mut objects).map(|(template, desired)| Part { template, desired });
    let mut next = || parts.next().expect("as many parts as are asked for");
    let (infrastructure_cluster, control_plane) = (next(), next());
    let control_plane_machines = Some(next());
    let mut workers =
        ["md-a", "md-b", "mp"].iter().zip(&metadata).map(|(name, metadata)| Workers {
            topology_name: name,
            metadata,
            version: "v1.34.2",
            replicas: Some(2),
            bootstrap: next(),
            infrastructure: next(),
        });
    let mut machine_deployments: Vec<_> = workers.by_ref().take(2).collect();
    let machine_pools: Vec<_> = workers.collect();
    machine_deployments.rotate_left(0);
    let desired = Desired {
        class: &class,
        cluster: &cluster,
        infrastructure_cluster,
        control_plane,
        control_plane_contract: Contract::V1Beta2,
        control_plane_machines,
        machine_deployments,
        machine_pools,
    };
    let result = futures::executor::block_on(apply(desired, None));
    result.map_err(|error| error.0)?;
    Ok(objects)
}

fn patch(kind: &str, uses: Value, operations: Value) -> Value {
    json!({"name": "p", "definitions": [{
        "selector": {"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta2", "kind": kind,
            "matchResources": uses},
        "jsonPatches": operations}]})
}

fn machines(value_from: Value) -> Value {
    let uses = json!({"controlPlane": true, "machineDeploymentClass": {"names": ["*"]}});
    let operation =
        json!({"op": "add", "path": "/spec/template/spec/image", "valueFrom": value_from});
    patch("InfraMachineTemplate", uses, json!([operation]))
}

#[test]
fn variables_reach_each_template_with_its_overrides() {
    let objects = patched(json!([machines(json!({"variable": "image"}))])).expect("patched");
    let images: Vec<&Value> =
        objects.iter().map(|object| &object["spec"]["template"]["spec"]["image"]).collect();
    let none = &Value::Null;
    let (base, cp, small) = (&json!("base"), &json!("cp"), &json!("small"));
    assert_eq!(images, [none, none, cp, none, base, none, small, none, none]);
}

#[test]
fn variables_are_found_by_path() {
    let objects = patched(json!([machines(json!({"variable": "list[1].a"}))])).expect("patched");
    assert_eq!(objects[2]["spec"]["template"]["spec"]["image"], 2);
    let error = |path: &str| {
        patched(json!([machines(json!({"variable": path}))])).expect_err("no such variable")
    };
    assert_eq!(
        error("nope"),
        "failed to generate patches for patch \"p\": failed to generate JSON patches for \
         \"InfraMachineTemplate\": failed to calculate value: variable \"nope\" does not exist"
    );
    assert!(
        error("list[5]").ends_with("variable \"list[5]\" is invalid: array does not have index 5")
    );
    assert!(
        error("image[0]").contains("failed to get array \"image\": value doesn't contain array")
    );
    assert!(error("builtin.cluster.nope").ends_with("failed to lookup segment \"nope\""));
    // What the patch does not define it does not see.
    assert!(error("unknown").ends_with("variable \"unknown\" does not exist"));
}

#[test]
fn builtin_describes_cluster_control_plane_and_workers() {
    let value = |path: &str| {
        let objects = patched(json!([machines(json!({"variable": path}))])).expect("patched");
        [2, 4].map(|at| objects[at]["spec"]["template"]["spec"]["image"].clone())
    };
    let cluster = json!({
        "name": "c", "namespace": "ns", "uid": "u", "metadata": {"labels": {"l": "1"}},
        "topology": {"version": "v1.34.2", "class": "class", "classNamespace": "ns",
            "classRef": {"name": "class", "namespace": "ns"}},
        "network": {"serviceDomain": "local", "pods": ["10.0.0.0/16"]},
    });
    assert_eq!(value("builtin.cluster"), [cluster.clone(), cluster.clone()]);
    let objects = patched(json!([machines(json!({"variable": "builtin"}))])).expect("patched");
    let builtin = |at: usize| &objects[at]["spec"]["template"]["spec"]["image"];
    assert_eq!(
        builtin(2)["controlPlane"],
        json!({"name": "c", "version": "v1.34.2", "replicas": 3,
            "metadata": {"labels": {"cluster.x-k8s.io/cluster-name": "c"}},
            "machineTemplate": {"infrastructureRef": {"name": "t"}}})
    );
    assert_eq!(
        builtin(4)["machineDeployment"],
        json!({"name": "c-md-a", "class": "large", "topologyName": "md-a", "version": "v1.34.2",
            "replicas": 2, "bootstrap": {"configRef": {"name": "t"}},
            "infrastructureRef": {"name": "t"}})
    );
}

#[test]
fn templates_render_yaml_and_decide_whether_a_patch_is_on() {
    let template =
        "- {{ .image }}-{{ .builtin.cluster.topology.version | trimPrefix \"v\" }}\n- 7\n";
    let mut patch = machines(json!({"template": template}));
    patch["enabledIf"] = json!("{{ eq .image \"cp\" }}");
    let objects = patched(json!([patch])).expect("patched");
    assert_eq!(objects[2]["spec"]["template"]["spec"]["image"], json!(["cp-1.34.2", 7]));
    assert_eq!(objects[4]["spec"]["template"]["spec"]["image"], Value::Null);
    let broken = patched(json!([machines(json!({"template": "{{ .image.x }}"}))]));
    assert_eq!(
        broken.unwrap_err(),
        "failed to generate patches for patch \"p\": failed to generate JSON patches for \
         \"InfraMachineTemplate\": failed to calculate value for template: failed to render \
         template: \"{{ .image.x }}\": template: tpl:1:9: executing \"tpl\" at <.image.x>: can't \
         evaluate field x in type interface {}"
    );
}

#[test]
fn patches_that_do_not_apply_say_why() {
    let uses = json!({"infrastructureCluster": true});
    let refused = |operation: Value| {
        patched(json!([patch("InfraClusterTemplate", uses.clone(), json!([operation]))]))
            .expect_err("must not apply")
    };
    let start = "failed to apply patches for patch \"p\": failed to apply patch: error applying \
                 json patch (RFC6902): ";
    for (op, path, expected) in [
        (
            "add",
            "/spec/template/spec/no/where",
            "add operation does not apply: doc is missing path: \
            \"/spec/template/spec/no/where\": missing value",
        ),
        (
            "replace",
            "/spec/template/spec/no",
            "replace operation does not apply: doc is missing \
            key: /spec/template/spec/no: missing value",
        ),
        (
            "remove",
            "/spec/template/spec/no",
            "error in remove for path: \
            '/spec/template/spec/no': unable to remove nonexistent key: no: missing value",
        ),
        (
            "add",
            "/spec/template/spec/list/7",
            "error in add for path: \
            '/spec/template/spec/list/7': Unable to access invalid index: 7: invalid index \
            referenced",
        ),
    ] {
        let operation = json!({"op": op, "path": path, "value": 1});
        assert_eq!(refused(operation), format!("{start}{expected}"));
    }
}

#[test]
fn patches_that_would_grow_without_end_are_refused() {
    let apply = |operations: Value| {
        let patch = operations.to_string().into_bytes();
        let patch = GeneratedPatch { uid: String::new(), patch_type: PatchType::Json, patch };
        super::json_patch::apply(&json!({"spec": {"a": "b"}}), &patch).map(drop)
    };
    let copies =
        ["/spec/x", "/spec/y"].map(|path| json!({"op": "copy", "from": "/spec", "path": path}));
    let error = apply(copies.iter().cycle().take(60).cloned().collect()).unwrap_err();
    assert!(error.contains("accumulated size increase of copy"), "{error}");
    let deeper = [
        json!({"op": "add", "path": "/t", "value": {}}),
        json!({"op": "move", "from": "/spec", "path": "/t/d"}),
        json!({"op": "move", "from": "/t", "path": "/spec"}),
    ];
    let error = apply(deeper.iter().cycle().take(600).cloned().collect()).unwrap_err();
    assert!(error.contains("nested deeper than 120 levels"), "{error}");
    assert_eq!(apply(deeper.iter().cycle().take(60).cloned().collect()), Ok(()));
}

#[test]
fn control_planes_keep_what_the_topology_computes() {
    let operations = json!([
        {"op": "add", "path": "/spec/template/spec/version", "value": "v9"},
        {"op": "add", "path": "/spec/template/spec/replicas", "value": 9},
        {"op": "add", "path": "/spec/template/spec/other", "value": "new"},
        {"op": "add", "path": "/spec/template/metadata/labels/own", "value": "1"},
        {"op": "add", "path": "/spec/template/metadata/labels/cluster.x-k8s.io~1cluster-name",
            "value": "x"},
        {"op": "add", "path": "/kind", "value": "Other"},
    ]);
    let uses = json!({"controlPlane": true});
    let patch = patch("ControlPlaneTemplate", uses, operations);
    let objects = patched(json!([patch])).expect("patched");
    let control_plane = &objects[1];
    assert_eq!(
        control_plane["spec"],
        json!({"list": ["x"], "version": "v1.34.2", "replicas": 3, "other": "new"})
    );
    assert_eq!(
        control_plane["metadata"]["labels"],
        json!({"own": "1", "cluster.x-k8s.io/cluster-name": "c"})
    );
    assert_eq!(control_plane["kind"], "ControlPlane");
    assert_eq!(objects[0]["spec"]["other"], Value::Null);
}

#[test]
fn selectors_take_globs_of_class_names() {
    for (names, expected) in [
        (json!(["large"]), [true, false]),
        (json!(["*all"]), [false, true]),
        (json!(["la*", "x"]), [true, false]),
        (json!(["*"]), [true, true]),
        (json!(["arge"]), [false, false]),
    ] {
        let uses = json!({"machineDeploymentClass": {"names": names}});
        let operation = json!({"op": "add", "path": "/spec/template/spec/image", "value": 1});
        let patch = patch("InfraMachineTemplate", uses, json!([operation]));
        let objects = patched(json!([patch])).expect("patched");
        let hit = [4, 6].map(|at| objects[at]["spec"]["template"]["spec"]["image"] == 1);
        assert_eq!(hit, expected, "{names}");
    }
}

#[test]
fn later_patches_see_what_earlier_ones_did() {
    let operation = |op: &str, value: Value| {
        let uses = json!({"infrastructureCluster": true});
        let path = "/spec/template/spec/x";
        patch("InfraClusterTemplate", uses, json!([{"op": op, "path": path, "value": value}]))
    };
    let patches = json!([operation("add", json!(1)), operation("replace", json!(2))]);
    assert_eq!(patched(patches).expect("patched")[0]["spec"]["x"], 2);
    let external = json!([{"name": "e", "external": {"generatePatchesExtension": "x.y"}}]);
    assert_eq!(
        patched(external).unwrap_err(),
        "can not use external patch \"e\" if RuntimeSDK feature flag is disabled"
    );
}
