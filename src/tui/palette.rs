//! The command palette: every command by a few of its letters, capim's verbs with their arguments,
//! kinds of resources, and what was run before.

mod fuzzy;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::action::{self, Action};
use super::dialog::{put, window};
use super::keymap::{Command, Group, Keymap};
use super::theme::{Glyph, Role, Theme, ThemeName};

/// Longest input.
const INPUT_MAX: usize = 200;
/// Lines of earlier input that are kept, and shown at once.
const HISTORY_MAX: usize = 50;
const HISTORY_SHOWN: usize = 5;
const WIDTH: u16 = 90;
const HEIGHT: u16 = 20;
const NAME_WIDTH: u16 = 22;

/// What k9s' users type.
const ALIASES: [(&str, Command); 17] = [
    ("cl", Command::ViewClusters),
    ("cluster", Command::ViewClusters),
    ("ma", Command::ViewMachines),
    ("machine", Command::ViewMachines),
    ("kcp", Command::ViewControlPlanes),
    ("md", Command::ViewDeployments),
    ("ms", Command::ViewDeployments),
    ("mp", Command::ViewDeployments),
    ("tl", Command::ViewTimeline),
    ("ev", Command::ViewEvents),
    ("cc", Command::ViewClasses),
    ("api", Command::ViewRequests),
    ("q", Command::Exit),
    ("q!", Command::Exit),
    ("add", Command::Create),
    ("command", Command::Palette),
    ("shell", Command::Kubeconfig),
];

/// What was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// The palette stays.
    Stay,
    /// It closes, and nothing happens.
    Close,
    /// A command.
    Run(Command),
    /// Acts that were typed with all they need.
    Act(Vec<Action>),
    /// A theme.
    Theme(ThemeName),
    /// Objects of a kind, by any of its names.
    Resource(String),
    /// It stays, and this text is copied.
    Copy(String),
}

/// What the palette needs to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings<'a> {
    /// Namespace of objects that are named without one.
    pub(super) namespace: &'a str,
    /// Kubernetes version of new clusters.
    pub(super) version: &'a str,
    /// What a command needs to mean this server.
    pub(super) flags: &'a [String],
    /// Whether commands that change objects are taken away.
    pub(super) read_only: bool,
}

/// The palette.
#[derive(Clone, Debug, Default)]
pub(super) struct Palette {
    input: String,
    /// The chosen one of what is listed.
    selected: usize,
    /// Lines of earlier input, the newest last.
    history: Vec<String>,
    /// What is wrong with the line that was to be run.
    fault: Option<String>,
}

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Command(Command),
    Recent(String),
    Typed(Vec<Action>),
}

impl Palette {
    /// Opens it anew; the history stays.
    pub(super) fn open(&mut self) {
        self.input.clear();
        self.selected = 0;
        self.fault = None;
    }

    /// Puts pasted text in.
    pub(super) fn paste(&mut self, text: &str) {
        let room = INPUT_MAX.saturating_sub(self.input.chars().count());
        self.input.extend(text.chars().filter(|letter| !letter.is_control()).take(room));
    }

    /// Takes a key.
    pub(super) fn press(&mut self, key: KeyEvent, around: Surroundings<'_>) -> Chosen {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let entries = self.entries(around);
        let last = entries.len().saturating_sub(1);
        let selected = self.selected.min(last);
        self.fault = None;
        match key.code {
            KeyCode::Esc => return Chosen::Close,
            KeyCode::Char('o') if control => {
                return match entries.get(selected) {
                    Some(Entry::Typed(actions)) => Chosen::Copy(commands(actions, around.flags)),
                    _ => Chosen::Stay,
                };
            }
            KeyCode::Char('u') if control => self.input.clear(),
            KeyCode::Enter => return self.run(entries.get(selected), around),
            KeyCode::Down => self.selected = if selected >= last { 0 } else { selected + 1 },
            KeyCode::Up => self.selected = if selected == 0 { last } else { selected - 1 },
            KeyCode::Tab => self.complete(entries.get(selected)),
            KeyCode::Backspace => {
                if self.input.pop().is_none() {
                    return Chosen::Close;
                }
                self.selected = 0;
            }
            KeyCode::Char(letter)
                if !control && !letter.is_control() && self.input.len() < INPUT_MAX =>
            {
                self.input.push(letter);
                self.selected = 0;
            }
            _ => {}
        }
        Chosen::Stay
    }

