//! The acting half of the dashboard: which windows are open, what was done, what can be undone.
//! Pure but for what it answers as a [`Request`], which the loop carries out.

use std::time::Duration;

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::action::{self, Action, Done, Subject};
use super::dialog::{Answer, Dialog, Form, Menu, MenuItem, Question, Sizes, Wish, put, window};
use super::keymap::{Command, Group, Keymap};
use super::palette::{Chosen, Palette, Surroundings};
use super::theme::{Role, Theme, ThemeName};
use crate::acts::Failure;
use crate::client::ObjectKey;

/// How long a notice stays.
const NOTICE: Duration = Duration::from_secs(8);
/// Changes that can be undone, at most.
const UNDO_MAX: usize = 20;
/// Columns of a message's text.
const MESSAGE_WIDTH: u16 = 76;

/// What the loop is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    None,
    /// Run a command as if its key had been pressed.
    Run(Command),
    /// Carry out acts, one after the other; the text says what is going on.
    CarryOut(Vec<Action>),
    /// The same for acts that take others back; they are not taken back themselves.
    TakeBack(Vec<Action>),
    /// Put a text into the clipboard; the second one says what it is.
    Copy(String, String),
    CopyKubeconfig(ObjectKey),
    SaveKubeconfig(ObjectKey),
    Shell(Option<ObjectKey>),
    Edit(Subject),
    Theme(ThemeName),
    /// Show objects of a kind.
    Resource(String),
}

/// What the acts are about: the marked rows, or the one in sight.
#[derive(Clone, Debug, Default)]
pub(super) struct Target {
    pub(super) subjects: Vec<Subject>,
    /// Present numbers of machines, if it is one subject.
    pub(super) sizes: Sizes,
    /// Whether it is paused, if it is one subject.
    pub(super) paused: bool,
    /// The version that an upgrade would lead to.
    pub(super) next_version: String,
}

/// What is said of what was done.
#[derive(Clone, Debug)]
struct Notice {
    text: String,
    role: Role,
    until: Duration,
}

/// A window.
#[derive(Clone, Debug)]
enum Window {
    Dialog(Dialog),
    Palette,
    /// What went wrong, with what to do next.
    Message(Vec<(String, Role)>),
}

/// Windows, notices, undo.
#[derive(Clone, Debug)]
pub(super) struct Acting {
    window: Option<Window>,
    /// What is shown when it is closed.
    waiting: Option<Window>,
    palette: Palette,
    notice: Option<Notice>,
    /// What takes the last changes back, the newest last.
    undo: Vec<Vec<Action>>,
    /// Those that the open question is about.
    undoing: Option<Vec<Action>>,
    /// What a capim command needs to mean this server.
    flags: Vec<String>,
    read_only: bool,
    /// Namespace and version of new clusters.
    namespace: String,
    version: String,
}

impl Acting {
    pub(super) fn new(flags: Vec<String>, read_only: bool, version: &str) -> Self {
        Self {
            window: None,
            waiting: None,
            palette: Palette::default(),
            notice: None,
            undo: Vec::new(),
            undoing: None,
            flags,
            read_only,
            namespace: "default".to_owned(),
            version: version.to_owned(),
        }
    }

    /// Whether a window takes the keys.
    pub(super) fn is_open(&self) -> bool {
        self.window.is_some()
    }

