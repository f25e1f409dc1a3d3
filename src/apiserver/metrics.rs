//! `/metrics`: the server's numbers under kube-apiserver's names, in Prometheus' text format.
//!
//! Nothing is added up while nobody asks: the text is made from counters that requests touch
//! anyway and from the store. Labels hold names of served resources only, never what a client
//! made up. (kubernetes 1.36: endpoints/metrics/metrics.go, storage/etcd3/metrics/metrics.go)

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};

use super::answer;
use super::counters::{DURATION_BOUNDS, Histogram, Subject};
use super::server::ApiServer;
use crate::store::ResourceKey;

const TEXT: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8; escaping=underscores");

/// Answers a request for the numbers.
pub(super) fn respond(server: &ApiServer) -> Response<Body> {
    let mut text = String::with_capacity(16 * 1024);
    requests(&mut text, server);
    durations(&mut text, server);
    in_flight(&mut text, server);
    watches(&mut text, server);
    objects(&mut text, server);
    if let Some(registry) = server.metrics() {
        text.push_str(&registry.render());
    }
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    answer::complete(&mut response);
    response
}

/// The two lines that begin a family. Writing into a String cannot fail, here and below.
fn family(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}");
    let _ = writeln!(text, "# TYPE {name} {kind}");
}

fn requests(text: &mut String, server: &ApiServer) {
    let name = "apiserver_request_total";
    let help = "Counter of apiserver requests broken out for each verb, dry run value, group, \
                version, resource, scope, component, and HTTP response code.";
    family(text, name, "counter", help);
    for ((subject, code), count) in server.counters().requests() {
        let labels = labels(&subject);
        let _ = writeln!(text, "{name}{{code=\"{code}\",{labels}}} {count}");
    }
}

fn durations(text: &mut String, server: &ApiServer) {
    let name = "apiserver_request_duration_seconds";
    let help = "Response latency distribution in seconds for each verb, dry run value, group, \
                version, resource, subresource, scope and component.";
    family(text, name, "histogram", help);
    for (subject, histogram) in server.counters().durations() {
        write_histogram(text, name, &labels(&subject), &histogram);
    }
}

fn write_histogram(text: &mut String, name: &str, labels: &str, histogram: &Histogram) {
    let mut count = 0;
    for (bucket, bound) in histogram.buckets.iter().zip(DURATION_BOUNDS) {
        count += bucket;
        let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
    }
    count += histogram.buckets[DURATION_BOUNDS.len()];
    let _ = writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}");
    let _ = writeln!(text, "{name}_sum{{{labels}}} {}", histogram.sum);
    let _ = writeln!(text, "{name}_count{{{labels}}} {count}");
}

/// The labels of one kind of request, in alphabetical order.
fn labels(subject: &Subject) -> String {
    format!(
        "component=\"apiserver\",dry_run=\"\",group=\"{}\",resource=\"{}\",scope=\"{}\",\
         subresource=\"{}\",verb=\"{}\",version=\"{}\"",
        subject.resource.group,
        subject.resource.plural,
        subject.scope,
        subject.subresource,
        reported_verb(subject.verb),
        subject.version,
    )
}

/// A verb as metrics name it. (kubernetes 1.36: cleanVerb)
fn reported_verb(verb: &'static str) -> &'static str {
    match verb {
        "get" => "GET",
        "list" => "LIST",
        "watch" => "WATCH",
        "create" => "POST",
        "update" => "PUT",
        "patch" => "PATCH",
        "delete" => "DELETE",
        "deletecollection" => "DELETECOLLECTION",
        _ => "other",
    }
}

fn in_flight(text: &mut String, server: &ApiServer) {
    let counters = server.counters();
    let name = "apiserver_current_inflight_requests";
    let help = "Maximal number of currently used inflight request limit of this apiserver per \
                request kind in last second.";
    family(text, name, "gauge", help);
    let kinds = [("mutating", &counters.writing), ("readOnly", &counters.reading)];
    for (kind, count) in kinds {
        let count = count.load(Ordering::Relaxed);
        let _ = writeln!(text, "{name}{{request_kind=\"{kind}\"}} {count}");
    }
    let name = "apiserver_request_terminations_total";
    let help = "Number of requests which apiserver terminated in self-defense.";
    family(text, name, "counter", help);
    let dropped = counters.dropped.load(Ordering::Relaxed);
    let _ = writeln!(text, "{name}{{code=\"429\",component=\"apiserver\"}} {dropped}");
    let name = "apiserver_request_panics_total";
    family(text, name, "counter", "Number of requests whose handler panicked.");
    let _ = writeln!(text, "{name} {}", counters.panics.load(Ordering::Relaxed));
}

fn watches(text: &mut String, server: &ApiServer) {
    let name = "apiserver_longrunning_requests";
    let help = "Gauge of all active long-running apiserver requests broken out by verb, group, \
                version, resource, scope and component.";
    family(text, name, "gauge", help);
    for ((resource, version), count) in server.counters().watches() {
        let _ = writeln!(
            text,
            "{name}{{component=\"apiserver\",group=\"{}\",resource=\"{}\",scope=\"cluster\",\
             subresource=\"\",verb=\"WATCH\",version=\"{version}\"}} {count}",
            resource.group, resource.plural,
        );
    }
}

fn objects(text: &mut String, server: &ApiServer) {
    let resources = server.resources();
    let counts: BTreeMap<&Arc<ResourceKey>, usize> =
        resources.iter().map(|it| (&it.key, server.store().count(&it.key))).collect();
    let name = "apiserver_resource_objects";
    let help = "Number of stored objects at the time of last check split by kind.";
    family(text, name, "gauge", help);
    for (key, count) in &counts {
        let (group, plural) = (&key.group, &key.plural);
        let _ = writeln!(text, "{name}{{group=\"{group}\",resource=\"{plural}\"}} {count}");
    }
    let name = "apiserver_storage_objects";
    let help = "[DEPRECATED, consider using apiserver_resource_objects instead] Number of stored \
                objects at the time of last check split by kind.";
    family(text, name, "gauge", help);
    for (key, count) in &counts {
        let dot = if key.group.is_empty() { "" } else { "." };
        let _ = writeln!(text, "{name}{{resource=\"{}{dot}{}\"}} {count}", key.plural, key.group);
    }
}
