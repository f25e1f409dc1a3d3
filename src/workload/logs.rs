//! Logs of the Pods of a workload cluster, told anew by every request.
//!
//! The components of the control plane tell what the cluster knows of them: when they started, who
//! joined and left etcd, who leads. Containers of other Pods have written nothing. A log that is
//! followed goes on until its Pod is gone or its kubelet stops.

use std::sync::{Arc, Weak};

use axum::body::{Body, Bytes};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::cluster::Cluster;
use super::journal::Fact;
use super::pods::Component;
use crate::apiserver::kubelets::{LogRequest, PodOnNode, log_refused};
use crate::machinery::status::Status;
use crate::store::ResourceKey;

/// A line and when it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    at: Timestamp,
    text: String,
}

/// The log of a container.
///
/// # Errors
/// As kubelets answer: 400 for a container that has not started, or that ran only once when its
/// previous run is asked for; 500 where no kubelet listens.
pub(super) fn log(
    cluster: Option<&Arc<Cluster>>,
    pod: PodOnNode<'_>,
    request: &LogRequest,
) -> Result<Body, Box<Status>> {
    let cluster = cluster.filter(|cluster| {
        cluster.kubelet(pod.node).is_some_and(|kubelet| kubelet.stopped.is_none())
    });
    let Some(cluster) = cluster else { return Err(log_refused(pod, request)) };
    check_container(pod, request)?;
    let teller = Teller::new(cluster, pod);
    let now = cluster.now();
    let mut lines = teller.lines(cluster);
    // A start takes some milliseconds, which are told at once.
    let seen = lines.last().map_or(now, |line| line.at.max(now));
    if let Some(since) = since(request, now) {
        lines.retain(|line| line.at >= since);
    }
    if let Some(tail) = request.tail_lines {
        let tail = usize::try_from(tail).unwrap_or(0);
        lines.drain(..lines.len().saturating_sub(tail));
    }
    let mut budget = Budget { timestamps: request.timestamps, left: request.limit_bytes };
    let text = budget.print(&lines);
    if !request.follow {
        return Ok(Body::from(text));
    }
    let follower = Follower { teller, budget, seen, pending: Some(text) };
    Ok(Body::from_stream(futures::stream::unfold(follower, Follower::next)))
}

/// Whether a container has a log. (kubernetes 1.36: pkg/kubelet/kubelet_pods.go,
/// validateContainerLogStatus)
fn check_container(pod: PodOnNode<'_>, request: &LogRequest) -> Result<(), Box<Status>> {
    let (container, name) = (&request.container, pod.name);
    let fields = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"];
    let status = fields
        .iter()
        .flat_map(|field| pod.object["status"][field].as_array().into_iter().flatten())
        .find(|status| status["name"] == **container);
    let bad = |message: String| Err(Status::bad_request(message));
    let Some(status) = status else {
        return bad(format!(
            "container {container:?} in pod {name:?} is waiting to start: ContainerCreating"
        ));
    };
    if request.previous {
        if status["lastState"]["terminated"].is_object() {
            return Ok(());
        }
        return bad(format!(
            "previous terminated container {container:?} in pod {name:?} not found"
        ));
    }
    let has_run = status["lastState"]["terminated"].is_object();
    if let Some(waiting) = status["state"].get("waiting").filter(|_| !has_run) {
        let reason = waiting["reason"].as_str().unwrap_or("ContainerCreating");
        return bad(format!(
            "container {container:?} in pod {name:?} is waiting to start: {reason}"
        ));
    }
    Ok(())
}

fn since(request: &LogRequest, now: Timestamp) -> Option<Timestamp> {
    match (&request.since_time, request.since_seconds) {
        (Some(time), _) => time.parse().ok(),
        (None, Some(seconds)) => now.checked_sub(SignedDuration::from_secs(seconds)).ok(),
        (None, None) => None,
    }
}

/// How lines are printed, and how many bytes may still be.
struct Budget {
    timestamps: bool,
    left: Option<i64>,
}

