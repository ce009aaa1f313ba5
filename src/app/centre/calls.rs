//! Asking for a call: as soon as possible, with how long that takes and how often we kept it,
//! or in a window of a quarter of an hour.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::TimeDelta;
use jiff::ToSpan;
use serde::Serialize;

use crate::domain::call::Slot;
use crate::domain::hours::{Days, Window};
use crate::domain::time::{Instant, instant, local};
use crate::domain::{CaseId, Channel, CustomerId};
use crate::planning::schedule::Calendar;
use crate::store::callbacks::{Callback, Wish};
use crate::store::{Result, StoreError};

use super::promised_calls::tell;
use super::{App, Person};

/// How long a window is, in minutes.
pub(super) const WINDOW_MIN: i64 = 15;

/// Windows that are offered: so many of a day, spread over it, on so many days.
const WINDOWS_A_DAY: usize = 8;
const DAYS_OFFERED: usize = 3;

/// How far ahead windows are looked for, in days.
const MAX_DAYS: i64 = 10;

/// As soon as possible ends, where the switchboard said nothing: a working day, in hours.
pub(super) const SOON_H: i64 = 24;

/// Ended calls below which no share is said: too few to mean anything.
const MIN_ENDED: i64 = 5;

/// The page that asks for a call.
#[derive(Debug, Clone, Serialize)]
pub struct Calls {
    pub open: Option<OpenCall>,
    pub windows: Vec<WindowLine>,
    /// The expected wait, in whole minutes.
    pub wait: Option<(i64, i64)>,
    /// Of a hundred such calls, how many came in time.
    pub kept_percent: Option<i64>,
    /// There is a number to call.
    pub reachable: bool,
}

/// A call that is promised.
#[derive(Debug, Clone, Serialize)]
pub struct OpenCall {
    /// RFC 3339; `None` for as soon as possible.
    pub from: Option<String>,
    pub to: String,
}

/// A window that has room.
#[derive(Debug, Clone, Serialize)]
pub struct WindowLine {
    /// Milliseconds since 1970.
    pub from_ms: i64,
    /// RFC 3339.
    pub from: String,
    pub to: String,
}

/// Reads the page.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn calls(app: &App, person: &Person, now: Instant) -> Result<Calls> {
    let store = &app.engine.store;
    let open = store.open_callback(&person.customer.id).await?;
    let wait = store.wait_time(Channel::Voice, now).await?;
    let kept = store.kept_callbacks().await?;
    let windows = offered_windows(app, now).await?;
    let points = &person.customer.contact_points;
    Ok(Calls {
        open: open.map(open_call),
        windows: windows.into_iter().map(line).collect(),
        wait: wait.map(|wait| wait.minutes()),
        kept_percent: (kept.ended >= MIN_ENDED).then(|| kept.kept * 100 / kept.ended.max(1)),
        reachable: points.iter().any(|point| point.channel != Channel::Email),
    })
}

fn open_call(call: Callback) -> OpenCall {
    OpenCall { from: call.from().map(|from| from.to_rfc3339()), to: call.to().to_rfc3339() }
}

fn line(from: Instant) -> WindowLine {
    WindowLine {
        from_ms: from.timestamp_millis(),
        from: from.to_rfc3339(),
        to: (from + TimeDelta::minutes(WINDOW_MIN)).to_rfc3339(),
    }
}

/// The clock of the house.
fn house_zone(app: &App) -> jiff::tz::TimeZone {
    app.zones.get(&app.settings.locales.time_zone).unwrap_or(jiff::tz::TimeZone::UTC)
}

/// What is shown of the windows that have room: a few of each of the next days.
fn offered(free: &[Instant], zone: &jiff::tz::TimeZone) -> Vec<Instant> {
    let days = free.chunk_by(|one, next| local(*one, zone).date() == local(*next, zone).date());
    let spread = |day: &[Instant]| -> Vec<Instant> {
        day.iter().step_by(day.len().div_ceil(WINDOWS_A_DAY)).copied().collect()
    };
    days.take(DAYS_OFFERED).flat_map(spread).collect()
}

