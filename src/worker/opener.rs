//! Opens the attempts of one provider: no more than will start within a quarter of the
//! hand-over window at the pace measured so far, and no more than the provider's health and
//! rate allow. What must wait goes back to the store, so that no claim is held for long.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures::future::join_all;
use tokio::sync::mpsc;

use crate::channel::health::{Admission, Call};
use crate::channel::{Gate, HandOverWindow, Pacing, Way};
use crate::domain::reason::Reason;
use crate::domain::time::Instant;
use crate::domain::{NotificationId, Status};
use crate::planning::carry::priority;
use crate::store::notifications::EndOfClaim;
use crate::store::opening::Opened;

use super::dispatch::{ById, LOOK_AGAIN_MS, Ready};
use super::lane::{MAX_READY, Pace};
use super::patience::Waits;
use super::seams::Seam;
use super::writing::number;
use super::{Engine, Stopping, stopped};

/// A message that may leave within this time keeps its claim; another gives it back.
const HOLD: Duration = Duration::from_secs(1);

/// The longest a message is put off for its rate before it is looked at again, and the time
/// over which those are spread that would wait longer.
const FARTHEST: TimeDelta = TimeDelta::seconds(60);
const SPREAD_S: u128 = 30;

/// An opened attempt on its way to a sender.
#[derive(Debug)]
pub(super) struct OnItsWay {
    pub message: Ready,
    pub opened: Opened,
    pub window: HandOverWindow,
}

pub(super) struct Opener {
    pub engine: Arc<Engine>,
    pub way: Way,
    /// Whose callbacks tell of these attempts.
    pub kind: &'static str,
    pub ready: mpsc::Receiver<Ready>,
    pub on_its_way: mpsc::Sender<OnItsWay>,
    pub pace: Arc<Pace>,
    pub stopping: Stopping,
    /// Claimed and first in line.
    pub backlog: VecDeque<Ready>,
    /// Up to when the rate is promised to messages that were put off.
    pub booked: Instant,
    /// The same for places with a limit of their own.
    pub booked_at: HashMap<String, Instant>,
}

/// Nobody is left to take opened attempts.
struct SendersGone;

impl Opener {
    /// Opens attempts in batches: what gathered while the last batch was opened is the next.
    /// Ends when the process is asked to stop, and gives back what is claimed and not opened.
    pub async fn run(mut self) {
        while self.wait_for_messages().await {
            if self.open_next().await.is_err() {
                return;
            }
        }
        self.gather(usize::MAX);
        let rest = self.take(self.backlog.len());
        self.give_back(rest).await;
    }

    /// False when there is nothing more to do.
    async fn wait_for_messages(&mut self) -> bool {
        if *self.stopping.borrow() {
            return false;
        }
        if self.backlog.is_empty() {
            let first = tokio::select! {
                biased;
                () = stopped(&mut self.stopping) => return false,
                message = self.ready.recv() => message,
            };
            let Some(first) = first else { return false };
            self.backlog.push_back(first);
            self.pace.note_line(1);
        }
        true
    }

    async fn open_next(&mut self) -> Result<(), SendersGone> {
        let window = self.engine.behaviour.hand_over_window;
        let allowance = self.pace.wait_for_allowance(window).await;
        self.gather(allowance);
        let wanted = self.backlog.len().min(allowance);
        let now = self.engine.clock.now();
        match self.engine.health.admit(self.way, wanted, now).await {
            Admission::All => {
                self.open(wanted).await?;
            }
            Admission::Probe => {
                if self.open(1).await? == 0 {
                    self.engine.health.record(self.way, Call::NotMade, now);
                }
            }
            Admission::Some { count, wait, interval } => {
                self.open(count).await?;
                self.wait_for_rate(wait, interval).await;
            }
            // Decided again, it gets its reason and the instant of the next look.
            Admission::Rests { .. } => {
                self.gather(usize::MAX);
                let all = self.take(self.backlog.len());
                self.give_back(all).await;
            }
        }
        Ok(())
    }

