//! The static Pods of control plane machines: mirrors that a client deletes come back, and
//! components can be stopped and started again.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams};
use kube::core::ApiResource;
use serde_json::{Value, json};

use super::members::{EtcdPod, bracketed};
use super::{Cluster, Machine};
use crate::client::{ClientError, ObjectKey};
use crate::store::ResourceKey;
use crate::workload::host::HostError;
use crate::workload::journal::Fact;
use crate::workload::network::node_address;
use crate::workload::pods::{self, Component, Run};

impl Cluster {
    /// Starts a component of a machine and shows its Pod. The machine must have a Node.
    pub(super) async fn run_static_pod(
        &self,
        name: &str,
        component: Component,
    ) -> Result<(), HostError> {
        // Who deletes the mirror at once finds the component known.
        let _turn = self.mirroring.lock().await;
        let run = Run::new(self.now());
        let machine = self.machine(name)?;
        self.create_mirror(name, &machine, component, run).await?;
        self.update_machine(name, |machine| {
            machine.static_pods.insert(component, run);
            machine.shown.insert(component, run);
        });
        Ok(())
    }

    async fn create_mirror(
        &self,
        name: &str,
        machine: &Machine,
        component: Component,
        run: Run,
    ) -> Result<(), HostError> {
        let resource = ApiResource::erase::<Pod>(&());
        let facts = self.pod_facts(name, machine, run);
        if component == Component::Etcd {
            let (pod, shown) = self.etcd_pod(&facts);
            self.create(&machine.version, &resource, &pod).await?;
            self.update_machine(name, |machine| machine.etcd = shown);
            return Ok(());
        }
        let pod = pods::static_pod(component, &facts);
        self.create(&machine.version, &resource, &pod).await.map(drop)
    }

    /// Brings back the mirrors of a machine's static Pods that somebody deleted, as a kubelet does
    /// that runs and has a Node. (kubernetes 1.36: pkg/kubelet/kubelet.go, tryReconcileMirrorPods)
    pub(in crate::workload) async fn restore_mirrors(&self, name: &str) -> Result<(), HostError> {
        let _turn = self.mirroring.lock().await;
        let Some(engine) = self.engine.get() else { return Ok(()) };
        let store = engine.server.store();
        let resource = |plural: &str| ResourceKey { group: "".into(), plural: plural.into() };
        let (nodes, pods) = (resource("nodes"), resource("pods"));
        let mut is_any_new = false;
        for component in Component::ALL {
            let key = ObjectKey::new("kube-system", component.pod_name(name));
            match store.get(&pods, &key.namespace, &key.name) {
                Some(pod) if pod.meta.deletion_timestamp.is_none() => continue,
                _ if self.kept_up(name, component).is_none() => continue,
                Some(_) => self.forget_mirror(engine, &key).await?,
                None => {}
            }
            // As it is now: the requests before may have taken their time.
            let Some((machine, run)) = self.kept_up(name, component) else { continue };
            let node = store.get(&nodes, "", name);
            if node.map(|node| node.meta.uid.to_string()) != machine.node_uid {
                return Ok(());
            }
            self.create_mirror(name, &machine, component, run).await?;
            self.update_machine(name, |machine| {
                machine.shown.insert(component, run);
            });
            is_any_new = true;
        }
        self.report_changes(name).await?;
        if is_any_new {
            self.annotate_etcd_pods().await;
        }
        Ok(())
    }

    /// How a component fares that a machine's kubelet keeps up; `None` while that does not run.
    fn kept_up(&self, name: &str, component: Component) -> Option<(Machine, Run)> {
        let machine = self.machine(name).ok().filter(|it| it.kubelet_stopped.is_none())?;
        let run = *machine.static_pods.get(&component)?;
        Some((machine, run))
    }

