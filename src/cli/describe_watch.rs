//! `capim describe cluster --watch`: the tree again whenever something of the cluster changes.
//!
//! Watches of all kinds that the cluster has objects of say that something changed; then everything
//! is read anew, so that a frame shows one moment. On a terminal a frame takes the place of the one
//! before, and ages go on; elsewhere every change is one block.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::time::Duration;

use futures::future::FutureExt;
use futures::stream::{self, BoxStream, SelectAll, StreamExt};
use serde_json::Value;

use super::collect;
use super::connection::request_failed;
use super::describe::{DescribeCluster, View};
use super::error::{CliError, Exit};
use super::output;
use crate::acts::{Kind, Served, encoded};
use crate::client::{Client, ClientError};
use crate::clock::Clock;
use crate::describe::Sources;

/// What happens at once is shown at once.
const TOGETHER: Duration = Duration::from_millis(100);
/// How often ages are drawn anew on a terminal.
const AGES: Duration = Duration::from_secs(1);
/// Before a watch that ended without a word is opened again.
const PAUSE: Duration = Duration::from_secs(1);

/// Kinds that may come to belong to any cluster.
const KINDS: [&str; 5] = [
    "machines.cluster.x-k8s.io",
    "machinesets.cluster.x-k8s.io",
    "machinedeployments.cluster.x-k8s.io",
    "machinepools.cluster.x-k8s.io",
    "clusterresourcesetbindings.addons.cluster.x-k8s.io",
];

/// What a watch tells.
enum News {
    /// Something is different.
    Changed,
    /// The server ended the watch in order.
    Ended,
    /// It cannot go on.
    Failed(ClientError),
}

/// Watches of the kinds that a cluster consists of.
struct Watches<'a> {
    client: &'a Client,
    served: &'a Served,
    namespace: &'a str,
    name: &'a str,
    open: BTreeSet<String>,
    streams: SelectAll<BoxStream<'static, News>>,
}

impl Watches<'_> {
    /// Opens those that are missing. Each begins with what there is.
    async fn cover(&mut self, sources: &Sources) -> Result<(), CliError> {
        let label =
            format!("labelSelector=cluster.x-k8s.io%2Fcluster-name%3D{}", encoded(self.name));
        let field = format!("fieldSelector=metadata.name%3D{}", encoded(self.name));
        let cluster = self.served.find("clusters.cluster.x-k8s.io")?;
        self.open(cluster, &field).await?;
        // A management cluster may lack some of the kinds.
        let kinds = KINDS.iter().filter_map(|name| self.served.find(name).ok());
        let references = sources.references();
        let referred = references
            .iter()
            .filter_map(|it| self.served.find(&format!("{}.{}", it.kind, it.group)).ok());
        let kinds: Vec<&Kind> = kinds.chain(referred).collect();
        for kind in kinds {
            self.open(kind, &label).await?;
        }
        Ok(())
    }

    async fn open(&mut self, kind: &Kind, selector: &str) -> Result<(), CliError> {
        if !self.open.insert(kind.full_name()) {
            return Ok(());
        }
        let path = format!("{}?watch=1&{selector}", kind.path(self.namespace));
        let events = self.client.watch_as(&path, "application/json").await;
        let events = events
            .map_err(|error| request_failed(&format!("watch {}", kind.resource.plural), &error))?;
        let news = stream::unfold(Some(events), |events| async {
            let mut events = events?;
            Some(match events.next().await {
                None => (News::Ended, None),
                Some(Err(error)) => (News::Failed(error), None),
                Some(Ok(event)) if event["type"] == "ERROR" => (News::Ended, None),
                Some(Ok(_)) => (News::Changed, Some(events)),
            })
        });
        self.streams.push(news.boxed());
        Ok(())
    }

    /// Waits for a change and takes all that come with it. False if the watches have to be opened
    /// anew.
    async fn changed(&mut self, clock: &Clock) -> Result<bool, CliError> {
        let mut news = self.streams.next().await;
        clock.sleep(TOGETHER).await;
        loop {
            match news {
                Some(News::Changed) => {}
                Some(News::Ended) | None => return Ok(false),
                Some(News::Failed(error)) => return Err(ended(&error.reason())),
            }
            match self.streams.next().now_or_never() {
                Some(more) => news = more,
                None => return Ok(true),
            }
        }
    }
}

