//! What a customer chooses: which topics by which channels, in which order and rhythm, at
//! which hours, in which language; a pause, a limit, silence.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;

use crate::domain::customer::parse_locale;
use crate::domain::hours::{Hours, QuietHours};
use crate::domain::reason::Voice;
use crate::domain::time::{Instant, local};
use crate::domain::{CaseChoice, Channel, Customer, Preferences};
use crate::planning::routing::consent;
use crate::planning::schedule::at_local;
use crate::store::Result;

use super::rhythm::{self, Slot};
use super::{App, Person, act, topic_title};

/// The source under which "stop everything optional" is recorded, so that it can be undone.
const STOP_ALL: &str = "centre stop-all";

/// The longest pause, in days.
const MAX_PAUSE_DAYS: i64 = 366;

/// Zones offered by name; any other may be typed.
const ZONES: [&str; 24] = [
    "Europe/London",
    "Europe/Dublin",
    "Europe/Lisbon",
    "Europe/Berlin",
    "Europe/Zurich",
    "Europe/Vienna",
    "Europe/Paris",
    "Europe/Brussels",
    "Europe/Madrid",
    "Europe/Rome",
    "Europe/Warsaw",
    "Europe/Athens",
    "Europe/Helsinki",
    "Europe/Istanbul",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Toronto",
    "America/Montreal",
    "Asia/Dubai",
    "Asia/Kolkata",
    "Asia/Tokyo",
    "Australia/Sydney",
];

/// The page of choices.
#[derive(Debug, Clone, Serialize)]
pub struct Choices {
    pub topics: Vec<TopicLine>,
    /// When gathered messages come: `18:00`, and the day from Monday, 0.
    pub gathered_at: String,
    pub gathered_day: u8,
    /// Channels, first choice first; empty where the customer has named no order.
    pub order: Vec<Channel>,
    pub quiet_from: String,
    pub quiet_to: String,
    /// Quiet hours differ by channel, which this page cannot show.
    pub quiet_differs: bool,
    pub zone: String,
    pub zones: Vec<&'static str>,
    /// RFC 3339.
    pub now: String,
    pub locale: String,
    pub locales: Vec<String>,
    /// RFC 3339, where a pause holds.
    pub paused_until: Option<String>,
    /// The first and the last date a pause may end on.
    pub pause_from: String,
    pub pause_to: String,
    pub cap: Option<u32>,
    pub discreet: bool,
    /// "Stop everything optional" was the last choice made.
    pub may_undo: bool,
}

/// A topic, its rhythm and its channels.
#[derive(Debug, Clone, Serialize)]
pub struct TopicLine {
    pub name: String,
    pub title: String,
    /// Why it cannot be switched off.
    pub mandatory: Option<String>,
    /// `at_once`, `daily` or `weekly`.
    pub rhythm: &'static str,
    pub cells: Vec<Cell>,
}

/// One topic on one channel.
#[derive(Debug, Clone, Serialize)]
pub struct Cell {
    pub channel: Channel,
    pub on: bool,
    /// The word that says why it cannot be chosen.
    pub locked: Option<&'static str>,
}

/// One change, read from a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The wanted cells as `<topic>:<channel>`, a rhythm per topic, and when gathered messages
    /// come.
    Topics {
        wanted: Vec<String>,
        rhythms: BTreeMap<String, &'static str>,
        slot: Slot,
    },
    Order(Vec<Channel>),
    Quiet(Option<Hours>),
    Zone(String),
    Language(String),
    Pause(Option<Instant>),
    Cap(Option<u32>),
    Discreet(bool),
    StopAll,
    Undo,
}

/// What a change came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// The store holds what was asked for, as read back from it.
    pub stored: bool,
    /// Something allowed before is refused now: it is confirmed once nothing new can start.
    pub narrower: bool,
}

