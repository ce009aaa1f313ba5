//! Takes what is due, decides on current facts, writes the message, and hands it to the lane
//! of its channel. Nothing is opened here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use crate::channel::{Outgoing, Way};
use crate::domain::customer::Address;
use crate::domain::message::Shaped;
use crate::domain::plan::{Decision, Outcome, versions};
use crate::domain::reason::{Reason, chosen_by};
use crate::domain::time::Instant;
use crate::domain::{
    self, Case, CaseChoice, Channel, Customer, Notification, NotificationId, Status,
};
use crate::planning::carry::{Load, carry};
use crate::planning::eligibility::{Heard, Matter, decide};
use crate::planning::rules::Rules;
use crate::planning::schedule::midnight;
use crate::planning::{Ended, Telling, frequency, is_unsaid};
use crate::store::Result;
use crate::store::callbacks::WaitTime;
use crate::store::notifications::EndOfClaim;
use crate::store::opening::{Cap, Opening, Rider};

use super::activity::Busy;
use super::company::{self, Going};
use super::followers::after;
use super::held::Hold;
use super::roads::Roads;
use super::seams::Seam;
use super::writing::{Riding, address_it, rider_words, write_message};
use super::{Engine, Live};

/// How long one ticket's messages wait for room in their lanes, all together.
const WAIT_FOR_ROOM: Duration = Duration::from_secs(1);

/// After how long a message is looked at again that found no room.
pub(super) const LOOK_AGAIN_MS: i64 = 1_000;

/// Retries over the budget that are looked at again in one minute: about as many as a provider
/// gets in any case.
const PER_MINUTE: usize = 10;

/// A message that may go as soon as its channel has room.
#[derive(Debug)]
pub struct Ready {
    pub claimed: Claimed,
    pub heard: Heard,
    pub outgoing: Outgoing,
    pub opening: Opening,
    /// The provider that takes it.
    pub way: Way,
    /// How the channels stood when it was decided.
    pub roads: domain::Roads,
    /// What rides in it.
    pub riders: Vec<Passenger>,
    pub live: Arc<Live>,
    /// The dispatch is not over before this message is.
    pub busy: Busy,
}

impl Ready {
    #[must_use]
    pub const fn notification(&self) -> &Notification {
        &self.claimed.notification
    }

    /// Would it go the same way at `now`, with all that rides in it? It may have waited in
    /// its lane into quiet hours, or past its end. What else can change is compared when its
    /// attempt opens.
    #[must_use]
    pub fn still_goes(&self, now: Instant) -> bool {
        let rules = &self.live.rules;
        let way = (self.opening.channel, &self.opening.address);
        let goes = |claimed: &Claimed, heard: &Heard| {
            let decision = claimed.decide(rules, heard, self.roads, now);
            matches!(decision.map(|decision| decision.outcome),
                Some(Outcome::Send { channel, ref address, .. }) if (channel, address) == way)
        };
        goes(&self.claimed, &self.heard)
            && self.riders.iter().all(|rider| goes(&rider.claimed, &rider.heard))
    }

    /// The claims that come back when it does not leave.
    pub fn claims(&self) -> impl Iterator<Item = (NotificationId, i64)> {
        std::iter::once(&self.claimed)
            .chain(self.riders.iter().map(|rider| &rider.claimed))
            .map(|claimed| (claimed.notification.id, claimed.notification.epoch))
    }
}

/// What rides in a message, with what its decision rests on.
#[derive(Debug)]
pub struct Passenger {
    pub claimed: Claimed,
    heard: Heard,
}

/// A notification this process has claimed, with what its decision reads.
#[derive(Debug)]
pub struct Claimed {
    pub notification: Notification,
    pub hold: Hold,
    pub case: Case,
    pub customer: Customer,
    pub choice: CaseChoice,
}

impl Claimed {
    /// Decides about it; `None` when the version in force has no such journey.
    #[must_use]
    pub fn decide(
        &self,
        rules: &Rules,
        heard: &Heard,
        roads: domain::Roads,
        now: Instant,
    ) -> Option<Decision> {
        let journey = rules.journeys.of(&self.notification.case_type, &self.notification.case)?;
        let matter = Matter {
            notification: &self.notification,
            journey,
            notice: journey.notice(&self.notification.notice),
            case: &self.case,
            customer: &self.customer,
            choice: self.choice,
            rests: roads.rests,
            withdrawn: roads.withdrawn,
            heard,
        };
        Some(decide(&matter, rules, now))
    }

