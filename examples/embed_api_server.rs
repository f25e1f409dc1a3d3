//! A Kubernetes API inside a Rust test: no cluster, no container, no file.
//!
//! `cargo test --example embed_api_server` runs the test, `cargo run --example embed_api_server`
//! keeps a server up and prints how to reach it.

use capim::embed::ControlPlane;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let control_plane = ControlPlane::start().await?;
    let path = std::env::temp_dir().join(format!("embedded-{}.kubeconfig", std::process::id()));
    std::fs::write(&path, control_plane.kubeconfig())?;
    println!("{} is up; try: kubectl --kubeconfig {} get ns", control_plane.url(), path.display());
    tokio::signal::ctrl_c().await?;
    control_plane.stop().await;
    std::fs::remove_file(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use capim::embed::ControlPlane;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
    use serde_json::json;

    /// What is to be tested: it raises a counter in a ConfigMap.
    async fn count(client: kube::Client, name: &str) -> kube::Result<u64> {
        let api: Api<ConfigMap> = Api::default_namespaced(client);
        let data = api.get(name).await?.data.unwrap_or_default();
        let count = data.get("count").and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) + 1;
        let patch = json!({"data": {"count": count.to_string()}});
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(count)
    }

    #[tokio::test]
    async fn counts_up() -> Result<(), Box<dyn std::error::Error>> {
        let control_plane = ControlPlane::start().await?;
        let client = control_plane.client();
        let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
        let counter = ConfigMap {
            metadata: ObjectMeta { name: Some("counter".to_owned()), ..ObjectMeta::default() },
            data: Some(BTreeMap::from([("count".to_owned(), "41".to_owned())])),
            ..ConfigMap::default()
        };
        api.create(&PostParams::default(), &counter).await?;
        assert_eq!(count(client, "counter").await?, 42);
        control_plane.stop().await;
        Ok(())
    }
}