/// What stands on the page.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn choices(app: &App, person: &Person, now: Instant) -> Result<Choices> {
    let rules = &app.engine.live.load_full().rules;
    let Person { customer, reader } = person;
    let chosen = &customer.preferences;
    let topics = app.settings.topics.iter().map(|(name, topic)| TopicLine {
        name: name.clone(),
        title: topic_title(app, name, &reader.locale),
        mandatory: topic.mandatory.clone(),
        rhythm: rhythm::name(chosen.digest.get(name)),
        cells: Channel::ALL.into_iter().map(|channel| cell(app, customer, name, channel)).collect(),
    });
    let (quiet, quiet_differs) = match &chosen.quiet_hours {
        Some(QuietHours::All(hours)) => (*hours, false),
        Some(QuietHours::PerChannel(_)) => (None, true),
        None => (None, false),
    };
    let hours = quiet.map(|hours| hours.to_string()).unwrap_or_default();
    let (quiet_from, quiet_to) = hours.split_once('-').unwrap_or_default();
    let today = local(now, &reader.zone).date();
    let day = |days: i64| {
        let span = jiff::Span::new().days(days);
        today.checked_add(span).unwrap_or(today).to_string()
    };
    let slot = Slot::of(&chosen.digest);
    let last = app.engine.store.last_consent(&customer.id).await?;
    let zone = customer.profile.time_zone.clone();
    Ok(Choices {
        topics: topics.collect(),
        gathered_at: slot.at(),
        gathered_day: slot.day,
        order: chosen.channel_order.clone().unwrap_or_default(),
        quiet_from: quiet_from.to_owned(),
        quiet_to: quiet_to.replace("24:00", "00:00"),
        quiet_differs,
        zone: zone.unwrap_or_else(|| rules.default_zone.clone()),
        zones: ZONES.to_vec(),
        now: now.to_rfc3339(),
        locale: reader.locale.clone(),
        locales: app.pages.locales().map(str::to_owned).collect(),
        paused_until: chosen.paused_until.filter(|until| *until > now).map(|at| at.to_rfc3339()),
        pause_from: day(1),
        pause_to: day(MAX_PAUSE_DAYS),
        cap: chosen.cap_per_day,
        discreet: chosen.discreet.unwrap_or(false),
        may_undo: last.is_some_and(|last| last.source == STOP_ALL),
    })
}

fn cell(app: &App, customer: &Customer, topic: &str, channel: Channel) -> Cell {
    let rules = &app.engine.live.load_full().rules;
    let allowed = consent(topic, channel, customer, CaseChoice::default(), rules);
    let withdrawn = *app.engine.health.withdrawn().get(channel);
    let mut points = customer.contact_points.iter().filter(|point| point.channel == channel);
    let locked = if !rules.offered.get(channel) {
        Some("locked_not_offered")
    } else if withdrawn.is_some_and(|withdrawn| app.engine.clock.now() < withdrawn.until) {
        Some("locked_withdrawn")
    } else if customer.preferences.stopped.contains(&channel) {
        Some("locked_stopped")
    } else if allowed == Err(Voice::Need) {
        Some("locked_no_calls")
    } else if points.clone().next().is_none() {
        Some("locked_no_address")
    } else if points.clone().all(|point| point.suppressed.is_some()) {
        Some(if channel == Channel::Sms { "locked_suppressed_sms" } else { "locked_suppressed" })
    } else if points.all(|point| !point.verified) {
        Some("locked_unverified")
    } else {
        None
    };
    Cell { channel, on: allowed.is_ok() && locked.is_none(), locked }
}

/// Makes a change and reads it back.
///
/// # Errors
/// `NotFound` when the customer is gone.
pub async fn change(app: &App, person: &Person, change: Change, now: Instant) -> Result<Changed> {
    let store = &app.engine.store;
    let id = &person.customer.id;
    let before = allowed(app, &person.customer, now);
    let source = if change == Change::StopAll { STOP_ALL } else { "centre" };
    let mut wanted = person.customer.chosen.clone();
    let edit = edit(app, person, change).await?;
    edit(&mut wanted);
    store.choose_as(id, act(app, source), now, edit).await?;
    let after = store.customer(id, now).await?;
    let narrower = before.difference(&allowed(app, &after, now)).next().is_some();
    Ok(Changed { stored: after.chosen == wanted, narrower })
}