    /// What is planned because it ended.
    #[must_use]
    pub fn followers(
        &self,
        engine: &Engine,
        rules: &Rules,
        how: Ended,
        at: Instant,
    ) -> Vec<crate::domain::plan::Created> {
        after(engine, rules, &self.notification, &self.customer, how, at)
    }
}

/// Claims these notifications and brings each to its lane or to its end.
///
/// # Errors
/// `Unavailable` when the store is away; what is claimed comes back by its lease.
pub async fn dispatch(engine: &Engine, ids: &[NotificationId]) -> Result<()> {
    let now = engine.clock.now();
    let notifications = engine.store.claim(ids, &engine.behaviour.owner, now).await?;
    if notifications.is_empty() {
        return Ok(());
    }
    engine.seams.pass(Seam::AfterClaim).await;
    let live = engine.live.load_full();
    let claimed = read_up(engine, notifications, now).await?;
    bring_on_the_way(engine, &live, claimed, now).await
}

/// Reads what the decisions about claimed notifications need. One whose case has news that
/// are not planned yet is given back: they may change it.
pub(super) async fn read_up(
    engine: &Engine,
    notifications: Vec<Notification>,
    now: Instant,
) -> Result<Vec<Claimed>> {
    // The customer first: whoever chooses something for a case since is of a later revision.
    let customers = engine.store.customers(notifications.iter().map(|n| &n.customer), now).await?;
    let cases = engine.store.cases(notifications.iter().map(|n| &n.case)).await?;
    let mut claimed = Vec::with_capacity(notifications.len());
    let mut unplanned = Vec::new();
    for notification in notifications {
        match (cases.get(&notification.case), customers.get(&notification.customer)) {
            (Some(standing), Some(customer)) if standing.case.revision == standing.head => {
                let (case, customer) = (standing.case.clone(), customer.clone());
                let (hold, choice) =
                    (engine.held.take(notification.id, notification.epoch), standing.choice);
                claimed.push(Claimed { notification, hold, case, customer, choice });
            }
            _ => unplanned.push((notification.id, notification.epoch)),
        }
    }
    if !unplanned.is_empty() {
        engine.store.release(&unplanned, now).await?;
        let events = engine.store.unplanned_events(now, 500).await?;
        engine.ring_plan(&events);
        engine.wake.notify_one();
    }
    Ok(claimed)
}

/// Decides about what is claimed: each goes to its lane, or its claim ends.
///
/// # Errors
/// `Unavailable` when the store is away; what is claimed comes back by its lease.
pub async fn bring_on_the_way(
    engine: &Engine,
    live: &Arc<Live>,
    claimed: Vec<Claimed>,
    now: Instant,
) -> Result<()> {
    let decided = decide_about(engine, live, claimed, now).await?;
    carry_out(engine, decided, now).await
}

/// What was decided about claims.
#[derive(Debug, Default)]
pub struct Decided {
    pub ready: Vec<Ready>,
    pub ends: Vec<EndOfClaim>,
    /// Looked at as company, and not needed: back to when each was to be looked at.
    unused: Vec<(NotificationId, i64, Instant)>,
}

impl Decided {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.ends.is_empty() && self.unused.is_empty()
    }

    /// Keeps what was decided about these.
    pub fn retain(&mut self, keep: impl Fn(&Notification) -> bool) {
        self.ready.retain(|message| keep(message.notification()));
        self.ends.retain(|end| keep(&end.notification));
    }
}

/// Lets claims end, and hands what is ready to its lane.
///
/// # Errors
/// `Unavailable` when the store is away; what is claimed comes back by its lease.
pub async fn carry_out(engine: &Engine, decided: Decided, now: Instant) -> Result<()> {
    engine.store.end_claims(decided.ends, now).await?;
    engine.store.put_back(&decided.unused).await?;
    engine.seams.pass(Seam::AfterRender).await;
    hand_to_lanes(engine, decided.ready, now).await
}

