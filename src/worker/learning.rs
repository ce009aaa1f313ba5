//! Learning from outcomes: the store's rows become the histories `planning::adaptive` reads.
//!
//! What was learned is what was known when the day began (UTC): all decisions of a day rest on
//! the same evidence, whichever process makes them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use chrono::TimeDelta;
use jiff::tz::TimeZone;
use tokio::sync::Mutex;

use crate::domain::customer::Profile;
use crate::domain::time::{Instant, from_ms, local};
use crate::domain::{Channel, CustomerId, Zones};
use crate::planning::adaptive::{Counts, Evidence, History};
use crate::planning::rules::Rules;
use crate::store::outcomes::{Asked, OutcomeRow};
use crate::store::{Result, Store};

use super::dispatch::Claimed;
use super::{Engine, Live};

/// Messages read at a time.
const PAGE: i64 = 1_000;

/// The last messages of a customer that count.
const MAX_OWN: i64 = 200;

/// A contact within seven days after a message counts against it.
const CONTACT_WITHIN: TimeDelta = TimeDelta::days(7);

/// What lies longer ago says nothing any more.
const LOOKED_BACK: TimeDelta = TimeDelta::days(365);

/// Customers who are alike: kind of case, and language without its region.
pub type Group = (String, String);

fn group(case_type: &str, locale: Option<&str>, default_locale: &str) -> Group {
    let language = locale.unwrap_or(default_locale).split('-').next().unwrap_or_default();
    (case_type.to_owned(), language.to_owned())
}

/// The clocks customers live by.
#[derive(Debug, Clone, Copy)]
pub struct Clocks<'a> {
    pub zones: &'a Zones,
    /// For customers whose zone nobody told us.
    pub default: &'a TimeZone,
    /// Likewise their language.
    pub default_locale: &'a str,
}

/// What became of one message.
#[derive(Debug, Clone)]
pub struct Lesson {
    pub customer: CustomerId,
    pub group: Group,
    pub channel: Channel,
    /// Of the customer's clock, 0 to 23.
    pub hour: i8,
    pub counts: Counts,
}

/// Reads what became of every message that was handed over in `period`, as known at its end.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn each_lesson(
    store: &Store,
    clocks: Clocks<'_>,
    period: Range<Instant>,
    mut learn: impl FnMut(Lesson),
) -> Result<()> {
    let asked = Asked { period, contact_within: CONTACT_WITHIN };
    let mut after = String::new();
    loop {
        let page = store.outcomes(&asked, &after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after.clone_from(&last.id);
        for row in page {
            if let Some(lesson) = lesson(row, clocks)? {
                learn(lesson);
            }
        }
    }
}

fn lesson(row: OutcomeRow, clocks: Clocks<'_>) -> Result<Option<Lesson>> {
    let Ok(channel) = row.channel.parse::<Channel>() else { return Ok(None) };
    let Some(profile) = &row.profile else { return Ok(None) };
    let profile: Profile = serde_json::from_str(profile)?;
    let zone = profile.time_zone.as_deref().and_then(|name| clocks.zones.get(name).ok());
    let counts = Counts {
        told: 1,
        delivered: row.delivered.into(),
        opened: row.opened.into(),
        acknowledged: row.acknowledged.into(),
        contacted: row.contacted.into(),
    };
    Ok(Some(Lesson {
        hour: local(from_ms(row.told_at_ms), zone.as_ref().unwrap_or(clocks.default)).hour(),
        group: group(&row.case_type, profile.locale.as_deref(), clocks.default_locale),
        customer: CustomerId(row.customer_id),
        channel,
        counts,
    }))
}

type Groups = Arc<BTreeMap<Group, Arc<History>>>;

/// What all customers' outcomes said when the day began.
#[derive(Debug, Default)]
pub struct Lessons(Mutex<Option<(Instant, Groups)>>);

impl Lessons {
    /// Reads them once a day.
    async fn of_day(&self, store: &Store, clocks: Clocks<'_>, day: Instant) -> Result<Groups> {
        let mut known = self.0.lock().await;
        if let Some((_, groups)) = known.as_ref().filter(|(at, _)| *at == day) {
            return Ok(Arc::clone(groups));
        }
        let mut groups: BTreeMap<Group, History> = BTreeMap::new();
        each_lesson(store, clocks, (day - LOOKED_BACK)..day, |lesson| {
            let Lesson { group, channel, hour, counts, .. } = lesson;
            groups.entry(group).or_default().add(channel, hour, counts);
        })
        .await?;
        let groups = groups.into_iter().map(|(name, history)| (name, Arc::new(history))).collect();
        let groups = Arc::new(groups);
        *known = Some((day, Arc::clone(&groups)));
        Ok(groups)
    }
}

/// What the outcomes of the customers of `claimed` and of those like them say; nothing where
/// nobody asked to learn from them.
pub(super) async fn evidence(
    engine: &Engine,
    live: &Live,
    claimed: &[Claimed],
    now: Instant,
) -> Result<impl Fn(&Claimed) -> Option<Evidence> + use<>> {
    let rules = &live.rules;
    let mut own: HashMap<CustomerId, History> = HashMap::new();
    let mut groups = Arc::default();
    if rules.adaptive.enabled {
        let day = day_of(now);
        let zone = default_zone(rules);
        let clocks = Clocks {
            zones: &rules.zones,
            default: &zone,
            default_locale: &engine.behaviour.default_locale,
        };
        groups = engine.lessons.of_day(&engine.store, clocks, day).await?;
        let asked = Asked { period: (day - LOOKED_BACK)..day, contact_within: CONTACT_WITHIN };
        let customers: BTreeSet<&CustomerId> = claimed.iter().map(|c| &c.customer.id).collect();
        for customer in customers {
            let history = own.entry(customer.clone()).or_default();
            for row in engine.store.outcomes_of(&asked, customer, MAX_OWN).await? {
                if let Some(lesson) = lesson(row, clocks)? {
                    history.add(lesson.channel, lesson.hour, lesson.counts);
                }
            }
        }
    }
    let default_locale = engine.behaviour.default_locale.clone();
    Ok(move |c: &Claimed| {
        let own = own.get(&c.customer.id)?.clone();
        let locale = c.customer.profile.locale.as_deref();
        let group = group(&c.notification.case_type, locale, &default_locale);
        Some(Evidence { own, group: groups.get(&group).cloned().unwrap_or_default() })
    })
}

fn default_zone(rules: &Rules) -> TimeZone {
    rules.zones.get(&rules.default_zone).unwrap_or(TimeZone::UTC)
}

fn day_of(now: Instant) -> Instant {
    now.date_naive().and_time(chrono::NaiveTime::MIN).and_utc()
}
