//! ValidatingAdmissionPolicies and their bindings.

use serde_json::{Value, json};

use super::harness::{Engine, MAPS, WIDGETS, map, widget};

const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
const BINDINGS: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";

/// The spec of a policy about config maps, with `changes`.
fn spec(changes: Value) -> Value {
    let mut spec = json!({
        "matchConstraints": {"resourceRules": [{
            "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
            "resources": ["configmaps"],
        }]},
    });
    for (name, value) in changes.as_object().unwrap() {
        spec[name] = value.clone();
    }
    spec
}

fn validations(list: Value) -> Value {
    spec(json!({"validations": list}))
}

async fn policy(engine: &Engine, spec: Value) -> Value {
    engine.post(POLICIES, json!({"metadata": {"name": "p"}, "spec": spec})).await.ok()
}

async fn bind(engine: &Engine, changes: Value) -> Value {
    let mut spec = json!({"policyName": "p", "validationActions": ["Deny"]});
    for (name, value) in changes.as_object().unwrap() {
        spec[name] = value.clone();
    }
    engine.post(BINDINGS, json!({"metadata": {"name": "b"}, "spec": spec})).await.ok()
}

#[tokio::test]
async fn spec_86_validations_deny_with_message_and_reason() {
    let engine = Engine::new().await;
    let list = json!([
        {"expression": "object.data.k != 'bad'", "message": "k is bad", "reason": "Forbidden"},
        {"expression": "size(object.data) < 3", "messageExpression": "'too many: ' + string(size(object.data))"},
        {"expression": "!object.metadata.name.startsWith('x')"},
    ]);
    policy(&engine, validations(list)).await;
    engine.post(MAPS, json!({"metadata": {"name": "early"}, "data": {"k": "bad"}})).await.ok();
    bind(&engine, json!({})).await;
    engine.post(MAPS, map("good")).await.ok();
    let bad = json!({"metadata": {"name": "m"}, "data": {"k": "bad"}});
    let answer = engine.post(MAPS, bad).await;
    let message = "configmaps \"m\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' \
                   denied request: k is bad";
    assert_eq!(answer.refused(), (403, "Forbidden", message));
    let cause = "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: k is bad";
    assert_eq!(
        answer.body["details"],
        json!({"name": "m", "kind": "configmaps", "causes": [{"message": cause}]})
    );
    let many = json!({"metadata": {"name": "m"}, "data": {"a": "", "b": "", "k": ""}});
    let answer = engine.post(MAPS, many).await;
    assert_eq!((answer.code, answer.refused().1), (422, "Invalid"));
    assert!(answer.refused().2.ends_with("denied request: too many: 3"), "{}", answer.body);
    let answer = engine.post(MAPS, map("x1")).await;
    let expected = "denied request: failed expression: !object.metadata.name.startsWith('x')";
    assert!(answer.refused().2.ends_with(expected), "{}", answer.body);
}

#[tokio::test]
async fn spec_87_variables_are_shared_and_lazy() {
    let engine = Engine::new().await;
    let spec = spec(json!({
        "variables": [
            {"name": "keys", "expression": "object.data.map(k, k)"},
            {"name": "count", "expression": "size(variables.keys)"},
            {"name": "broken", "expression": "object.none.field"},
        ],
        "validations": [{
            "expression": "variables.count < 2",
            "messageExpression": "'count is ' + string(variables.count)",
        }],
    }));
    policy(&engine, spec).await;
    bind(&engine, json!({})).await;
    engine.post(MAPS, map("m")).await.ok();
    let answer =
        engine.post(MAPS, json!({"metadata": {"name": "n"}, "data": {"a": "", "b": ""}})).await;
    assert!(answer.refused().2.ends_with("denied request: count is 2"), "{}", answer.body);
}

#[tokio::test]
async fn spec_85_types_are_checked_and_the_status_says_so() {
    let engine = Engine::new().await;
    let spec = json!({
        "matchConstraints": {"resourceRules": [{
            "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"],
            "resources": ["deployments"],
        }]},
        "validations": [
            {"expression": "object.spec.replicas > 1"},
            {"expression": "object.replicas > 1", "messageExpression": "object.status.nope"},
        ],
    });
    // messageExpression must be a string only when types are known.
    let created = engine.post(POLICIES, json!({"metadata": {"name": "p"}, "spec": spec})).await;
    assert_eq!(created.code, 422, "a dyn value is no string");
    let mut spec = spec;
    spec["validations"][1]["messageExpression"] = "string(object.status.nope)".into();
    policy(&engine, spec).await;
    let stored = engine.get(&format!("{POLICIES}/p")).await.ok();
    let status = &stored["status"];
    assert_eq!(status["observedGeneration"], 1);
    let warnings = status["typeChecking"]["expressionWarnings"].as_array().unwrap();
    let fields: Vec<_> = warnings.iter().map(|it| it["fieldRef"].as_str().unwrap()).collect();
    let expected = ["spec.validations[1].expression", "spec.validations[1].messageExpression"];
    assert_eq!(fields, expected);
    let text = warnings[0]["warning"].as_str().unwrap();
    assert!(text.starts_with("apps/v1, Kind=Deployment: compilation failed: ERROR: "), "{text}");
    assert!(text.contains("undefined field 'replicas'"), "{text}");
}

