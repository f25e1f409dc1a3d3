//! Requests that are wrong in some way, with the answers that a kube-apiserver 1.36 gave to their
//! like: code, reason, message, causes.

use axum::body::Body;
use capim::apiserver::Identity;
use capim::embed::ControlPlane;
use http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const NO_RESOURCE: &str = "the server could not find the requested resource";

/// One request and what is to come back.
struct Case {
    method: &'static str,
    path: String,
    content_type: &'static str,
    accept: &'static str,
    /// Who asks; an administrator if nobody is named.
    user: Option<Identity>,
    body: Vec<u8>,
    code: u16,
    reason: &'static str,
    message: String,
    /// `[reason, field]` of each cause.
    causes: Value,
}

fn case(method: &'static str, path: &str, code: u16, reason: &'static str, message: &str) -> Case {
    Case {
        method,
        path: path.to_owned(),
        content_type: "application/json",
        accept: "*/*",
        user: None,
        body: Vec::new(),
        code,
        reason,
        message: message.to_owned(),
        causes: json!([]),
    }
}

impl Case {
    fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    fn of_type(mut self, content_type: &'static str) -> Self {
        self.content_type = content_type;
        self
    }

    fn accepting(mut self, accept: &'static str) -> Self {
        self.accept = accept;
        self
    }

    fn by(mut self, user: Identity) -> Self {
        self.user = Some(user);
        self
    }

    fn causes(mut self, causes: Value) -> Self {
        self.causes = causes;
        self
    }
}

fn map(name: &str) -> String {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}).to_string()
}

fn paths() -> Vec<Case> {
    let maps = |rest: &str| format!("{MAPS}/{rest}");
    vec![
        case("GET", &maps("..%2f..%2fpods"), 404, "NotFound", NO_RESOURCE),
        case("GET", &maps("../pods"), 404, "NotFound", NO_RESOURCE),
        case("GET", "/api/v1/namespaces/..%2f..%2fpods/secrets", 404, "NotFound", NO_RESOURCE),
        case("GET", "/api//v1//pods", 404, "NotFound", NO_RESOURCE),
        case(
            "GET",
            &maps("%2e"),
            400,
            "BadRequest",
            "Name parameter invalid: \".\": may not be '.'",
        ),
        case("GET", &maps("x%00y"), 404, "NotFound", "configmaps \"x\\x00y\" not found"),
        case("GET", "/apis/none.example.com/v1/things", 404, "", "404 page not found\n"),
        case("GET", "/none", 404, "", "404 page not found\n"),
        case("DELETE", &maps("none"), 404, "NotFound", "configmaps \"none\" not found"),
        case(
            "OPTIONS",
            "/api/v1/pods",
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        ),
    ]
}

