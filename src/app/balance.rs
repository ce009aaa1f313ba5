//! The balance sheet: accepted = open + told + silent + task, per day and case type, and what
//! does not add up by name.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;
use serde::Serialize;

use crate::store::balance::{Balance, LostEvent, Period, ShortCase, Unprompted};
use crate::store::{Result, Store};

/// The most events and cases named one by one.
const MAX_NAMED: i64 = 100;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// 1970-01-01.
const EPOCH: Date = jiff::civil::date(1970, 1, 1);

/// One day and case type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// In UTC, by when the events were accepted.
    pub day: Date,
    pub case_type: String,
    #[serde(flatten)]
    pub balance: Balance,
}

/// The sums, and what is wrong with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sheet {
    pub adds_up: bool,
    pub total: Balance,
    pub by_case_type: BTreeMap<String, Balance>,
    pub by_day: Vec<Row>,
    /// Words no event caused: silence, cron, promise.
    pub unprompted: Unprompted,
    /// Events of which nothing came; the first hundred.
    pub lost: Vec<LostEvent>,
    /// Cases with fewer events than were accepted; the first hundred. Looked at as a whole,
    /// whatever the period.
    pub short_cases: Vec<ShortCase>,
}

/// From the beginning of the day `from` to the end of the day `to`, in UTC.
#[must_use]
pub fn milliseconds(from: Option<Date>, to: Option<Date>) -> Period {
    let begin = |day: Date| i64::from((day - EPOCH).get_days()) * DAY_MS;
    from.map_or(0, begin)..to.map_or(i64::MAX, |day| begin(day.saturating_add(1.day())))
}

/// Draws up the sheet for the events accepted in a period.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn sheet(store: &Store, period: Period) -> Result<Sheet> {
    let mut total = Balance::default();
    let mut by_case_type: BTreeMap<String, Balance> = BTreeMap::new();
    let mut by_day: BTreeMap<(Date, String), Balance> = BTreeMap::new();
    for count in store.balance_by_day(period.clone()).await? {
        let day = EPOCH.saturating_add(count.day.days());
        total.count(&count.outcome, count.events);
        let of_type = by_case_type.entry(count.case_type.clone()).or_default();
        of_type.count(&count.outcome, count.events);
        by_day.entry((day, count.case_type)).or_default().count(&count.outcome, count.events);
    }
    let lost = if total.adds_up() {
        Vec::new()
    } else {
        store.lost_events(period.clone(), MAX_NAMED).await?
    };
    let short_cases = store.short_cases(MAX_NAMED).await?;
    Ok(Sheet {
        adds_up: total.adds_up() && short_cases.is_empty(),
        total,
        by_case_type,
        by_day: by_day
            .into_iter()
            .map(|((day, case_type), balance)| Row { day, case_type, balance })
            .collect(),
        unprompted: store.unprompted(period).await?,
        lost,
        short_cases,
    })
}
