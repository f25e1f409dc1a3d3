//! A process of providers whose management API goes and comes back.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;

use super::super::kubelets::ManagementKubelets;
use super::super::providers::management_api;
use super::super::sample::{SampleCluster, Startup};
use super::*;
use crate::api::core::Cluster;
use crate::apiserver::serve::{Endpoint, serve};
use crate::apiserver::{ApiServer, Identity, ServiceUrls};
use crate::embed::Credentials;
use crate::runtime::Informer;

const LIMIT: Duration = Duration::from_secs(60);

/// Serves an API at an address.
fn listen(
    listener: TcpListener,
    server: &ApiServer,
    credentials: &Credentials,
) -> (JoinHandle<()>, CancellationToken) {
    let material = credentials.tls();
    let (certificate_pem, key_pem) = (material.certificate_pem, material.key_pem);
    let client_ca_pem = material.client_ca_pem;
    let tls = move || {
        Ok(crate::apiserver::serve::TlsMaterial {
            certificate_pem: certificate_pem.clone(),
            key_pem: key_pem.clone(),
            client_ca_pem: client_ca_pem.clone(),
        })
    };
    let endpoint = Endpoint { server: server.clone(), tls: Arc::new(tls), open: Arc::new(|| true) };
    let stop = CancellationToken::new();
    (tokio::spawn(serve(listener, endpoint, stop.clone())), stop)
}

async fn create(client: &Client, name: &str) {
    let sample = SampleCluster {
        name: name.to_owned(),
        namespace: "default".to_owned(),
        control_planes: 1,
        workers: 1,
        version: KUBERNETES_VERSION.to_owned(),
        startup: Startup::instant(),
    };
    let wrap = |object| super::super::Manifest::made(object, "");
    let manifests: Vec<_> = sample.manifests().into_iter().map(wrap).collect();
    super::super::apply_manifests(client, "default", &manifests).await.expect("applied");
}

/// Waits until the infrastructure of a Cluster is there.
async fn until_provisioned(clusters: &Informer<Cluster>, name: &str) {
    let mut version = clusters.version();
    let provisioned = async {
        loop {
            let cluster = clusters.get("default", name);
            let status = cluster.as_ref().and_then(|cluster| cluster.status.as_ref());
            let initialization = status.and_then(|status| status.initialization.as_ref());
            if initialization.is_some_and(|it| it.infrastructure_provisioned == Some(true)) {
                return;
            }
            version.changed().await.expect("the informer lives");
        }
    };
    Clock::wall().timeout(LIMIT, provisioned).await.expect("provisioned in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_management_api_that_comes_back_is_worked_with_again() {
    let clock = Clock::wall();
    let server = management_api(&clock, &ServiceUrls::default(), ManagementKubelets::new());
    let own = Client::in_process(&server, Identity::administrator("admin"), "test");
    crate::controllers::seed_namespaces(&own).await.expect("namespaces");
    let credentials = Credentials::generate(IpAddr::V4(Ipv4Addr::LOCALHOST)).expect("credentials");
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address: SocketAddr = listener.local_addr().expect("an address");
    let (serving, stop_serving) = listen(listener, &server, &credentials);

    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("kubeconfig");
    let text = credentials.kubeconfig(&format!("https://{address}"), credentials.authority_pem());
    std::fs::write(&file, text).expect("written");
    let client = Client::from_kubeconfig_file(&file, "capim").await.expect("a client");
    let config = ProcessConfig {
        client,
        providers: Provider::ALL.into_iter().collect(),
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        names: Vec::new(),
        workload_ports: 43300..=43399,
        seed: None,
        clock: clock.clone(),
        identity: Some("me".to_owned()),
        lease_namespace: None,
    };
    let process = ProviderProcess::connect(config).await.expect("connected");
    let stop = CancellationToken::new();
    let running = tokio::spawn(process.run(stop.clone(), |_| {}));

    let manager = Arc::new(Manager::new(own.clone(), clock.clone()));
    let clusters = manager.informer::<Cluster>();
    let (watching, stop_watching) = (manager.clone(), CancellationToken::new());
    let watching = tokio::spawn({
        let stop = stop_watching.clone();
        async move { watching.run(stop).await }
    });
    create(&own, "before").await;
    until_provisioned(&clusters, "before").await;

    stop_serving.cancel();
    serving.await.expect("ended");
    create(&own, "meanwhile").await;
    let listener = TcpListener::bind(address).await.expect("the same port");
    let (serving, stop_serving) = listen(listener, &server, &credentials);
    until_provisioned(&clusters, "meanwhile").await;
    create(&own, "after").await;
    until_provisioned(&clusters, "after").await;
    assert!(!running.is_finished(), "it kept its Leases");

    stop.cancel();
    running.await.expect("no panic").expect("a good end");
    stop_watching.cancel();
    watching.await.expect("ended");
    stop_serving.cancel();
    serving.await.expect("ended");
}