fn bodies() -> Vec<Case> {
    let unrecognized = |why: &str| {
        format!("the object provided is unrecognized (must be of type ConfigMap): {why}")
    };
    let nested = |depth: usize| {
        format!(
            "{{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{{\"name\":\"n\"}},\"data\":{}{}}}",
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    vec![
        case("POST", MAPS, 422, "Invalid",
            "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required")
            .body("null")
            .causes(json!([["FieldValueRequired", "metadata.name"]])),
        case("POST", MAPS, 400, "BadRequest", &unrecognized(
            "couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of \
             type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \
             \"json:\\\"kind,omitempty\\\"\" } (5b315d)"))
            .body("[1]"),
        case("POST", MAPS, 400, "BadRequest", &unrecognized(
            "couldn't get version/kind; json parse error: unexpected end of JSON input ({\"a\")"))
            .body("{\"a\""),
        case("POST", MAPS, 400, "BadRequest", &unrecognized(
            "couldn't get version/kind; json parse error: exceeded max depth \
             ({\"kind\":\"ConfigMap\",\"apiVersio ...)"))
            .body(nested(20_000)),
        case("POST", MAPS, 400, "BadRequest",
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal array \
             into Go struct field ConfigMap.data of type map[string]string")
            .body(nested(1_000)),
        case("POST", MAPS, 400, "BadRequest", &unrecognized("unexpected EOF (6b3873000aff01)"))
            .of_type("application/vnd.kubernetes.protobuf")
            .body(*b"k8s\0\x0a\xff\x01"),
        case("POST", MAPS, 415, "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: \
             application/json, application/yaml, application/vnd.kubernetes.protobuf")
            .of_type("text/html")
            .body(map("a")),
        case("POST", MAPS, 422, "Invalid",
            "ConfigMap \"A\" is invalid: metadata.name: Invalid value: \"A\": a lowercase RFC 1123 \
             subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start \
             and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')")
            .body(map("A"))
            .causes(json!([["FieldValueInvalid", "metadata.name"]])),
        case("POST", MAPS, 409, "AlreadyExists", "configmaps \"there\" already exists")
            .body(map("there")),
    ]
}

fn changes() -> Vec<Case> {
    let there = format!("{MAPS}/there");
    let operations: Vec<Value> = vec![json!({"op": "add", "path": "/data", "value": {}}); 10_001];
    let mut copies =
        vec![json!({"op": "add", "path": "/data", "value": {"a": "x".repeat(1 << 12)}})];
    for index in 0..30 {
        copies.push(json!({"op": "copy", "from": "/data", "path": format!("/data/c{index}")}));
    }
    let levels = (1..12).map(|level| {
        let aliases = vec![format!("*a{}", level - 1); 10].join(",");
        format!("a{level}: &a{level} [{aliases}]\n")
    });
    let bomb = format!("a0: &a0 [{}]\n{}", ["x"; 10].join(","), levels.collect::<String>());
    vec![
        case("PATCH", &there, 413, "RequestEntityTooLarge",
            "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001")
            .of_type("application/json-patch+json")
            .body(json!(operations).to_string()),
        case("PATCH", &there, 422, "Invalid",
            "the server rejected our request due to an error in our request")
            .of_type("application/json-patch+json")
            .body(json!(copies).to_string()),
        case("PATCH", &format!("{there}?fieldManager=m"), 400, "BadRequest",
            "error decoding YAML: error converting YAML to JSON: yaml: document contains excessive aliasing")
            .of_type("application/apply-patch+yaml")
            .body(bomb),
        case("PATCH", &there, 422, "Invalid",
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for \
             apply patch")
            .of_type("application/apply-patch+yaml")
            .body(map("there"))
            .causes(json!([["FieldValueRequired", "fieldManager"]])),
        case("PUT", &there, 400, "BadRequest",
            "the name of the object (elsewhere) does not match the name on the URL (there)")
            .body(map("elsewhere")),
        case("PUT", &there, 409, "Conflict",
            "Operation cannot be fulfilled on configmaps \"there\": the object has been modified; please \
             apply your changes to the latest version and try again")
            .body(map("there").replace("{\"name\"", "{\"resourceVersion\":\"1\",\"name\"")),
        case("PUT", &format!("{MAPS}/none"), 404, "NotFound", "configmaps \"none\" not found")
            .body(map("none")),
        case("POST", &format!("{MAPS}?fieldValidation=Never"), 422, "Invalid",
            "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"Never\": \
             supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"")
            .body(map("v"))
            .causes(json!([["FieldValueNotSupported", "fieldValidation"]])),
        case("PATCH", &there, 422, "Invalid",
            " \"\" is invalid: patch: Invalid value: \"map[data:[1]]\": cannot restore map from slice")
            .of_type("application/strategic-merge-patch+json")
            .body(r#"{"data":[1]}"#)
            .causes(json!([["FieldValueInvalid", "patch"]])),
    ]
}

fn lists() -> Vec<Case> {
    let list = |query: &str| format!("{MAPS}?{query}");
    let options = |why: &str| format!("ListOptions.meta.k8s.io \"\" is invalid: {why}");
    vec![
        case("GET", &list("labelSelector=a%20notin%20(("), 400, "BadRequest",
            "unable to parse requirement: found '(', expected: ',', ')' or identifier"),
        case("GET", &list("resourceVersion=x1"), 400, "BadRequest",
            "invalid resource version: resourceVersion: Invalid value: \"x1\": strconv.ParseUint: \
             parsing \"x1\": invalid syntax"),
        case("GET", &list("limit=x"), 400, "BadRequest",
            "strconv.ParseInt: parsing \"x\": invalid syntax"),
        case("GET", &list("continue=garbage"), 400, "BadRequest",
            "invalid continue token: continue key is not valid: invalid character '\\x81' looking for \
             beginning of value"),
        case("GET", &list("continue=gar!bage&resourceVersion=5"), 400, "BadRequest",
            "invalid continue token: continue key is not valid: illegal base64 data at input byte 3"),
        case("GET", &list("continue=e30"), 400, "BadRequest",
            "invalid continue token: continue key is not valid: server does not recognize this \
             encoded version "),
        case("GET", &list("watch=1&resourceVersionMatch=NotOlderThan&limit=1"), 422, "Invalid",
            &options("resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch \
             unless sendInitialEvents is provided"))
            .causes(json!([["FieldValueForbidden", "resourceVersionMatch"]])),
        case("GET", &list("resourceVersionMatch=NotOlderThan"), 422, "Invalid", &options(
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion \
             is provided"))
            .causes(json!([["FieldValueForbidden", "resourceVersionMatch"]])),
        case("GET", &list("resourceVersion=1&resourceVersionMatch=Nope"), 422, "Invalid", &options(
            "resourceVersionMatch: Unsupported value: \"Nope\": supported values: \"Exact\", \
             \"NotOlderThan\", \"\""))
            .causes(json!([["FieldValueNotSupported", "resourceVersionMatch"]])),
        case("GET", &list("sendInitialEvents=false"), 422, "Invalid", &options(
            "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"))
            .causes(json!([["FieldValueForbidden", "sendInitialEvents"]])),
    ]
}

/// Requests of those who may not.
fn users() -> Vec<Case> {
    let ann = || Identity::new("ann", ["system:authenticated"]);
    vec![
        case("GET", "/api/v1/secrets", 403, "Forbidden",
            "secrets is forbidden: User \"ann\" cannot list resource \"secrets\" in API group \"\" at \
             the cluster scope")
            .by(ann()),
        case("POST", MAPS, 403, "Forbidden",
            "configmaps is forbidden: User \"ann\" cannot create resource \"configmaps\" in API group \
             \"\" in the namespace \"default\"")
            .by(ann())
            .body(map("a")),
        case("DELETE", &format!("{MAPS}/there"), 403, "Forbidden",
            "configmaps \"there\" is forbidden: User \"system:anonymous\" cannot delete resource \
             \"configmaps\" in API group \"\" in the namespace \"default\"")
            .by(Identity::anonymous()),
        case("GET", "/openapi/v2", 403, "Forbidden",
            "forbidden: User \"system:anonymous\" cannot get path \"/openapi/v2\"")
            .by(Identity::anonymous()),
        case("GET", "/metrics", 403, "Forbidden", "forbidden: User \"ann\" cannot get path \"/metrics\"")
            .by(ann()),
    ]
}

/// What is too large, too old or too new, or has a form that is not served.
fn limits() -> Vec<Case> {
    let sized = |name: &str, field: &str, size: usize| {
        let mut object: Value = serde_json::from_str(&map(name)).unwrap();
        let text = json!({"a": "x".repeat(size)});
        match field {
            "data" => object["data"] = text,
            _ => object["metadata"][field] = text,
        }
        object.to_string()
    };
    const TYPES: &str = "406: Not Acceptable\n\nAvailable representations: application/json, \
                         application/yaml, application/vnd.kubernetes.protobuf";
    vec![
        case("POST", MAPS, 422, "Invalid",
            "ConfigMap \"large\" is invalid: []: Too long: may not be more than 1048576 bytes")
            .body(sized("large", "data", (1 << 20) + 1))
            .causes(json!([["FieldValueTooLong", "[]"]])),
        case("POST", MAPS, 422, "Invalid",
            "ConfigMap \"large\" is invalid: metadata.annotations: Too long: may not be more than 262144 \
             bytes")
            .body(sized("large", "annotations", 257 << 10))
            .causes(json!([["FieldValueTooLong", "metadata.annotations"]])),
        case("POST", MAPS, 413, "RequestEntityTooLarge",
            "Request entity too large: limit is 3145728")
            .body(sized("large", "data", 3 << 20)),
        case("POST", MAPS, 400, "BadRequest",
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get \
             version/kind; json parse error: invalid character '\\x1f' looking for beginning of value \
             (1f8b0800)")
            .body(*b"\x1f\x8b\x08\x00"),
        case("GET", MAPS, 406, "NotAcceptable", &format!(
            "{TYPES}, application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"))
            .accepting("image/gif"),
        case("GET", &format!("{MAPS}?watch=1"), 406, "NotAcceptable", &format!(
            "{TYPES}, application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"))
            .accepting("image/gif"),
        case("GET", &format!("{MAPS}?resourceVersion=%2B1"), 400, "BadRequest",
            "invalid resource version: resourceVersion: Invalid value: \"+1\": strconv.ParseUint: \
             parsing \"+1\": invalid syntax"),
        case("GET", "/apis/apps/v1", 406, "NotAcceptable", TYPES).accepting("image/gif"),
        case("GET", "/apis", 406, "NotAcceptable",
            "only the following media types are accepted: application/json, application/yaml, \
             application/vnd.kubernetes.protobuf")
            .accepting("application/json;as=Table;v=v1;g=meta.k8s.io"),
        case("PUT", &format!("{MAPS}/none?fieldValidation=Strict"), 404, "NotFound",
            "configmaps \"none\" not found")
            .body(map("none").replace("{\"name\"", "{\"resourceVersion\":\"1\",\"name\"")),
        case("PATCH", &format!("{MAPS}/none"), 404, "NotFound", "configmaps \"none\" not found")
            .of_type("application/merge-patch+json")
            .body("{"),
    ]
}

/// A definition of `{plural}.r.example.com` with a schema.
fn definition(plural: &str, schema: Value) -> String {
    let kind = plural.to_uppercase();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.r.example.com")},
        "spec": {
            "group": "r.example.com", "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, "listKind": format!("{kind}List")},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": schema},
            }],
        },
    })
    .to_string()
}

/// A definition whose `spec` has this schema.
fn definition_of(plural: &str, spec: Value) -> String {
    definition(plural, json!({"type": "object", "properties": {"spec": spec}}))
}

fn definitions() -> Vec<Case> {
    const PATH: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    const SPEC: &str = "spec.validation.openAPIV3Schema.properties[spec]";
    let refused = |plural: &str, body: String, why: &str| {
        let start = format!(
            "CustomResourceDefinition.apiextensions.k8s.io \"{plural}.r.example.com\" is invalid: "
        );
        case("POST", PATH, 422, "Invalid", &format!("{start}{why}")).body(body)
    };
    let field = |name: &str| format!("{SPEC}{name}");
    let pattern = |plural: &str, text: &str, why: &str| {
        let spec =
            json!({"type": "object", "properties": {"y": {"type": "string", "pattern": text}}});
        let field = field(".properties[y].pattern");
        let why = format!(
            "{field}: Invalid value: \"{text}\": must be a valid regular expression, but isn't: error \
             parsing regexp: {why}"
        );
        refused(plural, definition_of(plural, spec), &why)
            .causes(json!([["FieldValueInvalid", field]]))
    };
    vec![
        pattern("a1s", "[a", "missing closing ]: `[a`"),
        pattern("a2s", "a**", "invalid nested repetition operator: `**`"),
        pattern("a3s", "(?<=x)y", "invalid named capture: `(?<=x)y`"),
        pattern("a8s", "(?=x)y", "invalid or unsupported Perl syntax: `(?=`"),
        pattern("a9s", "a)", "unexpected ): `a)`"),
        pattern("a4s", "x{2,1}", "invalid repeat count: `{2,1}`"),
        pattern("a5s", "b{1001,}", "invalid repeat count: `{1001,}`"),
        pattern("a6s", "*", "missing argument to repetition operator: `*`"),
        pattern("a7s", "(?P<n", "invalid named capture: `(?P<n`"),
        refused(
            "c1s",
            definition_of("c1s", json!({"$ref": "#/definitions/y"})),
            &format!("{SPEC}.$ref: Forbidden: $ref is not supported"),
        )
        .causes(json!([["FieldValueForbidden", format!("{SPEC}.$ref")]])),
        refused(
            "c2s",
            definition("c2s", json!({"properties": {"spec": {"type": "object"}}})),
            "spec.validation.openAPIV3Schema.type: Required value: must not be empty at the root",
        )
        .causes(json!([["FieldValueRequired", "spec.validation.openAPIV3Schema.type"]])),
        refused(
            "other",
            definition_of("c3s", json!({"type": "object"}))
                .replace("\"name\":\"c3s.r.example.com\"", "\"name\":\"other.r.example.com\""),
            "metadata.name: Invalid value: \"other.r.example.com\": must be \
             spec.names.plural+\".\"+spec.group",
        )
        .causes(json!([["FieldValueInvalid", "metadata.name"]])),
        refused(
            "c4s",
            definition_of("c4s", json!({"type": "object", "patternProperties": {"a": {}}})),
            &format!("{SPEC}.patternProperties: Forbidden: patternProperties is not supported"),
        )
        .causes(json!([["FieldValueForbidden", format!("{SPEC}.patternProperties")]])),
        refused(
            "e1s",
            definition_of("e1s", json!({"type": "object", "x-kubernetes-validations": [
                {"rule": "self.["},
            ]})),
            &format!(
                "{SPEC}.x-kubernetes-validations[0].rule: Invalid value: \
                 {{\"Rule\":\"self.[\",\"Message\":\"\",\"MessageExpression\":\"\",\"Reason\":null,\
                 \"FieldPath\":\"\",\"OptionalOldSelf\":null}}: compilation failed: ERROR: \
                 <input>:1:6: Syntax error: no viable alternative at input '.['\n | self.[\n | .....^"
            ),
        )
        .causes(json!([["FieldValueInvalid", format!("{SPEC}.x-kubernetes-validations[0].rule")]])),
    ]
}

async fn answer(control_plane: &ControlPlane, case: &Case) -> (u16, String) {
    let method = Method::from_bytes(case.method.as_bytes()).unwrap();
    let mut request = Request::new(Body::from(case.body.clone()));
    *request.method_mut() = method;
    *request.uri_mut() = case.path.parse().unwrap();
    request.headers_mut().insert("content-type", case.content_type.parse().unwrap());
    request.headers_mut().insert("accept", case.accept.parse().unwrap());
    let user = case.user.clone().unwrap_or_else(|| Identity::administrator("test"));
    request.extensions_mut().insert(user);
    let response = control_plane.server().handle(request).await;
    let code = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (code, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn wrong_requests_are_answered_as_recorded() {
    let control_plane = ControlPlane::start().await.unwrap();
    let there = case("POST", MAPS, 201, "", "").body(map("there"));
    assert_eq!(answer(&control_plane, &there).await.0, 201);
    let all = [paths(), bodies(), changes(), lists(), users(), limits(), definitions()];
    let cases: Vec<Case> = all.into_iter().flatten().collect();
    assert!(cases.len() >= 65, "{}", cases.len());
    for case in &cases {
        let (code, text) = answer(&control_plane, case).await;
        let about = format!("{} {}: {text}", case.method, case.path);
        assert_eq!(code, case.code, "{about}");
        let Ok(status) = serde_json::from_str::<Value>(&text) else {
            assert_eq!(text, case.message, "{about}");
            continue;
        };
        assert_eq!(status["reason"], case.reason, "{about}");
        assert_eq!(status["message"], *case.message, "{about}");
        let causes = status["details"]["causes"].as_array().cloned().unwrap_or_default();
        let causes: Value =
            causes.iter().map(|cause| json!([cause["reason"], cause["field"]])).collect();
        assert_eq!(causes, case.causes, "{about}");
    }
    control_plane.stop().await;
}