    /// Starts what a command asks for; `None` if it is none of the acts. `namespace` is that of the
    /// row in sight.
    pub(super) fn start(
        &mut self,
        command: Command,
        target: Target,
        keymap: &Keymap,
        now: Duration,
    ) -> Option<Request> {
        if command.is_change() && self.read_only {
            self.say("read-only: nothing is changed from here", Role::Warning, now);
            return Some(Request::None);
        }
        let allowed = |subject: &Subject| subject.allows(command);
        let needs_subject = command.group() == Group::Act
            && !matches!(command, Command::Create | Command::Undo)
            && command != Command::Kubeconfig;
        if needs_subject && !(target.subjects.iter().any(allowed)) {
            let text = format!("{} needs a row that it can be done with", command.label());
            self.say(&text, Role::Warning, now);
            return Some(Request::None);
        }
        let mut target = target;
        if needs_subject {
            target.subjects.retain(allowed);
        }
        if let Some(subject) = target.subjects.first().filter(|it| !it.namespace.is_empty()) {
            self.namespace.clone_from(&subject.namespace);
        }
        match command {
            Command::Palette => {
                self.palette.open();
                self.window = Some(Window::Palette);
            }
            Command::Actions => self.open(self.menu(&target, keymap)),
            Command::Create => {
                let form = Form::create("", &self.namespace, &self.version);
                self.open(Dialog::Form(form));
            }
            Command::Scale => self.open(Dialog::Form(Form::scale(target.subjects, target.sizes))),
            Command::Upgrade => {
                self.open(Dialog::Form(Form::upgrade(target.subjects, &target.next_version)));
            }
            Command::Restart | Command::Pause | Command::Delete => {
                self.open(question(command, &target));
            }
            Command::Kill => return Some(Request::CarryOut(deletions(&target.subjects))),
            Command::Edit => {
                let subject = target.subjects.first()?;
                let command = action::edit_command(subject, &self.flags);
                self.say(&format!("= {command}"), Role::Busy, now);
                return Some(Request::Edit(subject.clone()));
            }
            Command::Kubeconfig => self.open(self.kubeconfig_menu(&target)),
            Command::CopyName => {
                let names: Vec<&str> = target.subjects.iter().map(|it| it.name.as_str()).collect();
                if names.is_empty() {
                    return Some(Request::None);
                }
                return Some(Request::Copy(names.join("\n"), names.join(", ")));
            }
            Command::Undo => self.ask_undo(now),
            _ => return None,
        }
        Some(Request::None)
    }

    fn open(&mut self, dialog: Dialog) {
        self.window = Some(Window::Dialog(dialog));
    }

    /// All that can be done with what is in sight.
    fn menu(&self, target: &Target, keymap: &Keymap) -> Dialog {
        let fits = |command: &Command| {
            let is_act =
                matches!(command.group(), Group::Act | Group::Look) && *command != Command::Actions;
            let is_allowed = !(self.read_only && command.is_change());
            let is_free = matches!(command, Command::Create | Command::Undo | Command::Kubeconfig);
            let has_subject = target.subjects.iter().any(|subject| subject.allows(*command));
            is_act && is_allowed && (is_free || has_subject)
        };
        let item = |command: Command| MenuItem {
            key: keymap.hint(command).map(|(key, _)| key).unwrap_or_default(),
            label: command.label().to_owned(),
            note: command.sentence().to_owned(),
            wish: Wish::Run(command),
        };
        let items = Command::ALL.into_iter().filter(fits).map(item).collect();
        let title = match target.subjects.as_slice() {
            [] => "Actions".to_owned(),
            [subject] => format!("Actions: {}", subject.typed()),
            subjects => format!("Actions: {} objects", subjects.len()),
        };
        Dialog::Menu(Menu::new(title, items))
    }

    /// Ways of a kubeconfig: of the workload cluster in sight, and of the management API.
    fn kubeconfig_menu(&self, target: &Target) -> Dialog {
        let item = |key: &str, label: &str, note: String, wish: Wish| MenuItem {
            key: key.to_owned(),
            label: label.to_owned(),
            note,
            wish,
        };
        let line = |cluster: Option<&ObjectKey>| {
            let command = action::kubeconfig_command("env", cluster, &self.flags);
            format!("eval \"$({command})\"")
        };
        let command = |verb: &str, cluster| action::kubeconfig_command(verb, cluster, &self.flags);
        let mut items = Vec::new();
        let cluster = target.subjects.first().and_then(Subject::workload_cluster);
        if let Some(cluster) = &cluster {
            let of = Some(cluster);
            let name = action::quoted(&cluster.name);
            items.extend([
                item("c", "copy the shell line", line(of), Wish::Copy(line(of), line(of))),
                item(
                    "t",
                    "copy the text",
                    command("kubeconfig", of),
                    Wish::CopyKubeconfig(cluster.clone()),
                ),
                item(
                    "f",
                    "write a file",
                    format!("{} > {name}.kubeconfig", command("kubeconfig", of)),
                    Wish::SaveKubeconfig(cluster.clone()),
                ),
                item("s", "open a shell", command("shell", of), Wish::Shell(Some(cluster.clone()))),
            ]);
        }
        let copy = Wish::Copy(line(None), line(None));
        items.push(item("m", "management: copy line", line(None), copy));
        items.push(item("S", "management: shell", command("shell", None), Wish::Shell(None)));
        let title = match &cluster {
            Some(cluster) => format!("Kubeconfig of {}", cluster.name),
            None => "Kubeconfig".to_owned(),
        };
        Dialog::Menu(Menu::new(title, items))
    }

