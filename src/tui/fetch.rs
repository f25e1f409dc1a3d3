//! What no cache holds is asked of the server: the objects of an opened cluster, an object as it
//! is, tables of any kind, also inside workload clusters. One task asks for one thing at a time and
//! again while it is looked at.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use futures::{StreamExt, stream};
use serde_json::Value;
use tokio::sync::watch;

use super::text::{one_line, printable};
use crate::client::{
    Client, ClientError, ClientRequests, EtcdReader, EtcdReport, ObjectKey, ServedResource,
    percent_encode,
};
use crate::clock::Clock;
use crate::describe::Sources as Objects;

/// Pause between two answers to the same question.
const EVERY: Duration = Duration::from_secs(1);
/// Asking may take at most one part in this many of the time.
const SHARE: u32 = 10;
/// An answer that takes longer is none.
const DEADLINE: Duration = Duration::from_secs(15);
/// Pause between two looks at an etcd, which take a connection to each member.
const ETCD_EVERY: Duration = Duration::from_secs(5);
/// A member of etcd that takes longer is silent.
const MEMBER_DEADLINE: Duration = Duration::from_secs(3);
/// Requests at a time.
const CONCURRENT: usize = 8;
/// Rows of a table of any kind.
const ROWS_MAX: usize = 5_000;

/// Of a server that does not count by client.
pub(super) const NOT_TOLD: &str = "this server does not tell who asks it: it is none of capim's";

const AS_TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// The objects of a cluster.
    Cluster(ObjectKey),
    /// The objects of a cluster, and what its etcd says.
    ControlPlane(ObjectKey),
    /// An object.
    Object {
        /// Workload cluster, or none for the management cluster.
        cluster: Option<ObjectKey>,
        api_version: String,
        kind: String,
        key: ObjectKey,
    },
    /// All objects of a kind.
    Table {
        /// Workload cluster, or none for the management cluster.
        cluster: Option<ObjectKey>,
        /// Kind, plural, singular or short name, possibly with `.group`.
        word: String,
    },
    /// Who asks the management API.
    Requests,
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) enum Got {
    Cluster(Box<Objects>),
    /// Lines of YAML.
    Object(Vec<String>),
    Table(ServerTable),
    Requests(Vec<Arc<ClientRequests>>),
}

/// A server-side table.
#[derive(Clone, Debug, Default)]
pub(super) struct ServerTable {
    pub(super) api_version: String,
    pub(super) kind: String,
    /// Names and priorities of the columns.
    pub(super) columns: Vec<(String, i64)>,
    /// Keys and cells.
    pub(super) rows: Vec<(ObjectKey, Vec<String>)>,
    /// Objects that were left out.
    pub(super) left_out: i64,
}

/// A question and what came of it.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub(super) want: Want,
    pub(super) got: Result<Got, String>,
    /// What etcd said last, of a control plane; it is asked after all else.
    pub(super) etcd: Option<Result<EtcdReport, String>>,
}

/// The asking task's two ends.
pub(super) struct Fetcher {
    wanted: watch::Sender<Option<Want>>,
    fetched: watch::Receiver<Option<Arc<Fetched>>>,
}

impl Fetcher {
    /// The two ends and the task's future, which ends when the fetcher is dropped.
    pub(super) fn new(client: Client, clock: Clock) -> (Self, impl Future<Output = ()>) {
        let (wanted, wants) = watch::channel(None);
        let (answers, fetched) = watch::channel(None);
        let (workloads, kinds) = (HashMap::new(), HashMap::new());
        let task = Task { client, clock, workloads, kinds, etcd: None };
        (Self { wanted, fetched }, task.run(wants, answers))
    }

    /// Asks, unless that is what is being asked already.
    pub(super) fn want(&self, want: Option<Want>) {
        self.wanted.send_if_modified(|wanted| {
            let new = *wanted != want;
            *wanted = want;
            new
        });
    }