    fn complete(&mut self, entry: Option<&Entry>) {
        match entry {
            Some(Entry::Command(command)) => self.input = format!("{} ", command.name()),
            Some(Entry::Recent(line)) => self.input.clone_from(line),
            Some(Entry::Typed(_)) | None => {}
        }
        self.selected = 0;
    }

    fn run(&mut self, entry: Option<&Entry>, around: Surroundings<'_>) -> Chosen {
        let line = match entry {
            Some(Entry::Recent(line)) => line.clone(),
            _ => self.input.trim().to_owned(),
        };
        let chosen = match (self.read(&line, around), entry) {
            (Ok(Some(chosen)), _) => chosen,
            (Ok(None), Some(Entry::Command(command))) => {
                self.remember(command.name());
                return Chosen::Run(*command);
            }
            (Ok(None), _) if line.is_empty() => Chosen::Close,
            // One word that is no command may be a kind.
            (Ok(None), _) if !line.contains(char::is_whitespace) => Chosen::Resource(line.clone()),
            (Ok(None), _) => {
                self.fault = Some(format!("there is no command {line:?}"));
                return Chosen::Stay;
            }
            (Err(fault), _) => {
                self.fault = Some(fault);
                return Chosen::Stay;
            }
        };
        self.remember(&line);
        chosen
    }

    /// What a whole line means; `None` if only its letters can be searched for.
    fn read(&self, line: &str, around: Surroundings<'_>) -> Result<Option<Chosen>, String> {
        if let Some(theme) = line.strip_prefix("theme ") {
            return theme.trim().parse().map(|theme| Some(Chosen::Theme(theme)));
        }
        if let Some(read) = action::parse(line, around.namespace, around.version) {
            if around.read_only {
                return Err("read-only: nothing is changed from here".to_owned());
            }
            return read.map(|actions| Some(Chosen::Act(actions))).map_err(|it| it.to_string());
        }
        let alias = ALIASES.iter().find(|(alias, _)| *alias == line).map(|(_, command)| *command);
        let command = alias.or_else(|| Command::named(line));
        match command {
            Some(command) if command.is_change() && around.read_only => {
                Err("read-only: nothing is changed from here".to_owned())
            }
            command => Ok(command.map(Chosen::Run)),
        }
    }

    fn remember(&mut self, line: &str) {
        if line.is_empty() {
            return;
        }
        self.history.retain(|known| known != line);
        self.history.push(line.to_owned());
        if self.history.len() > HISTORY_MAX {
            self.history.remove(0);
        }
    }

    /// What is listed: without input what was run last, then all commands; else what fits, the best
    /// first.
    fn entries(&self, around: Surroundings<'_>) -> Vec<Entry> {
        let line = self.input.trim();
        // Keys are for moving.
        let allowed = |command: &Command| {
            let is_for_keys = command.group() == Group::Move;
            let is_refused = around.read_only && command.is_change();
            !is_for_keys && !is_refused
        };
        let commands = Command::ALL.into_iter().filter(allowed);
        if line.is_empty() {
            let recent = self.history.iter().rev().take(HISTORY_SHOWN);
            let recent = recent.map(|line| Entry::Recent(line.clone()));
            return recent.chain(commands.map(Entry::Command)).collect();
        }
        if let Some(Ok(actions)) = action::parse(line, around.namespace, around.version)
            && !around.read_only
        {
            return vec![Entry::Typed(actions)];
        }
        let mut found: Vec<(u32, Entry)> = commands
            .filter_map(|command| {
                let by_name = fuzzy::score(line, command.name());
                // Words of the sentence count less than the name.
                let by_sentence = || fuzzy::words(line, command.sentence());
                Some((by_name.or_else(by_sentence)?, Entry::Command(command)))
            })
            .collect();
        found.extend(
            self.history.iter().rev().filter_map(|known| {
                Some((fuzzy::score(line, known)?, Entry::Recent(known.clone())))
            }),
        );
        found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        found.into_iter().map(|(_, entry)| entry).collect()
    }

