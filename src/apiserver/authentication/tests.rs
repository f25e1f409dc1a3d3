//! Credentials, row by row as kube-apiserver takes them.

use std::sync::Arc;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;
use http_body_util::BodyExt;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::jwt::{self, Token};
use super::{Identity, Peer, StaticToken};
use crate::apiserver::{Access, ApiServer, Options, Profile};
use crate::clock::Clock;
use crate::machinery::builtin;
use crate::machinery::random_tests::cases;
use crate::pki::{PublicKey, SigningKey};

/// A server without a transport, and what one sends to it.
struct Sender {
    server: ApiServer,
}

impl Sender {
    async fn new(access: Access) -> Self {
        let profile = Profile::new(builtin::definitions());
        let options = Options::new(Clock::wall());
        let server = ApiServer::with_access(&profile, options, Arc::new(access));
        let sender = Self { server };
        for namespace in ["default", "kube-system"] {
            sender.post("/api/v1/namespaces", json!({"metadata": {"name": namespace}})).await;
        }
        sender
    }

    async fn send(&self, request: Request<Body>) -> (u16, Value) {
        let response = self.server.handle(request).await;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// As an administrator.
    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let mut request = Request::post(path).body(Body::from(body.to_string())).unwrap();
        request.extensions_mut().insert(Identity::administrator("admin"));
        self.send(request).await
    }

