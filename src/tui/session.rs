//! The loop: keys, changes, signals and the clock in; frames and acts out.

use std::io;
use std::time::Duration;

use crossterm::event::{Event, EventStream, KeyEventKind};
use futures::StreamExt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Sources;
use super::acting::{Acting, Request};
use super::action::{Action, Done, Edited, Editing, Subject, save_kubeconfig};
use super::clipboard;
use super::commands::Act;
use super::connect::ConnectionState;
use super::fault;
use super::fetch::Fetcher;
use super::keymap::Command;
use super::model::feed::Feed;
use super::options::Options;
use super::run::App;
use super::state::{Page, View};
use super::terminal::{self, JobSignal, JobSignals, Screen, TerminalError};
use super::theme::{Role, ThemeName};
use super::views::Head;
use crate::acts::{Failure, kubeconfig_of};
use crate::client::{Client, ObjectKey};
use crate::clock::Clock;
use crate::runtime::Manager;

/// Shortest time between two frames that only data changes ask for.
const FRAME: Duration = Duration::from_millis(100);
/// Ages are redrawn this often.
const TICK: Duration = Duration::from_secs(1);

/// Shows the dashboard until it is quit. The terminal is given back when the future ends or is
/// dropped.
///
/// # Errors
/// If there is no terminal, or it refuses raw mode, drawing or reading keys.
pub async fn run(sources: Sources) -> Result<(), TerminalError> {
    run_with(sources, Options::default()).await
}

/// The same, as somebody has chosen.
///
/// # Errors
/// As [`run`].
pub async fn run_with(sources: Sources, options: Options) -> Result<(), TerminalError> {
    let screen = Screen::take(options.screen())?;
    let copies = Manager::new(sources.client.clone(), sources.clock.clone());
    let stop = CancellationToken::new();
    let (fetcher, asking) = Fetcher::new(sources.client.clone(), sources.clock.clone());
    // Both end with this future: the copies when they are stopped, the questions with their asker.
    let _stop = stop.clone().drop_guard();
    let showing = Session::new(&sources, options, screen, fetcher)?.show(&copies);
    tokio::select! {
        shown = showing => Ok(shown?),
        () = copies.run(stop) => Ok(()),
        () = asking => Ok(()),
    }
}

/// What an act that was begun has come to.
enum Outcome {
    Acts(Vec<Done>, Option<Failure>),
    /// A kubeconfig, and whether it is for the clipboard or for a file.
    Kubeconfig(ObjectKey, Way, Result<String, Failure>),
    /// An object that is to be edited.
    Editing(Result<Editing, Failure>),
    Edited(String, Result<Edited, Failure>),
}

#[derive(Clone, Copy)]
enum Way {
    Clipboard,
    File,
}

struct Session<'a> {
    sources: &'a Sources,
    options: Options,
    screen: Screen,
    app: App,
    fetcher: Fetcher,
    jobs: JobSignals,
    /// `None` while somebody else has the terminal.
    keys: Option<EventStream>,
    /// Acts that were begun; they end with the session.
    begun: JoinSet<Outcome>,
}

impl<'a> Session<'a> {
    fn new(
        sources: &'a Sources,
        options: Options,
        screen: Screen,
        fetcher: Fetcher,
    ) -> io::Result<Self> {
        let mut app =
            App::new(sources.clock.clone(), head(sources, options.attached), options.theme());
        app.keymap = options.keymap.clone();
        app.acting = Acting::new(options.flags.clone(), sources.read_only, &options.version);
        let (jobs, keys) = (JobSignals::listen()?, Some(EventStream::new()));
        Ok(Self { sources, options, screen, app, fetcher, jobs, keys, begun: JoinSet::new() })
    }