fn ended(why: &str) -> CliError {
    CliError::new("E023", Exit::Other, format!("the watch ended: {why}"))
        .hint("is the playground still running? capim status")
}

/// Shows the cluster until it is gone, or nobody reads any more.
///
/// # Errors
/// `E030` if it does not exist at the beginning, `E023` if the server goes away.
pub(super) async fn follow(
    client: &Client,
    served: &Served,
    describe: &DescribeCluster,
) -> Result<(), CliError> {
    let (namespace, name) = (describe.target.namespace.as_str(), describe.name.as_str());
    let clock = Clock::wall();
    let mut screen = Screen::new(View::of(describe));
    // A cluster that is not there is told before anything is watched.
    let mut sources = collect::cluster(client, served, namespace, name).await?;
    loop {
        let (open, streams) = (BTreeSet::new(), SelectAll::new());
        let mut watches = Watches { client, served, namespace, name, open, streams };
        watches.cover(&sources).await?;
        loop {
            if !screen.draw(&sources, &clock)? {
                return Ok(());
            }
            let waiting = screen.wait(&mut watches, &sources, &clock);
            if !waiting.await? {
                break;
            }
            sources = match collect::cluster(client, served, namespace, name).await {
                Ok(sources) => sources,
                Err(error) if error.exit == Exit::NotFound => {
                    output::tell(&crate::tui::text::printable(&format!(
                        "cluster {name:?} is gone"
                    )));
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            watches.cover(&sources).await?;
        }
        clock.sleep(PAUSE).await;
    }
}

/// Where frames go.
struct Screen {
    view: View,
    is_terminal: bool,
    /// What the last frame showed, without ages.
    shown: Option<Value>,
}

impl Screen {
    fn new(view: View) -> Self {
        let is_terminal = std::io::stdout().is_terminal() && view.is_tree();
        Self { view, is_terminal, shown: None }
    }

    /// Shows a frame, if it is another one. False if nobody reads.
    fn draw(&mut self, sources: &Sources, clock: &Clock) -> Result<bool, CliError> {
        if self.is_terminal {
            return output::is_read(frame(&self.view.text(sources, clock.now())?));
        }
        let content = self.view.content(sources);
        if self.shown.as_ref() == Some(&content) {
            return Ok(true);
        }
        let between = if self.shown.is_some() { self.view.between() } else { "" };
        self.shown = Some(content);
        let text = self.view.line_or_block(sources, clock.now())?;
        output::is_read(format!("{between}{text}"))
    }

    /// Waits for a change; on a terminal ages go on meanwhile.
    async fn wait(
        &mut self,
        watches: &mut Watches<'_>,
        sources: &Sources,
        clock: &Clock,
    ) -> Result<bool, CliError> {
        if !self.is_terminal {
            return watches.changed(clock).await;
        }
        let changed = watches.changed(clock);
        tokio::pin!(changed);
        loop {
            tokio::select! {
                outcome = &mut changed => return outcome,
                () = clock.sleep(AGES) => {
                    self.draw(sources, clock)?;
                }
            }
        }
    }
}

/// A frame in the place of the one before, cut to the height of the terminal.
fn frame(text: &str) -> String {
    let height = crossterm::terminal::size().map_or(24, |(_, rows)| usize::from(rows)).max(2);
    let lines: Vec<&str> = text.lines().collect();
    let kept = if lines.len() < height { lines.len() } else { height - 2 };
    let mut frame = "\u{1b}[H".to_owned();
    for line in &lines[..kept] {
        frame.push_str(line);
        frame.push_str("\u{1b}[K\n");
    }
    if kept < lines.len() {
        frame.push_str(&format!("... {} more lines\u{1b}[K\n", lines.len() - kept));
    }
    frame + "\u{1b}[J"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_drawn_over_the_one_before() {
        assert_eq!(frame("a\nb\n"), "\u{1b}[Ha\u{1b}[K\nb\u{1b}[K\n\u{1b}[J");
        let long = "x\n".repeat(2_000);
        let drawn = frame(&long);
        assert!(drawn.contains(" more lines\u{1b}[K\n\u{1b}[J"), "{drawn}");
        assert!(drawn.lines().count() < 1_999);
    }
}
