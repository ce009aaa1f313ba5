//! What a customer sees of their own matters: what is planned next, the open cases, and what
//! became of each message, with why.

use std::collections::HashMap;

use chrono::TimeDelta;
use serde::Serialize;

use crate::app::pages::Pages;
use crate::domain::reason::{Verdict, Voice};
use crate::domain::time::{Instant, from_ms, instant, local};
use crate::domain::{Case, CaseChoice, CaseId, Channel, Notification, NotificationId, Reason};
use crate::planning::promise::promise;
use crate::planning::schedule::at_local;
use crate::render::message::Scene;
use crate::store::history::Past;
use crate::store::steering::Steer;
use crate::store::{Result, StoreError};

use super::{App, Person, act, topic_title};

/// How far back the history goes, in days.
const HISTORY_DAYS: i64 = 90;

/// Messages on one page of the history.
pub const PAGE: usize = 40;

/// Planned messages and cases that are shown.
const MAX_SHOWN: i64 = 12;

/// A message that is planned.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedLine {
    pub id: String,
    pub title: String,
    pub case: String,
    /// RFC 3339.
    pub at: String,
    /// It cannot be switched off.
    pub mandatory: bool,
    /// The first and last local time it may be moved to, as a form writes them.
    pub move_from: String,
    pub move_to: String,
}

/// An open case.
#[derive(Debug, Clone, Serialize)]
pub struct CaseLine {
    pub id: String,
    pub title: String,
    pub opened_at: String,
    /// When the next message about it is planned.
    pub next_at: Option<String>,
    /// The last day by which we promised another word.
    pub promised_by: Option<String>,
    /// `usual`, a channel, or `muted`.
    pub choice: String,
}

/// A message of the past.
#[derive(Debug, Clone, Serialize)]
pub struct PastLine {
    pub at: String,
    pub title: String,
    pub case: String,
    pub status: &'static str,
    pub channel: Option<String>,
    /// Masked.
    pub address: Option<String>,
    pub why: Vec<String>,
}

/// The first page of all.
#[derive(Debug, Clone, Serialize)]
pub struct Overview {
    pub planned: Vec<PlannedLine>,
    pub cases: Vec<CaseLine>,
}

/// Reads the overview.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn overview(app: &App, person: &Person, now: Instant) -> Result<Overview> {
    let store = &app.engine.store;
    let id = &person.customer.id;
    let rules = &app.engine.live.load_full().rules;
    let planned = store.planned_for(id, MAX_SHOWN).await?;
    let known = store.cases_of(id, MAX_SHOWN).await?;
    let open = known.iter().filter(|case| {
        let journey = rules.journeys.of(&case.case_type, &case.id);
        journey.is_some_and(|journey| !journey.is_final(case.state.as_deref()))
    });
    let open: Vec<&Case> = open.collect();
    let standing = store.cases(open.iter().map(|case| &case.id)).await?;
    let told = store.history_of(id, now - TimeDelta::days(HISTORY_DAYS), now, 100).await?;
    let words = store.last_words(open.iter().map(|case| &case.id)).await?;
    let zone = rules.zone_of(&person.customer);
    let promised_by = |case: &Case| {
        let journey = rules.journeys.of(&case.case_type, &case.id)?;
        let from = words.get(&case.id).copied().unwrap_or(case.customer_since);
        let promised = promise(from, journey.promise?, &zone, rules.calendar(journey));
        (promised.due_at > now).then(|| promised.alarm_at.to_rfc3339())
    };
    let mut cases = Vec::new();
    for case in open {
        let last = told
            .iter()
            .find(|past| past.notification.case == case.id && past.notification.status.is_told());
        let next = planned.iter().find(|n| n.case == case.id);
        let title = last.map(|past| title(app, person, case, &past.notification, now));
        let choice = standing.get(&case.id).map(|standing| standing.choice).unwrap_or_default();
        cases.push(CaseLine {
            id: case.id.0.clone(),
            title: title.unwrap_or_default(),
            opened_at: case.opened_at.to_rfc3339(),
            next_at: next.map(|n| n.next_at.to_rfc3339()),
            promised_by: promised_by(case),
            choice: choice_name(choice),
        });
    }
    let by_id: HashMap<&CaseId, &Case> = known.iter().map(|case| (&case.id, case)).collect();
    let clock = |at: Instant| local(at, &person.reader.zone).strftime("%Y-%m-%dT%H:%M").to_string();
    let planned = planned.iter().map(|n| PlannedLine {
        id: n.id.to_string(),
        title: by_id.get(&n.case).map_or_else(
            || topic_title(app, &n.topic, &person.reader.locale),
            |case| title(app, person, case, n, now),
        ),
        case: n.case.0.clone(),
        at: n.next_at.to_rfc3339(),
        mandatory: rules.is_mandatory(&n.topic),
        move_from: clock(now + TimeDelta::minutes(5)),
        // A minute before it is worth nothing: forms know no seconds.
        move_to: clock(n.expires_at - TimeDelta::minutes(1)),
    });
    Ok(Overview { planned: planned.collect(), cases })
}