/// The windows that are offered, soonest first.
pub(in crate::app) async fn offered_windows(app: &App, now: Instant) -> Result<Vec<Instant>> {
    Ok(offered(&free_windows(app, now).await?, &house_zone(app)))
}

/// The windows that have room, soonest first.
pub(in crate::app) async fn free_windows(app: &App, now: Instant) -> Result<Vec<Instant>> {
    let settings = &app.settings;
    let live = app.engine.live.load_full();
    let zone = house_zone(app);
    let calendar = live.rules.calendars.get(&settings.calendars.default).cloned();
    let end = now + TimeDelta::days(MAX_DAYS);
    let taken: HashMap<i64, i64> =
        app.engine.store.taken_windows(now, end).await?.into_iter().collect();
    let room = i64::from(settings.callback.per_window);
    let all = windows(settings.callback.hours, &calendar.unwrap_or_default(), &zone, now);
    let free = |from: &Instant| taken.get(&from.timestamp_millis()).is_none_or(|n| *n < room);
    Ok(all.into_iter().filter(free).collect())
}

/// Every window that begins after `now` and within the hours.
fn windows(
    hours: Window,
    calendar: &Calendar,
    zone: &jiff::tz::TimeZone,
    now: Instant,
) -> Vec<Instant> {
    let start = local(now, zone);
    let mut windows = Vec::new();
    for day in 0..MAX_DAYS {
        let Ok(date) = start.date().checked_add(day.days()) else { break };
        let works = hours.days != Days::Working || calendar.is_working(date);
        if !works || !hours.days.names(date.weekday()) {
            continue;
        }
        let (mut minute, end) = (i64::from(hours.hours.from_min), i64::from(hours.hours.to_min));
        while minute + WINDOW_MIN <= end {
            let at = date.at(0, 0, 0, 0).checked_add(minute.minutes());
            let at = at.ok().and_then(|at| at.to_zoned(zone.clone()).ok());
            windows.extend(at.map(|at| instant(&at)).filter(|at| *at > now));
            minute += WINDOW_MIN;
        }
    }
    windows
}

/// Is somebody there to talk to at `now`?
pub(in crate::app) fn is_open(app: &App, now: Instant) -> bool {
    let live = app.engine.live.load();
    let calendar = live.rules.calendars.get(&app.settings.calendars.default);
    let calendar = calendar.cloned().unwrap_or_default();
    within(app.settings.callback.hours, &calendar, &house_zone(app), now)
}

fn within(hours: Window, calendar: &Calendar, zone: &jiff::tz::TimeZone, now: Instant) -> bool {
    let now = local(now, zone);
    let works = hours.days != Days::Working || calendar.is_working(now.date());
    works && hours.days.names(now.weekday()) && hours.hours.contains(now.time())
}

/// The end of a promise that begins at `from`.
async fn promised_by(app: &App, from: Option<Instant>, now: Instant) -> Result<Instant> {
    let wait = app.engine.store.wait_time(Channel::Voice, now).await?;
    Ok(match (from, wait) {
        (Some(from), _) => from + TimeDelta::minutes(WINDOW_MIN),
        (None, Some(wait)) => now + TimeDelta::seconds(wait.longest_s),
        (None, None) => now + TimeDelta::hours(SOON_H),
    })
}

/// Takes a wish for a call back that was not made on a page; `how` it was, for the person who
/// calls. One that was asked for before moves.
///
/// # Errors
/// `Refused` when the window is full.
pub(in crate::app) async fn book(
    app: &App,
    id: &CustomerId,
    case: Option<&CaseId>,
    slot: Slot,
    how: &str,
    now: Instant,
) -> Result<()> {
    let from = slot.from();
    let to = promised_by(app, from, now).await?;
    let wish = Wish {
        customer: id.clone(),
        case: case.cloned(),
        from,
        to,
        detail: format!("Call the customer {id} {}: {how}.", on_the_clock(app, from, to)),
        room: i64::from(app.settings.callback.per_window),
    };
    app.engine.store.ask_for_callback(wish, now).await
}

