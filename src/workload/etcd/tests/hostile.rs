//! Clients that are wrong, rude or broken: an error on that stream or connection alone.

use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Whether a client is let in. With TLS 1.3 a client learns of its refusal by its first read.
async fn is_let_in(fixture: &Fixture, client: Option<&CertifiedKey>) -> bool {
    let stream = fixture.open("a", 2379).expect("somebody listens");
    match shake_hands(stream, &fixture.ca, "etcd-a", client).await {
        Ok(mut stream) => stream.read_u8().await.is_ok(),
        Err(_) => false,
    }
}

#[tokio::test(start_paused = true)]
async fn only_clients_with_a_certificate_of_the_etcd_authority_are_let_in() {
    let fixture = three();
    let stranger =
        CertificateAuthority::generate("etcd-ca", KeyAlgorithm::EcdsaP256).expect("an authority");
    let good = certificate(&fixture.ca, Usage::Client);
    assert!(is_let_in(&fixture, Some(&good)).await);
    assert!(!is_let_in(&fixture, None).await, "no certificate");
    let strange = certificate(&stranger, Usage::Client);
    assert!(!is_let_in(&fixture, Some(&strange)).await, "of another authority");
    let server = certificate(&fixture.ca, Usage::Server);
    assert!(!is_let_in(&fixture, Some(&server)).await, "for servers only");
    let expired = fixture.ca.issue_expired(&request(Usage::Client));
    assert!(!is_let_in(&fixture, Some(&expired)).await, "no longer good");
    assert!(is_let_in(&fixture, Some(&good)).await, "the others do not mind");
}

