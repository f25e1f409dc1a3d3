use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, PostParams};

use super::*;
use crate::apiserver::Identity;

async fn over_the_network(kubeconfig: &str) -> kube::Client {
    let kubeconfig = kube::config::Kubeconfig::from_yaml(kubeconfig).unwrap();
    let options = Default::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    kube::Client::try_from(config).unwrap()
}

#[tokio::test]
async fn both_ways_lead_to_the_same_objects() {
    let control_plane = ControlPlane::start().await.unwrap();
    let here: Api<ConfigMap> = Api::default_namespaced(control_plane.client());
    let object = ConfigMap {
        metadata: kube::core::ObjectMeta { name: Some("a".to_owned()), ..Default::default() },
        ..Default::default()
    };
    let created = here.create(&PostParams::default(), &object).await.unwrap();
    let client = over_the_network(&control_plane.kubeconfig()).await;
    let there: Api<ConfigMap> = Api::default_namespaced(client);
    assert_eq!(there.get("a").await.unwrap(), created);
    control_plane.stop().await;
}

#[tokio::test]
async fn other_users_are_themselves() {
    let control_plane = ControlPlane::start().await.unwrap();
    let kubeconfig = control_plane.kubeconfig_of("jane", &["devs"]).unwrap();
    let client = over_the_network(&kubeconfig).await;
    let refused = Api::<Namespace>::all(client).list(&Default::default()).await.unwrap_err();
    assert!(refused.to_string().contains(r#"User "jane" cannot list resource"#), "{refused}");
    let client = control_plane.client_as(Identity::anonymous());
    let refused = Api::<Namespace>::all(client).list(&Default::default()).await.unwrap_err();
    assert!(refused.to_string().contains("system:anonymous"), "{refused}");
    control_plane.stop().await;
}

#[tokio::test]
async fn stopping_frees_the_port() {
    let control_plane = ControlPlane::start().await.unwrap();
    let port = control_plane.port();
    control_plane.stop().await;
    let again = ControlPlane::builder().port(port).start().await.unwrap();
    assert_eq!(again.port(), port);
    let taken = ControlPlane::builder().port(port).start().await;
    assert!(matches!(taken, Err(EmbedError::Listen { .. })));
    again.stop().await;
}
