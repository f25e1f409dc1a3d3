use super::*;
use crate::tui::action::Subject;
use crate::tui::keymap::Command;
use crate::tui::theme::{Depth, ThemeName};

fn press(dialog: &mut Dialog, keys: &str) -> Answer {
    let mut answer = Answer::Stay;
    for letter in keys.chars() {
        let code = match letter {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '<' => KeyCode::Left,
            '>' => KeyCode::Right,
            '\u{8}' => KeyCode::Backspace,
            '\u{1b}' => KeyCode::Esc,
            letter => KeyCode::Char(letter),
        };
        answer = dialog.press(KeyEvent::from(code), &[]);
    }
    answer
}

fn commands(answer: Answer) -> Vec<String> {
    match answer {
        Answer::Act(actions) => actions.iter().map(|action| action.command(&[])).collect(),
        other => panic!("{other:?}"),
    }
}

fn screen(dialog: &Dialog, width: u16, height: u16) -> String {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    let theme = Theme::new(ThemeName::Mono, Depth::None, true);
    dialog.draw(&mut buffer, area, theme, &[]);
    let row = |y: u16| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..height).map(|y| row(y).trim_end().to_owned() + "\n").collect()
}

fn clusters(names: &[&str]) -> Vec<Subject> {
    names.iter().map(|name| Subject::cluster("default", name)).collect()
}

#[test]
fn a_form_becomes_the_command_that_it_shows() {
    let mut form = Dialog::Form(Form::create("", "default", "v1.36.1"));
    assert_eq!(press(&mut form, "\n"), Answer::Stay);
    let shown = screen(&form, 90, 20);
    assert!(shown.contains("a cluster needs a name"), "{shown}");
    press(&mut form, "demo\t\t>\t>\t<");
    let shown = screen(&form, 90, 20);
    let command = "capim create cluster demo --count 2 --cp 3 --workers 2 --k8s-version v1.36.1";
    let (head, tail) =
        command.split_at("capim create cluster demo --count 2 --cp 3 --workers 2".len());
    assert!(shown.contains(head) && shown.contains(tail.trim()), "{shown}");
    assert_eq!(commands(press(&mut form, "\n")), [command]);
}

#[test]
fn scaling_says_only_what_changes() {
    let sizes = Sizes { workers: Some(2), control_planes: Some(1) };
    let mut form = Dialog::Form(Form::scale(clusters(&["demo"]), sizes));
    assert_eq!(press(&mut form, "\n"), Answer::Stay);
    assert!(screen(&form, 80, 20).contains("nothing changes yet"));
    assert_eq!(commands(press(&mut form, "\u{8}20\n")), ["capim scale demo --workers 20"]);
    let mut form = Dialog::Form(Form::scale(clusters(&["demo"]), sizes));
    assert_eq!(commands(press(&mut form, "\t>\n")), ["capim scale demo --cp 3"]);
    let mut form = Dialog::Form(Form::scale(clusters(&["demo"]), sizes));
    assert_eq!(press(&mut form, "\t\u{8}2\n"), Answer::Stay);
    assert!(screen(&form, 80, 20).contains("for etcd's majority"));
}

#[test]
fn many_marked_rows_become_many_commands() {
    let mut form = Dialog::Form(Form::scale(clusters(&["a", "b"]), Sizes::default()));
    let expected = ["capim scale a --workers +2", "capim scale b --workers +2"];
    press(&mut form, "+2");
    assert!(screen(&form, 80, 20).contains("= capim scale a --workers +2 ~ and 1 more"));
    assert_eq!(commands(press(&mut form, "\n")), expected);
}

#[test]
fn nothing_is_deleted_by_enter_alone() {
    let delete = |name: &str| Action::Delete { subject: Subject::cluster("default", name) };
    let names: Vec<String> = (1..=7).map(|number| format!("c-{number}")).collect();
    let question = || {
        let actions = names.iter().map(|name| delete(name)).collect();
        Dialog::Question(Question::new("Delete 7 clusters".into(), "", actions))
    };
    let shown = screen(&question(), 80, 20);
    assert!(shown.contains("c-5?") && shown.contains("and 2 more"), "{shown}");
    assert!(!shown.contains("c-6"), "{shown}");
    assert_eq!(press(&mut question(), "\n"), Answer::Stay);
    assert_eq!(press(&mut question(), "n"), Answer::Close);
    assert_eq!(press(&mut question(), "\u{1b}"), Answer::Close);
    assert_eq!(commands(press(&mut question(), "y")).len(), 7);
}

#[test]
fn the_command_of_a_dialog_can_be_copied() {
    let form = Form::upgrade(clusters(&["demo"]), "v1.37.0");
    let mut form = Dialog::Form(form);
    let key = KeyEvent::new(KeyCode::Char('o'), KeyModifiers::CONTROL);
    let copied = form.press(key, &["-i".to_owned(), "ci".to_owned()]);
    assert_eq!(copied, Answer::Copy("capim upgrade demo --to v1.37.0 -i ci".to_owned()));
}

#[test]
fn a_menu_is_chosen_from_by_key_or_by_pointer() {
    let item = |key: &str, command: Command| MenuItem {
        key: key.to_owned(),
        label: command.label().to_owned(),
        note: String::new(),
        wish: Wish::Run(command),
    };
    let items = vec![item("s", Command::Scale), item("^d", Command::Delete)];
    let menu = || Dialog::Menu(Menu::new("demo".to_owned(), items.clone()));
    assert_eq!(press(&mut menu(), "s"), Answer::Wish(Wish::Run(Command::Scale)));
    assert_eq!(press(&mut menu(), "\t\n"), Answer::Wish(Wish::Run(Command::Delete)));
    assert_eq!(press(&mut menu(), "q"), Answer::Close);
}

#[test]
fn no_size_is_too_small_for_a_window() {
    let form = Dialog::Form(Form::create("demo", "default", "v1.36.1"));
    let question = Dialog::Question(Question::new(
        "Delete".to_owned(),
        "note",
        vec![Action::Delete { subject: Subject::cluster("default", &"x".repeat(300)) }],
    ));
    for width in [1, 2, 3, 5, 20, 80] {
        for height in [1, 2, 3, 5, 24] {
            screen(&form, width, height);
            screen(&question, width, height);
        }
    }
}
