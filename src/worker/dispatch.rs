//! Takes what is due, decides on current facts, writes the message, and hands it to the lane
//! of its channel. Nothing is opened here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use crate::channel::Outgoing;
use crate::domain::customer::Address;
use crate::domain::plan::{Decision, Outcome, versions};
use crate::domain::reason::Reason;
use crate::domain::time::Instant;
use crate::domain::token::Grant;
use crate::domain::{
    Case, CaseChoice, Channel, ChannelMap, Customer, Notification, NotificationId, Status,
};
use crate::planning::eligibility::{Matter, decide};
use crate::planning::journey::{Journey, Notice};
use crate::render::message::{Scene, SkippedStep};
use crate::render::{Manner, Written, write};
use crate::store::Result;
use crate::store::attempts::Opening;
use crate::store::notifications::EndOfClaim;

use super::activity::Busy;
use super::held::Hold;
use super::seams::Seam;
use super::{Engine, Live};

/// How long one ticket's messages wait for room in their lanes, all together.
const WAIT_FOR_ROOM: Duration = Duration::from_secs(1);

/// After how long a message is looked at again that found no room.
const LOOK_AGAIN_MS: i64 = 1_000;

/// A message that may go as soon as its channel has room.
#[derive(Debug)]
pub struct Ready {
    pub notification: Notification,
    pub customer: Customer,
    pub outgoing: Outgoing,
    pub opening: Opening,
    pub case: Case,
    pub choice: CaseChoice,
    pub live: Arc<Live>,
    pub hold: Hold,
    /// The dispatch is not over before this message is.
    pub busy: Busy,
}

impl Ready {
    /// Would it go the same way at `now`? It may have waited in its lane into quiet hours, or
    /// past its end. What else can change is compared when its attempt opens.
    #[must_use]
    pub fn still_goes(&self, now: Instant) -> bool {
        let rules = &self.live.rules;
        let Some(journey) = rules.journeys.get(&self.notification.case_type) else { return false };
        let matter = Matter {
            notification: &self.notification,
            journey,
            notice: journey.notice(&self.notification.notice),
            case: &self.case,
            customer: &self.customer,
            choice: self.choice,
            rests: ChannelMap::default(),
        };
        let way = (self.opening.channel, &self.opening.address);
        matches!(decide(&matter, rules, now).outcome,
            Outcome::Send { channel, ref address } if (channel, address) == way)
    }
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
    let cases = engine.store.cases(notifications.iter().map(|n| &n.case)).await?;
    let customers = engine.store.customers(notifications.iter().map(|n| &n.customer), now).await?;
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
            // The case has news that are not planned yet; they may change this message.
            _ => unplanned.push((notification.id, notification.epoch)),
        }
    }
    if !unplanned.is_empty() {
        engine.store.release(&unplanned, now).await?;
        let events = engine.store.unplanned_events(now, 500).await?;
        engine.ring_plan(&events);
        engine.wake.notify_one();
    }
    bring_on_the_way(engine, &live, claimed, now).await
}

/// Decides about what is claimed: each goes to its lane, or its claim ends.
///
/// # Errors
/// `Unavailable` when the store is away; what is claimed comes back by its lease.
pub async fn bring_on_the_way(
    engine: &Engine,
    live: &Arc<Live>,
    mut claimed: Vec<Claimed>,
    now: Instant,
) -> Result<()> {
    claimed.sort_by(|a, b| {
        let order = |n: &Notification| (std::cmp::Reverse(n.urgency), n.due_at, n.id);
        order(&a.notification).cmp(&order(&b.notification))
    });
    let mut ends = Vec::new();
    let mut ready = Vec::new();
    let rests = engine.health.rests(now);
    for claimed in claimed {
        match look_at(engine, live, claimed, rests, now) {
            Look::Ready(message) => ready.push(*message),
            Look::Over(end) => ends.push(*end),
        }
    }
    engine.store.end_claims(ends, now).await?;
    engine.seams.pass(Seam::AfterRender).await;
    let deadline = tokio::time::Instant::now() + WAIT_FOR_ROOM;
    let mut no_room = Vec::new();
    for message in ready {
        let lane = engine.lanes.get(message.opening.channel).as_ref();
        let lane = lane.expect("routing offers only channels that have a lane");
        if let Err(message) = lane.push(message, deadline).await {
            no_room.push((message.notification.id, message.notification.epoch));
        }
    }
    if !no_room.is_empty() {
        let later = now + TimeDelta::milliseconds(LOOK_AGAIN_MS);
        engine.store.release(&no_room, later).await?;
    }
    Ok(())
}

enum Look {
    Ready(Box<Ready>),
    Over(Box<EndOfClaim>),
}

