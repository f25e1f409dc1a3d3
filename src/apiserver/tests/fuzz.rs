//! Random requests: whatever comes, nothing panics, nothing but declared refusals answers, and
//! nothing is written without a 2xx.
//!
//! 12,000 requests a run; `CAPIM_FUZZ` multiplies that, `CAPIM_SEED` sets another beginning.

use std::sync::atomic::Ordering;

use super::*;
use crate::apiserver::{RequestInfo, body, duplicates};
use crate::clock::Seed;
use crate::machinery::random_tests;

/// Refusals of the 5xx kind that are declared: a version of the future, and what kube-apiserver
/// answers with 500 and no reason (versions on objects to be created, patches that do not fit their
/// type). An InternalError is none.
fn is_declared(code: u16, body: &Value) -> bool {
    match code {
        504 => body["reason"] == "Timeout",
        500 => body["kind"] == "Status" && body["reason"].is_null(),
        _ => code < 500,
    }
}

struct Draw {
    seed: Seed,
    count: u64,
}

impl Draw {
    fn number(&mut self) -> u64 {
        self.count += 1;
        self.seed.number(&["fuzz", &self.count.to_string()])
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.number() % bound as u64).unwrap()
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    /// Bytes that mean something here and there.
    fn noise(&mut self, most: usize) -> Vec<u8> {
        const PIECES: [&[u8]; 24] = [
            b"{",
            b"}",
            b"[",
            b"]",
            b"\"",
            b":",
            b",",
            b"null",
            b"true",
            b"-1e999",
            b"metadata",
            b"name",
            b"\\u0000",
            b"\\ud800",
            b"\xff",
            b"k8s\0",
            b"\n",
            b"- ",
            b"&a",
            b"*a",
            b"0",
            b" ",
            b"'",
            b"%",
        ];
        let count = self.below(most);
        (0..count).flat_map(|_| PIECES[self.below(PIECES.len())].to_vec()).collect()
    }

    fn path(&mut self) -> String {
        let root = self.of(&[
            "/api/v1",
            "/apis/apps/v1",
            "/apis/example.com/v1",
            "/apis/example.com/v2",
            "/apis",
            "/api",
            "",
            "/apis/none/v1",
            "/openapi",
            "/apis/events.k8s.io/v1",
            "/apis/authorization.k8s.io/v1",
            "/apis/apiextensions.k8s.io/v1",
        ]);
        let place =
            self.of(&["", "/namespaces/a", "/namespaces/b", "/watch", "/watch/namespaces/a", "//"]);
        let resource = self.of(&[
            "/configmaps",
            "/pods",
            "/secrets",
            "/widgets",
            "/deployments",
            "/namespaces",
            "/events",
            "/customresourcedefinitions",
            "/selfsubjectaccessreviews",
            "",
            "/none",
            "/%2e%2e",
        ]);
        let name = self.of(&["", "/x", "/y", "/default", "/%ff", "/a%2fb", "/.", "/x/", "/A_B"]);
        let subresource =
            self.of(&["", "", "", "/status", "/scale", "/finalize", "/log", "/none", "/status/x"]);
        format!("{root}{place}{resource}{name}{subresource}")
    }

    fn query(&mut self) -> String {
        let mut query = String::new();
        for _ in 0..self.below(5) {
            let name = self.of(&[
                "watch",
                "limit",
                "continue",
                "resourceVersion",
                "resourceVersionMatch",
                "labelSelector",
                "fieldSelector",
                "timeoutSeconds",
                "sendInitialEvents",
                "allowWatchBookmarks",
                "fieldManager",
                "force",
                "dryRun",
                "fieldValidation",
                "propagationPolicy",
                "gracePeriodSeconds",
                "timeout",
                "includeObject",
                "%zz",
                "pretty",
            ]);
            let value = self.of(&[
                "1",
                "0",
                "-1",
                "abc",
                "",
                "true",
                "All",
                "Exact",
                "NotOlderThan",
                "Strict",
                "x%3Dy",
                "metadata.name%3Dx",
                "l+in+(a,b",
                "!l",
                "Foreground",
                "99999999",
                "1ms",
                "None",
                "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6NSwic3RhcnQiOiJ4In0",
                "%00",
                "spec.color%3Dred",
                "18446744073709551616",
            ]);
            let separator = if query.is_empty() { '?' } else { '&' };
            query.push_str(&format!("{separator}{name}={value}"));
        }
        query
    }

