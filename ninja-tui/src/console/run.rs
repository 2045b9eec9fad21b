//! The loop: one place where the terminal, the world and the clock come together.

use std::{io, time::Duration};

use crossterm::event::EventStream;
use futures::StreamExt;
use ninja_sdk::{Ninja, api::Timestamp};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{app::App, conn::Conn, message::Message, screen::Screen, view, view::Theme};
use crate::cli::Interrupt;

/// At most 30 pictures a second.
const FRAME: Duration = Duration::from_millis(34);
const TICK: Duration = Duration::from_secs(1);
/// Messages that wait for the loop; beyond that streams wait too.
const MESSAGES: usize = 1_024;
/// Messages taken before the terminal is looked at again, so that a flood does not make the keys wait.
const BATCH: usize = 256;

/// Runs the console until the person leaves.
///
/// # Errors
///
/// Fails where the terminal cannot be taken, read or drawn on.
pub(crate) async fn run(ninja: Ninja, is_in_process: bool, colour: bool, mut interrupt: Interrupt) -> io::Result<()> {
    let (tx, mut messages) = mpsc::channel(MESSAGES);
    let mut screen = Screen::take(tx.clone())?;
    let mut conn = Conn::open(ninja, tx);
    let theme = Theme { colour };
    let (mut app, first) = App::new(Timestamp::now(), is_in_process);
    first.into_iter().for_each(|command| conn.execute(command));
    let mut keys = EventStream::new();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut batch, mut is_stale, mut next_draw) = (Vec::with_capacity(BATCH), true, Instant::now());
    while !app.is_over() {
        tokio::select! {
            biased;
            () = interrupt.asked() => break,
            () = sleep_until(next_draw), if is_stale => {
                let mut extent = Default::default();
                screen.terminal.draw(|frame| extent = view::draw(frame, &app, theme))?;
                app.drawn(extent);
                (is_stale, next_draw) = (false, Instant::now() + FRAME);
                continue;
            }
            key = keys.next() => match key {
                Some(key) => batch.push(Message::Terminal(key?)),
                None => break,
            },
            _ = ticks.tick() => batch.push(Message::Tick(Timestamp::now())),
            _ = messages.recv_many(&mut batch, BATCH) => {}
        }
        for message in batch.drain(..) {
            app.update(message).into_iter().for_each(|command| conn.execute(command));
        }
        is_stale = true;
    }
    drop(messages);
    conn.close().await;
    Ok(())
}
