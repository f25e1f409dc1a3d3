//! The executable under the name `etcd`: for programs that start etcd before kube-apiserver and
//! wait until it is healthy, such as envtest. It keeps nothing; the API server has its own store.

use std::net::SocketAddr;
use std::process::ExitCode;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;

use super::error::{CliError, Exit};
use super::output;
use super::signals::Signals;

/// Where etcd listens unless it is told otherwise.
const DEFAULT_URL: &str = "http://localhost:2379";
/// Answer of `/health`. (etcd: server/etcdserver/api/etcdhttp/health.go)
const HEALTHY: &str = r#"{"health":"true","reason":""}"#;
/// Answer of `/version`.
const VERSIONS: &str = r#"{"etcdserver":"3.6.0","etcdcluster":"3.6.0","storage":"3.6.0"}"#;

/// Answers health checks on the client URLs until a signal.
pub(super) async fn run(arguments: &[String]) -> Result<ExitCode, CliError> {
    if arguments.iter().any(|argument| matches!(argument.as_str(), "--help" | "-h")) {
        output::write(
            "Answers etcd's health check and keeps nothing; the API server has its own store.\n\n  \
             --listen-client-urls 'http://localhost:2379'\n    URLs to answer on.\n\n\
             All other flags are accepted without effect.\n",
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.iter().any(|argument| argument == "--version") {
        output::write("etcd Version: 3.6.0\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut signals = Signals::listen()?;
    let router = Router::new()
        .route("/health", get(async || ([(CONTENT_TYPE, "application/json")], HEALTHY)))
        .route("/version", get(async || ([(CONTENT_TYPE, "application/json")], VERSIONS)));
    let mut servers = tokio::task::JoinSet::new();
    for url in client_urls(arguments) {
        let listener = listen(&url).await?;
        servers.spawn(axum::serve(listener, router.clone()).into_future());
    }
    eprintln!("answering health checks only");
    signals.next().await;
    Ok(ExitCode::SUCCESS)
}

/// The values of `--listen-client-urls`, in either of Go's ways of giving them.
fn client_urls(arguments: &[String]) -> Vec<String> {
    let mut urls = DEFAULT_URL.to_owned();
    for (index, argument) in arguments.iter().enumerate() {
        let Some(rest) = argument.trim_start_matches('-').strip_prefix("listen-client-urls") else {
            continue;
        };
        match (rest.strip_prefix('='), arguments.get(index + 1)) {
            (Some(value), _) => value.clone_into(&mut urls),
            (None, Some(next)) => next.clone_into(&mut urls),
            (None, None) => {}
        }
    }
    urls.split(',').map(str::to_owned).collect()
}

async fn listen(url: &str) -> Result<TcpListener, CliError> {
    let failed = |why: String| {
        CliError::new("E013", Exit::Environment, format!("failed to listen on {url}: {why}"))
    };
    let Some(rest) = url.strip_prefix("http://") else {
        return Err(failed("only http URLs are served".to_owned()));
    };
    let host = rest.split('/').next().unwrap_or_default();
    let addresses = tokio::net::lookup_host(host).await.map_err(|error| failed(error.to_string()));
    let addresses: Vec<SocketAddr> = addresses?.collect();
    TcpListener::bind(&addresses[..]).await.map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_urls_are_read_as_go_reads_flags() {
        let urls = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            client_urls(&words)
        };
        assert_eq!(urls("--data-dir=x --listen-client-urls=http://a:1,http://b:2").len(), 2);
        assert_eq!(urls("-listen-client-urls http://a:1"), ["http://a:1"]);
        assert_eq!(urls("--data-dir=x"), [DEFAULT_URL]);
    }
}
