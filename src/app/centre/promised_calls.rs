//! Keeping the promise of a call: what is said when it was kept or moves, one more try where
//! nobody answered or nobody called, and a task for a person after that.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use crate::domain::CustomerId;
use crate::domain::plan::TaskKind;
use crate::domain::time::Instant;
use crate::store::callbacks::{Callback, Unheld, Wish};
use crate::store::{Result, StoreError};
use crate::worker::{Stopping, stopped};

use super::calls::{SOON_H, WINDOW_MIN, free_windows, on_the_clock};
use super::letters::{Letter, send};
use super::{App, Person, addresses, person};

/// Tries after which a promise is a task.
const MAX_TRIES: i64 = 1;

/// How long somebody who did not answer is left alone, in minutes.
const AGAIN_AFTER_MIN: i64 = 60;

/// How often overdue promises are looked for, and how many at a time.
const LOOK_EVERY: Duration = Duration::from_secs(30);
const AT_A_TIME: i64 = 100;

/// How a call went, as the person who made it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Reached,
    NotReached,
}

/// The next promise, as it is told: from, if it has a beginning, and by when.
pub type Promised = (Option<Instant>, Instant);

/// Ends the task `seq`. Where it is a promised call the customer is told; where nobody answered
/// it is tried once more, and the next promise comes back.
///
/// # Errors
/// `NotFound` when there is no such open task, `Refused` when `NotReached` is said of one that
/// is no promised call.
pub async fn finish(
    app: &Arc<App>,
    seq: i64,
    by: &str,
    outcome: Outcome,
    now: Instant,
) -> Result<Option<Promised>> {
    let store = &app.engine.store;
    let task = store.open_tasks(seq.saturating_sub(1), 1).await?.into_iter().find(|t| t.seq == seq);
    let task = task.ok_or_else(|| StoreError::NotFound { what: format!("an open task {seq}") })?;
    let is_call = task.kind == TaskKind::CallBack.as_str();
    let customer = task.customer_id.map(CustomerId).filter(|_| is_call);
    let call = match &customer {
        Some(id) => store.open_callback(id).await?.map(|call| (id, call)),
        None => None,
    };
    match (outcome, call) {
        (Outcome::Reached, call) => {
            store.finish_task(seq, by, now).await?;
            if let Some((id, _)) = call {
                let person = person(app, id, now).await?;
                tell(app, &person, "call_was_kept", None, now);
            }
            Ok(None)
        }
        (Outcome::NotReached, Some((id, call))) => {
            let person = person(app, id, now).await?;
            unheld(app, &person, call, Unheld::NotReached, now).await
        }
        (Outcome::NotReached, None) => {
            Err(StoreError::Refused("no call is promised by this task".into()))
        }
    }
}

/// A promised call that the house made itself is over.
///
/// # Errors
/// `Unavailable` when that was not kept.
pub(in crate::app) async fn ended(
    app: &Arc<App>,
    id: &CustomerId,
    call: Callback,
    outcome: Outcome,
    now: Instant,
) -> Result<()> {
    let person = person(app, id, now).await?;
    match outcome {
        Outcome::Reached => {
            if app.engine.store.keep_callback(id, call.seq, now).await? {
                tell(app, &person, "call_was_kept", None, now);
            }
        }
        Outcome::NotReached => {
            unheld(app, &person, call, Unheld::NotReached, now).await?;
        }
    }
    Ok(())
}

/// A try led to no conversation: once it moves, then it is left to a person.
async fn unheld(
    app: &Arc<App>,
    person: &Person,
    call: Callback,
    how: Unheld,
    now: Instant,
) -> Result<Option<Promised>> {
    let id = &person.customer.id;
    let next = if call.tries < MAX_TRIES { Some(next_time(app, how, now).await?) } else { None };
    let why = match how {
        Unheld::NotReached => "nobody answered",
        Unheld::Overdue => "the promised time passed without a call",
    };
    let detail = match next {
        Some((from, to)) => {
            format!("Call the customer {id} {}: {why} the first time.", on_the_clock(app, from, to))
        }
        None => format!("Write to the customer {id} or find another way: {why} twice."),
    };
    let wish = next.map(|(from, to)| Wish {
        customer: id.clone(),
        case: None,
        from,
        to,
        detail: detail.clone(),
        room: i64::from(app.settings.callback.per_window),
    });
    if !app.engine.store.end_try((id, call), how, wish, &detail, now).await? {
        return Ok(None);
    }
    let word = match (how, next) {
        (Unheld::NotReached, Some(_)) => "call_not_reached",
        (Unheld::NotReached, None) => "call_given_up",
        (Unheld::Overdue, Some(_)) => "call_overdue",
        (Unheld::Overdue, None) => "call_failed",
    };
    tell(app, person, word, next, now);
    Ok(next)
}

/// When it is tried again: the next window with room, not at once where nobody answered; as
/// soon as possible where there is none.
async fn next_time(app: &App, how: Unheld, now: Instant) -> Result<Promised> {
    let not_before = match how {
        Unheld::NotReached => now + TimeDelta::minutes(AGAIN_AFTER_MIN),
        Unheld::Overdue => now,
    };
    let free = free_windows(app, now).await?;
    let from = free.into_iter().find(|from| *from >= not_before);
    let to =
        from.map_or(now + TimeDelta::hours(SOON_H), |from| from + TimeDelta::minutes(WINDOW_MIN));
    Ok((from, to))
}

/// Tells a customer about their call, by their own channel, with its time where it has one.
pub(super) fn tell(
    app: &Arc<App>,
    person: &Person,
    word: &'static str,
    when: Option<Promised>,
    now: Instant,
) {
    let Person { customer, reader } = person;
    let when = when.map(|(from, to)| (from.map(|from| from.to_rfc3339()), to.to_rfc3339()));
    let letter = Letter::Call { word, when };
    for (channel, address) in addresses::told(person) {
        let whom = (&customer.id, customer.profile.name.as_str(), reader);
        send(app, whom, (channel, &address), &letter, now);
    }
}

/// Looks for promised calls whose time is over, and moves or gives up each.
///
/// # Errors
/// `Unavailable` when the store is away; what is left is looked at again.
pub async fn run_once(app: &Arc<App>, now: Instant) -> Result<()> {
    let store = &app.engine.store;
    for id in store.overdue_callbacks(now, AT_A_TIME).await? {
        let call = store.open_callback(&id).await?.filter(|call| call.to() < now);
        let (Some(call), Ok(person)) = (call, person(app, &id, now).await) else { continue };
        match unheld(app, &person, call, Unheld::Overdue, now).await {
            // Somebody took the window: the next look finds another.
            Err(StoreError::Refused(_)) | Ok(_) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Does so until the process is asked to stop.
pub async fn run(app: Arc<App>, mut stopping: Stopping) {
    loop {
        if let Err(error) = run_once(&app, app.engine.clock.now()).await {
            tracing::warn!(%error, "promised calls were not looked at");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stopped(&mut stopping) => return,
        }
    }
}