    /// Draws it over the screen.
    pub(super) fn draw(
        &self,
        buffer: &mut Buffer,
        screen: Rect,
        theme: Theme,
        keymap: &Keymap,
        around: Surroundings<'_>,
    ) {
        let footer = " up down choose   tab complete   enter run   esc ";
        let size = (WIDTH.min(screen.width.saturating_sub(4)), HEIGHT);
        let inner = window(buffer, screen, theme, ("Command", footer), size);
        let line = format!("> {}{}", self.input, theme.glyph(Glyph::Cursor));
        put(buffer, inner, 0, 0, &line, theme.style(Role::Input));
        if let Some(fault) = self.fault.clone().or_else(|| self.typed_fault(around)) {
            put(buffer, inner, 1, 2, &fault, theme.style(Role::Warning));
        }
        let entries = self.entries(around);
        let list = Rect {
            y: inner.y + inner.height.min(2),
            height: inner.height.saturating_sub(2),
            ..inner
        };
        let page = usize::from(list.height).max(1);
        let selected = self.selected.min(entries.len().saturating_sub(1));
        let from = (selected + 1).saturating_sub(page);
        for (line, (index, entry)) in entries.iter().enumerate().skip(from).take(page).enumerate() {
            let (name, note, key) = shown(entry, keymap, around.flags);
            let is_selected = index == selected;
            let style = |role| match is_selected {
                true => theme.style(role).patch(theme.style(Role::Selected)),
                false => theme.style(role),
            };
            let line = line as u16;
            let pointer = if is_selected { theme.glyph(Glyph::Pointer) } else { " " };
            put(buffer, list, line, 0, pointer, theme.style(Role::Key));
            put(buffer, list, line, 2, &name, style(Role::Text));
            let note_at = NAME_WIDTH.max(name.chars().count() as u16 + 3);
            put(buffer, list, line, note_at, &note, style(Role::Dim));
            let key_at = list.width.saturating_sub(key.chars().count() as u16 + 1);
            if !key.is_empty() && key_at > note_at {
                put(buffer, list, line, key_at, &key, style(Role::Key));
            }
        }
    }

    /// What is still missing of a typed act.
    fn typed_fault(&self, around: Surroundings<'_>) -> Option<String> {
        let read = action::parse(self.input.trim(), around.namespace, around.version)?;
        read.err().map(|fault| fault.to_string())
    }
}

/// Name, note and key of a line of the list.
fn shown(entry: &Entry, keymap: &Keymap, flags: &[String]) -> (String, String, String) {
    match entry {
        Entry::Command(command) => {
            let key = keymap.hint(*command).map(|(key, _)| format!("[{key}]")).unwrap_or_default();
            (command.name().to_owned(), command.sentence().to_owned(), key)
        }
        Entry::Recent(line) => (line.clone(), "recent".to_owned(), String::new()),
        Entry::Typed(actions) => {
            let title = match actions.as_slice() {
                [action] => action.title(),
                actions => format!("{} acts", actions.len()),
            };
            (title, format!("= {}", commands(actions, flags)), String::new())
        }
    }
}

