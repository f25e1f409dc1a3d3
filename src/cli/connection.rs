//! Finding the running playground, or the management cluster that a kubeconfig names.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};

use super::arguments::Target;
use super::error::{CliError, Exit};
use super::instance::{Instance, State};
use crate::client::{Client, ClientError};
use crate::clock::Clock;
use crate::machinery::nearest::near;

/// How long a server may take to say that it is there.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Connects to the playground that the arguments name.
///
/// # Errors
/// `E021` if there is none.
pub(super) async fn connect(target: &Target) -> Result<Client, CliError> {
    let path = kubeconfig_path(target);
    if path.as_os_str().is_empty() {
        return Err(Instance::chosen().has_no_kubeconfig());
    }
    if target.kubeconfig.is_none() && !path.exists() {
        return Err(none_runs(&Instance::chosen()));
    }
    let client = client_of(&path, target.context.as_deref()).await?;
    match Clock::wall().timeout(ANSWER_MAX, client.get_json("/version")).await {
        Ok(Ok(_)) => Ok(client),
        Ok(Err(ClientError::Status(status))) => Err(CliError::other(status.message)),
        Ok(Err(error)) => Err(unanswered(target, &path, &error.reason())),
        Err(_) => {
            let why = format!("no answer within {ANSWER_MAX:?}");
            Err(unanswered(target, &path, &why))
        }
    }
}

/// A kubeconfig that leads nowhere: the instance's own, of one that does not run, or another one.
fn unanswered(target: &Target, path: &Path, error: &str) -> CliError {
    let instance = Instance::chosen();
    let what = format!("{} leads nowhere: {error}", path.display());
    match (&target.kubeconfig, instance.state()) {
        (None, State::Running(_)) => {
            CliError::new("E024", Exit::Other, "the playground does not answer")
                .note(what)
                .hint(format!("{} logs", instance.command()))
        }
        (None, _) => none_runs(&instance),
        (Some(_), _) => CliError::new("E021", Exit::NotRunning, "no management API answers")
            .note(what)
            .hint("kubectl config view --minify       which server it names"),
    }
}

/// A client of a context of a kubeconfig, by default of the current one.
///
/// # Errors
/// `E022` for a file that cannot be used, `E036` for a certificate that has expired.
pub(super) async fn client_of(path: &Path, context: Option<&str>) -> Result<Client, CliError> {
    let (config, _) = read(Some(path), context).await?;
    Client::from_config(config, "capim").map_err(|error| unusable(Some(path), &error))
}

/// The file that is read.
pub(super) fn shown_path(path: Option<&Path>) -> String {
    let given = || path.map(|path| path.display().to_string());
    let named = || std::env::var("KUBECONFIG").ok().filter(|value| !value.is_empty());
    given().or_else(named).unwrap_or_else(|| "~/.kube/config".to_owned())
}

/// Reads a context of a kubeconfig, and answers its name with it. A client certificate that has expired is told before it is
/// tried, because what servers say of it does not name it.
pub(super) async fn read(
    path: Option<&Path>,
    context: Option<&str>,
) -> Result<(kube::Config, String), CliError> {
    let kubeconfig = match path {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let kubeconfig = kubeconfig.map_err(|error| unusable(path, &error))?;
    let contexts: Vec<String> = kubeconfig.contexts.iter().map(|it| it.name.clone()).collect();
    if let Some(wanted) = context.filter(|wanted| !contexts.iter().any(|name| name == wanted)) {
        let message = format!("{} has no context {wanted:?}", shown_path(path));
        let error = CliError::new("E022", Exit::NotFound, message);
        return Err(match near(wanted, contexts.clone()) {
            Some(near) => error.help(format!("did you mean {near:?}?")),
            None => error.note(format!("it has {}", contexts.join(", "))),
        });
    }
    let named = context.map(str::to_owned).or_else(|| kubeconfig.current_context.clone());
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..Default::default() };
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
    let config = config.map_err(|error| unusable(path, &error))?;
    if let Some(expired) = expiry(&config.auth_info, &Clock::wall()) {
        let message = format!("the client certificate of {} expired {expired}", shown_path(path));
        return Err(CliError::new("E036", Exit::Other, message)
            .hint("kubeadm certs renew admin.conf       on a control plane of kubeadm")
            .hint("capim kubeconfig                     for a playground of capim"));
    }
    Ok((config, named.unwrap_or_default()))
}

pub(super) fn unusable(path: Option<&Path>, error: &dyn std::error::Error) -> CliError {
    let mut message = format!("failed to use kubeconfig {}: {error}", shown_path(path));
    let mut source = error.source();
    while let Some(cause) = source {
        if !message.contains(&cause.to_string()) {
            message.push_str(&format!(": {cause}"));
        }
        source = cause.source();
    }
    CliError::new("E022", Exit::Other, message)
        .hint("kubectl config view --minify       shows what is in it")
}

/// When the client certificate expired, if it has.
fn expiry(credentials: &kube::config::AuthInfo, clock: &Clock) -> Option<String> {
    use base64::Engine as _;
    let inline = credentials
        .client_certificate_data
        .as_deref()
        .and_then(|data| base64::engine::general_purpose::STANDARD.decode(data).ok());
    let from_file = || std::fs::read(credentials.client_certificate.as_deref()?).ok();
    let pem = inline.or_else(from_file)?;
    let (_, block) = x509_parser::pem::parse_x509_pem(&pem).ok()?;
    let certificate = block.parse_x509().ok()?;
    let end = certificate.validity().not_after.timestamp();
    let now = clock.now().as_second();
    let date = jiff::Timestamp::from_second(end).ok()?.strftime("%Y-%m-%d").to_string();
    (end < now).then(|| format!("on {date}"))
}

/// The text of the management kubeconfig that the arguments name, with their context as the current
/// one.
///
/// # Errors
/// `E013` if it cannot be read, `E022` if it is no kubeconfig.
pub(super) fn kubeconfig_text(target: &Target) -> Result<String, CliError> {
    let path = kubeconfig_path(target);
    let text = std::fs::read_to_string(&path);
    let text = text.map_err(|error| super::instance::unusable(&path, &error))?;
    let Some(context) = &target.context else { return Ok(text) };
    let mut value: serde_json::Value =
        serde_saphyr::from_str(&text).map_err(|error| unusable(Some(&path), &error))?;
    value["current-context"] = context.as_str().into();
    serde_saphyr::to_string(&value).map_err(CliError::other)
}

/// Path of the management kubeconfig that the arguments name.
pub(super) fn kubeconfig_path(target: &Target) -> PathBuf {
    target.kubeconfig.clone().unwrap_or_else(own_kubeconfig)
}

/// Says that an instance does not run, and which ones do.
pub(super) fn none_runs(instance: &Instance) -> CliError {
    let message = format!("no playground is running in instance {:?}", instance.name());
    let mut error = CliError::new("E021", Exit::NotRunning, message);
    let others = Instance::all().into_iter().filter(|it| it != instance);
    for other in others.filter(|it| matches!(it.state(), State::Running(_))) {
        let name = other.name();
        error =
            error.note(format!("note: instance {name:?} is running: {} status", other.command()));
    }
    error.hint(format!("{} up -d", instance.command()))
}

/// The kubeconfig of the chosen instance: where it says it is, or where it is by default.
pub(super) fn own_kubeconfig() -> PathBuf {
    Instance::chosen().kubeconfig_now()
}

/// A failed request as the user sees it.
pub(super) fn request_failed(what: &str, error: &ClientError) -> CliError {
    CliError::request(what, error)
}