    fn ask_undo(&mut self, now: Duration) {
        match self.undo.pop() {
            Some(actions) => {
                self.undoing = Some(actions.clone());
                let title = "Undo".to_owned();
                self.open(Dialog::Question(Question::new(title, "", actions)));
            }
            None => self.say("nothing to undo", Role::Dim, now),
        }
    }

    /// Takes a key of a window.
    pub(super) fn press(&mut self, key: KeyEvent) -> Request {
        let flags = self.flags.clone();
        match &mut self.window {
            None => Request::None,
            Some(Window::Message(_)) => self.close(Request::None),
            Some(Window::Dialog(dialog)) => match dialog.press(key, &flags) {
                Answer::Stay => Request::None,
                Answer::Copy(text) => Request::Copy(text.clone(), text),
                Answer::Close => self.close(Request::None),
                Answer::Act(actions) => self.close(Request::CarryOut(actions)),
                Answer::Wish(wish) => self.close(request_of(wish)),
            },
            Some(Window::Palette) => {
                let around = Surroundings {
                    namespace: &self.namespace,
                    version: &self.version,
                    flags: &self.flags,
                    read_only: self.read_only,
                };
                match self.palette.press(key, around) {
                    Chosen::Stay => Request::None,
                    Chosen::Copy(text) => Request::Copy(text.clone(), text),
                    Chosen::Close => self.close(Request::None),
                    Chosen::Run(command) => self.close(Request::Run(command)),
                    Chosen::Act(actions) => self.typed(actions),
                    Chosen::Theme(theme) => self.close(Request::Theme(theme)),
                    Chosen::Resource(word) => self.close(Request::Resource(word)),
                }
            }
        }
    }

    /// Acts that were typed: deletions are asked for.
    fn typed(&mut self, actions: Vec<Action>) -> Request {
        if actions.iter().any(|action| matches!(action, Action::Delete { .. })) {
            self.open(Dialog::Question(Question::new(DELETE.to_owned(), GONE, actions)));
            return Request::None;
        }
        self.close(Request::CarryOut(actions))
    }

    /// Closes whatever is open.
    pub(super) fn close_window(&mut self) {
        self.close(Request::None);
    }

    fn close(&mut self, request: Request) -> Request {
        self.window = self.waiting.take();
        match (self.undoing.take(), request) {
            (Some(_), Request::CarryOut(actions)) => Request::TakeBack(actions),
            (Some(kept), request) => {
                self.undo.push(kept);
                request
            }
            (None, request) => request,
        }
    }

    /// Takes pasted text; answers whether a window took it.
    pub(super) fn paste(&mut self, text: &str) -> bool {
        match &mut self.window {
            Some(Window::Palette) => self.palette.paste(text),
            Some(Window::Dialog(Dialog::Form(form))) => form.paste(text),
            Some(Window::Dialog(_) | Window::Message(_)) => {}
            None => return false,
        }
        true
    }

    /// Says something for a while.
    pub(super) fn say(&mut self, text: &str, role: Role, now: Duration) {
        self.notice = Some(Notice { text: text.to_owned(), role, until: now + NOTICE });
    }

    /// Says what is going on until it is done.
    pub(super) fn begin(&mut self, actions: &[Action], now: Duration) {
        let text = match actions {
            [] => return,
            [action] => format!("= {}", action.command(&self.flags)),
            [action, rest @ ..] => {
                format!("= {} and {} more", action.command(&self.flags), rest.len())
            }
        };
        self.say(&text, Role::Busy, now);
    }