/// Decides about what is claimed, or is about to be, and writes what goes.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn decide_about(
    engine: &Engine,
    live: &Arc<Live>,
    claimed: Vec<Claimed>,
    now: Instant,
) -> Result<Decided> {
    let mut ends = Vec::new();
    let mut roads = Roads::look(engine, now);
    roads.learn(claimed.iter().map(|claimed| &claimed.notification)).await?;
    let mut going = Vec::with_capacity(claimed.len());
    for (claimed, heard) in company::with_heard(engine, live, claimed, now).await? {
        let of = roads.of(claimed.notification.id);
        match look_at(engine, live, claimed, heard, of, now) {
            Look::Going(message) => going.push(*message),
            Look::Over(end) => ends.push(*end),
        }
    }
    let company = company::gather(engine, live, &going, now).await?;
    roads.learn(company.iter().map(|(claimed, _)| &claimed.notification)).await?;
    let mut unused = Vec::new();
    let put_back = |n: &Notification| (n.id, n.epoch, n.next_at.max(later(now)));
    for (claimed, heard) in company {
        let claim = put_back(&claimed.notification);
        let of = roads.of(claimed.notification.id);
        match look_at(engine, live, claimed, heard, of, now) {
            Look::Going(message) => going.push(*message),
            // It waits on as it did; only an end is worth a word.
            Look::Over(end) if end.status == Status::Planned => unused.push(claim),
            Look::Over(end) => ends.push(*end),
        }
    }
    company::in_order(&mut going);
    let outlines: Vec<_> =
        going.iter().map(|message| company::outline(&live.rules, message)).collect();
    let (loads, no_room) = carry(&outlines);
    unused.extend(no_room.iter().map(|n| put_back(&going[*n].claimed.notification)));
    let mut going: Vec<Option<Going>> = going.into_iter().map(Some).collect();
    let mut ready = Vec::with_capacity(loads.len());
    let wait = wait_time(engine, &going, now).await?;
    for load in loads {
        let (message, over) = load_up(engine, live, load, &mut going, (&roads, wait), now);
        ready.extend(message);
        ends.extend(over);
    }
    let ready = keep_to_budget(engine, &roads, ready, &mut ends, now).await;
    Ok(Decided { ready, ends, unused })
}

/// How long a call back takes now, where a message says so: a mail may be read much later.
async fn wait_time(
    engine: &Engine,
    going: &[Option<Going>],
    now: Instant,
) -> Result<Option<WaitTime>> {
    if going.iter().flatten().all(|message| message.channel == Channel::Email) {
        return Ok(None);
    }
    engine.store.wait_time(Channel::Voice, now).await
}

fn later(now: Instant) -> Instant {
    now + TimeDelta::milliseconds(LOOK_AGAIN_MS)
}

async fn hand_to_lanes(engine: &Engine, ready: Vec<Ready>, now: Instant) -> Result<()> {
    let deadline = tokio::time::Instant::now() + WAIT_FOR_ROOM;
    let mut no_room = Vec::new();
    for message in ready {
        let lane = engine.lanes.get(message.way.channel).get(message.way.place);
        let lane = lane.expect("routing offers only channels that have a lane");
        if let Err(message) = lane.push(message, deadline).await {
            no_room.extend(message.claims());
        }
    }
    if !no_room.is_empty() {
        engine.store.release(&no_room, later(now)).await?;
    }
    Ok(())
}

enum Look {
    Going(Box<Going>),
    Over(Box<EndOfClaim>),
}

fn versions_of(live: &Live, claimed: &Claimed) -> serde_json::Value {
    let rules = &live.rules;
    let (case, customer) = (claimed.case.revision, claimed.customer.revision);
    let version = rules.journeys.version_of(&claimed.case.id);
    versions(version, &rules.settings_version, case, customer)
}

fn look_at(
    engine: &Engine,
    live: &Arc<Live>,
    claimed: Claimed,
    heard: Heard,
    roads: domain::Roads,
    now: Instant,
) -> Look {
    let rules = &live.rules;
    let over = |claimed: &Claimed, status, next_at, reasons: Vec<Reason>, task, held| {
        let followers = if is_unsaid(status, &reasons) {
            claimed.followers(engine, rules, Ended::Unsaid, now)
        } else {
            Vec::new()
        };
        Look::Over(Box::new(EndOfClaim {
            notification: claimed.notification.clone(),
            status,
            next_at,
            reasons,
            versions: versions_of(live, claimed),
            task,
            held,
            followers,
        }))
    };
    let Some(Decision { outcome, reasons }) = claimed.decide(rules, &heard, roads, now) else {
        let gone = vec![Reason::RuleRemoved];
        return over(&claimed, Status::Cancelled, now, gone, None, None);
    };
    match outcome {
        Outcome::Send { channel, address, digest } => {
            Look::Going(Box::new(Going { claimed, heard, reasons, channel, address, digest }))
        }
        Outcome::Snooze { until, held } => {
            say_capped(&reasons);
            over(&claimed, Status::Planned, until, reasons, None, held)
        }
        Outcome::Settle { status, task } => over(&claimed, status, now, reasons, task, None),
    }
}