#[tokio::test]
async fn spec_84_policies_and_bindings_have_the_whole_api() {
    let engine = Engine::new().await;
    let list = json!([{"expression": "true"}]);
    let created = policy(&engine, validations(list)).await;
    assert_eq!(created["spec"]["failurePolicy"], "Fail");
    assert_eq!(created["spec"]["matchConstraints"]["matchPolicy"], "Equivalent");
    assert_eq!(created["spec"]["matchConstraints"]["resourceRules"][0]["scope"], "*");
    let one = format!("{POLICIES}/p");
    let patched = engine.merge(&one, json!({"metadata": {"labels": {"a": "b"}}})).await.ok();
    assert_eq!(patched["metadata"]["generation"], 1);
    let status = engine.get(&format!("{one}/status")).await.ok();
    assert_eq!(status["status"]["typeChecking"], json!({}));
    bind(&engine, json!({})).await;
    assert_eq!(engine.get(BINDINGS).await.ok()["items"].as_array().unwrap().len(), 1);
    engine.delete(BINDINGS).await.ok();
    engine.delete(POLICIES).await.ok();
    assert_eq!(engine.get(&one).await.code, 404);
}

#[tokio::test]
async fn parameters_come_from_the_binding() {
    let engine = Engine::new().await;
    let spec = spec(json!({
        "paramKind": {"apiVersion": "example.com/v1", "kind": "Widget"},
        "validations": [{"expression": "size(object.data) <= params.spec.size"}],
    }));
    policy(&engine, spec).await;
    let reference = json!({"name": "limit", "parameterNotFoundAction": "Deny"});
    bind(&engine, json!({"paramRef": reference})).await;
    let two = || json!({"metadata": {"name": "m"}, "data": {"a": "", "b": ""}});
    let answer = engine.post(MAPS, two()).await;
    let message = "configmaps \"m\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' \
                   denied request: failed to configure binding: no params found for policy \
                   binding with `Deny` parameterNotFoundAction";
    assert_eq!(answer.refused(), (422, "Invalid", message));
    engine.post(WIDGETS, widget("limit")).await.ok();
    let answer = engine.post(MAPS, two()).await;
    let expected = "denied request: failed expression: size(object.data) <= params.spec.size";
    assert!(answer.refused().2.ends_with(expected), "{}", answer.body);
    engine.merge(&format!("{WIDGETS}/limit"), json!({"spec": {"size": 2}})).await.ok();
    engine.post(MAPS, two()).await.ok();
}

#[tokio::test]
async fn parameters_are_selected_by_labels_and_may_be_missing() {
    let engine = Engine::new().await;
    let spec = spec(json!({
        "paramKind": {"apiVersion": "example.com/v1", "kind": "Widget"},
        "validations": [{"expression": "params.spec.size > 1", "messageExpression": "string(params.metadata.name)"}],
    }));
    policy(&engine, spec).await;
    let reference = json!({
        "selector": {"matchLabels": {"limit": "yes"}}, "parameterNotFoundAction": "Allow",
    });
    bind(&engine, json!({"paramRef": reference})).await;
    engine.post(MAPS, map("m")).await.ok();
    let mut one = widget("w");
    one["metadata"]["labels"] = json!({"limit": "yes"});
    engine.post(WIDGETS, one).await.ok();
    let answer = engine.post(MAPS, map("n")).await;
    assert!(answer.refused().2.ends_with("denied request: w"), "{}", answer.body);
}

#[tokio::test]
async fn unknown_kinds_of_parameters_refuse_requests() {
    let engine = Engine::new().await;
    let spec = spec(json!({
        "paramKind": {"apiVersion": "none.io/v1", "kind": "None"},
        "validations": [{"expression": "params == null"}],
    }));
    policy(&engine, spec).await;
    bind(&engine, json!({})).await;
    let message = "configmaps \"m\" is forbidden: ValidatingAdmissionPolicy 'p' denied request: \
                   failed to configure policy: failed to find resource referenced by paramKind: \
                   'none.io/v1, Kind=None'";
    assert_eq!(engine.post(MAPS, map("m")).await.refused(), (422, "Invalid", message));
}