    /// Takes what became of acts that were carried out together.
    pub(super) fn finish(&mut self, done: Vec<Done>, failure: Option<&Failure>, now: Duration) {
        let undo: Vec<Action> = done.iter().flat_map(|done| done.undo.clone()).collect();
        if !undo.is_empty() {
            self.undo.push(undo);
            if self.undo.len() > UNDO_MAX {
                self.undo.remove(0);
            }
        }
        if let Some(failure) = failure {
            return self.fail(failure);
        }
        match done.as_slice() {
            [] => {}
            [done] => self.say(&done.text, Role::Good, now),
            done => self.say(&format!("{} acts done", done.len()), Role::Good, now),
        }
    }

    /// Shows what went wrong until a key is pressed, once an open window is closed: somebody may be
    /// typing into it.
    pub(super) fn fail(&mut self, failure: &Failure) {
        self.notice = None;
        let mut lines = vec![(failure.message.clone(), Role::Bad)];
        lines.extend(failure.notes.iter().map(|note| (note.clone(), Role::Text)));
        lines.extend(failure.help.iter().map(|help| (format!("help: {help}"), Role::Text)));
        lines.extend(failure.hints.iter().map(|hint| (format!("hint: {hint}"), Role::Command)));
        let message = Some(Window::Message(lines));
        match self.window {
            None => self.window = message,
            Some(_) => self.waiting = message,
        }
    }

    /// Draws the windows, and the notice over the last line.
    pub(super) fn draw(
        &self,
        buffer: &mut Buffer,
        screen: Rect,
        theme: Theme,
        keymap: &Keymap,
        now: Duration,
    ) {
        if let Some(notice) = self.notice.as_ref().filter(|notice| now < notice.until)
            && screen.height > 0
        {
            let line = Rect { y: screen.bottom() - 1, height: 1, ..screen };
            let blank = " ".repeat(usize::from(screen.width));
            put(buffer, line, 0, 0, &blank, theme.style(Role::Text));
            put(buffer, line, 0, 1, &notice.text, theme.style(notice.role));
        }
        match &self.window {
            None => {}
            Some(Window::Dialog(dialog)) => dialog.draw(buffer, screen, theme, &self.flags),
            Some(Window::Message(lines)) => draw_message(buffer, screen, theme, lines),
            Some(Window::Palette) => {
                let around = Surroundings {
                    namespace: &self.namespace,
                    version: &self.version,
                    flags: &self.flags,
                    read_only: self.read_only,
                };
                self.palette.draw(buffer, screen, theme, keymap, around);
            }
        }
    }
}

const DELETE: &str = "Delete";
/// What a deletion means.
const GONE: &str = "they go with all that belongs to them";

fn request_of(wish: Wish) -> Request {
    match wish {
        Wish::Run(command) => Request::Run(command),
        Wish::Copy(text, what) => Request::Copy(text, what),
        Wish::CopyKubeconfig(cluster) => Request::CopyKubeconfig(cluster),
        Wish::SaveKubeconfig(cluster) => Request::SaveKubeconfig(cluster),
        Wish::Shell(cluster) => Request::Shell(cluster),
    }
}

fn deletions(subjects: &[Subject]) -> Vec<Action> {
    subjects.iter().map(|subject| Action::Delete { subject: subject.clone() }).collect()
}

/// The question before a command that needs no numbers.
fn question(command: Command, target: &Target) -> Dialog {
    let subjects = &target.subjects;
    let (title, note, actions): (&str, &'static str, Vec<Action>) = match command {
        Command::Restart => {
            let action = |subject: &Subject| {
                let part = match () {
                    () if subject.is_deployment() => {
                        action::RestartPart::Deployment(subject.name.clone())
                    }
                    () if subject.is_control_plane() => action::RestartPart::ControlPlane,
                    () => action::RestartPart::All,
                };
                Some(Action::Restart { cluster: subject.workload_cluster()?, part })
            };
            let actions = subjects.iter().filter_map(action).collect();
            ("Restart", "every machine is replaced by a new one", actions)
        }
        Command::Pause => {
            let paused = !target.paused;
            let action = |subject: &Subject| Action::Pause { subject: subject.clone(), paused };
            let title = if paused { "Pause" } else { "Resume" };
            (title, "", subjects.iter().map(action).collect())
        }
        _ => (DELETE, GONE, deletions(subjects)),
    };
    let title = match subjects.len() {
        1 => title.to_owned(),
        count => format!("{title} {count} objects"),
    };
    Dialog::Question(Question::new(title, note, actions))
}