fn choice_name(choice: CaseChoice) -> String {
    match choice {
        CaseChoice { muted: true, .. } => "muted".into(),
        CaseChoice { channel: Some(channel), .. } => channel.to_string(),
        CaseChoice { channel: None, .. } => "usual".into(),
    }
}

/// A message's subject in the customer's language; where it cannot be written any more, its
/// topic. A discreet customer reads the topic too.
fn title(app: &App, person: &Person, case: &Case, n: &Notification, now: Instant) -> String {
    let engine = &app.engine;
    let live = engine.live.load_full();
    let Person { customer, reader } = person;
    let topic = || topic_title(app, &n.topic, &reader.locale);
    let notice = live.rules.journeys.of(&n.case_type, &n.case).and_then(|j| j.notice(&n.notice));
    let Some(notice) = notice else { return topic() };
    if customer.preferences.discreet == Some(true) {
        return topic();
    }
    let case = Case { state: n.state.clone().or_else(|| case.state.clone()), ..case.clone() };
    let links = engine.pen().links(&customer.id, n, Channel::Email, now);
    let scene = Scene {
        case: &case,
        customer,
        sender: &engine.behaviour.sender,
        links: &links,
        skipped: &[],
        now,
        next_word: None,
        wait_min: None,
        zone: reader.zone.clone(),
        locale: reader.locale.clone(),
    };
    live.messages.render(&notice.message, &scene).map_or_else(|_| topic(), |m| m.subject)
}

/// A page of the history, newest first, planned up to `until`; and where the next one begins.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn history(
    app: &App,
    person: &Person,
    until: Instant,
    now: Instant,
) -> Result<(Vec<PastLine>, Option<i64>)> {
    let store = &app.engine.store;
    let since = now - TimeDelta::days(HISTORY_DAYS);
    let limit = i64::try_from(PAGE + 1).expect("a small number");
    let mut past = store.history_of(&person.customer.id, since, until, limit).await?;
    // Where more follows, the next page begins with the first one left out.
    let next = past.get(PAGE).map(|past| past.notification.planned_at.timestamp_millis());
    past.truncate(PAGE);
    past.sort_by_key(|past| std::cmp::Reverse(past.at_ms));
    let cases = store.cases(past.iter().map(|past| &past.notification.case)).await?;
    let lines = past.into_iter().map(|past| {
        let n = &past.notification;
        let case = cases.get(&n.case);
        PastLine {
            at: from_ms(past.at_ms).to_rfc3339(),
            title: case.map_or_else(
                || topic_title(app, &n.topic, &person.reader.locale),
                |standing| title(app, person, &standing.case, n, now),
            ),
            case: n.case.0.clone(),
            status: n.status.as_str(),
            channel: past.channel.clone(),
            address: past.address.as_ref().map(ToString::to_string),
            why: why(&app.pages, &person.reader.locale, &past),
        }
    });
    Ok((lines.collect(), next))
}