fn look_at(
    engine: &Engine,
    live: &Arc<Live>,
    claimed: Claimed,
    rests: ChannelMap<Option<Instant>>,
    now: Instant,
) -> Look {
    let Claimed { notification, hold, case, customer, choice } = claimed;
    let (case, customer) = (&case, &customer);
    let rules = &live.rules;
    let versions = versions(
        &rules.journeys.version,
        &rules.settings_version,
        case.revision,
        customer.revision,
    );
    let over = |status, next_at, reasons, task| {
        Look::Over(Box::new(EndOfClaim {
            notification: notification.clone(),
            status,
            next_at,
            reasons,
            versions: versions.clone(),
            task,
        }))
    };
    let Some(journey) = rules.journeys.get(&notification.case_type) else {
        return over(Status::Cancelled, now, vec![Reason::RuleRemoved], None);
    };
    let matter = Matter {
        notification: &notification,
        journey,
        notice: journey.notice(&notification.notice),
        case,
        customer,
        choice,
        rests,
    };
    let Decision { outcome, reasons } = decide(&matter, rules, now);
    let (channel, address) = match outcome {
        Outcome::Send { channel, address } => (channel, address),
        Outcome::Snooze { until } => return over(Status::Planned, until, reasons, None),
        Outcome::Settle { status, task } => return over(status, now, reasons, task),
    };
    let notice = journey.notice(&notification.notice).expect("the rule fits, so it is there");
    let telling = Telling { notification: &notification, notice, journey, case, customer };
    let written = write_message(engine, live, telling, channel, now);
    let written = match written {
        Ok(written) => written,
        Err(detail) => {
            let mut reasons = reasons;
            reasons.push(Reason::RenderFailed { detail });
            let task = Some("the message could not be written");
            return over(Status::Quarantined, now, reasons, task);
        }
    };
    let provider = engine.gateways.get(channel).as_ref().map_or("none", |g| g.provider.name());
    let opening = Opening {
        id: notification.id,
        epoch: notification.epoch,
        case: notification.case.clone(),
        customer: notification.customer.clone(),
        channel,
        provider,
        address: address.clone(),
        case_revision: case.revision,
        customer_revision: customer.revision,
        because: reasons,
        versions,
        body_hash: written.shaped.hash(),
        parts: written.shaped.parts(),
    };
    let outgoing =
        address_it(engine, live, &notification, customer, channel, address, written, now);
    Look::Ready(Box::new(Ready {
        notification,
        case: case.clone(),
        choice,
        customer: customer.clone(),
        outgoing,
        opening,
        live: Arc::clone(live),
        hold,
        busy: engine.activity.begin(),
    }))
}

/// What a notification tells, and on what it is written.
#[derive(Debug, Clone, Copy)]
pub struct Telling<'a> {
    pub notification: &'a Notification,
    pub notice: &'a Notice,
    pub journey: &'a Journey,
    pub case: &'a Case,
    pub customer: &'a Customer,
}

/// Writes what a notification says at `now`, for one channel.
///
/// # Errors
/// A sentence that names the message and what it misses.
pub fn write_message(
    engine: &Engine,
    live: &Live,
    telling: Telling<'_>,
    channel: Channel,
    now: Instant,
) -> std::result::Result<Written, String> {
    let Telling { notification, notice, journey, case, customer } = telling;
    let skipped: Vec<SkippedStep> = notification
        .skipped
        .iter()
        .filter_map(|step| {
            Some(SkippedStep {
                notice: step.notice.clone(),
                message: journey.notice(&step.notice)?.message.clone(),
                state: step.state.clone(),
                at: step.at,
            })
        })
        .collect();
    let behaviour = &engine.behaviour;
    let links = engine.links(
        customer,
        notification.id,
        &notification.code,
        &notification.topic,
        channel,
        now,
    );
    let scene = Scene {
        case,
        customer,
        sender: &behaviour.sender,
        links: &links,
        skipped: &skipped,
        now,
        zone: live.rules.zone_of(customer),
        locale: customer.profile.locale.clone().unwrap_or_else(|| behaviour.default_locale.clone()),
    };
    let manner = Manner {
        channel,
        code: &notification.code,
        replies: behaviour.sms_replies,
        discreet: customer.preferences.discreet.unwrap_or(false),
        answers: &notice.answers,
    };
    write(&live.messages, &live.presentation, &notice.message, &scene, manner)
        .map_err(|error| error.to_string())
}

#[allow(clippy::too_many_arguments, reason = "one call, each value its own")]
fn address_it(
    engine: &Engine,
    live: &Live,
    notification: &Notification,
    customer: &Customer,
    channel: Channel,
    address: Address,
    written: Written,
    now: Instant,
) -> Outgoing {
    let behaviour = &engine.behaviour;
    let unsubscribe = (!live.rules.is_mandatory(&notification.topic))
        .then(|| engine.unsubscribe_link(&customer.id, &notification.topic, channel));
    Outgoing {
        notification: notification.id,
        no: 0,
        case: notification.case.clone(),
        to: address,
        to_name: customer.profile.name.clone(),
        shaped: written.shaped,
        message_id: engine.keys.message_id(notification.id, &behaviour.mail_domain),
        thread_id: engine.keys.thread_id(&notification.case, &customer.id, &behaviour.mail_domain),
        unsubscribe,
        topic: notification.topic.clone(),
        receipt_url: String::new(),
        keys_url: (channel == Channel::Voice).then(|| engine.keys_link(notification.id, now)),
        at: now,
    }
}

/// Fills in what is known only once the attempt has its number.
pub fn number(engine: &Engine, outgoing: &mut Outgoing, provider: &str, no: i64) {
    let grant = Grant::Receipt { notification: outgoing.notification, no };
    outgoing.no = no;
    outgoing.receipt_url = format!(
        "{}/v1/receipts/{provider}?a={}",
        engine.behaviour.public_url,
        engine.keys.token(&grant)
    );
}

/// Ready messages by id, for matching with what the store opened.
pub type ById = HashMap<NotificationId, Ready>;