    /// Waits for an answer.
    pub(super) async fn answered(&mut self) {
        if self.fetched.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The last answer.
    pub(super) fn last(&self) -> Option<Arc<Fetched>> {
        self.fetched.borrow().clone()
    }
}

struct Task {
    client: Client,
    clock: Clock,
    /// Connections to workload clusters.
    workloads: HashMap<ObjectKey, Client>,
    /// What the management cluster serves, by word; forgotten with the question.
    kinds: HashMap<String, Option<ServedResource>>,
    /// What etcd said and when; forgotten with the question.
    etcd: Option<(Result<EtcdReport, String>, Duration)>,
}

impl Task {
    async fn run(
        mut self,
        mut wants: watch::Receiver<Option<Want>>,
        answers: watch::Sender<Option<Arc<Fetched>>>,
    ) {
        let mut asked_before = None;
        loop {
            let want = wants.borrow_and_update().clone();
            if asked_before != want {
                self.kinds.clear();
                self.etcd = None;
                asked_before.clone_from(&want);
            }
            let Some(want) = want else {
                if wants.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let begin = self.clock.elapsed();
            let clock = self.clock.clone();
            let asked = clock.timeout(DEADLINE, self.ask(&want));
            let got = tokio::select! {
                changed = wants.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                got = asked => got,
            };
            let got = match got {
                Ok(got) => got.map_err(|error| one_line(&error)),
                Err(_) => Err("the server does not answer in time".to_owned()),
            };
            if got.is_err() {
                // The cluster may have been made anew, with other certificates.
                self.workloads.clear();
            }
            let etcd = self.etcd.as_ref().map(|(said, _)| said.clone());
            let etcd_of = self.etcd_due(&want);
            let _ = answers.send(Some(Arc::new(Fetched { want, got, etcd })));
            if let Some(cluster) = etcd_of {
                tokio::select! {
                    changed = wants.changed() => if changed.is_err() { return },
                    said = clock.timeout(DEADLINE, self.ask_etcd(&cluster)) => {
                        let said = said.unwrap_or_else(|_| Err("no answer in time".to_owned()));
                        if said.is_err() {
                            self.workloads.clear();
                        }
                        self.etcd = Some((said, self.clock.elapsed()));
                    }
                }
                continue;
            }
            let pause = EVERY.max(self.clock.elapsed().saturating_sub(begin) * SHARE);
            tokio::select! {
                changed = wants.changed() => if changed.is_err() { return },
                () = self.clock.sleep(pause) => {}
            }
        }
    }

    async fn ask(&mut self, want: &Want) -> Result<Got, String> {
        let text = |error: ClientError| error.to_string();
        match want {
            Want::Cluster(key) | Want::ControlPlane(key) => {
                match self.cluster(key).await.map_err(text)? {
                    Some(objects) => Ok(Got::Cluster(Box::new(objects))),
                    None => Err(format!("cluster {key} is gone")),
                }
            }
            Want::Object { cluster, api_version, kind, key } => {
                let client = self.client_of(cluster.as_ref()).await?;
                match object(&client, api_version, kind, key).await.map_err(text)? {
                    Some(object) => yaml(object).map(Got::Object),
                    None => Err(format!("{kind} {key} is gone")),
                }
            }
            Want::Table { cluster, word } => {
                let client = self.client_of(cluster.as_ref()).await?;
                let served = client.find_resource(word).await.map_err(text)?;
                let served = served.ok_or_else(|| format!("the server has no kind {word:?}"))?;
                table(&client, &served).await.map(Got::Table).map_err(text)
            }
            Want::Requests => {
                let list = self.client.api_clients().await.map_err(text)?;
                let list = list.ok_or(NOT_TOLD)?;
                Ok(Got::Requests(list.items.into_iter().map(Arc::new).collect()))
            }
        }
    }

    async fn kind(&mut self, word: &str) -> Result<Option<ServedResource>, ClientError> {
        if let Some(known) = self.kinds.get(word) {
            return Ok(known.clone());
        }
        let found = self.client.find_resource(word).await?;
        self.kinds.insert(word.to_owned(), found.clone());
        Ok(found)
    }

    /// The objects of a cluster, as far as the server has their kinds.
    async fn cluster(&mut self, key: &ObjectKey) -> Result<Option<Objects>, ClientError> {
        let Some(served) = self.kind("Cluster.cluster.x-k8s.io").await? else { return Ok(None) };
        let Some(cluster) = self.client.get_dynamic(&served.resource, key).await? else {
            return Ok(None);
        };
        let mut objects = Objects {
            cluster,
            machines: self.members("Machine", key).await?,
            machine_sets: self.members("MachineSet", key).await?,
            machine_deployments: self.members("MachineDeployment", key).await?,
            machine_pools: self.members("MachinePool", key).await?,
            resource_set_binding: None,
            referenced: BTreeMap::new(),
        };
        if let Some(served) = self.kind("ClusterResourceSetBinding.addons.cluster.x-k8s.io").await?
        {
            objects.resource_set_binding = self.client.get_dynamic(&served.resource, key).await?;
        }
        let mut reads = Vec::new();
        for reference in objects.references() {
            let word = format!("{}.{}", reference.kind, reference.group);
            // What refers to a kind that is not served refers to nothing.
            let Some(served) = self.kind(&word).await? else { continue };
            let name = ObjectKey::new(key.namespace.clone(), reference.name.clone());
            let client = self.client.clone();
            reads.push(
                async move { (reference, client.get_dynamic(&served.resource, &name).await) },
            );
        }
        let read: Vec<_> = stream::iter(reads).buffered(CONCURRENT).collect().await;
        for (reference, found) in read {
            if let Some(found) = found? {
                objects.referenced.insert(reference, found);
            }
        }
        Ok(Some(objects))
    }

    /// Objects of a kind that carry the cluster's name; none if the server lacks the kind.
    async fn members(
        &mut self,
        kind: &str,
        cluster: &ObjectKey,
    ) -> Result<Vec<Value>, ClientError> {
        let Some(served) = self.kind(&format!("{kind}.cluster.x-k8s.io")).await? else {
            return Ok(Vec::new());
        };
        let selector = format!("cluster.x-k8s.io/cluster-name={}", cluster.name);
        let path = served.collection_path_in(&cluster.namespace);
        let path = format!("{path}?labelSelector={}", percent_encode(&selector));
        let mut list = self.client.get_json(&path).await?;
        let items = match list["items"].take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        };
        // Items of lists may lack what the list has said for all.
        let typed = items.into_iter().map(|mut item| {
            item["apiVersion"] = served.resource.api_version.as_str().into();
            item["kind"] = served.resource.kind.as_str().into();
            item
        });
        Ok(typed.collect())
    }