    async fn show(mut self, copies: &Manager) -> io::Result<()> {
        let clock = self.sources.clock.clone();
        let mut feed = Feed::new(self.sources);
        let mut connection = self.sources.connection.clone();
        loop {
            match self.app.state.screen().page {
                Page::List(View::Workers | View::Problems) => feed.want_workers(copies),
                Page::List(View::Classes) => feed.want_classes(copies),
                _ => {}
            }
            self.fetcher.want(self.app.state.want());
            self.app.apply(feed.take());
            self.app.head.disconnected = match connection.state() {
                ConnectionState::Connected => None,
                ConnectionState::Disconnected { since, reason } => Some((since, reason)),
            };
            self.draw()?;
            let drawn = clock.elapsed();
            let changed = async {
                feed.changed().await;
                // Frames for data alone keep their distance.
                clock.sleep_until(drawn + FRAME).await;
            };
            let keys = self.keys.get_or_insert_with(EventStream::new);
            tokio::select! {
                biased;
                event = keys.next() => {
                    let Some(event) = event.transpose()? else { return Ok(()) };
                    if self.take(event).await? {
                        return Ok(());
                    }
                }
                signal = self.jobs.next() => self.obey(signal)?,
                Some(outcome) = self.begun.join_next() => {
                    // An act that panicked has been logged; the dashboard goes on.
                    if let Ok(outcome) = outcome {
                        self.finish(outcome).await?;
                    }
                }
                () = self.fetcher.answered() => self.app.answer(self.fetcher.last()),
                () = connection.changed() => {}
                () = changed => {}
                () = clock.sleep(TICK) => {}
            }
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        let app = &mut self.app;
        self.screen.terminal().draw(|frame| {
            let area = frame.area();
            app.draw(frame.buffer_mut(), area);
        })?;
        Ok(())
    }

    /// Takes what the terminal reports; true ends the session.
    async fn take(&mut self, event: Event) -> io::Result<bool> {
        let act = match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => {
                fault::strike(key);
                self.app.press(key)
            }
            Event::Mouse(mouse) => self.app.point(mouse),
            Event::Paste(text) => {
                self.app.paste(&text);
                Act::None
            }
            _ => Act::None,
        };
        self.follow(act).await
    }

    /// Does what a key has led to; true ends the session.
    async fn follow(&mut self, act: Act) -> io::Result<bool> {
        match act {
            Act::Quit => return Ok(true),
            Act::Redraw => self.screen.redraw()?,
            Act::None => {}
            Act::Other(Command::Suspend) => self.obey(JobSignal::Stop)?,
            Act::Other(Command::Theme) => {
                self.app.theme = self.app.theme.with_name(self.next_theme())
            }
            Act::Other(_) => {}
        }
        while let Some(request) = self.app.requests.pop_front() {
            if let Request::Run(command) = request {
                let act = self.app.carry_out(command);
                // Boxed: a command may lead to another one.
                if Box::pin(self.follow(act)).await? {
                    return Ok(true);
                }
            } else {
                self.serve(request).await?;
            }
        }
        Ok(false)
    }

    fn next_theme(&self) -> ThemeName {
        let now = self.app.theme.name();
        let index = ThemeName::ALL.iter().position(|(name, _)| *name == now).unwrap_or(0);
        ThemeName::ALL[(index + 1) % ThemeName::ALL.len()].0
    }

    async fn serve(&mut self, request: Request) -> io::Result<()> {
        let now = self.sources.clock.elapsed();
        let (client, clock) = (self.sources.client.clone(), self.sources.clock.clone());
        match request {
            Request::None | Request::Run(_) => {}
            Request::CarryOut(actions) => {
                self.app.acting.begin(&actions, now);
                self.app.state.screen_mut().marked.clear();
                self.begun.spawn(carry_out(client, clock, actions));
            }
            Request::TakeBack(actions) => {
                self.app.acting.begin(&actions, now);
                self.begun.spawn(take_back(client, clock, actions));
            }
            Request::Copy(text, what) => self.copy(&text, &what)?,
            Request::CopyKubeconfig(cluster) => {
                self.begun.spawn(read_kubeconfig(client, cluster, Way::Clipboard));
            }
            Request::SaveKubeconfig(cluster) => {
                self.begun.spawn(read_kubeconfig(client, cluster, Way::File));
            }
            Request::Shell(cluster) => self.shell(cluster).await?,
            Request::Edit(subject) => {
                self.begun.spawn(begin_edit(client, subject));
            }
            Request::Theme(name) => self.app.theme = self.app.theme.with_name(name),
            Request::Resource(word) => {
                self.app.open(Page::Kind { within: None, word });
            }
        }
        Ok(())
    }

    fn copy(&mut self, text: &str, what: &str) -> io::Result<()> {
        let now = self.sources.clock.elapsed();
        match clipboard::sequence(text) {
            Ok(bytes) => {
                self.screen.send(&bytes)?;
                self.app.acting.say(&format!("copied: {what}"), Role::Good, now);
            }
            Err(error) => self.app.acting.say(&error.to_string(), Role::Bad, now),
        }
        Ok(())
    }

    /// Does what a shell asks of its job.
    fn obey(&mut self, signal: JobSignal) -> io::Result<()> {
        match signal {
            JobSignal::Stop => {
                self.keys = None;
                self.screen.release();
                terminal::stop_process()?;
                self.screen.retake()
            }
            JobSignal::Continue => {
                // Whoever stopped it from outside left the terminal to the shell, of which crossterm
                // knows nothing.
                self.screen.release();
                self.screen.retake()
            }
        }
    }