/// Every (topic, channel) that may be used now.
fn allowed(
    app: &App,
    customer: &Customer,
    now: Instant,
) -> std::collections::BTreeSet<(String, Channel)> {
    let rules = &app.engine.live.load_full().rules;
    let paused = customer.preferences.paused_until.is_some_and(|until| until > now);
    let mut allowed = std::collections::BTreeSet::new();
    for topic in app.settings.topics.keys().filter(|topic| !paused || rules.is_mandatory(topic)) {
        for channel in Channel::ALL {
            if consent(topic, channel, customer, CaseChoice::default(), rules).is_ok() {
                allowed.insert((topic.clone(), channel));
            }
        }
    }
    allowed
}

type Edit = Box<dyn Fn(&mut Preferences) + Send + Sync>;

/// What a change does to the choices.
async fn edit(app: &App, person: &Person, change: Change) -> Result<Edit> {
    let optional: Vec<String> = {
        let rules = &app.engine.live.load_full().rules;
        app.settings.topics.keys().filter(|t| !rules.is_mandatory(t)).cloned().collect()
    };
    Ok(match change {
        Change::Topics { wanted, rhythms, slot } => {
            let rhythms = rhythm::changes(&person.customer.preferences.digest, &rhythms, slot);
            let mut cells = Vec::new();
            for topic in app.settings.topics.keys() {
                for channel in Channel::ALL {
                    if cell(app, &person.customer, topic, channel).locked.is_none() {
                        let on = wanted.contains(&format!("{topic}:{channel}"));
                        cells.push((topic.clone(), channel, on));
                    }
                }
            }
            Box::new(move |chosen| {
                for (topic, channel, on) in &cells {
                    chosen.topics.entry(topic.clone()).or_default().insert(*channel, *on);
                }
                chosen.digest.extend(rhythms.clone());
            })
        }
        Change::Order(order) => Box::new(move |chosen| {
            chosen.channel_order = Some(order.clone()).filter(|order| !order.is_empty());
        }),
        Change::Quiet(hours) => {
            Box::new(move |chosen| chosen.quiet_hours = Some(QuietHours::All(hours)))
        }
        Change::Zone(zone) => Box::new(move |chosen| chosen.time_zone = Some(zone.clone())),
        Change::Language(locale) => Box::new(move |chosen| chosen.locale = Some(locale.clone())),
        Change::Pause(until) => Box::new(move |chosen| chosen.paused_until = until),
        Change::Cap(cap) => Box::new(move |chosen| chosen.cap_per_day = cap),
        Change::Discreet(on) => Box::new(move |chosen| chosen.discreet = Some(on)),
        Change::StopAll => Box::new(move |chosen| {
            for topic in &optional {
                let channels = chosen.topics.entry(topic.clone()).or_default();
                channels.extend(Channel::ALL.map(|channel| (channel, false)));
            }
        }),
        Change::Undo => {
            let last = app.engine.store.last_consent(&person.customer.id).await?;
            let last = last.filter(|last| last.source == STOP_ALL);
            let topics = last.and_then(|last| {
                let what: serde_json::Value = serde_json::from_str(&last.what).ok()?;
                // Absent where nothing had been chosen.
                Some(serde_json::from_value(what["topics"]["before"].clone()).unwrap_or_default())
            });
            Box::new(move |chosen| {
                if let Some(topics) = &topics {
                    chosen.topics.clone_from(topics);
                }
            })
        }
    })
}

