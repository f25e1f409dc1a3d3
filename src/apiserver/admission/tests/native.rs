//! The server's own plug-ins.

use serde_json::{Value, json};

use super::harness::Engine;
use crate::apiserver::{ApiServer, Options, Profile};
use crate::clock::Clock;
use crate::machinery::builtin;

const PODS: &str = "/api/v1/namespaces/a/pods";
const CLASSES: &str = "/apis/scheduling.k8s.io/v1/priorityclasses";

fn pod(name: &str, changes: Value) -> Value {
    let mut spec = json!({"containers": [{"name": "c", "image": "i"}]});
    for (name, value) in changes.as_object().unwrap() {
        spec[name] = value.clone();
    }
    json!({"metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn priorities_follow_from_classes() {
    let engine = Engine::new().await;
    let answer = engine.post(PODS, pod("p", json!({"priorityClassName": "nope"}))).await;
    let message = "pods \"p\" is forbidden: no PriorityClass with name nope was found";
    assert_eq!(answer.refused(), (403, "Forbidden", message));
    let critical = json!({"priorityClassName": "system-node-critical"});
    let created = engine.post(PODS, pod("p", critical)).await.ok();
    assert_eq!(created["spec"]["priority"], 2_000_001_000);
    let class = |name: &str, value: i64| json!({"metadata": {"name": name}, "value": value, "globalDefault": true});
    engine.post(CLASSES, class("usual", 7)).await.ok();
    let answer = engine.post(CLASSES, class("other", 8)).await;
    let message = "priorityclasses.scheduling.k8s.io \"other\" is forbidden: PriorityClass usual is \
                   already marked as default. Only one default can exist";
    assert_eq!(answer.refused(), (403, "Forbidden", message));
    let created = engine.post(PODS, pod("q", json!({}))).await.ok();
    assert_eq!(
        (&created["spec"]["priority"], &created["spec"]["priorityClassName"]),
        (&json!(7), &json!("usual"))
    );
    let answer = engine.post(PODS, pod("r", json!({"priority": 9}))).await;
    assert!(answer.refused().2.contains("the integer value of priority (9) must not be provided"));
}

#[tokio::test]
async fn containers_get_the_namespaces_defaults_and_keep_within_its_limits() {
    let engine = Engine::new().await;
    let limits = json!([{
        "type": "Container", "default": {"cpu": "200m"}, "defaultRequest": {"cpu": "100m"},
        "max": {"cpu": "1"}, "min": {"cpu": "50m"},
    }]);
    let range = json!({"metadata": {"name": "l"}, "spec": {"limits": limits}});
    engine.post("/api/v1/namespaces/a/limitranges", range).await.ok();
    let created = engine.post(PODS, pod("p", json!({}))).await.ok();
    let expected = json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "200m"}});
    assert_eq!(created["spec"]["containers"][0]["resources"], expected);
    assert_eq!(
        created["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
    );
    let resources = json!({"requests": {"cpu": "10m"}, "limits": {"cpu": "2"}});
    let greedy = json!({"containers": [{"name": "c", "image": "i", "resources": resources}]});
    let answer = engine.post(PODS, pod("q", greedy)).await;
    let message = "pods \"q\" is forbidden: [minimum cpu usage per Container is 50m, but request is \
                   10m, maximum cpu usage per Container is 1, but limit is 2]";
    assert_eq!(answer.refused(), (403, "Forbidden", message));
}

#[tokio::test]
async fn claims_and_ingresses_get_the_default_class() {
    let engine = Engine::new().await;
    let claim = |name: &str| {
        json!({"metadata": {"name": name}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
        }})
    };
    let claims = "/api/v1/namespaces/a/persistentvolumeclaims";
    let without = engine.post(claims, claim("a")).await.ok();
    assert_eq!(without["spec"].get("storageClassName"), None);
    let annotations = json!({"storageclass.kubernetes.io/is-default-class": "true"});
    let class = json!({
        "metadata": {"name": "fast", "annotations": annotations}, "provisioner": "p.example.com",
    });
    engine.post("/apis/storage.k8s.io/v1/storageclasses", class).await.ok();
    let with = engine.post(claims, claim("b")).await.ok();
    assert_eq!(with["spec"]["storageClassName"], "fast");
    let annotations = json!({"ingressclass.kubernetes.io/is-default-class": "true"});
    let class = json!({
        "metadata": {"name": "web", "annotations": annotations},
        "spec": {"controller": "example.com/web"},
    });
    engine.post("/apis/networking.k8s.io/v1/ingressclasses", class).await.ok();
    let backend = json!({"service": {"name": "s", "port": {"number": 80}}});
    let ingress = json!({"metadata": {"name": "i"}, "spec": {"defaultBackend": backend}});
    let path = "/apis/networking.k8s.io/v1/namespaces/a/ingresses";
    let created = engine.post(path, ingress).await.ok();
    assert_eq!(created["spec"]["ingressClassName"], "web");
}