    /// Gives the terminal to a program until that ends. When a shell stops that program it means this
    /// process, too.
    async fn lend<T>(
        &mut self,
        child: impl Future<Output = io::Result<T>>,
    ) -> io::Result<io::Result<T>> {
        self.keys = None;
        self.screen.release();
        let mut child = std::pin::pin!(child);
        let answer = loop {
            tokio::select! {
                answer = &mut child => break answer,
                signal = self.jobs.next() => match signal {
                    JobSignal::Stop => terminal::stop_process()?,
                    JobSignal::Continue => {}
                },
            }
        };
        self.screen.retake()?;
        Ok(answer)
    }

    /// A shell with KUBECONFIG set.
    async fn shell(&mut self, cluster: Option<ObjectKey>) -> io::Result<()> {
        let mut command = tokio::process::Command::new(std::env::current_exe()?);
        command.arg("shell");
        if let Some(cluster) = &cluster {
            command.arg(&cluster.name).arg("-n").arg(&cluster.namespace);
        }
        command.args(&self.options.flags);
        let ended = self.lend(async move { command.status().await }).await?;
        let now = self.sources.clock.elapsed();
        if let Err(error) = ended {
            self.app.acting.say(&format!("failed to start a shell: {error}"), Role::Bad, now);
        }
        Ok(())
    }

    async fn finish(&mut self, outcome: Outcome) -> io::Result<()> {
        let now = self.sources.clock.elapsed();
        match outcome {
            Outcome::Acts(done, failure) => self.app.acting.finish(done, failure.as_ref(), now),
            Outcome::Kubeconfig(cluster, Way::Clipboard, Ok(text)) => {
                self.copy(&text, &format!("kubeconfig of {}", cluster.name))?;
            }
            Outcome::Kubeconfig(cluster, Way::File, Ok(text)) => {
                match save_kubeconfig(&cluster, text.as_bytes()) {
                    Ok(file) => self.app.acting.say(&format!("written: {file}"), Role::Good, now),
                    Err(error) => {
                        let message = format!("failed to write the kubeconfig: {error}");
                        self.app.acting.fail(&Failure::other(message));
                    }
                }
            }
            Outcome::Kubeconfig(.., Err(failure))
            | Outcome::Editing(Err(failure))
            | Outcome::Edited(_, Err(failure)) => self.app.acting.fail(&failure),
            Outcome::Editing(Ok(editing)) => self.edit(editing).await?,
            Outcome::Edited(name, Ok(Edited::Changed)) => {
                self.app.acting.say(&format!("{name} changed"), Role::Good, now);
            }
            Outcome::Edited(name, Ok(Edited::Unchanged)) => {
                self.app.acting.say(&format!("{name} is as it was"), Role::Dim, now);
            }
        }
        Ok(())
    }

    async fn edit(&mut self, editing: Editing) -> io::Result<()> {
        let ended = self.lend(editing.run_editor()).await?;
        match ended {
            Ok(status) if status.success() => {
                let client = self.sources.client.clone();
                self.begun.spawn(async move {
                    let name = editing.name();
                    Outcome::Edited(name, editing.finish(&client).await)
                });
            }
            Ok(status) => {
                editing.discard();
                let failure = Failure::other(format!("the editor ended with {status}"));
                self.app.acting.fail(&failure);
            }
            Err(error) => {
                editing.discard();
                let failure = Failure::other(format!("failed to run the editor: {error}"));
                self.app.acting.fail(&failure.hint("export EDITOR=vi"));
            }
        }
        Ok(())
    }
}

/// Acts one after the other; the first failure ends it.
async fn carry_out(client: Client, clock: Clock, actions: Vec<Action>) -> Outcome {
    let mut done = Vec::new();
    for action in &actions {
        match action.carry_out(&client, &clock).await {
            Ok(it) => done.push(it),
            Err(failure) => return Outcome::Acts(done, Some(failure)),
        }
    }
    Outcome::Acts(done, None)
}

async fn take_back(client: Client, clock: Clock, actions: Vec<Action>) -> Outcome {
    let mut outcome = carry_out(client, clock, actions).await;
    if let Outcome::Acts(done, _) = &mut outcome {
        done.iter_mut().for_each(|done| done.undo.clear());
    }
    outcome
}

async fn read_kubeconfig(client: Client, cluster: ObjectKey, way: Way) -> Outcome {
    let text = kubeconfig_of(&client, &cluster.namespace, &cluster.name).await;
    Outcome::Kubeconfig(cluster, way, text)
}

async fn begin_edit(client: Client, subject: Subject) -> Outcome {
    Outcome::Editing(Editing::begin(&client, &subject).await)
}

fn head(sources: &Sources, attached: bool) -> Head {
    Head {
        url: sources.url.clone(),
        kubeconfig: sources.kubeconfig.clone(),
        external: sources.external.iter().map(|name| (*name).to_owned()).collect(),
        read_only: sources.read_only,
        attached,
        disconnected: None,
        hidden: false,
    }
}
