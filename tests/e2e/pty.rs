//! A pseudo-terminal with a program in it, for tests that look at what the program does to the
//! terminal itself.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::support::tool;

/// What modes are on after some output: each by the last sequence that speaks of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Modes {
    pub alternate_screen: bool,
    pub mouse: bool,
    pub bracketed_paste: bool,
    pub hidden_cursor: bool,
}

pub struct Pty {
    child: Child,
    keyboard: File,
    terminal: Terminal,
    output: Arc<Mutex<Vec<u8>>>,
    /// Says nothing, but goes when everything has been read.
    reader: Receiver<()>,
    before: Termios,
}

/// The program's side of the terminal.
enum Terminal {
    /// Kept open so that it outlives the program.
    Open(OwnedFd),
    /// As it was left.
    Left(Termios),
}

const PATIENCE_SECONDS: u64 = 60;
const PATIENCE: Duration = Duration::from_secs(PATIENCE_SECONDS);

impl Pty {
    /// Starts a program as the leader of a new session in a new terminal; `None` if `setsid` is
    /// missing.
    pub fn start(command: &Command, (columns, rows): (u16, u16)) -> Option<Self> {
        tool("setsid")?;
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap().into_string().unwrap();
        let open = || File::options().read(true).write(true).open(Path::new(&name)).unwrap();
        let terminal: OwnedFd = open().into();
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).unwrap();
        let before = tcgetattr(&terminal).unwrap();
        let mut started = Command::new("setsid");
        started.arg("--ctty").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => started.env(name, value),
                None => started.env_remove(name),
            };
        }
        started.env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR");
        let stdio = || Stdio::from(open());
        let child = started.stdin(stdio()).stdout(stdio()).stderr(stdio()).spawn().unwrap();
        let output = Arc::default();
        let keyboard = File::from(keyboard);
        let (mut screen, read) = (keyboard.try_clone().unwrap(), Arc::clone(&output));
        let (reading, reader) = mpsc::channel();
        std::thread::spawn(move || {
            let _reading = reading;
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut piece) {
                let read: &Mutex<Vec<u8>> = &read;
                read.lock().unwrap().extend_from_slice(&piece[..count]);
            }
        });
        let terminal = Terminal::Open(terminal);
        Some(Self { child, keyboard, terminal, output, reader, before })
    }

    pub fn keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Everything that was written so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&self.output.lock().unwrap()).into_owned()
    }

    /// Forgets what was written so far.
    pub fn forget(&self) {
        self.output.lock().unwrap().clear();
    }

    #[track_caller]
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let start = std::time::Instant::now();
        while !is_so(self) {
            let output = self.output();
            assert!(start.elapsed().as_secs() < PATIENCE_SECONDS, "{what}:\n{output}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for a text. The program draws only what changes, so the text must be new.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        self.wait_until(text, |pty| pty.output().contains(text));
    }

    /// State of the process, as the system has it: `S` sleeping, `T` stopped.
    pub fn process_state(&self) -> char {
        let path = format!("/proc/{}/stat", self.pid().as_raw_nonzero());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.rsplit(") ").next().and_then(|rest| rest.chars().next()).unwrap_or('?')
    }

    /// Whether the terminal is set as it was at first: echo, canonical mode, and all the rest.
    pub fn is_cooked(&self) -> bool {
        let modes =
            |it: &Termios| (it.input_modes, it.output_modes, it.control_modes, it.local_modes);
        let now = match &self.terminal {
            Terminal::Open(terminal) => modes(&tcgetattr(terminal).unwrap()),
            Terminal::Left(left) => modes(left),
        };
        now == modes(&self.before)
    }

    pub fn modes(&self) -> Modes {
        let output = self.output();
        let is_on = |on: &str, off: &str| output.rfind(on) > output.rfind(off);
        Modes {
            alternate_screen: is_on("\x1b[?1049h", "\x1b[?1049l"),
            mouse: is_on("\x1b[?1000h", "\x1b[?1000l") || is_on("\x1b[?1003h", "\x1b[?1003l"),
            bracketed_paste: is_on("\x1b[?2004h", "\x1b[?2004l"),
            hidden_cursor: is_on("\x1b[?25l", "\x1b[?25h"),
        }
    }

    #[track_caller]
    pub fn assert_given_back(&self) {
        let given_back = Modes {
            alternate_screen: false,
            mouse: false,
            bracketed_paste: false,
            hidden_cursor: false,
        };
        assert_eq!(self.modes(), given_back);
        assert!(self.is_cooked(), "the terminal is still raw");
    }

    #[track_caller]
    pub fn ends(&mut self) -> ExitStatus {
        let start = std::time::Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.read_to_the_end();
                return status;
            }
            let output = self.output();
            assert!(start.elapsed().as_secs() < PATIENCE_SECONDS, "it does not end:\n{output}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Pty {
    /// Waits for what was written last. The terminal ends when nobody has it open any more.
    #[track_caller]
    fn read_to_the_end(&mut self) {
        if let Terminal::Open(terminal) = &self.terminal {
            self.terminal = Terminal::Left(tcgetattr(terminal).unwrap());
        }
        let end = self.reader.recv_timeout(PATIENCE);
        assert_eq!(end, Err(RecvTimeoutError::Disconnected), "somebody keeps the terminal open");
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
