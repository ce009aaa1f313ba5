//! What goes with a message: what its customer heard before, and what rides in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::domain::customer::Address;
use crate::domain::reason::Reason;
use crate::domain::time::Instant;
use crate::domain::{Channel, CustomerId, Notification, NotificationId};
use crate::planning::caps::Uses;
use crate::planning::carry;
use crate::planning::digest::LONGEST_RHYTHM;
use crate::planning::eligibility::Heard;
use crate::planning::journey::{Notice, Trigger};
use crate::planning::rules::Rules;
use crate::planning::schedule::midnight;
use crate::store::Result;

use super::dispatch::{Claimed, read_up};
use super::learning::evidence;
use super::{Engine, Live};

/// A message that may go now, and why.
#[derive(Debug)]
pub struct Going {
    pub claimed: Claimed,
    pub heard: Heard,
    pub reasons: Vec<Reason>,
    pub channel: Channel,
    pub address: Address,
    pub digest: Option<String>,
}

fn notice_of<'a>(rules: &'a Rules, notification: &Notification) -> Option<&'a Notice> {
    rules.journeys.of(&notification.case_type, &notification.case)?.notice(&notification.notice)
}

/// Each claimed notification with what its customer heard before; the store is asked only for
/// what a rule or a choice makes matter.
pub async fn with_heard(
    engine: &Engine,
    live: &Arc<Live>,
    claimed: Vec<Claimed>,
    now: Instant,
) -> Result<Vec<(Claimed, Heard)>> {
    let rules = &live.rules;
    let watched = |c: &&Claimed| {
        matches!(notice_of(rules, &c.notification).map(|n| &n.on), Some(Trigger::Silence { .. }))
    };
    let cases: BTreeSet<_> = claimed.iter().filter(watched).map(|c| &c.notification.case).collect();
    let words =
        if cases.is_empty() { HashMap::new() } else { engine.store.last_words(cases).await? };
    let capped: BTreeMap<CustomerId, Instant> = claimed
        .iter()
        .filter(|c| rules.cap_of(&c.customer).is_some())
        .map(|c| (c.customer.id.clone(), midnight(now, &rules.zone_of(&c.customer))))
        .collect();
    let today = if capped.is_empty() {
        HashMap::new()
    } else {
        engine.store.messages_since(&capped, &rules.mandatory_topics()).await?
    };
    let in_digests = |c: &&Claimed| !c.customer.preferences.digest.is_empty();
    let in_digests: BTreeSet<_> =
        claimed.iter().filter(in_digests).map(|c| &c.customer.id).collect();
    let slots = if in_digests.is_empty() {
        HashMap::new()
    } else {
        engine.store.digests_of(in_digests, now - LONGEST_RHYTHM).await?
    };
    let before: Vec<NotificationId> =
        claimed.iter().filter_map(|c| c.notification.escalates).collect();
    let signs =
        if before.is_empty() { HashMap::new() } else { engine.store.signs_of(&before).await? };
    let comes_back =
        |c: &&Claimed| c.notification.collapse.is_some() && c.notification.attempts > 0;
    let back: Vec<_> = claimed.iter().filter(comes_back).map(|c| &c.notification.id).collect();
    let newer =
        if back.is_empty() { HashMap::new() } else { engine.store.newer_steps(back).await? };
    let everybody: BTreeSet<_> = claimed.iter().map(|c| &c.customer.id).collect();
    let first: BTreeSet<CustomerId> =
        engine.store.never_told(everybody).await?.into_iter().collect();
    let evidence = evidence(engine, live, &claimed, now).await?;
    let uses = uses(engine, rules, &claimed, now).await?;
    let heard = |c: &Claimed| Heard {
        uses: uses.clone(),
        evidence: evidence(c),
        last_word: words.get(&c.notification.case).copied(),
        today: today.get(&c.customer.id).copied().unwrap_or(0),
        slots: slots.get(&c.customer.id).cloned().unwrap_or_default(),
        sign: c.notification.escalates.and_then(|id| signs.get(&id).copied()),
        newer: newer.get(&c.notification.id).cloned().unwrap_or_default(),
        rides: carry::waits_to_ride(&c.notification, now),
        first: first.contains(&c.customer.id),
    };
    let with = |claimed: Claimed| {
        let heard = heard(&claimed);
        (claimed, heard)
    };
    Ok(claimed.into_iter().map(with).collect())
}

/// What was used of the caps of these customers' numbers.
async fn uses(
    engine: &Engine,
    rules: &Rules,
    claimed: &[Claimed],
    now: Instant,
) -> Result<Option<Arc<Uses>>> {
    let mut asked = Vec::new();
    for claimed in claimed {
        for point in &claimed.customer.contact_points {
            let Some(caps) = rules.caps.get(point.channel) else { continue };
            let urgency = notice_of(rules, &claimed.notification).map(|notice| notice.urgency);
            let quotas = caps.quotas(&point.address, urgency.unwrap_or_default(), &rules.countries);
            asked.extend(quotas.into_iter().map(|quota| (point.channel, quota)));
        }
    }
    let uses = engine.store.used_of(asked.iter().map(|(channel, q)| (*channel, q)), now).await?;
    Ok((!uses.is_empty()).then(|| Arc::new(uses)))
}

/// Takes up what may ride in messages that go now: what is over its customer's cap, and the
/// other members of a digest.
pub async fn gather(
    engine: &Engine,
    live: &Arc<Live>,
    going: &[Going],
    now: Instant,
) -> Result<Vec<(Claimed, Heard)>> {
    let carries =
        |g: &&Going| g.digest.is_some() || live.rules.cap_of(&g.claimed.customer).is_some();
    let customers: BTreeSet<&CustomerId> =
        going.iter().filter(carries).map(|g| &g.claimed.customer.id).collect();
    if customers.is_empty() {
        return Ok(Vec::new());
    }
    let held = engine.store.claim_held(customers, &engine.behaviour.owner, now).await?;
    if held.is_empty() {
        return Ok(Vec::new());
    }
    let claimed = read_up(engine, held, now).await?;
    with_heard(engine, live, claimed, now).await
}

/// By priority.
pub fn in_order(going: &mut [Going]) {
    going.sort_by_key(|message| carry::priority(&message.claimed.notification));
}

/// What matters for going together.
#[must_use]
pub fn outline(rules: &Rules, going: &Going) -> carry::Going {
    let way = (going.channel, &going.address);
    let (digest, rides) = (going.digest.as_deref(), going.heard.rides);
    carry::Going::of(&going.claimed.notification, rules, way, digest, rides)
}