    fn object(&mut self) -> Value {
        let name = self.of(&["x", "y", "Z_", "", "default"]).to_owned();
        let kind =
            self.of(&["ConfigMap", "Widget", "Pod", "Namespace", "Secret", "Scale", "Status", ""]);
        let version = self.of(&["v1", "example.com/v1", "example.com/v2", "apps/v1", ""]);
        let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}});
        for _ in 0..self.below(5) {
            let path = self.of(&[
                "metadata",
                "spec",
                "status",
                "data",
                "metadata.labels",
                "metadata.ownerReferences",
                "metadata.finalizers",
                "metadata.resourceVersion",
                "metadata.managedFields",
                "metadata.namespace",
                "spec.replicas",
                "spec.containers",
                "$patch",
                "metadata.creationTimestamp",
                "metadata.annotations",
                "spec.size",
            ]);
            let value = match self.below(9) {
                0 => Value::Null,
                1 => json!(self.number()),
                2 => json!(-1),
                3 => json!([{}]),
                4 => json!({"a": "b"}),
                5 => json!("text"),
                6 => json!([null, 1, "x", {"name": "c"}]),
                7 => json!([{"name": "c", "image": "i"}]),
                _ => json!({"a": {"b": [[[{}]]]}}),
            };
            let mut place = &mut object;
            for part in path.split('.') {
                if !place.is_object() {
                    *place = json!({});
                }
                place = &mut place[part];
            }
            *place = value;
        }
        object
    }

    fn body(&mut self) -> Vec<u8> {
        match self.below(8) {
            0 => Vec::new(),
            1 => self.noise(60),
            2 => {
                let mut bytes = b"k8s\0".to_vec();
                let length = self.below(80);
                bytes.extend((0..length).map(|_| self.number() as u8));
                bytes
            }
            3 => {
                let operation =
                    self.of(&["add", "remove", "replace", "move", "copy", "test", "none"]);
                let path = self.of(&[
                    "/data/k",
                    "/metadata/labels",
                    "",
                    "/",
                    "/metadata/name",
                    "~2",
                    "/a/-",
                ]);
                let value = self.object();
                json!([{"op": operation, "path": path, "from": path, "value": value}])
                    .to_string()
                    .into()
            }
            4 => {
                let mut bytes = self.object().to_string().into_bytes();
                if !bytes.is_empty() {
                    let at = self.below(bytes.len());
                    bytes[at] = self.number() as u8;
                }
                bytes
            }
            5 => serde_saphyr::to_string(&self.object()).unwrap().into(),
            _ => self.object().to_string().into(),
        }
    }

    /// A request that is nearly right, so that some are accepted.
    fn sensible(&mut self) -> (String, String, &'static str, Vec<u8>) {
        let (path, kind, version) = [
            (MAPS, "ConfigMap", "v1"),
            (WIDGETS, "Widget", "example.com/v1"),
            ("/api/v1/namespaces/a/secrets", "Secret", "v1"),
            ("/api/v1/namespaces", "Namespace", "v1"),
        ][self.below(4)];
        let mut body = self.object();
        body["kind"] = kind.into();
        body["apiVersion"] = version.into();
        let name = self.of(&["x", "y", "z"]).to_owned();
        if body["metadata"].is_object() {
            body["metadata"]["name"] = name.clone().into();
        }
        let query = if self.below(3) == 0 { self.query() } else { String::new() };
        let named = format!("{path}/{name}{}{query}", self.of(&["", "", "/status"]));
        let all = format!("{path}{query}");
        let (method, uri, media) = match self.below(6) {
            0 | 1 => ("POST", all, "application/json"),
            2 => ("PUT", named, "application/json"),
            3 => ("PATCH", named, "application/merge-patch+json"),
            4 => ("PATCH", format!("{path}/{name}?fieldManager=m"), "application/apply-patch+yaml"),
            _ => ("DELETE", named, "application/json"),
        };
        let body = if method == "DELETE" { Vec::new() } else { body.to_string().into() };
        (method.to_owned(), uri, media, body)
    }

    fn request(&mut self) -> Option<(Request<Body>, String)> {
        if self.below(2) == 0 {
            let (method, uri, media, body) = self.sensible();
            let shown = format!("{method} {uri} {media} {}", String::from_utf8_lossy(&body));
            let request = Request::builder()
                .method(&*method)
                .uri(uri)
                .header("content-type", media)
                .body(Body::from(body))
                .ok()?;
            return Some((request, shown));
        }
        let method = self.of(&[
            "GET", "GET", "POST", "PUT", "PATCH", "PATCH", "DELETE", "HEAD", "OPTIONS", "FOO",
        ]);
        let uri = format!("{}{}", self.path(), self.query());
        let media = self.of(&[
            "application/json",
            "application/yaml",
            "application/vnd.kubernetes.protobuf",
            "application/merge-patch+json",
            "application/json-patch+json",
            "application/strategic-merge-patch+json",
            "application/apply-patch+yaml",
            "text/plain",
            "",
        ]);
        let accept = self.of(&[
            "*/*",
            "application/json",
            "application/yaml",
            "application/vnd.kubernetes.protobuf, */*",
            "application/json;as=Table;v=v1;g=meta.k8s.io",
            "text/html",
            ";;;,",
            "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
        ]);
        let body = self.body();
        let shown = format!("{method} {uri} {media} {accept} {}", String::from_utf8_lossy(&body));
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header("content-type", media)
            .header("accept", accept)
            .body(Body::from(body))
            .ok()?;
        Some((request, shown))
    }
}