    /// Takes up messages that are ready, until `most` are in line.
    fn gather(&mut self, most: usize) {
        while self.backlog.len() < most
            && let Ok(message) = self.ready.try_recv()
        {
            self.backlog.push_back(message);
        }
        self.pace.note_line(self.backlog.len());
    }

    fn take(&mut self, count: usize) -> ById {
        let taken = self.backlog.drain(..count);
        let taken = taken.map(|message| (message.notification().id, message)).collect();
        self.pace.note_line(self.backlog.len());
        taken
    }

    /// Opens the first `count` in line and sends them on their way. Answers how many there
    /// were to be opened.
    async fn open(&mut self, count: usize) -> Result<usize, SendersGone> {
        let engine = Arc::clone(&self.engine);
        engine.seams.pass(Seam::BeforeOpen).await;
        // Open before the store is asked: the commit may be older than its answer.
        let window = HandOverWindow::open(engine.behaviour.hand_over_window);
        let now = engine.clock.now();
        let (mut batch, late): (ById, ById) =
            self.take(count).into_iter().partition(|(_, message)| message.still_goes(now));
        self.give_back(late).await;
        self.hold_back(&mut batch, now).await;
        if batch.is_empty() {
            return Ok(0);
        }
        // The last place under a cap, or in a digest's slot, goes to who comes first.
        let mut in_order: Vec<&Ready> = batch.values().collect();
        in_order.sort_by_key(|message| priority(message.notification()));
        let openings = in_order.into_iter().map(|message| message.opening.clone()).collect();
        let opened = match engine.store.open_attempts(openings, now).await {
            Ok(opened) => opened,
            Err(error) => {
                tracing::warn!(%error, "attempts could not be opened; they are given back");
                tokio::spawn(take_back(engine, batch));
                return Ok(0);
            }
        };
        engine.seams.pass(Seam::AfterOpen).await;
        let mut sent = 0;
        for opened in opened {
            let Some(mut message) = batch.remove(&opened.id) else { continue };
            number(&engine, &mut message.outgoing, self.kind, opened.no);
            self.pace.expect_one();
            sent += 1;
            let on_its_way = OnItsWay { message, opened, window };
            self.on_its_way.send(on_its_way).await.map_err(|_| SendersGone)?;
        }
        // What changed under the decision is decided again: consent, or the case.
        self.give_back(batch).await;
        Ok(sent)
    }

    /// Puts off what may not go now to the place it is addressed to: that place is at its
    /// limit, or rests.
    async fn hold_back(&mut self, batch: &mut ById, now: Instant) {
        let gateway = self.engine.gateways.get(self.way.channel).get(self.way.place);
        let Some(provider) = gateway.map(|gateway| Arc::clone(&gateway.provider)) else { return };
        let paces = !self.engine.clock.is_manual();
        let mut in_order: Vec<NotificationId> = batch.keys().copied().collect();
        in_order.sort_by_key(|id| priority(batch[id].notification()));
        let mut paced: HashMap<String, (Pacing, Vec<Ready>)> = HashMap::new();
        let mut resting = Vec::new();
        for id in in_order {
            match provider.gate(&batch[&id].outgoing.to, now) {
                Gate::Paced(pacing) if paces => {
                    let Some(message) = batch.remove(&id) else { continue };
                    let by = pacing.by.clone();
                    paced.entry(by).or_insert_with(|| (pacing, Vec::new())).1.push(message);
                }
                Gate::Open | Gate::Paced(_) => {}
                // Worth nothing by then: what refuses it now sends it to the next channel.
                Gate::Closed { until, .. } if until >= batch[&id].notification().expires_at => {}
                Gate::Closed { until, of } => {
                    let Some(message) = batch.remove(&id) else { continue };
                    resting.push((message, until, of));
                }
            }
        }
        self.booked_at.retain(|_, booked| *booked > now);
        for (by, (Pacing { wait, interval, .. }, messages)) in paced {
            metrics::counter!("tidings_rate_waits_total", "channel" => self.way.channel.as_str())
                .increment(1);
            let booked = self.booked_at.entry(by).or_insert(now);
            let claims = messages.iter().flat_map(Ready::claims);
            let slots = book(claims, booked, now + delta(wait), delta(interval), now);
            join_all(slots.into_iter().map(|(at, claims)| self.release(claims, at))).await;
        }
        self.let_rest(resting, now).await;
    }

