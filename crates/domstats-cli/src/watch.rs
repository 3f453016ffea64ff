//! `--watch`: repeats a command.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::exit::{Exit, Result};

/// Calls `step` once, or every `period` until it fails or ends with anything but [`Exit::Ok`].
/// A step that takes longer than the period is followed by the next one at once.
pub(crate) fn repeat(
    period: Option<Duration>,
    mut step: impl FnMut() -> Result<Exit>,
) -> Result<Exit> {
    let Some(period) = period else {
        return step();
    };
    loop {
        let began = Instant::now();
        let exit = step()?;
        if exit != Exit::Ok {
            return Ok(exit);
        }
        thread::sleep(period.saturating_sub(began.elapsed()));
    }
}
