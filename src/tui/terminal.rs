//! The terminal's life: taken once, given back whatever happens.
//!
//! Taken means: raw mode, alternate screen, bracketed paste, mouse reports unless they are unwanted.
//! It is given back when the [`Screen`] is dropped, when the thread that took it panics (before the
//! message is printed), while the process is stopped by SIGTSTP, and while a child such as an editor
//! has the terminal. A panic of another thread goes to the log: it must not draw over the screen.

use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::Once;
use std::thread::ThreadId;

use crossterm::cursor::Show;
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::execute;
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use parking_lot::Mutex;
use ratatui::backend::CrosstermBackend;
use ratatui::{DefaultTerminal, Terminal};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Why the terminal was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TerminalError {
    /// There is none.
    #[error("{stream} is no terminal")]
    NotATerminal {
        /// `stdin` or `stdout`.
        stream: &'static str,
    },
    /// It refuses.
    #[error("failed to use the terminal: {0}")]
    Refused(#[from] io::Error),
}

/// What is wanted of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScreenOptions {
    /// Reports of the mouse. While they are on, shift and drag selects text in most terminals.
    pub mouse: bool,
    /// Colours, even if `NO_COLOR` is set: somebody has asked for a theme.
    pub colours: bool,
}

/// Owns the terminal.
pub struct Screen {
    terminal: DefaultTerminal,
    options: ScreenOptions,
}

/// The thread that has the terminal, and whether the mouse is reported; `None` while nobody has it.
/// Written by [`Screen`], read by the panic hook.
static TAKEN: Mutex<Option<(ThreadId, ScreenOptions)>> = Mutex::new(None);

impl Screen {
    /// Takes the terminal. Nothing is written if there is none.
    ///
    /// # Errors
    /// [`TerminalError`]; what was taken by then is given back.
    pub fn take(options: ScreenOptions) -> Result<Self, TerminalError> {
        require_terminal()?;
        catch_panics();
        crossterm::style::force_color_output(options.colours);
        enter(options).inspect_err(|_| leave(options))?;
        match Terminal::new(CrosstermBackend::new(io::stdout())) {
            Ok(terminal) => Ok(Self { terminal, options }),
            Err(error) => {
                leave(options);
                Err(error.into())
            }
        }
    }

    /// The ratatui terminal inside.
    pub fn terminal(&mut self) -> &mut DefaultTerminal {
        &mut self.terminal
    }

    /// Sends bytes past the screen, e.g. what sets the clipboard.
    ///
    /// # Errors
    /// If stdout does not take them.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()
    }

    /// Gives the terminal back until [`Screen::retake`]. Whoever reads keys must have stopped before.
    pub fn release(&mut self) {
        leave(self.options);
    }

    /// Takes the terminal as if for the first time: the shell may have changed it while the process
    /// was stopped.
    ///
    /// # Errors
    /// If it refuses.
    pub fn retake(&mut self) -> io::Result<()> {
        enter(self.options)?;
        self.redraw()
    }

    /// Has the next frame draw everything. (`Terminal::clear` asks the terminal where the cursor is
    /// and takes the answer from whoever reads the keys.)
    ///
    /// # Errors
    /// If stdout does not take it.
    pub fn redraw(&mut self) -> io::Result<()> {
        execute!(io::stdout(), Clear(ClearType::All))?;
        self.terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave(self.options);
    }
}

/// Tests whether stdin and stdout are terminals.
///
/// # Errors
/// [`TerminalError::NotATerminal`]
pub fn require_terminal() -> Result<(), TerminalError> {
    let streams = [("stdin", io::stdin().is_terminal()), ("stdout", io::stdout().is_terminal())];
    match streams.into_iter().find(|(_, is_terminal)| !is_terminal) {
        Some((stream, _)) => Err(TerminalError::NotATerminal { stream }),
        None => Ok(()),
    }
}

/// Stops the process as its default action for SIGTSTP would; returns when it goes on. Whoever has
/// the terminal gives it back before.
///
/// # Errors
/// If the system does not allow it.
pub(super) fn stop_process() -> io::Result<()> {
    let own = rustix::process::getpid();
    Ok(rustix::process::kill_process(own, rustix::process::Signal::STOP)?)
}

fn enter(options: ScreenOptions) -> io::Result<()> {
    enable_raw_mode()?;
    *TAKEN.lock() = Some((std::thread::current().id(), options));
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste)?;
    if options.mouse {
        execute!(io::stdout(), EnableMouseCapture)?;
    }
    Ok(())
}

/// Gives everything back. Each step is tried, because the terminal may be half gone.
fn leave(options: ScreenOptions) {
    if TAKEN.lock().take().is_none() {
        return;
    }
    let mut stdout = io::stdout();
    if options.mouse {
        let _ = execute!(stdout, DisableMouseCapture);
    }
    let _ = execute!(stdout, DisableBracketedPaste, LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

/// Sets the panic hook, once.
fn catch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            let taken = *TAKEN.lock();
            match taken {
                Some((owner, _)) if owner != std::thread::current().id() => {
                    tracing::error!(panic = %info, "a thread panicked behind the dashboard");
                }
                Some((_, options)) => {
                    leave(options);
                    before(info);
                }
                None => before(info),
            }
        }));
    });
}

/// What a shell does to its jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobSignal {
    /// SIGTSTP: stop.
    Stop,
    /// SIGCONT: the process goes on after it was stopped without being asked.
    Continue,
}

/// Signals of job control, which the process then handles itself.
pub struct JobSignals {
    stop: Signal,
    go_on: Signal,
}

impl JobSignals {
    /// Catches the signals from now on. Call inside a tokio runtime.
    ///
    /// # Errors
    /// If the system does not allow it.
    pub fn listen() -> io::Result<Self> {
        let listen = |it: rustix::process::Signal| signal(SignalKind::from_raw(it.as_raw()));
        Ok(Self {
            stop: listen(rustix::process::Signal::TSTP)?,
            go_on: listen(rustix::process::Signal::CONT)?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> JobSignal {
        tokio::select! {
            Some(()) = self.stop.recv() => JobSignal::Stop,
            Some(()) = self.go_on.recv() => JobSignal::Continue,
            else => std::future::pending().await,
        }
    }
}