    /// Puts off what is addressed to a place that rests, and says so.
    async fn let_rest(&self, messages: Vec<(Ready, Instant, String)>, now: Instant) {
        let mut ends = Vec::with_capacity(messages.len());
        for (message, until, of) in messages {
            let riders = message.riders.iter().map(|rider| &rider.claimed.notification);
            let riders = riders.map(|rider| (rider.id, rider.epoch)).collect::<Vec<_>>();
            if !riders.is_empty() {
                self.release(riders, until).await;
            }
            ends.push(EndOfClaim {
                notification: message.claimed.notification,
                status: Status::Planned,
                next_at: until,
                reasons: vec![Reason::DestinationRests { of, until }],
                versions: message.opening.versions,
                task: None,
                held: None,
                followers: Vec::new(),
            });
        }
        if let Err(error) = self.engine.store.end_claims(ends, now).await {
            tracing::warn!(%error, "claims could not be given back; their leases bring them back");
        }
        self.engine.wake.notify_one();
    }

    async fn give_back(&self, messages: ById) {
        if messages.is_empty() {
            return;
        }
        let claims = messages.values().flat_map(Ready::claims).collect();
        let counted =
            |message: &Ready| message.opening.slot.is_some() || message.opening.cap.is_some();
        // Another message may hold the slot or the last place of the day and not be over yet.
        let wait_ms = if messages.values().any(counted) { LOOK_AGAIN_MS } else { 0 };
        let at = self.engine.clock.now() + TimeDelta::milliseconds(wait_ms);
        self.release(claims, at).await;
        self.engine.wake.notify_one();
    }

    async fn release(&self, claims: Vec<(NotificationId, i64)>, at: Instant) {
        if let Err(error) = self.engine.store.release(&claims, at).await {
            tracing::warn!(%error, "claims could not be given back; their leases bring them back");
        }
    }

    /// The rate is used up: those who will leave within [`HOLD`] stay in line, the others
    /// are put off, the most urgent last.
    async fn wait_for_rate(&mut self, wait: Duration, interval: Duration) {
        metrics::counter!("tidings_rate_waits_total", "channel" => self.way.channel.as_str())
            .increment(1);
        self.gather(MAX_READY);
        self.backlog.make_contiguous().sort_by_key(|message| {
            let n = message.notification();
            (std::cmp::Reverse(n.urgency), n.due_at, n.id)
        });
        let stay = stay_in_line(wait, interval).min(self.backlog.len());
        let others = self.backlog.split_off(stay);
        self.pace.note_line(stay);
        if !others.is_empty() {
            let now = self.engine.clock.now();
            let ahead = u32::try_from(stay).unwrap_or(u32::MAX);
            let first = now + delta(wait + interval.saturating_mul(ahead));
            let claims = others.iter().flat_map(Ready::claims);
            let slots = book(claims, &mut self.booked, first, delta(interval), now);
            join_all(slots.into_iter().map(|(at, claims)| self.release(claims, at))).await;
        }
        if !self.backlog.is_empty() {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stopped(&mut self.stopping) => {}
            }
        }
    }
}