/// The first event of a stream, or a whole answer.
async fn read_some(response: Response<Body>, is_watch: bool) -> Value {
    let media = response.headers().get("content-type").cloned();
    let bytes = if is_watch {
        let first = response.into_body().into_data_stream().next().await;
        first.and_then(Result::ok).unwrap_or_default()
    } else {
        response.into_body().collect().await.unwrap().to_bytes()
    };
    if !is_watch && media.is_some_and(|media| media == "application/vnd.kubernetes.protobuf") {
        return crate::machinery::protobuf::decode(&bytes).unwrap_or_default();
    }
    serde_json::from_slice(&bytes).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn random_requests_break_nothing_and_write_nothing_unsaid() {
    let seed = random_tests::first_seed();
    println!("CAPIM_SEED={seed}");
    let mut draw = Draw { seed: Seed(seed), count: 0 };
    let mut harness = Harness::new().await;
    let (mut sent, mut accepted) = (0, 0);
    let wanted = random_tests::multiplied(12_000);
    while sent < wanted {
        if sent % 500 == 0 {
            harness = Harness::new().await;
            harness.map("x", "a").await;
            let body = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "x"}});
            harness.post(WIDGETS, body).await.ok();
        }
        let Some((mut request, shown)) = draw.request() else { continue };
        request.extensions_mut().insert(Identity::administrator("fuzz"));
        let info = RequestInfo::parse(request.method(), request.uri());
        let is_dry = request.uri().query().unwrap_or_default().contains("dryRun=All");
        let before = harness.server.store().revision();
        let response = harness.server.handle(request).await;
        let code = response.status().as_u16();
        let is_watch = info.as_ref().is_some_and(|info| info.verb == "watch") && code == 200;
        let body = read_some(response, is_watch).await;
        let panics = harness.server.counters().panics.load(Ordering::Relaxed);
        assert_eq!(panics, 0, "request {sent} panics: {shown}");
        assert!(is_declared(code, &body), "request {sent} answers {code} {body}: {shown}");
        let after = harness.server.store().revision();
        if !(200..300).contains(&code) || is_dry {
            assert_eq!(after, before, "request {sent} answers {code} and writes: {shown}");
        }
        accepted += u64::from(after > before);
        sent += 1;
    }
    println!("{sent} requests, {accepted} of them wrote");
    assert!(accepted * 200 > wanted, "a run that writes nothing shows nothing: {accepted}");
}

