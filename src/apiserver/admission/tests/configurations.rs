//! Configurations of webhooks: defaults and what is refused.

use serde_json::{Value, json};

use super::harness::{Engine, MUTATING, VALIDATING, configuration, webhook};

async fn check(changes: Value, causes: &[(&str, &str)]) {
    let engine = Engine::new().await;
    let hook = webhook(json!({"url": "https://example.com"}), changes.clone());
    let answer = engine.post(VALIDATING, configuration("c", json!([hook]))).await;
    let given = answer.body["details"]["causes"].as_array().cloned().unwrap_or_default();
    let given: Vec<(&str, &str)> = given
        .iter()
        .map(|it| (it["field"].as_str().unwrap(), it["message"].as_str().unwrap()))
        .collect();
    assert_eq!(given, causes, "{changes}");
    assert_eq!(answer.code, if causes.is_empty() { 201 } else { 422 });
}

#[tokio::test]
async fn what_is_left_out_is_filled_in() {
    let engine = Engine::new().await;
    let client = json!({"service": {"name": "s", "namespace": "n"}});
    let object = engine.configure(MUTATING, "c", webhook(client, json!({}))).await;
    let hook = &object["webhooks"][0];
    let field = |name: &str| hook[name].clone();
    assert_eq!(field("failurePolicy"), "Fail");
    assert_eq!(field("matchPolicy"), "Equivalent");
    assert_eq!(field("reinvocationPolicy"), "Never");
    assert_eq!(field("timeoutSeconds"), 10);
    assert_eq!((field("namespaceSelector"), field("objectSelector")), (json!({}), json!({})));
    assert_eq!(hook["rules"][0]["scope"], "*");
    assert_eq!(hook["clientConfig"]["service"]["port"], 443);
    assert_eq!(object["metadata"]["generation"], 1);
}

#[tokio::test]
async fn webhooks_are_checked_field_by_field() {
    let at = |field: &'static str, why: &'static str| [(field, why)];
    check(json!({}), &[]).await;
    check(
        json!({"name": "short"}),
        &at(
            "webhooks[0].name",
            "Invalid value: \"short\": should be a domain with at least three segments separated by dots",
        ),
    )
    .await;
    check(
        json!({"sideEffects": "Some"}),
        &at(
            "webhooks[0].sideEffects",
            "Unsupported value: \"Some\": supported values: \"None\", \"NoneOnDryRun\"",
        ),
    )
    .await;
    check(
        json!({"timeoutSeconds": 31}),
        &at(
            "webhooks[0].timeoutSeconds",
            "Invalid value: 31: the timeout value must be between 1 and 30 seconds",
        ),
    )
    .await;
    check(
        json!({"admissionReviewVersions": ["v7"]}),
        &at(
            "webhooks[0].admissionReviewVersions",
            "Invalid value: [\"v7\"]: must include at least one of v1, v1beta1",
        ),
    )
    .await;
    check(
        json!({"clientConfig": {}}),
        &at(
            "webhooks[0].clientConfig",
            "Required value: exactly one of url or service is required",
        ),
    )
    .await;
    check(
        json!({"clientConfig": {"url": "http://u@h/p?q"}}),
        &[
            (
                "webhooks[0].clientConfig.url",
                "Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]",
            ),
            (
                "webhooks[0].clientConfig.url",
                "Invalid value: \"u\": user information is not permitted in the URL",
            ),
            (
                "webhooks[0].clientConfig.url",
                "Invalid value: \"q\": query parameters are not permitted in the URL",
            ),
        ],
    )
    .await;
    check(
        json!({"clientConfig": {"service": {"name": "s", "namespace": "n", "path": "/a//b", "port": 443}}}),
        &at(
            "webhooks[0].clientConfig.service.path",
            "Invalid value: \"/a//b\": segment[1] may not be empty",
        ),
    )
    .await;
    check(
        json!({"rules": [{"operations": ["*", "CREATE"], "apiGroups": [], "apiVersions": ["v1"], "resources": ["*/*", "pods"]}]}),
        &[
            (
                "webhooks[0].rules[0].operations",
                "Invalid value: [\"*\",\"CREATE\"]: if '*' is present, must not specify other operations",
            ),
            ("webhooks[0].rules[0].apiGroups", "Required value"),
            (
                "webhooks[0].rules[0].resources",
                "Invalid value: [\"*/*\",\"pods\"]: if '*/*' is present, must not specify other resources",
            ),
        ],
    )
    .await;
    check(
        json!({"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}),
        &at(
            "webhooks[0].namespaceSelector.matchExpressions[0].values",
            "Required value: must be specified when `operator` is 'In' or 'NotIn'",
        ),
    )
    .await;
}

#[tokio::test]
async fn names_are_unique_within_a_configuration() {
    let engine = Engine::new().await;
    let hook = webhook(json!({"url": "https://example.com"}), json!({}));
    let answer = engine.post(VALIDATING, configuration("c", json!([hook, hook]))).await;
    let message = "ValidatingWebhookConfiguration.admissionregistration.k8s.io \"c\" is invalid: \
                   webhooks[1].name: Duplicate value: \"hook.example.com\"";
    assert_eq!(answer.refused(), (422, "Invalid", message));
}