    /// The cluster whose etcd is to be asked now.
    fn etcd_due(&self, want: &Want) -> Option<ObjectKey> {
        let Want::ControlPlane(cluster) = want else { return None };
        let is_due =
            |(_, at): &(_, Duration)| self.clock.elapsed().saturating_sub(*at) >= ETCD_EVERY;
        self.etcd.as_ref().is_none_or(is_due).then(|| cluster.clone())
    }

    async fn ask_etcd(&mut self, cluster: &ObjectKey) -> Result<EtcdReport, String> {
        let workload = self.client_of(Some(cluster)).await?;
        let text = |error: &dyn std::fmt::Display| one_line(&error.to_string());
        let reader =
            EtcdReader::new(&self.client, workload, cluster).await.map_err(|e| text(&e))?;
        let pods = reader.pods().await.map_err(|error| text(&error))?;
        let ask = async |pod: String| {
            let asked = self.clock.timeout(MEMBER_DEADLINE, reader.ask(&pod)).await;
            let answer = match asked {
                Ok(answer) => answer.map_err(|error| text(&error)),
                Err(_) => Err("no answer in time".to_owned()),
            };
            (pod, answer)
        };
        let answers = stream::iter(pods.into_iter().map(ask)).buffered(CONCURRENT);
        Ok(EtcdReport::of(&answers.collect::<Vec<_>>().await))
    }

    /// A connection with the cluster's own kubeconfig, as anybody would make it.
    async fn client_of(&mut self, cluster: Option<&ObjectKey>) -> Result<Client, String> {
        let Some(cluster) = cluster else { return Ok(self.client.clone()) };
        if let Some(client) = self.workloads.get(cluster) {
            return Ok(client.clone());
        }
        let key = ObjectKey::new(cluster.namespace.clone(), format!("{}-kubeconfig", cluster.name));
        let secret = object(&self.client, "v1", "Secret", &key).await.map_err(|e| e.to_string())?;
        let secret = secret.ok_or("the cluster has no kubeconfig yet")?;
        let data = secret["data"]["value"].as_str().unwrap_or_default();
        let text = base64::prelude::BASE64_STANDARD.decode(data).map_err(|e| e.to_string())?;
        let text = String::from_utf8(text).map_err(|error| error.to_string())?;
        let client =
            Client::from_kubeconfig(&text, "capim").await.map_err(|error| error.to_string())?;
        // One at a time is looked at.
        self.workloads.clear();
        self.workloads.insert(cluster.clone(), client.clone());
        Ok(client)
    }
}

async fn object(
    client: &Client,
    api_version: &str,
    kind: &str,
    key: &ObjectKey,
) -> Result<Option<Value>, ClientError> {
    let Some(served) = client.discover(api_version, kind).await? else { return Ok(None) };
    client.get_dynamic(&served.resource, key).await
}

async fn table(client: &Client, served: &ServedResource) -> Result<ServerTable, ClientError> {
    let path = served.collection_path();
    let list = client.get_json_as(&format!("{path}?limit={ROWS_MAX}"), AS_TABLE).await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let columns = list["columnDefinitions"].as_array().into_iter().flatten();
    let columns = columns.map(|it| (text(&it["name"]), it["priority"].as_i64().unwrap_or(0)));
    let rows = list["rows"].as_array().into_iter().flatten().map(|row| {
        let meta = &row["object"]["metadata"];
        let cells = row["cells"].as_array().into_iter().flatten().map(|cell| match cell {
            Value::String(text) => one_line(text),
            Value::Null => String::new(),
            other => one_line(&other.to_string()),
        });
        (ObjectKey::new(text(&meta["namespace"]), text(&meta["name"])), cells.collect())
    });
    Ok(ServerTable {
        api_version: served.resource.api_version.clone(),
        kind: served.resource.kind.clone(),
        columns: columns.collect(),
        rows: rows.collect(),
        left_out: list["metadata"]["remainingItemCount"].as_i64().unwrap_or(0),
    })
}

/// An object as lines of YAML, without the fields that only machines read.
pub(super) fn yaml(mut object: Value) -> Result<Vec<String>, String> {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    let text = serde_saphyr::to_string(&object).map_err(|error| error.to_string())?;
    Ok(text.lines().map(printable).collect())
}