#[tokio::test]
async fn runtime_classes_must_exist_and_add_their_overhead() {
    let engine = Engine::new().await;
    let wanted = || json!({"runtimeClassName": "vm"});
    let answer = engine.post(PODS, pod("p", wanted())).await;
    let message = "pods \"p\" is forbidden: pod rejected: RuntimeClass \"vm\" not found";
    assert_eq!(answer.refused(), (403, "Forbidden", message));
    let class = json!({
        "metadata": {"name": "vm"}, "handler": "vm", "overhead": {"podFixed": {"cpu": "250m"}},
        "scheduling": {"nodeSelector": {"kind": "vm"}},
    });
    engine.post("/apis/node.k8s.io/v1/runtimeclasses", class).await.ok();
    let created = engine.post(PODS, pod("p", wanted())).await.ok();
    assert_eq!(created["spec"]["overhead"], json!({"cpu": "250m"}));
    assert_eq!(created["spec"]["nodeSelector"], json!({"kind": "vm"}));
}

#[tokio::test]
async fn pods_run_as_an_account_where_accounts_are_published() {
    let options = Options { service_account_admission: true, ..Options::new(Clock::wall()) };
    let server = ApiServer::new(&Profile::new(builtin::definitions()), options);
    let engine = Engine { server };
    engine.post("/api/v1/namespaces", json!({"metadata": {"name": "a"}})).await.ok();
    let answer = engine.post(PODS, pod("p", json!({}))).await;
    let message = "pods \"p\" is forbidden: error looking up service account a/default: \
                   serviceaccount \"default\" not found";
    assert_eq!(answer.refused(), (403, "Forbidden", message));
    let account = json!({"metadata": {"name": "default"}});
    engine.post("/api/v1/namespaces/a/serviceaccounts", account).await.ok();
    let created = engine.post(PODS, pod("p", json!({}))).await.ok();
    assert_eq!(created["spec"]["serviceAccountName"], "default");
    let mount = &created["spec"]["containers"][0]["volumeMounts"][0];
    assert_eq!(mount["mountPath"], "/var/run/secrets/kubernetes.io/serviceaccount");
    assert_eq!(mount["name"], created["spec"]["volumes"][0]["name"]);
    assert_eq!(created["spec"]["volumes"][0]["projected"]["sources"].as_array().unwrap().len(), 3);
    let refusing = json!({"automountServiceAccountToken": false});
    let created = engine.post(PODS, pod("q", refusing)).await.ok();
    assert_eq!(created["spec"].get("volumes"), None);
}

#[tokio::test]
async fn owners_block_only_for_those_who_may_set_their_finalizers() {
    let options = Options { owner_reference_enforcement: true, ..Options::new(Clock::wall()) };
    let server = ApiServer::new(&Profile::new(builtin::definitions()), options);
    let engine = Engine { server };
    engine.post("/api/v1/namespaces", json!({"metadata": {"name": "a"}})).await.ok();
    let role = |name: &str, rules: Value| json!({"metadata": {"name": name}, "rules": rules});
    let maps = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}]);
    let roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/a/roles";
    engine.post(roles, role("r", maps)).await.ok();
    let binding = json!({
        "metadata": {"name": "r"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bob"}],
    });
    let bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/a/rolebindings";
    engine.post(bindings, binding).await.ok();
    let owned = |kind: &str, blocks: bool| {
        let owner = json!({
            "apiVersion": "v1", "kind": kind, "name": "o", "uid": "u", "blockOwnerDeletion": blocks,
        });
        json!({"metadata": {"name": "m", "ownerReferences": [owner]}})
    };
    let path = "/api/v1/namespaces/a/configmaps?dryRun=All";
    assert_eq!(engine.post_as("bob", path, owned("Secret", false)).await.code, 201);
    let answer = engine.post_as("bob", path, owned("Secret", true)).await;
    let message = "configmaps \"m\" is forbidden: cannot set blockOwnerDeletion if an \
                   ownerReference refers to a resource you can't set finalizers on: , <nil>";
    assert_eq!(answer.refused(), (403, "Forbidden", message));
    assert_eq!(engine.post(path, owned("Secret", true)).await.code, 201);
}
