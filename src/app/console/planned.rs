//! What will be sent: a week ahead by hour, by message, and by which channels the next go.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};
use serde::Serialize;

use crate::app::App;
use crate::domain::time::{Instant, instant, local};
use crate::planning::routing::{Question, route};
use crate::store::Result;
use crate::store::ahead::{MANY_AN_HOUR, MANY_OF_A_MESSAGE};

use super::now::thousands;

/// Days shown.
const DAYS: i32 = 7;

/// Side of a square, and room for the names of the days, in units of the SVG.
const SIDE: f64 = 13.0;
const LEFT: f64 = 66.0;

/// The page. Instants are RFC 3339.
#[derive(Debug, Clone, Serialize)]
pub struct Planned {
    pub days: Vec<Day>,
    /// Height of the picture.
    pub height: f64,
    /// Every message with how much of it is planned in these days.
    pub messages: Vec<(String, String)>,
    /// Channels, and how many of the next messages would take each now.
    pub channels: Vec<(String, usize)>,
    /// So many were looked at for that.
    pub next: usize,
}

/// One day on the clock of the house.
#[derive(Debug, Clone, Serialize)]
pub struct Day {
    /// `Mon 23 Nov`
    pub name: String,
    pub y: f64,
    pub hours: Vec<Hour>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Hour {
    pub hour: i8,
    pub x: f64,
    pub planned: i64,
    /// The count as it is shown.
    pub count: String,
    /// How full its colour is, 0 to 1.
    pub fill: String,
}

/// Reads the page for everything, or for one message such as `return/label`.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn planned(app: &App, message: Option<&str>, now: Instant) -> Result<Planned> {
    let engine = &app.engine;
    let zone = &app.console.zone;
    let today = local(now, zone).date();
    let spans = spans(today, zone);
    let chosen = message.and_then(|message| message.split_once('/'));
    let counts = engine.store.planned_by_hour(&spans, chosen).await?;
    let bound = if chosen.is_some() { MANY_AN_HOUR } else { 4 * MANY_AN_HOUR };
    let days = days(today, &counts, bound);
    let (first, last) = (spans[0].0, spans[spans.len() - 1].1);
    let (channels, next) = channels(app, now).await?;
    Ok(Planned {
        height: f64::from(DAYS) * SIDE + 14.0,
        days,
        messages: messages(app, first, last).await?,
        channels,
        next,
    })
}

/// Every hour from the beginning of the first day to the end of the last.
fn spans(today: Date, zone: &TimeZone) -> Vec<(Instant, Instant)> {
    let at = |day: i32, hour: i32| -> Instant {
        let local = today.saturating_add(day.days()).at(0, 0, 0, 0).saturating_add(hour.hours());
        let zoned: Option<Zoned> = zone.to_zoned(local).ok();
        zoned.map_or(Instant::MAX_UTC, |zoned| instant(&zoned))
    };
    (0..DAYS).flat_map(|day| (0..24).map(move |hour| (at(day, hour), at(day, hour + 1)))).collect()
}

fn days(today: Date, counts: &[i64], bound: i64) -> Vec<Day> {
    let most = counts.iter().copied().max().unwrap_or(0);
    #[allow(clippy::cast_precision_loss, reason = "a colour for people")]
    // The root shows the few beside the many.
    let fill = |n: i64| if most == 0 { 0.0 } else { (n as f64 / most as f64).sqrt() };
    let mut days = Vec::new();
    let mut y = 0.0;
    for (day, hours) in (0..DAYS).zip(counts.chunks(24)) {
        let mut x = LEFT;
        let hours = (0..24).zip(hours).map(|(hour, planned)| {
            let planned = *planned;
            let count = if planned >= bound {
                format!("{} or more", thousands(bound))
            } else {
                thousands(planned)
            };
            let cell = Hour { hour, x, planned, count, fill: format!("{:.2}", fill(planned)) };
            x += SIDE;
            cell
        });
        let hours = hours.collect();
        let name = today.saturating_add(day.days()).strftime("%a %-d %b").to_string();
        days.push(Day { name, y, hours });
        y += SIDE;
    }
    days
}

/// Every message of the journeys in force, those with most first.
async fn messages(app: &App, first: Instant, last: Instant) -> Result<Vec<(String, String)>> {
    let live = app.engine.live.load_full();
    let known: Vec<(String, String)> = live
        .rules
        .journeys
        .iter()
        .flat_map(|journey| {
            let of = |id: &String| (journey.case_type.clone(), id.clone());
            journey.notices.iter().map(|notice| of(&notice.id)).collect::<Vec<_>>()
        })
        .collect();
    let counts = app.engine.store.planned_by_message(&known, first, last).await?;
    let mut messages: Vec<(i64, String)> = known
        .into_iter()
        .zip(counts)
        .map(|((case_type, notice), n)| (n, format!("{case_type}/{notice}")))
        .collect();
    messages.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let shown = |n: i64| {
        let many = n >= MANY_OF_A_MESSAGE;
        if many { format!("{} or more", thousands(n)) } else { thousands(n) }
    };
    Ok(messages.into_iter().map(|(n, message)| (message, shown(n))).collect())
}

/// By which channel each of the next ones would go, as its customer and case stand now.
async fn channels(app: &App, now: Instant) -> Result<(Vec<(String, usize)>, usize)> {
    let engine = &app.engine;
    let next = engine.store.next_planned(now).await?;
    let cases = engine.store.cases(next.iter().map(|n| &n.case)).await?;
    let customers = engine.store.customers(next.iter().map(|n| &n.customer), now).await?;
    let live = engine.live.load_full();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for n in &next {
        let notice =
            live.rules.journeys.of(&n.case_type, &n.case).and_then(|j| j.notice(&n.notice));
        let (Some(notice), Some(customer)) = (notice, customers.get(&n.customer)) else {
            *counts.entry("none").or_default() += 1;
            continue;
        };
        let question = Question {
            topic: &notice.topic,
            fitting: &notice.channels,
            needs: &notice.needs,
            human_only: notice.human_only,
            failed: &n.failed_channels,
            customer,
            choice: cases.get(&n.case).map(|standing| standing.choice).unwrap_or_default(),
        };
        let (candidates, _) = route(&question, &live.rules);
        let spoken = candidates.first().map_or("none", |first| first.channel.spoken());
        *counts.entry(spoken).or_default() += 1;
    }
    Ok((counts.into_iter().map(|(name, n)| (name.to_owned(), n)).collect(), next.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Zones;

    #[test]
    fn a_week_has_every_hour_once_also_when_the_clocks_change() {
        let zone = Zones::bundled().get("Europe/London").expect("zone");
        let spans = spans(jiff::civil::date(2026, 3, 27), &zone);
        assert_eq!(spans.len(), 7 * 24);
        for pair in spans.windows(2) {
            assert_eq!(pair[0].1, pair[1].0, "nothing between two hours");
        }
        let whole = spans[spans.len() - 1].1 - spans[0].0;
        assert_eq!(whole.num_hours(), 7 * 24 - 1, "an hour is missing on 29 March");
    }
}