/// Gives back messages of which nobody knows whether their attempts opened: the answer of the
/// store was lost. Nothing of them left the house, and only this process can know that.
async fn take_back(engine: Arc<Engine>, messages: ById) {
    let claims: Vec<(NotificationId, i64)> = messages.values().flat_map(Ready::claims).collect();
    let mut waits = Waits::within(engine.behaviour.renew_every * 3);
    while let Err(error) = engine.store.take_back(&claims, engine.clock.now()).await {
        if !waits.wait().await {
            tracing::error!(%error, "messages could not be given back; their leases do it");
            break;
        }
    }
    engine.wake.notify_one();
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX).min(FARTHEST)
}

/// How many messages leave within [`HOLD`] when the first may after `wait`.
fn stay_in_line(wait: Duration, interval: Duration) -> usize {
    match HOLD.checked_sub(wait) {
        Some(left) => {
            1 + usize::try_from(left.as_micros() / interval.as_micros().max(1)).unwrap_or(0)
        }
        None => 0,
    }
}

/// When messages are looked at again that were put off: one `interval` after the other behind
/// those `booked` before, in slots of a second so that few commits carry them. Beyond
/// [`FARTHEST`] they are spread by their ids.
fn book(
    claims: impl Iterator<Item = (NotificationId, i64)>,
    booked: &mut Instant,
    first: Instant,
    interval: TimeDelta,
    now: Instant,
) -> BTreeMap<Instant, Vec<(NotificationId, i64)>> {
    let mut slots: BTreeMap<Instant, Vec<_>> = BTreeMap::new();
    let farthest = now + FARTHEST;
    let mut next = first.max(*booked);
    for claim in claims {
        let at = if next < farthest {
            let slot = next;
            next += interval;
            slot
        } else {
            let later_s = i64::try_from(claim.0.0.as_u128() % SPREAD_S).unwrap_or(0);
            farthest + TimeDelta::seconds(later_s)
        };
        let second = at.timestamp() + i64::from(at.timestamp_subsec_nanos() > 0);
        slots.entry(crate::domain::time::from_ms(second * 1_000)).or_default().push(claim);
    }
    *booked = next.min(farthest);
    slots
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::parse_instant;

    fn t0() -> Instant {
        parse_instant("2026-11-23T10:00:00Z").expect("an instant")
    }

    fn claims(count: u32) -> impl Iterator<Item = (NotificationId, i64)> {
        (0..count).map(|n| (NotificationId::derive("R-1", "received", "desk/e1", n), 1))
    }

    #[test]
    fn who_leaves_within_a_second_stays_in_line() {
        for (wait_ms, interval_ms, stay) in
            [(0, 100, 11), (100, 100, 10), (1_000, 100, 1), (1_001, 100, 0), (500, 2_000, 1)]
        {
            let (wait, interval) =
                (Duration::from_millis(wait_ms), Duration::from_millis(interval_ms));
            assert_eq!(stay_in_line(wait, interval), stay, "{wait:?}, {interval:?}");
        }
    }

    #[test]
    fn those_put_off_come_back_as_the_rate_has_room_and_none_later_than_it_is_worth_asking() {
        let mut booked = t0();
        let second = TimeDelta::seconds(1);
        let half = TimeDelta::milliseconds(500);
        let slots = book(claims(4), &mut booked, t0() + second, half, t0());
        let at: Vec<(i64, usize)> =
            slots.iter().map(|(at, who)| ((*at - t0()).num_seconds(), who.len())).collect();
        assert_eq!(at, [(1, 1), (2, 2), (3, 1)]);
        assert_eq!(booked, t0() + second * 3);
        let behind = book(claims(1), &mut booked, t0() + second, half, t0());
        assert_eq!(behind.keys().next(), Some(&(t0() + second * 3)), "behind those before");
        let many = book(claims(1_000), &mut booked, t0() + second, half, t0());
        assert_eq!(many.values().map(Vec::len).sum::<usize>(), 1_000);
        let latest = *many.keys().last().expect("some");
        assert!(latest <= t0() + TimeDelta::seconds(90), "{latest}");
        assert!(booked <= t0() + FARTHEST);
    }
}
