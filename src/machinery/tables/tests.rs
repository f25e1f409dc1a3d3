use super::*;
use crate::machinery::builtin;
use crate::machinery::schema::{ListType, Node, NodeType};

const KUBERNETES: &str = include_str!("../../../assets/kubernetes.table");
const CLUSTER_API: &str = include_str!("../../../assets/cluster-api.table");

fn kind(table: &Table, name: &str) -> ResourceDefinition {
    let mut found = table.definitions.iter().filter(|definition| &*definition.kind == name);
    found.next().expect("in the table").clone()
}

fn field<'a>(schema: &'a Schema, path: &str) -> Node<'a> {
    path.split('.').fold(schema.root(), |node, step| match step {
        "[]" => node.items().expect("a list"),
        name => node.child(name).expect("a field"),
    })
}

#[test]
fn keywords_are_sorted() {
    assert!(KEYWORDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
}

#[test]
fn tables_are_small() {
    assert!(KUBERNETES.len() < 500 * 1024 && CLUSTER_API.len() < 500 * 1024);
}

#[test]
fn built_in_kinds_have_names_of_discovery() {
    let table = parse(KUBERNETES, Origin::BuiltIn).expect("parses");
    let pod = kind(&table, "Pod");
    assert_eq!((&*pod.group, &*pod.plural, &*pod.short_names[0]), ("", "pods", "po"));
    assert_eq!(&*pod.categories[0], "all");
    assert!(pod.namespaced && pod.subresources.status && pod.columns.is_empty());
    assert!(pod.selectable_fields.iter().any(|path| &**path == "spec.nodeName"));
    assert!(!kind(&table, "Node").namespaced);
    assert!(kind(&table, "Deployment").subresources.scale.is_some());
    assert_eq!(&*kind(&table, "Endpoints").singular, "endpoints");
    assert_eq!(&*kind(&table, "Lease").group, "coordination.k8s.io");
    assert_eq!(table.definitions.len(), 60);
}

#[test]
fn built_in_lists_have_merge_and_map_keys() {
    let table = parse(KUBERNETES, Origin::BuiltIn).expect("parses");
    let pod = kind(&table, "Pod").schema;
    let containers = field(&pod, "spec.containers");
    assert_eq!(containers.patch_merge_key(), Some("name"));
    assert!(containers.patch_merges() && containers.list_type() == ListType::Map);
    let ports = field(&pod, "spec.containers.[].ports");
    assert_eq!(*ports.list_map_keys(), ["containerPort".into(), "protocol".into()]);
    assert_eq!(ports.patch_merge_key(), Some("containerPort"));
    let protocol = field(&pod, "spec.containers.[].ports.[].protocol");
    assert_eq!(protocol.default_value(), Some(&"TCP".into()));
    assert!(field(&pod, "spec.nodeSelector").is_atomic_map());
    let volumes = field(&pod, "spec.volumes");
    assert!(volumes.patch_merges() && volumes.patch_retains_keys());
    let strategy = kind(&table, "Deployment").schema;
    assert!(field(&strategy, "spec.strategy").patch_retains_keys());
    assert!(field(&strategy, "spec.strategy.rollingUpdate").property("maxSurge").is_some());
    let surge = field(&strategy, "spec.strategy.rollingUpdate.maxSurge");
    assert_eq!(surge.node_type(), NodeType::IntOrString);
}

#[test]
fn every_table_kind_has_type_meta_and_metadata() {
    for (text, origin) in [(KUBERNETES, Origin::BuiltIn), (CLUSTER_API, Origin::Custom)] {
        for definition in parse(text, origin).expect("parses").definitions {
            for name in ["apiVersion", "kind", "metadata"] {
                assert!(definition.schema.root().property(name).is_some(), "{}", definition.kind);
            }
        }
    }
}

#[test]
fn messages_have_numbers_and_types() {
    let probe = builtin::message("k8s.io.api.core.v1.Probe").expect("Probe");
    let kind = messages::FieldType::Message("k8s.io.api.core.v1.ProbeHandler".into());
    assert_eq!((probe[0].number, &*probe[0].name, &probe[0].value), (1, ".", &kind));
    let secret = builtin::message("k8s.io.api.core.v1.Secret").expect("Secret");
    let data = secret.iter().find(|field| &*field.name == "data").expect("data");
    assert_eq!(data.shape, messages::FieldShape::Map);
    assert_eq!((data.number, &data.value), (2, &messages::FieldType::Scalar("bytes".into())));
    for definition in builtin::definitions() {
        let component = definition.schema.component_name().expect("named");
        let message = component
            .replacen("io.k8s.", "k8s.io.", 1)
            .replace("s-api", "s_api")
            .replace("kube-agg", "kube_agg");
        assert!(builtin::message(&message).is_some(), "{message}");
    }
    assert!(builtin::message("k8s.io.apimachinery.pkg.runtime.Unknown").is_some());
}

#[test]
fn malformed_lines_are_named() {
    let error = parse("shape a\n = bogus\n", Origin::BuiltIn).expect_err("refused");
    assert_eq!(error.to_string(), "line 2 of the table: unknown type: `= bogus`");
    let error = parse("kind g v1 K ks k Namespaced\n", Origin::BuiltIn).expect_err("refused");
    assert_eq!(error.problem, "a kind without a schema");
    let error = parse("part p\n = object color=red\n", Origin::Custom).expect_err("refused");
    assert_eq!(error.problem, "unknown fact");
}