/// A cap that is reached may be an attack: somebody should look.
fn say_capped(reasons: &[Reason]) {
    for reason in reasons {
        if let Reason::OverTelephoneCap { channel, cap, .. } = reason {
            metrics::counter!("tidings_telephone_capped_total", "channel" => channel.as_str(), "cap" => cap.key())
                .increment(1);
        }
    }
}

/// Writes one message with what rides in it. What cannot be written is set aside; when that
/// is the message itself, the others are put off.
fn load_up(
    engine: &Engine,
    live: &Arc<Live>,
    load: Load,
    going: &mut [Option<Going>],
    (roads, wait): (&Roads<'_>, Option<WaitTime>),
    now: Instant,
) -> (Option<Ready>, Vec<EndOfClaim>) {
    let mut take = |n: usize| going[n].take().expect("each is loaded once");
    let Going { claimed, heard, mut reasons, channel, address, digest } = take(load.carrier);
    let mut over = Vec::new();
    let aside = |claimed: &Claimed, mut reasons: Vec<Reason>, detail: String| {
        reasons.push(Reason::RenderFailed { detail });
        EndOfClaim {
            notification: claimed.notification.clone(),
            status: Status::Quarantined,
            next_at: now,
            reasons,
            versions: versions_of(live, claimed),
            task: Some("the message could not be written"),
            held: None,
            followers: Vec::new(),
        }
    };
    let rules = &live.rules;
    let mut riders = Vec::new();
    let mut words = Vec::new();
    for rider in load.riders.into_iter().map(&mut take) {
        match rider_words(engine.pen(), live, &telling(rules, &rider.claimed), now) {
            Ok(written) => {
                words.push(written);
                let heard = Heard { rides: true, ..rider.heard };
                riders.push(Passenger { claimed: rider.claimed, heard });
            }
            Err(detail) => over.push(aside(&rider.claimed, rider.reasons, detail)),
        }
    }
    if !riders.is_empty() {
        reasons.push(Reason::Carries { count: riders.len() });
    }
    let first = heard.first.then(|| chosen_by(&reasons));
    // Any of them may take it: none promises a way back that another lacks.
    let senders = &engine.behaviour.senders;
    let one_way =
        channel == Channel::Sms && !senders.iter().all(|senders| senders.can_reply(&address));
    let riding = Riding { words, digest: load.digest, first, wait, one_way };
    let told = telling(rules, &claimed);
    let written = match write_message(engine.pen(), live, told, &riding, channel, now) {
        Ok(written) => written,
        Err(detail) => {
            over.push(aside(&claimed, reasons, detail));
            let why = "the message it was to ride in could not be written";
            over.extend(put_off(live, riders, later(now), why));
            return (None, over);
        }
    };
    // Decided with the same rests, so one of its providers is there.
    let way = roads.choose(claimed.notification.id, channel).unwrap_or(Way::first(channel));
    let provider = engine.gateways.get(channel).get(way.place);
    let provider = provider.map_or_else(|| "none".into(), |gateway| gateway.name.clone());
    let script = match &written.shaped {
        Shaped::Voice(script) => Some(script.clone()),
        Shaped::Email(_) | Shaped::Sms(_) => None,
    };
    let opening = Opening {
        id: claimed.notification.id,
        epoch: claimed.notification.epoch,
        case: claimed.notification.case.clone(),
        customer: claimed.notification.customer.clone(),
        channel,
        provider,
        address: address.clone(),
        case_revision: claimed.case.revision,
        customer_revision: claimed.customer.revision,
        because: reasons,
        versions: versions_of(live, &claimed),
        body_hash: written.shaped.hash(),
        parts: written.shaped.parts(),
        slot: digest.map(|slot| frequency::slot_name(channel, &slot)),
        cap: cap(rules, &claimed, now),
        quotas: rules
            .caps
            .get(channel)
            .as_ref()
            .map(|caps| caps.quotas(&address, told.notice.urgency, &rules.countries))
            .unwrap_or_default(),
        cost_millionths: cost(rules, channel, &address, written.shaped.parts()),
        riders: riders
            .iter()
            .map(|Passenger { claimed: rider, .. }| Rider {
                id: rider.notification.id,
                epoch: rider.notification.epoch,
                case: rider.notification.case.clone(),
                case_revision: rider.case.revision,
            })
            .collect(),
        script,
    };
    let outgoing = address_it(engine, live, &claimed, channel, address, written, now);
    let roads = roads.of(claimed.notification.id);
    let live = Arc::clone(live);
    let busy = engine.activity.begin();
    (Some(Ready { claimed, heard, outgoing, opening, way, roads, riders, live, busy }), over)
}

/// What was to ride in a message that does not go now.
fn put_off(
    live: &Live,
    riders: Vec<Passenger>,
    until: Instant,
    why: &str,
) -> impl Iterator<Item = EndOfClaim> {
    riders.into_iter().map(move |Passenger { claimed: rider, .. }| EndOfClaim {
        versions: versions_of(live, &rider),
        held: rider.notification.held,
        notification: rider.notification,
        status: Status::Planned,
        next_at: until,
        reasons: vec![Reason::NotStarted { detail: why.to_owned() }],
        task: None,
        followers: Vec::new(),
    })
}

/// Puts off retries beyond what their provider gets, [`PER_MINUTE`] to a minute: no attempt is
/// spent on them, and they do not all come back at once.
async fn keep_to_budget(
    engine: &Engine,
    roads: &Roads<'_>,
    ready: Vec<Ready>,
    ends: &mut Vec<EndOfClaim>,
    now: Instant,
) -> Vec<Ready> {
    let (retries, mut going): (Vec<Ready>, Vec<Ready>) =
        ready.into_iter().partition(|m| roads.is_retry(m.notification().id, m.way.channel));
    let mut by_way: BTreeMap<Way, Vec<Ready>> = BTreeMap::new();
    for retry in retries {
        by_way.entry(retry.way).or_default().push(retry);
    }
    for (way, mut retries) in by_way {
        let granted = engine.health.may_retry(way, retries.len(), now).await;
        let over = retries.split_off(granted.min(retries.len()));
        going.extend(retries);
        metrics::counter!("tidings_retries_put_off_total", "channel" => way.channel.as_str())
            .increment(over.len() as u64);
        for (n, message) in over.into_iter().enumerate() {
            let until = minutes_later(now, 1 + n / PER_MINUTE);
            let Ready { claimed, riders, live, .. } = message;
            let why = "the message it was to ride in is tried again later";
            ends.extend(put_off(&live, riders, until, why));
            ends.push(EndOfClaim {
                versions: versions_of(&live, &claimed),
                held: claimed.notification.held,
                notification: claimed.notification,
                status: Status::Planned,
                next_at: until,
                reasons: vec![Reason::RetriesWait { channel: way.channel, until }],
                task: None,
                followers: Vec::new(),
            });
        }
    }
    going
}

/// The beginning of the minute so many minutes from now, half an hour at most.
fn minutes_later(now: Instant, minutes: usize) -> Instant {
    let minutes = i64::try_from(minutes).unwrap_or(i64::MAX).min(30);
    let minute_ms = now.timestamp_millis().div_euclid(60_000) + minutes;
    crate::domain::time::from_ms(minute_ms * 60_000)
}

fn telling<'a>(rules: &'a Rules, claimed: &'a Claimed) -> Telling<'a> {
    let Claimed { notification, case, customer, .. } = claimed;
    let journey = rules
        .journeys
        .of(&notification.case_type, &notification.case)
        .expect("decided by this journey");
    let notice = journey.notice(&notification.notice).expect("decided by this rule");
    Telling { notification, notice, journey, case, customer }
}

/// What a message costs, as far as that is known.
fn cost(rules: &Rules, channel: Channel, address: &Address, parts: u32) -> i64 {
    let caps = rules.caps.get(channel).as_ref();
    caps.and_then(|caps| caps.price(address)).unwrap_or(0) * i64::from(parts)
}

/// The cap a message counts against.
fn cap(rules: &Rules, claimed: &Claimed, now: Instant) -> Option<Cap> {
    let Claimed { notification, customer, .. } = claimed;
    let limit = frequency::counted(notification, customer, rules)?;
    let since = midnight(now, &rules.zone_of(customer));
    Some(Cap { limit, since, beside: rules.mandatory_topics() })
}

/// Ready messages by id, for matching with what the store opened.
pub type ById = HashMap<NotificationId, Ready>;
