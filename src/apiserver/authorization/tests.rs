//! The evaluator against a naive one, the default roles, and who may grant what.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request};
use http_body_util::BodyExt;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Attributes, decide, install_default_roles, rules::Rule};
use crate::apiserver::authentication::Identity;
use crate::apiserver::{Access, ApiServer, AuthorizationMode, Options, Profile, RequestInfo};
use crate::clock::Clock;
use crate::machinery::builtin;

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

struct Cluster {
    server: ApiServer,
}

impl Cluster {
    async fn new() -> Self {
        Self::with(Access::default()).await
    }

    async fn with(access: Access) -> Self {
        let profile = Profile::new(builtin::definitions());
        let options = Options::new(Clock::wall());
        let cluster = Self { server: ApiServer::with_access(&profile, options, Arc::new(access)) };
        for name in ["default", "ns"] {
            let namespace = json!({"metadata": {"name": name}});
            cluster.create(&admin(), "/api/v1/namespaces", namespace).await;
        }
        cluster
    }

    async fn send(
        &self,
        identity: &Identity,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let is_patch = method == Method::PATCH;
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let mut request = Request::builder().method(method).uri(path);
        if is_patch {
            request = request.header("content-type", "application/merge-patch+json");
        }
        let mut request = request.body(body).unwrap();
        request.extensions_mut().insert(identity.clone());
        let response = self.server.handle(request).await;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    async fn create(&self, identity: &Identity, path: &str, body: Value) -> (u16, Value) {
        self.send(identity, Method::POST, path, Some(body)).await
    }

    async fn grant(&self, name: &str, rules: Value, subjects: Value) {
        let role = json!({"metadata": {"name": name}, "rules": rules});
        let (code, body) = self.create(&admin(), &format!("{RBAC}/clusterroles"), role).await;
        assert_eq!(code, 201, "{body}");
        let binding = json!({"metadata": {"name": name}, "subjects": subjects,
            "roleRef": {"kind": "ClusterRole", "name": name}});
        let path = format!("{RBAC}/clusterrolebindings");
        let (code, body) = self.create(&admin(), &path, binding).await;
        assert_eq!(code, 201, "{body}");
    }

    async fn code(&self, identity: &Identity, method: Method, path: &str) -> u16 {
        self.send(identity, method, path, None).await.0
    }
}

fn admin() -> Identity {
    Identity::administrator("admin")
}

fn user(name: &str) -> Identity {
    Identity::new(name, ["system:authenticated"])
}

fn bob() -> Value {
    json!([{"kind": "User", "name": "bob"}])
}

#[tokio::test]
async fn default_roles_let_users_see_discovery_and_themselves() {
    let stored = Cluster::new().await;
    install_default_roles(&stored.server);
    // Servers that do not store the default roles decide as those that do.
    for cluster in [stored, Cluster::new().await] {
        for path in ["/api", "/apis/apps/v1", "/openapi/v3", "/healthz", "/version"] {
            assert_eq!(cluster.code(&user("bob"), Method::GET, path).await, 200, "{path}");
        }
        assert_eq!(cluster.code(&Identity::anonymous(), Method::GET, "/healthz").await, 200);
        assert_eq!(cluster.code(&Identity::anonymous(), Method::GET, "/api").await, 403);
        assert_eq!(cluster.code(&admin(), Method::DELETE, "/api/v1/nodes/nope").await, 404);
        let refused = [
            ("/apisix", "forbidden: User \"bob\" cannot get path \"/apisix\""),
            (
                "/apis/apps/v1/namespaces/a/deployments/d/scale",
                "deployments.apps \"d\" is forbidden: User \"bob\" cannot get resource \
                 \"deployments/scale\" in API group \"apps\" in the namespace \"a\"",
            ),
        ];
        for (path, message) in refused {
            let (code, body) = cluster.send(&user("bob"), Method::GET, path, None).await;
            assert_eq!((code, body["message"].as_str().unwrap()), (403, message));
        }
    }
}

#[tokio::test]
async fn default_roles_are_objects_where_they_are_stored() {
    let cluster = Cluster::new().await;
    install_default_roles(&cluster.server);
    let get = async |path: &str| {
        let (code, body) =
            cluster.send(&admin(), Method::GET, &format!("{RBAC}/{path}"), None).await;
        assert_eq!(code, 200, "{path}");
        body
    };
    let view = get("clusterroles/view").await;
    assert_eq!(view["metadata"]["labels"]["kubernetes.io/bootstrapping"], "rbac-defaults");
    let update = "rbac.authorization.kubernetes.io/autoupdate";
    assert_eq!(view["metadata"]["annotations"][update], "true");
    assert!(view["aggregationRule"]["clusterRoleSelectors"].is_array());
    let counts: Vec<usize> = [
        get("clusterroles/view").await,
        get("clusterroles/edit").await,
        get("clusterroles/admin").await,
    ]
    .iter()
    .map(|role| role["rules"].as_array().unwrap().len())
    .collect();
    assert!(counts[0] > 5 && counts[1] > counts[0] && counts[2] > counts[1], "{counts:?}");
    let binding = get("clusterrolebindings/system:controller:namespace-controller").await;
    assert_eq!(binding["subjects"][0]["namespace"], "kube-system");
    let role = get("namespaces/kube-system/roles/system:controller:token-cleaner").await;
    assert_eq!(role["rules"][0]["verbs"], json!(["delete", "get", "list", "watch"]));
    let all = get("clusterroles").await["items"].as_array().unwrap().len();
    assert!(all > 60, "{all}");
}

#[tokio::test]
async fn stored_objects_decide_at_once() {
    let cluster = Cluster::new().await;
    let path = "/api/v1/namespaces/ns/configmaps";
    let bob_user = user("bob");
    assert_eq!(cluster.code(&bob_user, Method::GET, path).await, 403);
    let role = json!({"metadata": {"name": "r"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]});
    cluster.create(&admin(), &format!("{RBAC}/namespaces/ns/roles"), role).await;
    let binding = json!({"metadata": {"name": "b"}, "subjects": bob(),
        "roleRef": {"kind": "Role", "name": "r"}});
    cluster.create(&admin(), &format!("{RBAC}/namespaces/ns/rolebindings"), binding).await;
    assert_eq!(cluster.code(&bob_user, Method::GET, path).await, 200);
    assert_eq!(cluster.code(&bob_user, Method::GET, "/api/v1/configmaps").await, 403);
    let role = format!("{RBAC}/namespaces/ns/roles/r");
    let rules =
        json!({"rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}]});
    cluster.send(&admin(), Method::PATCH, &role, Some(rules)).await;
    assert_eq!(cluster.code(&bob_user, Method::GET, path).await, 403);
    assert_eq!(cluster.code(&bob_user, Method::GET, "/api/v1/namespaces/ns/secrets").await, 200);
    cluster.send(&admin(), Method::DELETE, &role, None).await;
    let (code, body) = cluster.send(&bob_user, Method::GET, path, None).await;
    assert_eq!(code, 403);
    assert_eq!(
        body["message"],
        "configmaps is forbidden: User \"bob\" cannot list resource \"configmaps\" in API group \
         \"\" in the namespace \"ns\": RBAC: role.rbac.authorization.k8s.io \"r\" not found"
    );
    let binding = format!("{RBAC}/namespaces/ns/rolebindings/b");
    cluster.send(&admin(), Method::DELETE, &binding, None).await;
    let (_, body) = cluster.send(&bob_user, Method::GET, path, None).await;
    assert!(body["message"].as_str().unwrap().ends_with("namespace \"ns\""));
}

#[tokio::test]
async fn groups_accounts_names_and_wildcards_are_matched() {
    let cluster = Cluster::new().await;
    cluster
        .grant(
            "named",
            json!([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a"],
                "verbs": ["get", "list", "watch"]},
                {"apiGroups": ["apps"], "resources": ["*/scale"], "verbs": ["get"]},
                {"nonResourceURLs": ["/metrics", "/debug/*"], "verbs": ["get"]}]),
            json!([{"kind": "Group", "name": "dev"},
                {"kind": "ServiceAccount", "name": "robot", "namespace": "ns"}]),
        )
        .await;
    let dev = Identity::new("dora", ["dev", "system:authenticated"]);
    let robot = Identity::new("system:serviceaccount:ns:robot", ["system:authenticated"]);
    for identity in [&dev, &robot] {
        let check = async |path: &str, code: u16| {
            assert_eq!(cluster.code(identity, Method::GET, path).await, code, "{path}");
        };
        check("/api/v1/namespaces/ns/secrets/a", 404).await;
        check("/api/v1/namespaces/ns/secrets/b", 403).await;
        check("/api/v1/namespaces/ns/secrets", 403).await;
        check("/api/v1/namespaces/ns/secrets?fieldSelector=metadata.name%3Da", 200).await;
        check("/api/v1/namespaces/ns/secrets?fieldSelector=metadata.name%3Db", 403).await;
        check("/apis/apps/v1/namespaces/ns/deployments/x/scale", 404).await;
        check("/apis/apps/v1/namespaces/ns/deployments/x", 403).await;
        check("/debug/pprof", 404).await;
    }
    assert_eq!(cluster.code(&user("x"), Method::GET, "/debug/pprof").await, 403);
    let open = Cluster::with(Access { mode: AuthorizationMode::AlwaysAllow, ..Access::default() });
    assert_eq!(open.await.code(&user("x"), Method::GET, "/api/v1/secrets").await, 200);
}

#[tokio::test]
async fn nobody_grants_what_he_does_not_have() {
    let cluster = Cluster::new().await;
    let all = json!(["create", "update", "patch", "get", "list"]);
    cluster
        .grant(
            "granter",
            json!([{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["*"], "verbs": all},
                {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]),
            bob(),
        )
        .await;
    let bob_user = user("bob");
    let roles = format!("{RBAC}/namespaces/ns/roles");
    let role = |name: &str, verbs: Value| {
        json!({"metadata": {"name": name}, "rules":
            [{"apiGroups": [""], "resources": ["pods"], "verbs": verbs}]})
    };
    let held = cluster.create(&bob_user, &roles, role("held", json!(["get"]))).await;
    assert_eq!(held.0, 201, "{}", held.1);
    let (code, body) =
        cluster.create(&bob_user, &roles, role("more", json!(["get", "delete", "create"]))).await;
    assert_eq!(code, 403);
    assert_eq!(
        body["message"],
        "roles.rbac.authorization.k8s.io \"more\" is forbidden: user \"bob\" \
         (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently \
         held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\" \"create\"]}"
    );
    let patch = json!({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]});
    let held = format!("{roles}/held");
    assert_eq!(cluster.send(&bob_user, Method::PATCH, &held, Some(patch)).await.0, 403);
    let aggregated = json!({"metadata": {"name": "a"}, "aggregationRule":
        {"clusterRoleSelectors": [{"matchLabels": {"x": "y"}}]}});
    let (code, body) = cluster.create(&bob_user, &format!("{RBAC}/clusterroles"), aggregated).await;
    assert_eq!(code, 403);
    assert!(
        body["message"]
            .as_str()
            .unwrap()
            .ends_with("must have cluster-admin privileges to use an aggregationRule")
    );
    let binding = |role: &str| {
        json!({"metadata": {"generateName": "b"}, "subjects": bob(),
            "roleRef": {"kind": "ClusterRole", "name": role}})
    };
    let bindings = format!("{RBAC}/namespaces/ns/rolebindings");
    assert_eq!(cluster.create(&bob_user, &bindings, binding("cluster-admin")).await.0, 403);
    assert_eq!(cluster.create(&bob_user, &bindings, binding("granter")).await.0, 201);
    let (code, body) = cluster.create(&bob_user, &bindings, binding("nope")).await;
    assert_eq!(
        (code, body["message"].as_str().unwrap()),
        (404, "clusterroles.rbac.authorization.k8s.io \"nope\" not found")
    );
    cluster
        .grant(
            "binder",
            json!([{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"],
                "resourceNames": ["cluster-admin"], "verbs": ["bind"]},
                {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"],
                "verbs": ["escalate"]}]),
            bob(),
        )
        .await;
    assert_eq!(cluster.create(&bob_user, &bindings, binding("cluster-admin")).await.0, 201);
    assert_eq!(cluster.create(&bob_user, &roles, role("more", json!(["delete"]))).await.0, 201);
}

#[tokio::test]
async fn impersonation_needs_the_right() {
    let cluster = Cluster::new().await;
    let ask = async |identity: &Identity, headers: &[(&str, &str)]| {
        let mut request = Request::get("/api/v1/secrets");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(identity.clone());
        let response = cluster.server.handle(request).await;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&bytes).unwrap();
        (code, body["message"].as_str().unwrap_or_default().to_owned())
    };
    let as_alice = [("impersonate-user", "alice")];
    let as_master = [("impersonate-user", "alice"), ("impersonate-group", "system:masters")];
    let (code, message) = ask(&user("bob"), &as_alice).await;
    assert_eq!(code, 403);
    assert_eq!(
        message,
        "secrets is forbidden: User \"bob\" cannot impersonate-on:user-info:list resource \
         \"secrets\" in API group \"\" at the cluster scope"
    );
    assert_eq!(ask(&admin(), &as_master).await.0, 200);
    cluster
        .grant(
            "legacy",
            json!([{"apiGroups": [""], "resources": ["users"], "resourceNames": ["alice"],
                "verbs": ["impersonate"]}]),
            bob(),
        )
        .await;
    let (code, message) = ask(&user("bob"), &as_alice).await;
    assert_eq!(code, 403);
    assert!(message.contains("User \"alice\" cannot list"), "{message}");
    let (_, message) = ask(&user("bob"), &as_master).await;
    assert!(message.contains("User \"bob\" cannot"), "{message}");
    let (_, message) = ask(&user("bob"), &[("impersonate-user", "carol")]).await;
    assert!(message.contains("User \"bob\" cannot"), "{message}");
    cluster
        .grant(
            "limited",
            json!([{"apiGroups": ["authentication.k8s.io"], "resources": ["users"],
                "verbs": ["impersonate:user-info"]},
                {"apiGroups": [""], "resources": ["secrets"],
                "verbs": ["impersonate-on:user-info:list"]}]),
            json!([{"kind": "User", "name": "carol"}]),
        )
        .await;
    let (_, message) = ask(&user("carol"), &as_alice).await;
    assert!(message.contains("User \"alice\" cannot list"), "{message}");
    let (_, message) = ask(&user("carol"), &as_master).await;
    assert!(message.contains("User \"carol\" cannot"), "{message}");
}

/// Evaluates as the documentation of RBAC says it, without any index.
fn naive(model: &Model, request: &Attributes<'_>, identity: &Identity) -> bool {
    model.bindings.iter().any(|(namespace, subject, role)| {
        (namespace.is_empty() || namespace == request.namespace)
            && (subject == &*identity.user || identity.is_member(subject))
            && model.roles.get(role).is_some_and(|rules| {
                rules.iter().any(|rule| {
                    let has = |list: &[Box<str>], text: &str| {
                        list.iter().any(|it| &**it == "*" || &**it == text)
                    };
                    let combined = if request.subresource.is_empty() {
                        request.resource.to_owned()
                    } else {
                        format!("{}/{}", request.resource, request.subresource)
                    };
                    has(&rule.verbs, request.verb)
                        && has(&rule.api_groups, request.group)
                        && (has(&rule.resources, &combined)
                            || !request.subresource.is_empty()
                                && has(&rule.resources, &format!("*/{}", request.subresource)))
                        && (rule.resource_names.is_empty()
                            || rule.resource_names.iter().any(|it| &**it == request.name))
                })
            })
    })
}

#[derive(Clone, Debug)]
struct Model {
    roles: BTreeMap<String, Vec<Rule>>,
    /// Namespace, user or group, role.
    bindings: Vec<(String, String, String)>,
}

fn texts(choices: &'static [&'static str]) -> impl Strategy<Value = Vec<Box<str>>> {
    prop::collection::vec(prop::sample::select(choices).prop_map(Box::from), 1..3)
}