/// Asks for a call: `soon`, or in the window that begins at these milliseconds. One that was
/// asked for before moves.
///
/// # Errors
/// `Refused` with the word that says why not.
pub async fn ask(app: &Arc<App>, person: &Person, when: &str, now: Instant) -> Result<()> {
    let store = &app.engine.store;
    let id = &person.customer.id;
    let soon = when == "soon";
    let from = if soon {
        None
    } else {
        let mut free = free_windows(app, now).await?.into_iter();
        let wanted = free.find(|from| from.timestamp_millis().to_string() == when);
        Some(wanted.ok_or_else(|| StoreError::Refused("fault_window_taken".into()))?)
    };
    let to = promised_by(app, from, now).await?;
    let wish = Wish {
        customer: id.clone(),
        case: None,
        from,
        to,
        detail: task_text(app, id, from, to),
        room: i64::from(app.settings.callback.per_window),
    };
    let before = store.open_callback(id).await?;
    match store.ask_for_callback(wish, now).await {
        Err(StoreError::Refused(_)) => {
            return Err(StoreError::Refused("fault_window_taken".into()));
        }
        done => done?,
    }
    // Asked again for the same is no news.
    if before.is_some_and(|before| before.from() != from) {
        tell(app, person, "call_moved", Some((from, to)), now);
    }
    Ok(())
}

/// What the person who calls reads.
fn task_text(app: &App, id: &CustomerId, from: Option<Instant>, to: Instant) -> String {
    let when = on_the_clock(app, from, to);
    match from {
        Some(_) => format!("Call the customer {id} {when}: they chose this time on their page."),
        None => format!("Call the customer {id} {when}: they asked for it on their page."),
    }
}

/// A promised time, on the clock of the house.
pub(super) fn on_the_clock(app: &App, from: Option<Instant>, to: Instant) -> String {
    let zone = house_zone(app);
    let clock = |at: Instant| local(at, &zone).strftime("%a %-d %b %H:%M %Z").to_string();
    match from {
        Some(from) => format!("between {} and {}", clock(from), clock(to)),
        None => format!("as soon as possible, by {}", clock(to)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::parse_instant;
    use jiff::tz::TimeZone;

    #[test]
    fn windows_lie_in_the_hours_of_working_days_and_ahead() {
        let hours = "09:00-10:00 working days".parse().expect("a window");
        // A Friday.
        let now = parse_instant("2026-11-27T09:20:00Z").expect("an instant");
        let windows = windows(hours, &Calendar::default(), &TimeZone::UTC, now);
        let shown: Vec<String> =
            windows.iter().take(4).map(|at| at.format("%a %H:%M").to_string()).collect();
        assert_eq!(shown, ["Fri 09:30", "Fri 09:45", "Mon 09:00", "Mon 09:15"]);
    }

    #[test]
    fn somebody_is_there_in_the_hours_of_working_days() {
        let hours = "09:00-17:00 working days".parse().expect("a window");
        let zone = crate::domain::Zones::bundled().get("Europe/London").expect("a zone");
        for (at, open) in [
            ("2026-11-27T09:00:00Z", true),
            ("2026-11-27T16:59:59Z", true),
            ("2026-11-27T17:00:00Z", false),
            ("2026-11-28T12:00:00Z", false),
            ("2026-06-01T08:00:00Z", true),
        ] {
            let now = parse_instant(at).expect("an instant");
            assert_eq!(within(hours, &Calendar::default(), &zone, now), open, "{at}");
        }
    }

    #[test]
    fn what_is_offered_is_spread_over_each_of_the_next_days() {
        let hours = "09:00-17:00 working days".parse().expect("a window");
        let now = parse_instant("2026-11-27T16:20:00Z").expect("an instant");
        let free = windows(hours, &Calendar::default(), &TimeZone::UTC, now);
        let shown: Vec<String> = offered(&free, &TimeZone::UTC)
            .iter()
            .map(|at| at.format("%a %H:%M").to_string())
            .collect();
        assert_eq!(shown.len(), 2 + 8 + 8);
        assert_eq!(shown[..4], ["Fri 16:30", "Fri 16:45", "Mon 09:00", "Mon 10:00"]);
        assert!(offered(&[], &TimeZone::UTC).is_empty());
    }
}
