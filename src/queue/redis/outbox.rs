//! Tickets on their way to Redis. Nobody who pushes waits for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::domain::notification::Lane;
use crate::queue::{MAX_IDS, MAX_WAITING, Ticket};

use super::layout;
use super::{Busy, Shared};

/// How often Redis is asked how many tickets wait: while any do, while none do, and while it
/// is away.
const LOOK_WHILE_WAITING: Duration = Duration::from_millis(50);
const LOOK_WHILE_EMPTY: Duration = Duration::from_secs(1);
const LOOK_WHILE_AWAY: Duration = Duration::from_millis(200);

/// How long tickets gather while others wait in Redis.
const GATHER: Duration = Duration::from_millis(5);

/// The tickets of one lane that Redis does not have yet.
#[derive(Default)]
pub(super) struct Outbox {
    letters: VecDeque<Letter>,
}

struct Letter {
    ticket: Ticket,
    busy: Vec<Busy>,
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").field("letters", &self.letters.len()).finish()
    }
}

impl Outbox {
    pub(super) fn len(&self) -> usize {
        self.letters.len()
    }

    /// Lays a ticket down if fewer than `room` lie there. Events to be planned join the
    /// ticket before them while it is not full: under load one bell does for many.
    pub(super) fn lay_down(&mut self, ticket: Ticket, busy: Busy, room: usize) -> bool {
        if let (Ticket::PlanV1 { events: more }, Some(last)) = (&ticket, self.letters.back_mut())
            && let Ticket::PlanV1 { events } = &mut last.ticket
            && events.len() + more.len() <= MAX_IDS
        {
            events.extend(more);
            last.busy.push(busy);
            return true;
        }
        if self.letters.len() >= room {
            return false;
        }
        self.letters.push_back(Letter { ticket, busy: vec![busy] });
        true
    }

    fn take_all(&mut self) -> Vec<Letter> {
        self.letters.drain(..).collect()
    }

    /// Back to where they lay, before what came since.
    fn put_back(&mut self, letters: Vec<Letter>) {
        for letter in letters.into_iter().rev() {
            self.letters.push_front(letter);
        }
    }
}

/// Carries one lane's outbox to Redis for as long as it is polled, and keeps in mind how many
/// tickets wait there.
pub(super) async fn carry(shared: Arc<Shared>, lane: Lane) {
    let state = shared.lane(lane);
    loop {
        let next_look = if shared.away.load(Ordering::Acquire) {
            LOOK_WHILE_AWAY
        } else if state.backlog.load(Ordering::Acquire) > 0 {
            LOOK_WHILE_WAITING
        } else {
            LOOK_WHILE_EMPTY
        };
        let _ = timeout(next_look, state.filled.notified()).await;
        // What came since is noted by its bell, and goes at once.
        match carry_once(&shared, lane).await {
            Carried::AllAtOnce | Carried::None => {}
            // What comes meanwhile joins: workers that are behind have no use for more bells.
            Carried::BehindOthers => sleep(GATHER).await,
            Carried::SomeHaveNoRoom => {
                sleep(shared.timing.wait_for_room).await;
                state.filled.notify_one();
            }
        }
        shared.end_gone();
    }
}

/// What became of an outbox: of what lay in it, not of what came since.
enum Carried {
    AllAtOnce,
    /// All, and others wait there that nobody has taken up yet.
    BehindOthers,
    SomeHaveNoRoom,
    /// Redis is away. Nothing is kept for it.
    None,
}

async fn carry_once(shared: &Shared, lane: Lane) -> Carried {
    let state = shared.lane(lane);
    let letters = state.outbox.lock().expect("no panic while held").take_all();
    let tickets: Vec<(String, Vec<u8>)> = letters
        .iter()
        .map(|letter| {
            let payload = serde_json::to_vec(&letter.ticket).expect("tickets are plain data");
            (shared.new_name("t"), payload)
        })
        .collect();
    let mut link = shared.link.clone();
    // Known before Redis has them: a worker may be done before we hear that they arrived.
    let mut kept = Vec::with_capacity(letters.len());
    for ((id, _), letter) in tickets.iter().zip(letters) {
        shared.begin(id, letter.busy);
        kept.push(letter.ticket);
    }
    match state.keys.push(&mut link, MAX_WAITING, &tickets).await {
        Ok((taken, waiting)) => {
            state.backlog.store(waiting, Ordering::Release);
            if shared.away.swap(false, Ordering::AcqRel) {
                tracing::info!("the queue is back");
            }
            let refused = kept.into_iter().zip(&tickets).skip(taken);
            let refused = refused.map(|(ticket, (id, _))| Letter { ticket, busy: shared.take(id) });
            let refused: Vec<Letter> = refused.collect();
            if refused.is_empty() {
                let behind = waiting > taken;
                return if behind { Carried::BehindOthers } else { Carried::AllAtOnce };
            }
            state.outbox.lock().expect("no panic while held").put_back(refused);
            Carried::SomeHaveNoRoom
        }
        Err(error) => {
            // Perhaps they arrived, perhaps not: they are rung again.
            for (id, _) in &tickets {
                shared.end(id);
            }
            if !shared.away.swap(true, Ordering::AcqRel) {
                let lane = layout::name(lane);
                tracing::warn!(lane, %error, "the queue is away; what is due waits in the store");
            }
            let lost = state.outbox.lock().expect("no panic while held").take_all();
            drop(lost);
            Carried::None
        }
    }
}