    /// Takes a mirror that is being deleted out of the API: what it shows goes on running.
    async fn forget_mirror(
        &self,
        engine: &super::Engine,
        key: &ObjectKey,
    ) -> Result<(), HostError> {
        let pods: Api<Pod> = Api::namespaced(engine.client.kube().clone(), &key.namespace);
        let deleted = pods.delete(&key.name, &DeleteParams::default().grace_period(0)).await;
        match deleted.map_err(ClientError::from) {
            Err(error) if !error.is_not_found() => {
                Err(self.failed("delete", &ApiResource::erase::<Pod>(&()), key, error))
            }
            _ => Ok(()),
        }
    }

    /// Stops these components of a machine, and starts those of the others that were stopped. Their
    /// Pods tell of it once its kubelet runs. After an error it may be asked for again.
    pub(in crate::workload) async fn set_stopped(
        &self,
        name: &str,
        stopped: &BTreeSet<Component>,
    ) -> Result<(), HostError> {
        for component in Component::ALL {
            let now = self.now();
            let machine = {
                let mut machines = self.machines.lock();
                let machine = machines.by_name.get_mut(name);
                let Some(machine) = machine else { return Ok(()) };
                let Some(run) = machine.static_pods.get_mut(&component) else { continue };
                match (stopped.contains(&component), run.stopped) {
                    (true, None) => run.stopped = Some(now),
                    (false, Some(_)) => {
                        let restarts = run.restarts + 1;
                        *run = Run { started: now, stopped: None, restarts, ..*run };
                    }
                    _ => continue,
                }
                machine.clone()
            };
            self.follow(name, component, &machine);
        }
        let _turn = self.mirroring.lock().await;
        self.report_changes(name).await
    }

    /// What hangs on a component that was just stopped or started.
    fn follow(&self, name: &str, component: Component, machine: &Machine) {
        let is_stopped = run_of(machine, component).stopped.is_some();
        match (component, is_stopped) {
            (Component::Etcd, true) => {
                self.etcd.stop(name);
            }
            (Component::Etcd, false) if machine.etcd != EtcdPod::Removed => {
                let started = self.etcd.start(name, &bracketed(node_address(machine.slot)));
                if let Err(reason) = started {
                    tracing::debug!(name, reason, "an etcd member does not start");
                }
            }
            (Component::ApiServer, _) if machine.has_api_server => {
                let node = name.to_owned();
                let fact = if is_stopped { Fact::Stopped { node } } else { Fact::Started { node } };
                self.journal.add(self.now(), fact);
                self.settle_api();
            }
            _ => {}
        }
    }

    /// Writes the status of the static Pods that do not show how their containers fare. Nobody
    /// does so for a kubelet that does not run. `mirroring` must be held.
    async fn report_changes(&self, name: &str) -> Result<(), HostError> {
        for component in Component::ALL {
            while let Some(changed) = self.kept_up(name, component)
                && changed.0.shown.get(&component) != Some(&changed.1)
            {
                self.report(name, component, &changed).await?;
                self.update_machine(name, |machine| {
                    machine.shown.insert(component, changed.1);
                });
            }
        }
        Ok(())
    }

    /// Writes the status of a static Pod.
    async fn report(
        &self,
        name: &str,
        component: Component,
        (machine, run): &(Machine, Run),
    ) -> Result<(), HostError> {
        let Some(engine) = self.engine.get() else { return Ok(()) };
        let status: Value = pods::status(component, &self.pod_facts(name, machine, *run));
        let key = ObjectKey::new("kube-system", component.pod_name(name));
        let resource = ApiResource::erase::<Pod>(&());
        let client = engine.client.with_field_manager("kubelet");
        match client
            .merge_patch_dynamic(&resource, &key, "status", &json!({"status": status}))
            .await
        {
            Ok(_) => Ok(()),
            // Its mirror comes back with this status.
            Err(error) if error.is_not_found() => Ok(()),
            Err(source) => Err(self.failed("patch", &resource, &key, source)),
        }
    }
}

fn run_of(machine: &Machine, component: Component) -> &Run {
    &machine.static_pods[&component]
}
