//! `capim kubeconfig`.

use std::process::ExitCode;

use k8s_openapi::api::core::v1::Secret;

use super::arguments::KubeconfigArguments;
use super::connection::{connect, kubeconfig_path, request_failed};
use super::error::{CliError, Exit};
use super::output;
use crate::client::{Client, ObjectKey};
use crate::contract::secrets::Purpose;

pub(super) async fn run(arguments: KubeconfigArguments) -> Result<ExitCode, CliError> {
    let client = connect(&arguments.target).await?;
    let content = match &arguments.cluster {
        None => {
            let path = kubeconfig_path(&arguments.target);
            std::fs::read(&path).map_err(|error| {
                CliError::other(format!("failed to read {}: {error}", path.display()))
            })?
        }
        Some(cluster) => of_cluster(&client, &arguments.target.namespace, cluster).await?,
    };
    output::write(content)?;
    Ok(ExitCode::SUCCESS)
}

/// Kubeconfig of a workload cluster.
///
/// # Errors
/// `E030` if there is none.
pub(super) async fn of_cluster(
    client: &Client,
    namespace: &str,
    cluster: &str,
) -> Result<Vec<u8>, CliError> {
    let key = ObjectKey::new(namespace, Purpose::Kubeconfig.secret_name(cluster));
    let secret: Option<Secret> =
        client.get(&key).await.map_err(|error| request_failed("read the kubeconfig", &error))?;
    let value = secret.and_then(|secret| secret.data).and_then(|mut data| data.remove("value"));
    value.map(|value| value.0).ok_or_else(|| {
        let message = format!("cluster {cluster:?} has no kubeconfig in namespace {namespace:?}");
        CliError::new("E030", Exit::NotFound, message)
            .note("it does not exist, or its control plane was not begun yet")
            .hint("capim get clusters -A")
    })
}
