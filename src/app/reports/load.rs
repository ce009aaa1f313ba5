//! How many messages customers get in a week, and how many they would get if each word came
//! alone: the difference is what digests, caps and folding spare them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::store::balance::Period;
use crate::store::reports::WeekCount;
use crate::store::{Result, Store};

use super::Spread;

/// Messages per customer and week, over the weeks in which the customer heard anything.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Load {
    #[serde(flatten)]
    pub spread: Spread,
    /// Messages in a week → how many weeks of customers had so many.
    pub histogram: BTreeMap<i64, i64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub as_sent: Load,
    /// Each word as a message of its own.
    pub each_alone: Load,
}

/// Counts the messages of a period. Weeks begin on Monday in UTC.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn report(store: &Store, period: Period) -> Result<Report> {
    let as_sent = load(&store.messages_per_week(false, period.clone()).await?);
    let each_alone = load(&store.messages_per_week(true, period).await?);
    Ok(Report { as_sent, each_alone })
}

fn load(weeks: &[WeekCount]) -> Load {
    let histogram: BTreeMap<i64, i64> =
        weeks.iter().map(|count| (count.messages, count.weeks)).collect();
    Load { spread: Spread::of(&histogram), histogram }
}
