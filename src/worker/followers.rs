//! What follows from notifications that ended while nobody was sending them: a doubt that turns
//! out well, or never does.

use serde_json::Value;

use crate::domain::plan::{Created, versions};
use crate::domain::time::Instant;
use crate::domain::{Customer, Notification, NotificationId};
use crate::planning::rules::Rules;
use crate::planning::{Ended, followers};
use crate::store::Result;
use crate::store::operations::OnMany;

use super::Engine;

/// How the doubt about a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoubtEnded {
    /// It was taken, or delivered.
    Told,
    /// Nobody will ever know: as if it was not said.
    Unknown,
}

/// What is planned because one notification ended at `at`, with the codes its readers verify.
#[must_use]
pub fn after(
    engine: &Engine,
    rules: &Rules,
    ended: &Notification,
    customer: &Customer,
    how: Ended,
    at: Instant,
) -> Vec<Created> {
    let Some(journey) = rules.journeys.of(&ended.case_type, &ended.case) else { return Vec::new() };
    let Some(notice) = journey.notice(&ended.notice) else { return Vec::new() };
    let mut created = followers(ended, how, notice, journey, customer, rules, at);
    for created in &mut created {
        created.notification.code = engine.keys.code(created.notification.id);
    }
    created
}

/// What follows from these notifications and what rides in them, each with the versions it is
/// planned by. Of a case that has left the states of a notice nothing follows.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn following(
    engine: &Engine,
    ended: &[NotificationId],
    how: DoubtEnded,
    now: Instant,
) -> Result<Vec<(Created, Value)>> {
    if ended.is_empty() {
        return Ok(Vec::new());
    }
    let live = engine.live.load_full();
    let rules = &live.rules;
    let told = engine.store.with_riders(ended).await?;
    let cases = engine.store.cases(told.iter().map(|(n, _)| &n.case)).await?;
    let customers = engine.store.customers(told.iter().map(|(n, _)| &n.customer), now).await?;
    let mut found = Vec::new();
    for (notification, channel) in &told {
        let (Some(standing), Some(customer)) =
            (cases.get(&notification.case), customers.get(&notification.customer))
        else {
            continue;
        };
        let case = &standing.case;
        let fits = rules.journeys.of(&notification.case_type, &case.id).is_some_and(|journey| {
            let notice = journey.notice(&notification.notice);
            notice.is_some_and(|notice| notice.fits_state(journey, case.state.as_deref()))
        });
        if !fits || customer.erased || case.customer != notification.customer {
            continue;
        }
        let how = match (how, channel) {
            (DoubtEnded::Told, Some(channel)) => Ended::Told(*channel),
            _ => Ended::Unsaid,
        };
        let version = rules.journeys.version_of(&case.id);
        let versions = versions(version, &rules.settings_version, case.revision, customer.revision);
        let created = after(engine, rules, notification, customer, how, now);
        found.extend(created.into_iter().map(|created| (created, versions.clone())));
    }
    Ok(found)
}

/// Plans what follows from notifications that turned out to be told. What is planned already is
/// left as it is, so it may be done again.
///
/// # Errors
/// `Unavailable`; nothing was planned then.
pub async fn follow_up(engine: &Engine, told: &[NotificationId], now: Instant) -> Result<()> {
    let followers = following(engine, told, DoubtEnded::Told, now).await?;
    if !followers.is_empty() {
        engine.store.plan_followers(followers).await?;
        engine.wake.notify_one();
    }
    Ok(())
}

impl Engine {
    /// Does what an operator asks with many, as far as each still can, and plans what follows
    /// from those that are known to have arrived. Answers how many.
    ///
    /// # Errors
    /// `Unavailable` when the store is away; what was done by then stays done.
    pub async fn act_on_many(&self, wanted: &[String], act: OnMany, who: &str) -> Result<usize> {
        let now = self.clock.now();
        let done = self.store.act_on_many(wanted, act, who, now).await;
        // Pages before a fault are done.
        self.wake.notify_one();
        let done = done?;
        if act == OnMany::Arrived && done > 0 {
            let known: Vec<NotificationId> =
                wanted.iter().filter_map(|id| NotificationId::parse(id).ok()).collect();
            let told = self.store.with_riders(&known).await?;
            let told = told.iter().filter(|(n, _)| n.status.is_told()).map(|(n, _)| n.id);
            follow_up(self, &told.collect::<Vec<_>>(), now).await?;
        }
        Ok(done)
    }
}