/// Why a message came, or did not, in the customer's language.
fn why(pages: &Pages, locale: &str, past: &Past) -> Vec<String> {
    let words = pages.words(locale);
    let mut why = Vec::new();
    for reason in &past.reasons {
        let (key, channel) = match reason {
            Reason::Candidate { channel, verdict } => match verdict {
                Verdict::Taken { by } => (format!("why_by_{}", voice(*by)), Some(*channel)),
                Verdict::Refused { by } => (format!("why_not_{}", voice(*by)), Some(*channel)),
                Verdict::SuppressedAddress { .. } => ("why_suppressed".into(), Some(*channel)),
                Verdict::Unverified => ("why_unverified".into(), Some(*channel)),
                _ => continue,
            },
            other => (format!("why_{}", other.code()), None),
        };
        let Some(sentence) = words.get(&key) else { continue };
        let by = channel.and_then(|channel| words.get(&format!("by_{channel}")));
        let sentence = sentence.replace("{channel}", by.map_or("", String::as_str));
        if !why.contains(&sentence) {
            why.push(sentence);
        }
    }
    if let (true, Some(sentence)) = (why.is_empty(), words.get("why_your_matter")) {
        why.push(sentence.clone());
    }
    why
}

const fn voice(by: Voice) -> &'static str {
    match by {
        Voice::Stop => "stop",
        Voice::Need => "need",
        Voice::CaseChoice => "case_choice",
        Voice::TopicChoice => "topic_choice",
        Voice::ChannelOrder => "channel_order",
        Voice::TopicDefault => "topic_default",
        Voice::Mandatory => "mandatory",
    }
}

/// Does what the customer asks with one planned message: `now`, `mute`, or `move` to a local
/// time as a form writes it. Answers the word that confirms it.
///
/// # Errors
/// `NotFound` when it is not planned any more, `Refused` when that cannot be done with it.
pub async fn steer(
    app: &App,
    person: &Person,
    id: &str,
    (what, to): (&str, &str),
    now: Instant,
) -> Result<&'static str> {
    let store = &app.engine.store;
    let refused = |word: &str| StoreError::Refused(word.to_owned());
    let id = NotificationId::parse(id).map_err(|_| refused("fault_form"))?;
    let n = store.one_notification(&id).await?;
    let mandatory = app.engine.live.load().rules.is_mandatory(&n.topic);
    let (steer, word) = match what {
        "now" => (Steer::Now, "done_now"),
        "mute" if mandatory => return Err(refused("fault_mandatory_message")),
        "mute" => (Steer::Mute, "done_mute"),
        "move" => {
            let wanted: jiff::civil::DateTime = to.parse().map_err(|_| refused("fault_move"))?;
            let at = at_local(wanted, &person.reader.zone);
            if at <= now {
                return Err(refused("fault_move"));
            }
            (Steer::MoveTo(at), "done_move")
        }
        _ => return Err(refused("fault_form")),
    };
    match store.steer(&person.customer.id, &id, steer, now).await {
        Err(StoreError::Refused(_)) => return Err(refused("fault_too_late")),
        done => done?,
    }
    app.engine.wake.notify_one();
    Ok(word)
}

/// Sets the choice for one case of the customer's and reads it back. Was anything refused by
/// it that was allowed before?
///
/// # Errors
/// `NotFound` when the case is not theirs.
pub async fn choose_for_case(
    app: &App,
    person: &Person,
    case: &str,
    choice: &str,
    now: Instant,
) -> Result<bool> {
    let store = &app.engine.store;
    let case = CaseId(case.to_owned());
    if !store.is_case_of(&case, &person.customer.id).await? {
        return Err(StoreError::NotFound { what: "the case".into() });
    }
    let choice = match choice {
        "usual" => CaseChoice::default(),
        "muted" => CaseChoice { channel: None, muted: true },
        channel => {
            let channel = channel.parse().map_err(|_| StoreError::Refused("fault_form".into()))?;
            CaseChoice { channel: Some(channel), muted: false }
        }
    };
    store.choose_for_case(&case, choice, &act(app, "centre").source, now).await?;
    let stored = store.cases([&case]).await?.remove(&case).map(|standing| standing.choice);
    if stored != Some(choice) {
        return Err(StoreError::Conflict { detail: "the choice was made twice at once".into() });
    }
    Ok(choice.muted)
}

/// The end of the local day, from which a history is read.
#[must_use]
pub fn end_of_today(person: &Person, now: Instant) -> Instant {
    let today = local(now, &person.reader.zone);
    today.end_of_day().map_or(now, |end| instant(&end))
}
