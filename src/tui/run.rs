//! The loop: keys, changes and the clock in; frames out.

use std::io;
use std::time::Duration;

use crossterm::event::{Event, EventStream, KeyEventKind};
use futures::StreamExt;

use super::Sources;
use super::draw;
use super::model::Model;
use super::state::{Act, Extent, State};
use super::terminal::Screen;

/// Shortest time between two frames that only data changes ask for.
const FRAME: Duration = Duration::from_millis(100);
/// Ages are redrawn this often.
const TICK: Duration = Duration::from_secs(1);
/// Reading the caches may take at most one part in this many of the time.
const READ_SHARE: u32 = 25;

/// Shows the dashboard until it is quit. The terminal is given back when the future ends or is
/// dropped.
///
/// # Errors
/// If the terminal refuses raw mode, drawing or reading keys.
pub async fn run(sources: Sources) -> io::Result<()> {
    let mut screen = Screen::take()?;
    let mut keys = EventStream::new();
    let mut state = State::new();
    let mut changes = Changes::of(&sources);
    loop {
        let read_at = sources.clock.elapsed();
        let mut model = Model::read(&sources, &state);
        let page = screen.terminal().size().map(|size| draw::page(size, &state))?;
        let before = state.selected.clone();
        state.settle(&model.rows, page);
        if before != state.selected {
            // The lower pane follows the selection.
            model = Model::read(&sources, &state);
        }
        let read_took = sources.clock.elapsed().saturating_sub(read_at);
        let now = sources.clock.now();
        screen.terminal().draw(|frame| draw::draw(frame, &sources, &state, &model, now))?;
        let extent = Extent { rows: model.rows.len(), page };
        let pause = FRAME.max(read_took * READ_SHARE);
        tokio::select! {
            biased;
            event = keys.next() => match event {
                Some(Ok(Event::Key(key))) if key.kind != KeyEventKind::Release => match state.press(key, extent) {
                    Act::Quit => return Ok(()),
                    Act::Redraw => screen.terminal().clear()?,
                    Act::None => {}
                },
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
            () = changes.next(&sources, pause) => {}
            () = sources.clock.sleep(TICK.max(pause)) => {}
        }
    }
}

/// Change counters of the informers.
struct Changes {
    receivers: Vec<tokio::sync::watch::Receiver<u64>>,
}

impl Changes {
    fn of(sources: &Sources) -> Self {
        let mut receivers = vec![
            sources.clusters.version(),
            sources.machines.version(),
            sources.control_planes.version(),
        ];
        receivers.extend(sources.events.as_ref().map(crate::runtime::Informer::version));
        Self { receivers }
    }

    /// Waits for the pause and then for a change, in whichever informer.
    async fn next(&mut self, sources: &Sources, pause: Duration) {
        sources.clock.sleep(pause).await;
        let changed = self.receivers.iter_mut().map(|receiver| Box::pin(receiver.changed()));
        let _ = futures::future::select_all(changed).await;
        for receiver in &mut self.receivers {
            receiver.mark_unchanged();
        }
    }
}