#[test]
fn bodies_are_read_or_refused() {
    const CORPUS: [&str; 4] = [
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","labels":{"a":"b"}},"data":{"k":"v","k":"w"}}"#,
        r#"{"a":[1,2.5,-0,1e30,true,null,"\u00e9\ud83d\ude00\n"],"a":{"b":[[[{}]]]}}"#,
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  k: v\n  k: w\n",
        "{a: &x [1, *x], b: !!str 1}\n",
    ];
    const TOKENS: [&str; 18] = [
        "{", "}", "[", "]", ",", ":", "\"", "{\"a\":", "[[[[", "null", "1e999", "\\u0000",
        "\\ud800", "\"k\":1,", "- ", "\n", "*x", "&x ",
    ];
    let read = random_tests::cases("bodies", 40_000, |draw| {
        let body = draw.mutant(&CORPUS, &TOKENS);
        let json = body::json(&body, "ConfigMap");
        let yaml = body::yaml(&body, "ConfigMap");
        if let (Ok(decoded), Ok(value)) = (&json, serde_json::from_slice::<Value>(&body)) {
            assert_eq!(decoded.value, value, "{}", String::from_utf8_lossy(&body));
        }
        let complaints =
            vec!["unknown field \"a\"".to_owned(), "duplicate field \"data.k\"".to_owned()];
        assert_eq!(duplicates::in_text_order(&body, complaints).len(), 2);
        json.is_ok() || yaml.is_ok()
    });
    assert!(read > 0);
}

/// What a path is for, by the book: decode, split, look. (kubernetes 1.36:
/// apiserver/pkg/endpoints/request/requestinfo.go)
fn reference(path: &str) -> Option<(String, String, String, String, String, String)> {
    let bytes = path.as_bytes();
    let (mut decoded, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if bytes[at] == b'%' {
            let hex = std::str::from_utf8(bytes.get(at + 1..at + 3)?).ok()?;
            decoded.push(u8::from_str_radix(hex, 16).ok()?);
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    let decoded = String::from_utf8(decoded).ok()?;
    let decoded: Vec<String> =
        decoded.trim_start_matches('/').split('/').map(str::to_owned).collect();
    let mut parts = decoded.into_iter().peekable();
    let group = match parts.next()?.as_str() {
        "api" => String::new(),
        "apis" => parts.next()?,
        _ => return None,
    };
    let version = parts.next()?;
    if parts.peek().map(String::as_str) == Some("watch") {
        parts.next();
    }
    let mut rest: Vec<String> = parts.collect();
    if rest.last().is_some_and(String::is_empty) {
        rest.pop();
    }
    let mut namespace = String::new();
    if rest.first().map(String::as_str) == Some("namespaces") && rest.len() > 1 {
        namespace = rest[1].clone();
        if rest.len() > 2 && !matches!(rest[2].as_str(), "status" | "finalize") {
            rest.drain(..2);
        }
    }
    let mut rest = rest.into_iter();
    let resource = rest.next()?;
    let name = rest.next().unwrap_or_default();
    let rest: Vec<String> = rest.collect();
    let is_proxied = rest.first().is_some_and(|first| first == "proxy");
    let subresource = if is_proxied { "proxy".to_owned() } else { rest.join("/") };
    Some((group, version, namespace, resource, name, subresource))
}

#[test]
fn the_attributes_that_are_authorized_are_those_that_are_served() {
    let mut draw = Draw { seed: Seed(7), count: 0 };
    let mut resources = 0;
    for _ in 0..random_tests::multiplied(100_000) {
        let path = draw.path();
        let Ok(uri) = format!("{path}{}", draw.query()).parse::<http::Uri>() else { continue };
        let Some(info) = RequestInfo::parse(&Method::GET, &uri) else { continue };
        if !info.is_resource {
            continue;
        }
        resources += 1;
        let read = (
            info.group.clone(),
            info.version.clone(),
            info.namespace.clone(),
            info.resource.clone(),
            info.name.clone(),
            info.subresource.clone(),
        );
        assert_eq!(Some(read), reference(&path), "{path}");
    }
    assert!(resources > 10_000, "{resources}");
}