impl Budget {
    fn print(&mut self, lines: &[Line]) -> String {
        let mut text = String::new();
        for line in lines {
            if self.timestamps {
                text.push_str(&format!("{:.9} ", line.at));
            }
            text.push_str(&line.text);
            text.push('\n');
        }
        if let Some(left) = self.left {
            // Lines are ASCII but for names, which are, too.
            let end = usize::try_from(left).unwrap_or(0).min(text.len());
            let end = (0..=end).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
            text.truncate(end);
            self.left = Some(left - i64::try_from(text.len()).unwrap_or(left));
        }
        text
    }

    fn is_spent(&self) -> bool {
        self.left.is_some_and(|left| left <= 0)
    }
}

/// A log that goes on.
struct Follower {
    teller: Teller,
    budget: Budget,
    /// Lines up to here were printed.
    seen: Timestamp,
    pending: Option<String>,
}

impl Follower {
    async fn next(mut self) -> Option<(Result<Bytes, std::convert::Infallible>, Self)> {
        loop {
            if let Some(text) = self.pending.take().filter(|text| !text.is_empty()) {
                return Some((Ok(Bytes::from(text)), self));
            }
            if self.budget.is_spent() {
                return None;
            }
            let cluster = self.teller.cluster.upgrade()?;
            let (server, _) = cluster.running()?;
            let (store, journal) = (server.store().clone(), cluster.journal().clone());
            let pods = Arc::new(ResourceKey { group: "".into(), plural: "pods".into() });
            let pods = store.changed(&pods);
            let (written, told) = (pods.notified(), journal.changed().notified());
            tokio::pin!(written, told);
            written.as_mut().enable();
            told.as_mut().enable();
            let stopped: CancellationToken = server.stopped().clone();
            if !self.teller.is_running(&cluster) {
                return None;
            }
            let mut lines = self.teller.lines(&cluster);
            lines.retain(|line| line.at > self.seen);
            if let Some(last) = lines.last() {
                self.seen = last.at;
                self.pending = Some(self.budget.print(&lines));
                continue;
            }
            // A cluster does not live on because somebody reads its log.
            drop(cluster);
            tokio::select! {
                () = written => {}
                () = told => {}
                () = stopped.cancelled() => return None,
            }
        }
    }
}

/// Tells the log of one Pod.
struct Teller {
    cluster: Weak<Cluster>,
    component: Option<Component>,
    namespace: String,
    name: String,
    node: String,
    uid: String,
    version: String,
    address: String,
    started: Timestamp,
}