#[tokio::test]
async fn warnings_and_audits_let_requests_pass() {
    let engine = Engine::new().await;
    policy(&engine, validations(json!([{"expression": "false", "message": "careful"}]))).await;
    bind(&engine, json!({"validationActions": ["Warn", "Audit"]})).await;
    let answer = engine.post(MAPS, map("m")).await;
    let warning = "299 - \"Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': \
                   careful\"";
    assert_eq!(answer.warnings, [warning]);
    answer.ok();
}

#[tokio::test]
async fn expressions_that_fail_follow_the_failure_policy() {
    let engine = Engine::new().await;
    let mut object =
        policy(&engine, validations(json!([{"expression": "object.data.none == 'x'"}]))).await;
    bind(&engine, json!({})).await;
    let message = "configmaps \"m\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' \
                   denied request: expression 'object.data.none == 'x'' resulted in error: no \
                   such key: none";
    assert_eq!(engine.post(MAPS, map("m")).await.refused(), (422, "Invalid", message));
    object["spec"]["failurePolicy"] = "Ignore".into();
    object["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    let current = engine.get(&format!("{POLICIES}/p")).await.ok();
    object["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"].clone();
    engine.put(&format!("{POLICIES}/p"), object).await.ok();
    engine.post(MAPS, map("m")).await.ok();
}

#[tokio::test]
async fn conditions_namespaces_and_selectors_limit_policies() {
    let engine = Engine::new().await;
    let spec = spec(json!({
        "matchConditions": [{"name": "c", "expression": "object.metadata.name != 'exempt'"}],
        "validations": [{"expression": "namespaceObject.metadata.labels.name != 'a'"}],
    }));
    policy(&engine, spec).await;
    let matching = json!({"objectSelector": {"matchLabels": {"checked": "yes"}}});
    bind(&engine, json!({"matchResources": matching})).await;
    let labelled = |name: &str| json!({"metadata": {"name": name, "labels": {"checked": "yes"}}});
    engine.post(MAPS, map("unlabelled")).await.ok();
    engine.post(MAPS, labelled("exempt")).await.ok();
    engine.post("/api/v1/namespaces/b/configmaps", labelled("m")).await.ok();
    assert_eq!(engine.post(MAPS, labelled("m")).await.code, 422);
}

#[tokio::test]
async fn policies_and_bindings_are_checked_field_by_field() {
    let engine = Engine::new().await;
    let check = async |path: &str, spec: Value, causes: &[(&str, &str)]| {
        let answer = engine.post(path, json!({"metadata": {"name": "z"}, "spec": spec})).await;
        assert_eq!(answer.code, 422, "{}", answer.body);
        let given = answer.body["details"]["causes"].as_array().unwrap();
        let given: Vec<(&str, &str)> = given
            .iter()
            .map(|it| (it["field"].as_str().unwrap(), it["message"].as_str().unwrap()))
            .collect();
        assert_eq!(given, causes);
    };
    let at_least_one =
        "Required value: validations or auditAnnotations must contain at least one item";
    check(
        POLICIES,
        json!({}),
        &[
            ("spec.matchConstraints", "Required value"),
            ("spec.validations", at_least_one),
            ("spec.auditAnnotations", at_least_one),
        ],
    )
    .await;
    check(
        POLICIES,
        spec(json!({
            "validations": [{"expression": " ", "message": "a\nb", "reason": "Nope"}],
            "variables": [{"name": "in", "expression": "1"}],
        })),
        &[
            ("spec.variables[0].name", "Invalid value: \"in\": name is not a valid CEL identifier"),
            ("spec.validations[0].expression", "Required value: expression is not specified"),
            (
                "spec.validations[0].message",
                "Invalid value: \"a\\nb\": message must not contain line breaks",
            ),
            (
                "spec.validations[0].reason",
                "Unsupported value: \"Nope\": supported values: \"Forbidden\", \"Invalid\", \
                 \"RequestEntityTooLarge\"",
            ),
        ],
    )
    .await;
    check(
        BINDINGS,
        json!({"paramRef": {"parameterNotFoundAction": "X"}, "validationActions": ["Deny", "Warn"]}),
        &[
            ("spec.policyName", "Required value"),
            ("spec.paramRef", "Required value: one of name or selector must be specified"),
            (
                "spec.paramRef.parameterNotFoundAction",
                "Unsupported value: \"X\": supported values: \"Deny\", \"Allow\"",
            ),
            (
                "spec.validationActions",
                "Invalid value: [\"Deny\",\"Warn\"]: must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)",
            ),
        ],
    )
    .await;
}