fn commands(actions: &[Action], flags: &[String]) -> String {
    let commands: Vec<String> = actions.iter().map(|action| action.command(flags)).collect();
    commands.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const AROUND: Surroundings<'_> =
        Surroundings { namespace: "default", version: "v1.36.1", flags: &[], read_only: false };

    fn run(palette: &mut Palette, keys: &str, around: Surroundings<'_>) -> Chosen {
        let mut chosen = Chosen::Stay;
        for letter in keys.chars() {
            let code = match letter {
                '\n' => KeyCode::Enter,
                '\t' => KeyCode::Tab,
                letter => KeyCode::Char(letter),
            };
            chosen = palette.press(KeyEvent::from(code), around);
        }
        chosen
    }

    fn typed(line: &str) -> Chosen {
        run(&mut Palette::default(), &format!("{line}\n"), AROUND)
    }

    #[test]
    fn commands_are_found_by_a_few_letters() {
        for (letters, command) in [
            ("mach", Command::ViewMachines),
            ("cp", Command::ViewControlPlanes),
            ("kcp", Command::ViewControlPlanes),
            ("tmln", Command::ViewTimeline),
            ("prob", Command::ViewProblems),
            ("requests", Command::ViewRequests),
            ("api", Command::ViewRequests),
            ("scale", Command::Scale),
            ("q", Command::Exit),
            ("everything again", Command::Redraw),
        ] {
            assert_eq!(typed(letters), Chosen::Run(command), "{letters}");
        }
    }

    #[test]
    fn a_whole_command_is_carried_out() {
        let Chosen::Act(actions) = typed("scale demo --workers 5") else { panic!("no act") };
        assert_eq!(actions[0].command(&[]), "capim scale demo --workers 5");
        let mut palette = Palette::default();
        assert_eq!(run(&mut palette, "scale demo\n", AROUND), Chosen::Stay);
        assert_eq!(palette.fault.as_deref(), Some("--workers N or --cp N?"));
    }

    #[test]
    fn other_words_are_kinds_and_themes_are_chosen_by_name() {
        assert_eq!(typed("configmaps"), Chosen::Resource("configmaps".to_owned()));
        assert_eq!(typed("theme dark"), Chosen::Theme(ThemeName::Dark));
        assert_eq!(typed("theme pink"), Chosen::Stay);
        assert_eq!(typed(""), Chosen::Run(Command::ViewClusters));
    }

    #[test]
    fn what_was_run_comes_first_the_next_time() {
        let mut palette = Palette::default();
        run(&mut palette, "scale demo --workers 5\n", AROUND);
        palette.open();
        run(&mut palette, "machines\n", AROUND);
        palette.open();
        assert_eq!(palette.entries(AROUND)[0], Entry::Recent("machines".to_owned()));
        let again = run(&mut palette, "sca", AROUND);
        assert_eq!(again, Chosen::Stay);
        assert!(
            palette.entries(AROUND).contains(&Entry::Recent("scale demo --workers 5".to_owned()))
        );
        palette.open();
        palette.press(KeyEvent::from(KeyCode::Down), AROUND);
        let again = palette.press(KeyEvent::from(KeyCode::Enter), AROUND);
        assert!(matches!(again, Chosen::Act(_)), "{again:?}");
    }

    #[test]
    fn tab_completes_a_name_so_that_arguments_can_follow() {
        let mut palette = Palette::default();
        run(&mut palette, "upg\t", AROUND);
        assert_eq!(palette.input, "upgrade ");
        let chosen = run(&mut palette, "demo v1.37.0\n", AROUND);
        assert!(matches!(chosen, Chosen::Act(_)), "{chosen:?}");
    }

    #[test]
    fn read_only_takes_all_acts_away() {
        let around = Surroundings { read_only: true, ..AROUND };
        let palette = Palette::default();
        let entries = palette.entries(around);
        assert!(!entries.contains(&Entry::Command(Command::Scale)));
        assert!(entries.contains(&Entry::Command(Command::Kubeconfig)));
        for line in ["delete demo\n", "scale\n", "create cluster a\n"] {
            let mut palette = Palette::default();
            assert_eq!(run(&mut palette, line, around), Chosen::Stay, "{line}");
            assert!(palette.fault.is_some(), "{line}");
        }
    }
}