impl Teller {
    fn new(cluster: &Arc<Cluster>, pod: PodOnNode<'_>) -> Self {
        let text = |pointer: &str| {
            pod.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let component = Component::ALL
            .into_iter()
            .filter(|_| pod.namespace == "kube-system")
            .find(|component| component.pod_name(pod.node) == pod.name);
        let image = text("/spec/containers/0/image");
        let started = text("/status/startTime").parse();
        Self {
            cluster: Arc::downgrade(cluster),
            component,
            namespace: pod.namespace.to_owned(),
            name: pod.name.to_owned(),
            node: pod.node.to_owned(),
            uid: text("/metadata/uid"),
            version: image.rsplit(':').next().unwrap_or_default().to_owned(),
            address: text("/status/podIP"),
            started: started.unwrap_or_else(|_| cluster.now()),
        }
    }

    /// Whether the Pod is still there, and its kubelet.
    fn is_running(&self, cluster: &Cluster) -> bool {
        let pods = ResourceKey { group: "".into(), plural: "pods".into() };
        let pod = cluster
            .running()
            .and_then(|(server, _)| server.store().get(&pods, &self.namespace, &self.name));
        pod.is_some_and(|pod| *pod.meta.uid == *self.uid)
            && cluster.kubelet(&self.node).is_some_and(|kubelet| kubelet.stopped.is_none())
    }

    /// The whole log as it is now, in order.
    fn lines(&self, cluster: &Cluster) -> Vec<Line> {
        let facts = cluster.journal().facts();
        let mut lines = match self.component {
            None => Vec::new(),
            Some(Component::Etcd) => self.etcd(&facts),
            Some(Component::ApiServer) => self.api_server(),
            Some(component @ (Component::Scheduler | Component::ControllerManager)) => {
                self.elected(component, &facts)
            }
        };
        lines.sort_by_key(|line| line.at);
        lines
    }

    /// Some milliseconds after the start.
    fn after(&self, milliseconds: i64) -> Timestamp {
        let span = SignedDuration::from_millis(milliseconds);
        self.started.checked_add(span).unwrap_or(self.started)
    }

    fn etcd(&self, facts: &[(Timestamp, Fact)]) -> Vec<Line> {
        let own = facts.iter().find_map(|(_, fact)| match fact {
            Fact::Joined { name, id } if *name == self.node => Some(*id),
            _ => None,
        });
        let id = own.unwrap_or_default();
        let url = |port: u16| format!("https://{}:{port}", self.address);
        let mut lines = vec![
            etcd_line(
                self.started,
                "starting etcd",
                json!({
                    "etcd-version": self.version, "name": self.node, "data-dir": "/var/lib/etcd",
                }),
            ),
            etcd_line(
                self.after(20),
                "listening for peers and clients",
                json!({
                    "peer-urls": [url(2380)], "client-urls": ["https://127.0.0.1:2379", url(2379)],
                }),
            ),
            etcd_line(
                self.after(40),
                "started as a member",
                json!({
                    "local-member-id": hexadecimal(id),
                }),
            ),
            etcd_line(
                self.after(60),
                "ready to serve clients",
                json!({
                    "local-member-id": hexadecimal(id),
                }),
            ),
        ];
        let latest = self.after(61);
        for (at, fact) in facts {
            if *at < self.started {
                continue;
            }
            let at = (*at).max(latest);
            lines.extend(etcd_fact(at, fact, id));
        }
        lines
    }

    fn api_server(&self) -> Vec<Line> {
        let line = |after: i64, place: &str, text: String| klog(self.after(after), place, &text);
        vec![
            line(0, "server.go", format!("Starting kube-apiserver version={:?}", self.version)),
            line(30, "storage.go", "Using etcd at https://127.0.0.1:2379".to_owned()),
            line(
                60,
                "serving.go",
                format!(
                    "Loaded serving certificate names=[{:?} \"kubernetes\" \"localhost\"]",
                    self.node
                ),
            ),
            line(90, "serving.go", "Listening on [::]:6443".to_owned()),
            line(120, "health.go", format!("Ready to serve as {}", self.address)),
        ]
    }

    /// A component of which one instance works at a time: the one that waited longest.
    fn elected(&self, component: Component, facts: &[(Timestamp, Fact)]) -> Vec<Line> {
        let name = component.name();
        let lease = format!("kube-system/{name}");
        let mut lines = vec![
            klog(self.started, "server.go", &format!("Starting {name} version={:?}", self.version)),
            klog(self.after(40), "serving.go", "Listening on 127.0.0.1"),
            klog(self.after(80), "leader.go", &format!("Waiting for the lease {lease}")),
        ];
        if let Some(at) = leads_since(&self.node, facts) {
            let at = at.max(self.after(120));
            let text = format!("Holding the lease {lease} as {}", self.node);
            lines.push(klog(at, "leader.go", &text));
        }
        lines
    }
}

/// Since when the instance of a Node leads: since those that started before it are gone.
fn leads_since(node: &str, facts: &[(Timestamp, Fact)]) -> Option<Timestamp> {
    let mut waiting: Vec<&str> = Vec::new();
    let mut since = None;
    for (at, fact) in facts {
        match fact {
            Fact::Started { node } => waiting.push(node),
            Fact::Stopped { node } => waiting.retain(|held| held != node),
            Fact::Joined { .. } | Fact::Left { .. } | Fact::Leads { .. } => continue,
        }
        let leads = waiting.first() == Some(&node);
        since = if leads { since.or(Some(*at)) } else { None };
    }
    since
}

/// How etcd's member `own` tells of a fact.
fn etcd_fact(at: Timestamp, fact: &Fact, own: u64) -> Option<Line> {
    let (message, fields) = match fact {
        Fact::Joined { name, id } if *id != own => {
            ("added a member", json!({"added-member": name, "added-member-id": hexadecimal(*id)}))
        }
        Fact::Left { id, .. } if *id == own => {
            ("this member was removed", json!({"local-member-id": hexadecimal(own)}))
        }
        Fact::Left { name, id } => (
            "removed a member",
            json!({"removed-member": name, "removed-member-id": hexadecimal(*id)}),
        ),
        Fact::Leads { id, term } if *id == own => {
            ("became the leader", json!({"local-member-id": hexadecimal(own), "term": term}))
        }
        Fact::Leads { id, term } => {
            ("follows a new leader", json!({"leader-id": hexadecimal(*id), "term": term}))
        }
        Fact::Joined { .. } | Fact::Started { .. } | Fact::Stopped { .. } => return None,
    };
    Some(etcd_line(at, message, fields))
}

fn hexadecimal(id: u64) -> String {
    format!("{id:x}")
}

/// A line as etcd's logger lays it out.
fn etcd_line(at: Timestamp, message: &str, fields: Value) -> Line {
    let mut line = json!({"level": "info", "ts": format!("{at:.6}"), "msg": message});
    if let (Value::Object(line), Value::Object(fields)) = (&mut line, fields) {
        line.extend(fields);
    }
    Line { at, text: line.to_string() }
}

/// A line as klog lays it out.
fn klog(at: Timestamp, place: &str, text: &str) -> Line {
    let time = at.strftime("%m%d %H:%M:%S%.6f");
    Line { at, text: format!("I{time}       1 {place}:1] {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_instance_that_waited_longest_leads() {
        let started = |node: &str| Fact::Started { node: node.to_owned() };
        let stopped = |node: &str| Fact::Stopped { node: node.to_owned() };
        let mut facts = vec![(at(1), started("a")), (at(2), started("b")), (at(3), started("c"))];
        assert_eq!(leads_since("a", &facts), Some(at(1)));
        assert_eq!(leads_since("b", &facts), None);
        facts.push((at(4), stopped("a")));
        assert_eq!(leads_since("b", &facts), Some(at(4)));
        facts.push((at(5), started("a")));
        assert_eq!(leads_since("b", &facts), Some(at(4)));
        assert_eq!(leads_since("a", &facts), None);
    }

    #[test]
    fn limits_cut_what_is_printed() {
        let lines = [klog(at(0), "a.go", "one"), klog(at(1), "a.go", "two")];
        let print = |timestamps, left| {
            let mut budget = Budget { timestamps, left };
            let text = budget.print(&lines);
            (text, budget.is_spent())
        };
        let (whole, is_spent) = print(false, None);
        assert_eq!(whole.lines().next(), Some("I0101 00:00:00.000000       1 a.go:1] one"));
        assert!(!is_spent);
        assert_eq!(print(false, Some(5)), (whole[..5].to_owned(), true));
        let (dated, _) = print(true, Some(1000));
        assert!(dated.starts_with("1970-01-01T00:00:00.000000000Z I0101"), "{dated}");
    }

    #[test]
    fn containers_that_did_not_run_have_no_log() {
        let object = json!({"status": {"containerStatuses": [
            {"name": "a", "state": {"waiting": {"reason": "PodInitializing"}}},
            {"name": "b", "state": {"running": {}}, "lastState": {}},
            {"name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff"}},
             "lastState": {"terminated": {"exitCode": 1}}},
        ]}});
        let pod = PodOnNode { namespace: "x", name: "p", node: "n", object: &object };
        let check = |container: &str, previous: bool| {
            let request =
                LogRequest { container: container.to_owned(), previous, ..Default::default() };
            check_container(pod, &request).map_err(|status| (status.code, status.message))
        };
        let waiting = "container \"a\" in pod \"p\" is waiting to start: PodInitializing";
        assert_eq!(check("a", false), Err((400, waiting.to_owned())));
        let previous = "previous terminated container \"b\" in pod \"p\" not found";
        assert_eq!(check("b", true), Err((400, previous.to_owned())));
        assert_eq!(check("b", false), Ok(()));
        assert_eq!(check("c", false), Ok(()), "what it wrote before it crashed");
    }
}