const VERBS: &[&str] = &["get", "list", "create", "*"];
const GROUPS: &[&str] = &["", "apps", "*"];
const RESOURCES: &[&str] = &["pods", "pods/log", "nodes", "*/log", "*"];
const NAMES: &[&str] = &["a", "b"];
const ROLES: &[&str] = &["r1", "r2", "r3", "r4"];
const SUBJECTS: &[&str] = &["u1", "u2", "g1", "g2"];
const NAMESPACES: &[&str] = &["", "n1", "n2"];

fn rule() -> impl Strategy<Value = Rule> {
    let names = prop_oneof![Just(Vec::new()), texts(NAMES)];
    (texts(VERBS), texts(GROUPS), texts(RESOURCES), names).prop_map(
        |(verbs, api_groups, resources, resource_names)| Rule {
            verbs,
            api_groups,
            resources,
            resource_names,
            non_resource_urls: Vec::new(),
        },
    )
}

fn model() -> impl Strategy<Value = Model> {
    let select = |list: &'static [&'static str]| prop::sample::select(list).prop_map(str::to_owned);
    let roles =
        prop::collection::btree_map(select(ROLES), prop::collection::vec(rule(), 0..3), 0..4);
    let binding = (select(NAMESPACES), select(SUBJECTS), select(ROLES));
    (roles, prop::collection::vec(binding, 0..6))
        .prop_map(|(roles, bindings)| Model { roles, bindings })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_evaluator_agrees_with_a_naive_one(
        model in model(),
        (verb, group, resource, subresource) in (
            prop::sample::select(&["get", "list", "create", "patch"][..]),
            prop::sample::select(&["", "apps", "batch"][..]),
            prop::sample::select(&["pods", "nodes", "jobs"][..]),
            prop::sample::select(&["", "log", "exec"][..]),
        ),
        (name, namespace, who) in (
            prop::sample::select(&["", "a", "c"][..]),
            prop::sample::select(NAMESPACES),
            prop::sample::select(&["u1", "u2", "u3"][..]),
        ),
        groups in prop::collection::vec(prop::sample::select(&["g1", "g2", "g3"][..]), 0..3),
    ) {
        use super::bindings::{Binding, RoleRef, Subject};
        use super::index::{Index, Visit};
        use std::ops::ControlFlow;

        let mut index = Index::over(None);
        for (name, rules) in &model.roles {
            index.set_role(("", name), Some(rules.clone()));
        }
        for (at, (namespace, subject, role)) in model.bindings.iter().enumerate() {
            let kind = if subject.starts_with('u') { "User" } else { "Group" };
            let name = format!("b{at}");
            let subject = Subject { kind: kind.into(), name: subject.as_str().into(), namespace: "".into() };
            let binding = Binding {
                name: name.as_str().into(),
                namespace: namespace.as_str().into(),
                role: RoleRef { api_group: "".into(), kind: "ClusterRole".into(), name: role.as_str().into() },
                subjects: vec![subject],
            };
            // Set twice, as an update is.
            index.set_binding((namespace, &name), Some(binding.clone()));
            index.set_binding((namespace, &name), Some(binding));
        }
        let identity = Identity::new(who, groups);
        let request = Attributes { is_resource: true, verb, group, resource, subresource, name, namespace, path: "" };
        let outcome = index.visit(&identity, namespace, |visit| match visit {
            Visit::Rule(_, _, rule) if rule.allows(&request) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        prop_assert_eq!(outcome.is_break(), naive(&model, &request, &identity));
    }

    #[test]
    fn what_is_authorised_is_what_is_stored(
        segments in prop::collection::vec("[a-z]{1,5}|namespaces|watch|%2e%2e|status|%2F", 0..7),
        core in any::<bool>(),
        method in prop::sample::select(&["GET", "POST", "PUT", "DELETE", "PATCH"][..]),
    ) {
        let prefix = if core { "/api/v1" } else { "/apis/apps/v1" };
        let path = format!("{prefix}/{}", segments.join("/"));
        let uri = path.parse().unwrap();
        let Some(info) = RequestInfo::parse(&method.parse().unwrap(), &uri) else { return Ok(()) };
        let attributes = Attributes::of(&info);
        prop_assert_eq!(attributes.is_resource, info.is_resource);
        prop_assert_eq!(attributes.verb, info.verb);
        prop_assert_eq!(attributes.namespace, &info.namespace);
        prop_assert_eq!(attributes.resource, &info.resource);
        prop_assert_eq!(attributes.subresource, &info.subresource);
        prop_assert_eq!(attributes.name, &info.name);
        prop_assert_eq!(attributes.group, &info.group);
    }
}

#[tokio::test]
async fn superusers_need_no_reason() {
    let cluster = Cluster::new().await;
    let request = Attributes { verb: "anything", path: "/nope", ..Attributes::default() };
    let decision = decide(&cluster.server, &request, &admin());
    assert!(decision.is_allowed && decision.reason.is_empty());
    let request = Attributes { verb: "get", path: "/healthz", ..Attributes::default() };
    let decision = decide(&cluster.server, &request, &user("bob"));
    assert_eq!(
        decision.reason,
        "RBAC: allowed by ClusterRoleBinding \"system:discovery\" of ClusterRole \
         \"system:discovery\" to Group \"system:authenticated\""
    );
}