    async fn delete(&self, path: &str) -> (u16, Value) {
        let mut request = Request::delete(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(Identity::administrator("admin"));
        self.send(request).await
    }

    /// GET with an `Authorization` header, if any.
    async fn get(&self, path: &str, authorization: Option<&str>) -> (u16, Value) {
        let mut request = Request::get(path);
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn secrets(&self, authorization: &str) -> (u16, String) {
        let (code, body) = self.get("/api/v1/secrets", Some(authorization)).await;
        (code, body["message"].as_str().unwrap_or_default().to_owned())
    }

    async fn account(&self, name: &str) {
        let path = "/api/v1/namespaces/default/serviceaccounts";
        let (code, _) = self.post(path, json!({"metadata": {"name": name}})).await;
        assert_eq!(code, 201);
    }

    async fn token(&self, name: &str, spec: Value) -> (u16, Value) {
        let path = format!("/api/v1/namespaces/default/serviceaccounts/{name}/token");
        self.post(&path, json!({"spec": spec})).await
    }

    async fn valid_token(&self, name: &str) -> String {
        let (code, body) = self.token(name, json!({})).await;
        assert_eq!(code, 201, "{body}");
        body["status"]["token"].as_str().unwrap().to_owned()
    }
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn refused() -> (u16, String) {
    (401, "Unauthorized".to_owned())
}

#[tokio::test]
async fn without_credentials_one_is_anonymous() {
    let sender = Sender::new(Access::default()).await;
    let forbidden = "secrets is forbidden: User \"system:anonymous\" cannot list resource \
                     \"secrets\" in API group \"\" at the cluster scope";
    for header in ["Bearer ", "Basic YTpi", "Bearer"] {
        assert_eq!(sender.secrets(header).await, (403, forbidden.to_owned()), "{header}");
    }
    for path in ["/metrics", "/api", "/openapi/v2"] {
        assert_eq!(sender.get(path, None).await.0, 403, "{path}");
    }
    for path in ["/healthz", "/livez", "/readyz", "/version"] {
        assert_eq!(sender.get(path, None).await.0, 200, "{path}");
    }
    let request = Request::get("/api/v1/secrets").header("x-remote-user", "admin");
    let request = request.header("x-remote-group", "system:masters").body(Body::empty()).unwrap();
    assert_eq!(sender.send(request).await.0, 403);
    let nobody = Sender::new(Access { anonymous: false, ..Access::default() }).await;
    assert_eq!(nobody.get("/healthz", None).await.0, 401);
}

#[tokio::test]
async fn a_valid_token_is_its_service_account() {
    let sender = Sender::new(Access::default()).await;
    sender.account("x").await;
    let token = sender.valid_token("x").await;
    let (code, message) = sender.secrets(&format!("Bearer {token}")).await;
    assert_eq!(code, 403);
    assert!(message.contains("User \"system:serviceaccount:default:x\" cannot list"), "{message}");
    let claims = claims(&token);
    assert_eq!(claims["iss"], "https://kubernetes.default.svc.cluster.local");
    assert_eq!(claims["aud"], json!(["https://kubernetes.default.svc.cluster.local"]));
    assert_eq!(claims["sub"], "system:serviceaccount:default:x");
    assert_eq!(claims["kubernetes.io"]["serviceaccount"]["name"], "x");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
}

#[tokio::test]
async fn tokens_that_were_tampered_with_are_refused() {
    let sender = Sender::new(Access::default()).await;
    sender.account("x").await;
    let token = sender.valid_token("x").await;
    let parts: Vec<&str> = token.split('.').collect();
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let other = encode(&json!({"iss": "x"}));
    let mut forged = claims(&token);
    forged["sub"] = "system:serviceaccount:default:admin".into();
    let none = encode(&json!({"alg": "none"}));
    let public =
        PublicKey::all_from_pem(&crate::pki::generate_key_pem(Default::default()).unwrap());
    let hmac = encode(&json!({"alg": "HS256", "kid": public.unwrap()[0].id()}));
    let path = encode(&json!({"alg": "ES256", "kid": "../../../etc/passwd"}));
    let signature: String = parts[2].chars().rev().collect();
    let bad = [
        "garbage".to_owned(),
        "a.b.c".to_owned(),
        "..".to_owned(),
        format!("{}.{}.{signature}", parts[0], parts[1]),
        format!("{}.{}.{}", parts[0], encode(&forged), parts[2]),
        format!("{}.{other}.{}", parts[0], parts[2]),
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        format!("{hmac}.{}.{}", parts[1], parts[2]),
        format!("{path}.{}.{}", parts[1], parts[2]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{token}x"),
        format!("{token}."),
    ];
    for token in bad {
        assert_eq!(sender.secrets(&format!("Bearer {token}")).await, refused(), "{token}");
    }
    assert_eq!(sender.secrets(&format!("Bearer {token}")).await.0, 403);
}

#[tokio::test]
async fn claims_decide_about_time_issuer_and_audience() {
    let key = Arc::new(SigningKey::generate().unwrap());
    let access = Access { signing_key: Some(key.clone()), ..Access::default() };
    let sender = Sender::new(access).await;
    sender.account("x").await;
    let good = claims(&sender.valid_token("x").await);
    let now = good["iat"].as_i64().unwrap();
    let check = async |field: &str, value: Value, code: u16| {
        let mut claims = good.clone();
        claims[field] = value.clone();
        let token = jwt::sign(&key, &claims).unwrap();
        let answer = sender.secrets(&format!("Bearer {token}")).await;
        assert_eq!(answer.0, code, "{field}: {value}");
    };
    check("exp", (now + 60).into(), 403).await;
    check("exp", (now - 3600).into(), 401).await;
    check("exp", Value::Null, 401).await;
    check("exp", "soon".into(), 401).await;
    check("nbf", (now + 3600).into(), 401).await;
    check("nbf", (now - 10).into(), 403).await;
    check("iat", (now + 3600).into(), 401).await;
    check("aud", json!(["vault"]), 401).await;
    check("aud", "vault".into(), 401).await;
    check("aud", json!(["vault", "https://kubernetes.default.svc.cluster.local"]), 403).await;
    check("iss", "https://evil".into(), 401).await;
    check("kubernetes.io", json!({}), 401).await;
    check("jti", "other".into(), 403).await;
    let mut other_uid = good["kubernetes.io"].clone();
    other_uid["serviceaccount"]["uid"] = "00000000-0000-0000-0000-000000000000".into();
    check("kubernetes.io", other_uid, 401).await;
    let other = SigningKey::generate().unwrap();
    let token = jwt::sign(&other, &good).unwrap();
    assert_eq!(sender.secrets(&format!("Bearer {token}")).await, refused());
}

#[tokio::test]
async fn tokens_end_with_their_account_and_what_they_are_bound_to() {
    let sender = Sender::new(Access::default()).await;
    sender.account("x").await;
    let secret = json!({"metadata": {"name": "s"}});
    let (_, secret) = sender.post("/api/v1/namespaces/default/secrets", secret).await;
    let bound = json!({"boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": "s",
        "uid": secret["metadata"]["uid"]}});
    let (code, body) = sender.token("x", bound).await;
    assert_eq!(code, 201, "{body}");
    let bound = format!("Bearer {}", body["status"]["token"].as_str().unwrap());
    let free = format!("Bearer {}", sender.valid_token("x").await);
    assert_eq!(sender.secrets(&bound).await.0, 403);
    sender.delete("/api/v1/namespaces/default/secrets/s").await;
    assert_eq!(sender.secrets(&bound).await, refused());
    assert_eq!(sender.secrets(&free).await.0, 403);
    sender.delete("/api/v1/namespaces/default/serviceaccounts/x").await;
    assert_eq!(sender.secrets(&free).await, refused());
    sender.account("x").await;
    assert_eq!(sender.secrets(&free).await, refused(), "another uid");
}

#[tokio::test]
async fn token_requests_are_checked() {
    let sender = Sender::new(Access::default()).await;
    sender.account("x").await;
    let message = |(code, body): (u16, Value)| (code, body["message"].as_str().unwrap().to_owned());
    let short = message(sender.token("x", json!({"expirationSeconds": 599})).await);
    assert_eq!(
        short,
        (
            422,
            "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid \
             value: 599: may not specify a duration less than 10 minutes"
                .to_owned()
        )
    );
    let long = sender.token("x", json!({"expirationSeconds": (1_i64 << 32) + 1})).await;
    assert_eq!(long.0, 422);
    let absent = message(sender.token("y", json!({})).await);
    assert_eq!(absent, (404, "serviceaccounts \"y\" not found".to_owned()));
    let reference = |kind: &str| {
        json!({"boundObjectRef": {"apiVersion": "v1", "kind": kind,
        "name": "nope"}})
    };
    let pod = message(sender.token("x", reference("Pod")).await);
    assert_eq!(pod, (404, "pods \"nope\" not found".to_owned()));
    assert_eq!(sender.token("x", reference("ConfigMap")).await.0, 400);
    let (code, body) = sender.token("x", json!({"audiences": ["vault"]})).await;
    assert_eq!(code, 201);
    assert_eq!(body["kind"], "TokenRequest");
    assert_eq!(body["spec"]["expirationSeconds"], 3600);
    let token = body["status"]["token"].as_str().unwrap().to_owned();
    assert_eq!(sender.secrets(&format!("Bearer {token}")).await, refused(), "for vault only");
    let review = |spec: Value| {
        let path = "/apis/authentication.k8s.io/v1/tokenreviews";
        sender.post(path, json!({"spec": spec}))
    };
    let (code, body) = review(json!({"token": token, "audiences": ["vault", "other"]})).await;
    assert_eq!(code, 201);
    assert_eq!(body["status"]["authenticated"], true);
    assert_eq!(body["status"]["audiences"], json!(["vault"]));
    assert_eq!(body["status"]["user"]["username"], "system:serviceaccount:default:x");
    let id = &body["status"]["user"]["extra"]["authentication.kubernetes.io/credential-id"][0];
    assert!(id.as_str().unwrap().starts_with("JTI="), "{id}");
    let (_, body) = review(json!({"token": token})).await;
    assert_eq!(body["status"]["authenticated"], Value::Null);
    assert!(body["status"]["error"].as_str().unwrap().starts_with("[invalid bearer token, "));
}

#[tokio::test]
async fn certificates_win_and_refused_ones_leave_it_to_the_token() {
    let sender = Sender::new(Access::default()).await;
    sender.account("x").await;
    let token = sender.valid_token("x").await;
    let send = async |peer: Option<Peer>, identity: Option<Identity>, header: Option<&str>| {
        let mut request = Request::get("/api/v1/secrets");
        if let Some(header) = header {
            request = request.header("authorization", format!("Bearer {header}"));
        }
        let mut request = request.body(Body::empty()).unwrap();
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        if let Some(identity) = identity {
            request.extensions_mut().insert(identity);
        }
        sender.send(request).await.0
    };
    let admin = || Some(Identity::administrator("admin"));
    assert_eq!(send(None, admin(), Some("garbage")).await, 200);
    assert_eq!(send(Some(Peer::Refused), None, None).await, 401);
    assert_eq!(send(Some(Peer::Refused), None, Some("garbage")).await, 401);
    assert_eq!(send(Some(Peer::Refused), None, Some(&token)).await, 403);
    assert_eq!(send(None, None, None).await, 403);
}

#[tokio::test]
async fn static_and_bootstrap_tokens_are_known() {
    let tokens = StaticToken::parse_file("secret,alice,7,\"system:masters\"\n").unwrap();
    let sender = Sender::new(Access { tokens, ..Access::default() }).await;
    assert_eq!(sender.secrets("Bearer secret").await.0, 200);
    assert_eq!(sender.secrets("Bearer secreT").await, refused());
    let text = |value: &str| base64::engine::general_purpose::STANDARD.encode(value);
    let data = json!({"token-id": text("abcdef"), "token-secret": text("0123456789abcdef"),
        "usage-bootstrap-authentication": text("true"),
        "auth-extra-groups": text("system:bootstrappers:kubeadm:default-node-token")});
    let secret = json!({"metadata": {"name": "bootstrap-token-abcdef"},
        "type": "bootstrap.kubernetes.io/token", "data": data});
    let (code, body) = sender.post("/api/v1/namespaces/kube-system/secrets", secret).await;
    assert_eq!(code, 201, "{body}");
    let (code, message) = sender.secrets("Bearer abcdef.0123456789abcdef").await;
    assert_eq!(code, 403);
    assert!(message.contains("\"system:bootstrap:abcdef\""), "{message}");
    for bad in ["abcdef.0123456789abcdee", "abcdeg.0123456789abcdef", "abcdef.0123456789ABCDEF"] {
        assert_eq!(sender.secrets(&format!("Bearer {bad}")).await, refused(), "{bad}");
    }
}

#[tokio::test]
async fn servers_do_not_accept_each_others_tokens() {
    let mut senders = Vec::new();
    for _ in 0..6 {
        let sender = Sender::new(Access::default()).await;
        sender.account("x").await;
        senders.push(sender);
    }
    for (from, sender) in senders.iter().enumerate() {
        let token = format!("Bearer {}", sender.valid_token("x").await);
        for (to, receiver) in senders.iter().enumerate() {
            let expected = if from == to { 403 } else { 401 };
            assert_eq!(receiver.secrets(&token).await.0, expected, "{from} to {to}");
        }
    }
}

#[tokio::test]
async fn issuer_documents_verify_tokens() {
    let sender = Sender::new(Access::default()).await;
    sender.account("x").await;
    let read = async |path: &str| {
        let mut request =
            Request::get(path).header("host", "api:6443").body(Body::empty()).unwrap();
        request.extensions_mut().insert(Identity::administrator("admin"));
        sender.send(request).await
    };
    let (code, document) = read("/.well-known/openid-configuration").await;
    assert_eq!(code, 200);
    assert_eq!(document["jwks_uri"], "https://api:6443/openid/v1/jwks");
    assert_eq!(document["id_token_signing_alg_values_supported"], json!(["ES256"]));
    let (_, keys) = read("/openid/v1/jwks").await;
    let token = sender.valid_token("x").await;
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(keys["keys"][0]["kid"], header["kid"]);
    assert_eq!(keys["keys"][0]["kty"], "EC");
    assert_eq!(sender.get("/openid/v1/jwks", None).await.0, 403);
    let bearer = format!("Bearer {token}");
    assert_eq!(sender.get("/openid/v1/jwks", Some(&bearer)).await.0, 200);
    assert_eq!(read("/openid/v2").await.0, 404);
}

#[test]
fn fuzzed_tokens_are_not_verified() {
    let key = SigningKey::generate().unwrap();
    let good = jwt::sign(&key, &json!({"sub": "system:serviceaccount:a:b", "exp": 1})).unwrap();
    let read = cases("tokens", 20_000, move |draw| {
        let corpus = [&*good, "eyJhbGciOiJub25lIn0.e30.", "e30.e30.e30"];
        let tokens = [".", "=", "e30", "eyJhbGciOiJub25lIn0", "_", "-", "A", "\0"];
        let text = draw.mutant_text(&corpus, &tokens);
        let Some(token) = Token::parse(&text) else { return false };
        assert!(text == good || token.verified([key.public()]).is_none(), "{text}");
        true
    });
    assert!(read > 0);
}

#[test]
fn keys_of_other_algorithms_sign_and_verify() {
    use crate::pki::{KeyAlgorithm, generate_key_pem};
    for (algorithm, name) in [(KeyAlgorithm::Rsa2048, "RS256"), (KeyAlgorithm::EcdsaP384, "ES384")]
    {
        let key = SigningKey::from_pem(&generate_key_pem(algorithm).unwrap()).unwrap();
        assert_eq!(key.public().algorithm().name(), name);
        let text = jwt::sign(&key, &json!({"a": 1})).unwrap();
        let token = Token::parse(&text).unwrap();
        assert_eq!(token.verified([key.public()]), Some(&json!({"a": 1})));
        assert_eq!(token.verified([SigningKey::generate().unwrap().public()]), None);
    }
}

proptest! {
    #[test]
    fn reading_tokens_never_panics(text in "\\PC{0,80}", parts in prop::collection::vec("[A-Za-z0-9_=-]{0,40}", 0..5)) {
        let _ = Token::parse(&text);
        let joined = parts.join(".");
        if let Some(token) = Token::parse(&joined) {
            let key = SigningKey::generate().unwrap();
            prop_assert_eq!(token.verified([key.public()]), None);
        }
    }

    #[test]
    fn claims_of_any_form_never_panic(payload in prop::collection::vec(any::<u8>(), 0..60), header in "\\PC{0,30}") {
        let token = format!("{}.{}.", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let _ = Token::parse(&token);
    }
}