/// Reads a change from a form.
///
/// # Errors
/// The word that says what is wrong.
pub fn read(
    app: &App,
    person: &Person,
    fields: &[(String, String)],
    now: Instant,
) -> std::result::Result<Change, &'static str> {
    let field = |name: &str| {
        let found = fields.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.trim())
    };
    let all = |name: &str| -> Vec<String> {
        fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
    };
    match field("do") {
        "topics" => read_topics(app, person, all("want"), fields),
        "order" => {
            let mut order: Vec<Channel> = Vec::new();
            for place in ["first", "second", "third"] {
                if let Ok(channel) = field(place).parse() {
                    if order.contains(&channel) {
                        return Err("fault_order_twice");
                    }
                    order.push(channel);
                }
            }
            Ok(Change::Order(order))
        }
        "quiet" => match (field("from"), field("to")) {
            ("", "") => Ok(Change::Quiet(None)),
            (from, to) => {
                let hours = format!("{from}-{to}").parse().map_err(|_| "fault_quiet")?;
                Ok(Change::Quiet(Some(hours)))
            }
        },
        "zone" => {
            let zone = field("zone");
            app.zones.get(zone).map_err(|_| "fault_zone")?;
            Ok(Change::Zone(zone.to_owned()))
        }
        "language" => {
            let locale = parse_locale(field("locale")).map_err(|_| "fault_language")?;
            let known = app.pages.locales().any(|known| known == locale);
            let same = person.reader.locale == locale;
            if known || same { Ok(Change::Language(locale)) } else { Err("fault_language") }
        }
        "pause" => {
            let date: Date = field("until").parse().map_err(|_| "fault_pause")?;
            let today = local(now, &person.reader.zone).date();
            let days = today.until(date).map_or(0, |span| i64::from(span.get_days()));
            if !(1..=MAX_PAUSE_DAYS).contains(&days) {
                return Err("fault_pause");
            }
            Ok(Change::Pause(Some(at_local(date.at(0, 0, 0, 0), &person.reader.zone))))
        }
        "resume" => Ok(Change::Pause(None)),
        "cap" => match field("cap") {
            "" => Ok(Change::Cap(None)),
            text => match text.parse() {
                Ok(cap @ 1..=1_000) => Ok(Change::Cap(Some(cap))),
                _ => Err("fault_cap"),
            },
        },
        "discreet" => Ok(Change::Discreet(field("discreet") == "on")),
        "stop_all" => Ok(Change::StopAll),
        "undo" => Ok(Change::Undo),
        _ => Err("fault_form"),
    }
}

fn read_topics(
    app: &App,
    person: &Person,
    wanted: Vec<String>,
    fields: &[(String, String)],
) -> std::result::Result<Change, &'static str> {
    let rules = &app.engine.live.load_full().rules;
    let mut rhythms = BTreeMap::new();
    for topic in app.settings.topics.keys() {
        let mut open = Channel::ALL
            .into_iter()
            .filter(|channel| cell(app, &person.customer, topic, *channel).locked.is_none())
            .peekable();
        let choosable = open.peek().is_some();
        let none = !open.any(|channel| wanted.contains(&format!("{topic}:{channel}")));
        if rules.is_mandatory(topic) && choosable && none {
            return Err("fault_mandatory");
        }
        let name = format!("rhythm:{topic}");
        let asked =
            fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        match asked {
            Some("at_once") => drop(rhythms.insert(topic.clone(), "at_once")),
            Some("daily") => drop(rhythms.insert(topic.clone(), "daily")),
            Some("weekly") => drop(rhythms.insert(topic.clone(), "weekly")),
            Some(_) => return Err("fault_form"),
            None => {}
        }
    }
    let shown = Slot::of(&person.customer.preferences.digest);
    let field = |name: &str| {
        fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim().to_owned())
    };
    let at = field("gathered_at").unwrap_or_else(|| shown.at());
    let day = field("gathered_day").unwrap_or_else(|| shown.day.to_string());
    let slot = Slot::read(&at, &day).ok_or("fault_gathered")?;
    Ok(Change::Topics { wanted, rhythms, slot })
}