/// A message in lines as wide as there is room.
fn draw_message(buffer: &mut Buffer, screen: Rect, theme: Theme, lines: &[(String, Role)]) {
    let width = usize::from(MESSAGE_WIDTH.min(screen.width.saturating_sub(4))).max(1);
    let mut wrapped: Vec<(String, Role)> = Vec::new();
    for (text, role) in lines {
        wrapped.extend(wrap(text, width).into_iter().map(|line| (line, *role)));
    }
    let size = (width as u16 + 4, (wrapped.len() as u16).saturating_add(2));
    let inner = window(buffer, screen, theme, ("That did not work", " any key closes "), size);
    for (index, (text, role)) in wrapped.iter().enumerate() {
        put(buffer, inner, index as u16, 0, text, theme.style(*role));
    }
}

/// A text in lines of so many letters, broken at spaces where there are some.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut length = 0;
    for word in text.split_whitespace() {
        let mut letters: Vec<char> = word.chars().collect();
        if length > 0 && length + 1 + letters.len() > width {
            lines.push(String::new());
            length = 0;
        }
        while letters.len() > width {
            let rest = letters.split_off(width);
            if let Some(line) = lines.last_mut() {
                line.extend(letters);
            }
            lines.push(String::new());
            letters = rest;
        }
        if let Some(line) = lines.last_mut() {
            if length > 0 {
                line.push(' ');
                length += 1;
            }
            length += letters.len();
            line.extend(letters);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyCode;

    use super::*;
    use crate::tui::theme::Depth;

    const NOW: Duration = Duration::ZERO;

    fn acting(read_only: bool) -> Acting {
        Acting::new(Vec::new(), read_only, "v1.36.1")
    }

    fn target(names: &[&str]) -> Target {
        let subjects = names.iter().map(|name| Subject::cluster("default", name)).collect();
        Target { subjects, next_version: "v1.37.0".to_owned(), ..Target::default() }
    }

    fn start(acting: &mut Acting, command: Command, names: &[&str]) -> Option<Request> {
        acting.start(command, target(names), &Keymap::default(), NOW)
    }

    fn press(acting: &mut Acting, keys: &str) -> Request {
        let mut request = Request::None;
        for letter in keys.chars() {
            let code = if letter == '\n' { KeyCode::Enter } else { KeyCode::Char(letter) };
            request = acting.press(KeyEvent::from(code));
        }
        request
    }

    fn commands(request: &Request) -> Vec<String> {
        match request {
            Request::CarryOut(actions) => actions.iter().map(|it| it.command(&[])).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn screen(acting: &Acting) -> String {
        let area = Rect::new(0, 0, 100, 30);
        let mut buffer = Buffer::empty(area);
        let theme = Theme::new(ThemeName::Mono, Depth::None, true);
        acting.draw(&mut buffer, area, theme, &Keymap::default(), NOW);
        let row = |y: u16| (0..100).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..30).map(|y| row(y) + "\n").collect()
    }

    #[test]
    fn deletion_asks_and_kill_does_not() {
        let mut acting = acting(false);
        assert_eq!(start(&mut acting, Command::Delete, &["a", "b"]), Some(Request::None));
        assert!(screen(&acting).contains("Delete 2 objects"));
        let request = press(&mut acting, "y");
        let expected = ["capim delete cluster a --yes", "capim delete cluster b --yes"];
        assert_eq!(commands(&request), expected);
        let request = start(&mut acting, Command::Kill, &["a"]).unwrap();
        assert_eq!(commands(&request), ["capim delete cluster a --yes"]);
        assert!(!acting.is_open());
    }

    #[test]
    fn read_only_does_nothing_and_says_so() {
        let mut acting = acting(true);
        for command in Command::ALL.into_iter().filter(|command| command.is_change()) {
            assert_eq!(start(&mut acting, command, &["a"]), Some(Request::None), "{command:?}");
            assert!(!acting.is_open(), "{command:?}");
        }
        assert!(screen(&acting).contains("read-only"));
        start(&mut acting, Command::Actions, &["a"]);
        let shown = screen(&acting);
        assert!(shown.contains("kubeconfig") && !shown.contains("scale"), "{shown}");
    }

    fn taken_back(request: &Request) -> Vec<String> {
        match request {
            Request::TakeBack(actions) => actions.iter().map(|it| it.command(&[])).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_failure_waits_until_a_window_is_closed() {
        let mut acting = acting(false);
        start(&mut acting, Command::Scale, &["a"]);
        acting.fail(&Failure::other("no such thing".to_owned()));
        assert!(screen(&acting).contains("Scale"));
        acting.press(KeyEvent::from(KeyCode::Esc));
        assert!(screen(&acting).contains("no such thing"));
        press(&mut acting, "x");
        assert!(!acting.is_open());
    }

    #[test]
    fn what_is_done_while_an_undo_is_asked_for_stays_undoable() {
        let mut acting = acting(false);
        let done = |name: &str| Done {
            text: "paused".to_owned(),
            undo: vec![Action::Pause { subject: Subject::cluster("default", name), paused: false }],
        };
        acting.finish(vec![done("a")], None, NOW);
        start(&mut acting, Command::Undo, &[]);
        acting.finish(vec![done("b")], None, NOW);
        assert_eq!(taken_back(&press(&mut acting, "y")), ["capim resume a"]);
        start(&mut acting, Command::Undo, &[]);
        assert_eq!(taken_back(&press(&mut acting, "y")), ["capim resume b"]);
    }

    #[test]
    fn changes_can_be_undone_in_their_reverse_order() {
        let mut acting = acting(false);
        let pause = |name: &str, paused| Action::Pause {
            subject: Subject::cluster("default", name),
            paused,
        };
        for name in ["a", "b"] {
            let done = Done { text: "paused".to_owned(), undo: vec![pause(name, false)] };
            acting.finish(vec![done], None, NOW);
        }
        start(&mut acting, Command::Undo, &[]);
        assert_eq!(press(&mut acting, "n"), Request::None);
        start(&mut acting, Command::Undo, &[]);
        assert_eq!(taken_back(&press(&mut acting, "y")), ["capim resume b"]);
        start(&mut acting, Command::Undo, &[]);
        assert_eq!(taken_back(&press(&mut acting, "\n")), ["capim resume a"]);
        start(&mut acting, Command::Undo, &[]);
        assert!(!acting.is_open() && screen(&acting).contains("nothing to undo"));
    }

    #[test]
    fn a_typed_deletion_is_asked_for() {
        let mut acting = acting(false);
        start(&mut acting, Command::Palette, &[]);
        assert_eq!(press(&mut acting, "delete demo\n"), Request::None);
        assert!(screen(&acting).contains("Delete demo?"));
        assert_eq!(commands(&press(&mut acting, "y")), ["capim delete cluster demo --yes"]);
    }

    #[test]
    fn kubeconfig_is_offered_in_all_ways() {
        let mut acting = acting(true);
        start(&mut acting, Command::Kubeconfig, &["demo"]);
        let line = "eval \"$(capim env demo)\"".to_owned();
        assert_eq!(press(&mut acting, "c"), Request::Copy(line.clone(), line));
        start(&mut acting, Command::Kubeconfig, &["demo"]);
        let key = ObjectKey::new("default", "demo");
        assert_eq!(press(&mut acting, "s"), Request::Shell(Some(key)));
        start(&mut acting, Command::Kubeconfig, &[]);
        assert_eq!(press(&mut acting, "S"), Request::Shell(None));
    }

    #[test]
    fn a_failure_stays_until_a_key_with_its_hint() {
        let mut acting = acting(false);
        let failure = Failure::other("it is paused ".repeat(20)).hint("capim resume demo");
        acting.finish(Vec::new(), Some(&failure), NOW);
        let shown = screen(&acting);
        assert!(shown.contains("hint: capim resume demo"), "{shown}");
        press(&mut acting, "x");
        assert!(!acting.is_open());
    }

    #[test]
    fn lines_break_at_spaces() {
        assert_eq!(wrap("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrap("aaaaaaa b", 3), ["aaa", "aaa", "a b"]);
        assert_eq!(wrap("", 3), [""]);
    }
}
