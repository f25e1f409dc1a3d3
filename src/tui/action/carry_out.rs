//! Acts through the client.

use kube::core::ApiResource;

use super::{Action, NewClusters, Subject};
use crate::acts::sample::{SampleCluster, Startup};
use crate::acts::{self, Count, Failure, Members, Resize, Served, has_version};
use crate::client::{Client, ObjectKey, Propagation};
use crate::clock::Clock;

/// What became of an act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// What was done, in a sentence without a dot.
    pub text: String,
    /// What takes it back, in this order; empty where the API does not allow it.
    pub undo: Vec<Action>,
}

impl Action {
    /// Does it. An upgrade without a topology lasts until the control plane is done, because the
    /// workers follow it.
    ///
    /// # Errors
    /// [`Failure`], with what to do next.
    pub async fn carry_out(&self, client: &Client, clock: &Clock) -> Result<Done, Failure> {
        match self {
            Self::Create(new) => create(client, new).await,
            Self::Scale { cluster, workers, deployment, control_planes } => {
                let resize = Resize {
                    workers: *workers,
                    deployment: deployment.clone(),
                    control_planes: *control_planes,
                };
                scale(client, cluster, &resize).await
            }
            Self::Upgrade { cluster, version } => upgrade(client, cluster, version).await,
            Self::Restart { cluster, part } => {
                let (_, members) = read(client, cluster).await?;
                let objects = members.part(&part.to_part())?;
                acts::restart(client, &members, &objects, clock.now()).await?;
                Ok(Done::finally(format!("machines of {} are being replaced", cluster.name)))
            }
            Self::Pause { subject, paused } => {
                let served = Served::discover(client).await?;
                let typed = match subject.is_cluster() {
                    true => subject.name.clone(),
                    false => subject.path(),
                };
                let namespace = &subject.namespace;
                let text =
                    acts::pause(client, &served, namespace, &typed, (*paused).into()).await?;
                let undo = Self::Pause { subject: subject.clone(), paused: !paused };
                Ok(Done { text, undo: vec![undo] })
            }
            Self::Delete { subject } => delete(client, subject).await,
        }
    }
}

impl Done {
    /// Something that cannot be taken back.
    fn finally(text: String) -> Self {
        Self { text, undo: Vec::new() }
    }
}

async fn read(client: &Client, cluster: &ObjectKey) -> Result<(Served, Members), Failure> {
    let served = Served::discover(client).await?;
    let members = Members::read(client, &served, &cluster.namespace, &cluster.name).await?;
    Ok((served, members))
}

async fn create(client: &Client, new: &NewClusters) -> Result<Done, Failure> {
    let samples = new.samples();
    let names: Vec<String> = samples.iter().map(|sample| sample.name.clone()).collect();
    acts::refuse_existing(client, &new.namespace, &names).await?;
    let batch = samples.iter().map(|it| (it.name.clone(), it.manifests())).collect();
    acts::create(client, &new.namespace, batch, |_| Ok(())).await?;
    let undo = samples.iter().map(|sample| Action::Delete {
        subject: Subject::cluster(&sample.namespace, &sample.name),
    });
    let text = match samples.as_slice() {
        [sample] => format!("cluster {:?} created", sample.name),
        samples => format!("{} clusters created", samples.len()),
    };
    Ok(Done { text, undo: undo.collect() })
}

impl NewClusters {
    /// The clusters, one by one.
    fn samples(&self) -> Vec<SampleCluster> {
        let sample = |name: String| SampleCluster {
            name,
            namespace: self.namespace.clone(),
            control_planes: self.control_planes,
            workers: self.workers,
            version: self.version.clone(),
            startup: if self.instant { Startup::instant() } else { Startup::in_memory() },
        };
        match self.count {
            1 => vec![sample(self.name.clone())],
            count => (1..=count).map(|number| sample(format!("{}-{number}", self.name))).collect(),
        }
    }
}

async fn scale(client: &Client, cluster: &ObjectKey, resize: &Resize) -> Result<Done, Failure> {
    let (_, members) = read(client, cluster).await?;
    let changes = members.resize(client, resize).await?;
    let mut back = Resize::default();
    let mut texts = Vec::new();
    for change in &changes {
        let name = acts::name(change.object);
        texts.push(format!("{name} {} to {}", change.before, change.after));
        if *change.kind == members.deployment_kind {
            back.workers = Some(Count::Exactly(change.before));
            back.deployment = Some(name.to_owned());
        } else {
            back.control_planes = Some(change.before);
        }
    }
    let undo = Action::Scale {
        cluster: cluster.clone(),
        workers: back.workers,
        deployment: back.deployment,
        control_planes: back.control_planes,
    };
    Ok(Done { text: format!("scaled: {}", texts.join(", ")), undo: vec![undo] })
}

async fn upgrade(client: &Client, cluster: &ObjectKey, version: &str) -> Result<Done, Failure> {
    let (_, members) = read(client, cluster).await?;
    members.upgrade(client, version).await?;
    if members.upgrades_in_steps() {
        let check = |object: Option<&_>| has_version(object, "/spec/version", version);
        members.awaited_control_plane()?.until(client, true, check).await?;
        members.upgrade_workers(client, version).await?;
    }
    // Control planes do not go back to an older minor version.
    Ok(Done::finally(format!("{} upgrades to {version}", cluster.name)))
}

async fn delete(client: &Client, subject: &Subject) -> Result<Done, Failure> {
    let served = Served::discover(client).await?;
    let kind = served.find(&subject.resource)?;
    let resource: &ApiResource = &kind.resource;
    let namespace = if kind.namespaced { subject.namespace.as_str() } else { "" };
    let key = ObjectKey::new(namespace, &*subject.name);
    client
        .delete_dynamic(resource, &key, Propagation::Background)
        .await
        .map_err(|error| Failure::request(&format!("delete {}", subject.typed()), &error))?;
    Ok(Done::finally(format!("{} is being deleted", subject.typed())))
}