#[tokio::test(start_paused = true)]
async fn the_member_proves_who_it_is() {
    let fixture = three();
    let own = certificate(&fixture.ca, Usage::Client);
    for name in ["etcd-a", "a", "localhost", "127.0.0.1", "172.18.0.2"] {
        let stream = fixture.open("a", 2379).expect("somebody listens");
        assert!(shake_hands(stream, &fixture.ca, name, Some(&own)).await.is_ok(), "{name}");
    }
    let stream = fixture.open("a", 2379).expect("somebody listens");
    assert!(shake_hands(stream, &fixture.ca, "etcd-b", Some(&own)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn garbage_is_answered_with_an_alert_and_silence_with_the_end() {
    let fixture = three();
    let mut stream = fixture.open("a", 2379).expect("somebody listens");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: etcd\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("closed");
    assert_eq!(answer.first(), Some(&21), "an alert record of TLS");

    let mut silent = fixture.open("a", 2379).expect("somebody listens");
    let start = fixture.clock.elapsed();
    assert_eq!(silent.read(&mut [0; 1]).await.ok(), Some(0));
    assert_eq!(fixture.clock.elapsed() - start, Duration::from_secs(10));
    fixture.client("a").await.status().await;
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_too_large_are_refused_alone() {
    let fixture = three();
    let mut client = fixture.client("a").await;
    let put = |bytes: usize| PutRequest {
        key: "k".into(),
        value: vec![0; bytes].into(),
        ..PutRequest::default()
    };
    assert_eq!(
        client.refused("KV/Put", put(1_600_000)).await,
        error(Code::InvalidArgument, "etcdserver: request is too large")
    );
    let huge = put(5 * 1024 * 1024);
    let expected =
        format!("grpc: received message larger than max ({} vs. 2097152)", huge.encoded_len());
    assert_eq!(client.refused("KV/Put", huge).await, error(Code::ResourceExhausted, &expected));
    client.put("k", "small").await.expect("the connection goes on");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_unimplemented_in_grpcs_words() {
    let fixture = three();
    let mut client = fixture.client("a").await;
    for (method, words) in [
        ("Watch/Watch", "method Watch not implemented"),
        ("Lease/LeaseGrant", "method LeaseGrant not implemented"),
        ("Maintenance/Snapshot", "method Snapshot not implemented"),
        ("Auth/AuthStatus", "method AuthStatus not implemented"),
        ("KV/Nothing", "unknown method Nothing for service etcdserverpb.KV"),
        ("Nothing/Range", "unknown service etcdserverpb.Nothing"),
    ] {
        assert_eq!(
            client.refused(method, StatusRequest {}).await,
            error(Code::Unimplemented, words)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_no_protobuf_is_refused() {
    let fixture = three();
    let mut client = fixture.client("a").await;
    // Field 1 of a put is its key, bytes; here it is a number.
    let wrong = MemberRemoveRequest { id: 7 };
    assert_eq!(client.refused("KV/Put", wrong).await.0, Code::Internal);
    client.status().await;
}

/// A put whose body never ends.
fn half_open_put() -> http::Request<tonic::body::Body> {
    let body = StreamBody::new(futures::stream::pending::<Result<Frame<bytes::Bytes>, Status>>());
    http::Request::post("https://etcd/etcdserverpb.KV/Put")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(tonic::body::Body::new(body))
        .expect("a request")
}

#[tokio::test(start_paused = true)]
async fn half_open_streams_time_out_and_hold_nobody_up() {
    let fixture = three();
    let mut half_open = fixture.client("a").await;
    let mut waiting = Vec::new();
    for _ in 0..200 {
        waiting.push(half_open.sender.send_request(half_open_put()));
    }
    let mut other = fixture.client("a").await;
    let start = fixture.clock.elapsed();
    other.status().await;
    half_open.status().await;
    assert_eq!(fixture.clock.elapsed(), start, "nobody waits for them");
    for response in futures::future::join_all(waiting).await {
        let response = response.expect("an answer");
        let status = response.headers().get("grpc-status").expect("a status");
        assert_eq!(status, "4", "deadline exceeded");
    }
    assert_eq!(fixture.clock.elapsed() - start, Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_half_open_streams_leave_the_others_alone() {
    let fixture = three();
    let mut half_open = Vec::new();
    let mut waiting = Vec::new();
    // So many streams that a connection has, on so many connections.
    for _ in 0..40 {
        let mut client = fixture.client("a").await;
        for _ in 0..250 {
            waiting.push(client.sender.send_request(half_open_put()));
        }
        half_open.push(client);
    }
    assert_eq!(waiting.len(), 10_000);
    let start = fixture.clock.elapsed();
    fixture.client("a").await.status().await;
    half_open[0].status().await;
    fixture.client("b").await.put("k", "v").await.expect("written");
    assert_eq!(fixture.clock.elapsed(), start, "nobody waits for them");
    // Their clients go, and the member has nothing of them.
    drop((waiting, half_open));
    while fixture.etcd.connection_count() > 0 {
        fixture.clock.sleep(Duration::from_secs(1)).await;
    }
    fixture.client("a").await.status().await;
}

#[tokio::test(start_paused = true)]
async fn connections_are_bounded_and_end_with_the_cluster() {
    let fixture = three();
    let mut open = Vec::new();
    let refused = loop {
        match fixture.open("a", 2379) {
            Ok(stream) => open.push(stream),
            Err(reason) => break reason,
        }
    };
    assert_eq!((open.len(), refused.as_str()), (256, "too many connections"));
    fixture.stop.cancel();
    fixture.tasks.close();
    fixture.tasks.wait().await;
    for mut stream in open {
        assert_eq!(stream.read(&mut [0; 1]).await.ok(), Some(0));
    }
    assert!(fixture.open("a", 2379).is_ok());
}

#[tokio::test(start_paused = true)]
async fn ports_that_etcd_does_not_have_refuse() {
    let fixture = three();
    for (name, port) in [("a", 2380), ("a", 0), ("nobody", 2379), ("", 2379)] {
        let refused = fixture.open(name, port).err();
        assert_eq!(refused.as_deref(), Some("connection refused"), "{name}:{port}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_metrics_port_tells_health_version_and_metrics() {
    let fixture = three();
    let get = async |path: &str| {
        let mut stream = fixture.open("a", 2381).expect("somebody listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).expect("a status").to_owned();
        (status, body.to_owned())
    };
    let healthy = ("200".to_owned(), r#"{"health":"true","reason":""}"#.to_owned());
    assert_eq!(get("/health").await, healthy);
    assert!(get("/version").await.1.contains(r#""etcdserver":"3.6.6""#));
    assert!(get("/metrics").await.1.contains("\netcd_server_has_leader 1\n"));
    assert_eq!(get("/nothing").await.0, "404");
    fixture.etcd.stop("b");
    fixture.etcd.stop("c");
    let sick = ("503".to_owned(), r#"{"health":"false","reason":"RAFT NO LEADER"}"#.to_owned());
    assert_eq!(get("/health").await, sick);
    assert_eq!(get("/readyz").await.0, "503");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_not_grpc_is_answered_as_http() {
    let fixture = three();
    let mut client = fixture.client("a").await;
    let request = http::Request::get("https://etcd/health")
        .body(tonic::body::Body::empty())
        .expect("a request");
    let response = client.sender.send_request(request).await.expect("an answer");
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    assert_eq!(&body[..], br#"{"health":"true","reason":""}"#);
}
