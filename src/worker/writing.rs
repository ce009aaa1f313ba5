//! Writes what is due: the words of a message on its channel, with what rides in it, and the
//! headers and links that go with them.

use chrono::TimeDelta;

use crate::channel::{MailParts, Outgoing};
use crate::domain::call::Stage;
use crate::domain::customer::Address;
use crate::domain::message::{CalendarEntry, Script, Shaped};
use crate::domain::reason::Voice;
use crate::domain::time::{Instant, parse_instant};
use crate::domain::token::{Grant, Keyring};
use crate::domain::{Channel, CustomerId, Notification, NotificationId};
use crate::planning::Telling;
use crate::planning::fit::{ChannelNeed, unmet};
use crate::planning::promise::promise;
use crate::render::calendar::{Appointment, entry};
use crate::render::message::{Links, RenderError, Scene, SkippedStep};
use crate::render::{Company, Manner, RiderWords, Written, rider, write};
use crate::store::callbacks::WaitTime;

use super::dispatch::Claimed;
use super::{Behaviour, Engine, Live};

/// How long a link in a message opens the customer's page.
const CENTRE_LINK_DAYS: i64 = 30;

/// Who writes: what texts and links are made with.
#[derive(Debug, Clone, Copy)]
pub struct Pen<'a> {
    pub behaviour: &'a Behaviour,
    pub keys: &'a Keyring,
}

impl Pen<'_> {
    /// The links of one notification.
    #[must_use]
    pub fn links(
        self,
        customer: &CustomerId,
        notification: &Notification,
        channel: Channel,
        now: Instant,
    ) -> Links {
        let base = &self.behaviour.public_url;
        let until_s = link_until_s(now);
        let centre = self.centre_link(customer, until_s);
        Links {
            callback: format!("{centre}#call"),
            centre,
            verify: format!("{base}/m/{}", notification.code),
            answer: format!("{base}/a/{}", self.answer_token(notification.id, now)),
            unsubscribe: self.unsubscribe_link(customer, &notification.topic, channel),
        }
    }

    fn answer_token(self, notification: NotificationId, now: Instant) -> String {
        self.keys.token(&Grant::Answer { notification, until_s: link_until_s(now) })
    }

    /// A link to a customer's own page that works until `until_s` (seconds since 1970).
    #[must_use]
    pub fn centre_link(self, customer: &CustomerId, until_s: i64) -> String {
        let token = self.keys.token(&Grant::Centre { customer: customer.clone(), until_s });
        format!("{}/c/{token}", self.behaviour.public_url)
    }

    fn unsubscribe_link(self, customer: &CustomerId, topic: &str, channel: Channel) -> String {
        let grant =
            Grant::Unsubscribe { customer: customer.clone(), topic: topic.to_owned(), channel };
        format!("{}/u/{}", self.behaviour.public_url, self.keys.token(&grant))
    }
}

/// When the links of a message written at `now` end. Whole days, so that a message written
/// twice on one day has the same bytes.
fn link_until_s(now: Instant) -> i64 {
    (now + TimeDelta::days(CENTRE_LINK_DAYS)).timestamp() / 86_400 * 86_400
}

/// What goes with a message: what rides in it, whether it is the first its customer gets, and
/// how long people wait for a person now.
#[derive(Debug, Default)]
pub struct Riding {
    pub words: Vec<RiderWords>,
    /// All of it is the customer's daily or weekly message.
    pub digest: bool,
    /// The first one says whose word chose the channel.
    pub first: Option<Voice>,
    /// How long a call back takes now.
    pub wait: Option<WaitTime>,
    /// It comes from a sender nobody can reply to.
    pub one_way: bool,
}

/// Writes what a notification says at `now`, for one channel.
///
/// # Errors
/// A sentence that names the message and what it misses.
pub fn write_message(
    pen: Pen<'_>,
    live: &Live,
    telling: Telling<'_>,
    riding: &Riding,
    channel: Channel,
    now: Instant,
) -> Result<Written, String> {
    let Telling { notification, notice, customer, .. } = telling;
    let behaviour = pen.behaviour;
    let discreet = customer.preferences.discreet.unwrap_or(false)
        || unmet(&notice.needs, channel).contains(&ChannelNeed::Private);
    let manner = Manner {
        channel,
        code: &notification.code,
        replies: behaviour.sms_replies && !riding.one_way,
        discreet,
        answers: &notice.answers,
        company: Company {
            words: &riding.words,
            digest: riding.digest,
            first: riding.first.map(|by| by != Voice::TopicDefault),
        },
    };
    let wait_min = riding.wait.map(|wait| wait.minutes());
    set_scene(pen, live, telling, channel, now, |scene| {
        let scene = Scene { wait_min, ..scene.clone() };
        write(&live.messages, &live.presentation, &notice.message, &scene, manner)
    })
}

/// Writes what a notification says inside another message.
///
/// # Errors
/// A sentence that names the message and what it misses.
pub fn rider_words(
    pen: Pen<'_>,
    live: &Live,
    telling: &Telling<'_>,
    now: Instant,
) -> Result<RiderWords, String> {
    let name = &telling.notice.message;
    set_scene(pen, live, *telling, Channel::Email, now, |scene| rider(&live.messages, name, scene))
}

fn set_scene<T>(
    pen: Pen<'_>,
    live: &Live,
    telling: Telling<'_>,
    channel: Channel,
    now: Instant,
    write: impl FnOnce(&Scene<'_>) -> Result<T, RenderError>,
) -> Result<T, String> {
    let Telling { notification, journey, case, customer, .. } = telling;
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
    let behaviour = pen.behaviour;
    let links = pen.links(&customer.id, notification, channel, now);
    let zone = live.rules.zone_of(customer);
    let next_word = journey.promise.map(|every| {
        let calendar = live.rules.calendar(journey);
        promise(now, every, &zone, calendar).alarm_at
    });
    let scene = Scene {
        case,
        customer,
        sender: &behaviour.sender,
        links: &links,
        skipped: &skipped,
        now,
        zone,
        next_word,
        wait_min: None,
        locale: customer.profile.locale.clone().unwrap_or_else(|| behaviour.default_locale.clone()),
    };
    write(&scene).map_err(|error| error.to_string())
}

/// Puts a written message into its envelope.
pub fn address_it(
    engine: &Engine,
    live: &Live,
    claimed: &Claimed,
    channel: Channel,
    address: Address,
    written: Written,
    now: Instant,
) -> Outgoing {
    let Claimed { notification, customer, .. } = claimed;
    let behaviour = &engine.behaviour;
    let unsubscribe = (!live.rules.is_mandatory(&notification.topic))
        .then(|| engine.pen().unsubscribe_link(&customer.id, &notification.topic, channel));
    let thread_id = engine.keys.thread_id(&notification.case, &customer.id, &behaviour.mail_domain);
    let calendar = match &written.shaped {
        Shaped::Email(text) => calendar(engine, live, claimed, &thread_id, &text.subject, now),
        Shaped::Sms(_) | Shaped::Voice(_) => None,
    };
    Outgoing {
        notification: notification.id,
        no: 0,
        case: notification.case.clone(),
        to: address,
        to_name: customer.profile.name.clone(),
        shaped: written.shaped,
        message_id: engine.keys.message_id(notification.id, &behaviour.mail_domain),
        thread_id,
        unsubscribe,
        topic: notification.topic.clone(),
        receipt_url: String::new(),
        call_url: None,
        at: now,
        mail: MailParts {
            notice: notification.notice.clone(),
            case_type: notification.case_type.clone(),
            calendar,
            ..MailParts::default()
        },
    }
}

/// What a mail puts into the customer's calendar, where its notice says so and the facts say
/// when. One entry for a case: its sequence rises with each event of the case.
fn calendar(
    engine: &Engine,
    live: &Live,
    claimed: &Claimed,
    uid: &str,
    summary: &str,
    now: Instant,
) -> Option<CalendarEntry> {
    let Claimed { notification, case, customer, .. } = claimed;
    let journey = live.rules.journeys.of(&notification.case_type, &notification.case)?;
    let rule = journey.notice(&notification.notice)?.calendar.as_ref()?;
    let text = |fact: &str| case.facts.get(fact).and_then(serde_json::Value::as_str);
    let instant = |fact: &str| text(fact).and_then(|text| parse_instant(text).ok());
    let start = instant(&rule.start);
    if start.is_none() && !rule.cancel {
        return None;
    }
    let minutes = i64::try_from(rule.lasts.rough_minutes()).unwrap_or(60);
    let lasts = || start.map(|start| start + TimeDelta::minutes(minutes));
    let end = rule.end.as_deref().and_then(instant).or_else(lasts);
    // A calendar is looked at by others.
    let discreet = customer.preferences.discreet.unwrap_or(false);
    let place = rule.place.as_deref().filter(|_| !discreet).and_then(text);
    let organizer = (engine.behaviour.sender.name.as_str(), engine.behaviour.mail_from.as_str());
    let appointment = Appointment {
        uid,
        sequence: case.revision,
        cancelled: rule.cancel,
        start,
        end: end.filter(|end| start.is_some_and(|start| *end > start)),
        summary,
        place,
        organizer,
        now,
    };
    Some(entry(&appointment))
}

/// Fills in what is known only once the attempt has its number.
pub fn number(engine: &Engine, outgoing: &mut Outgoing, kind: &str, no: i64) {
    let grant = Grant::Receipt { notification: outgoing.notification, no };
    outgoing.no = no;
    outgoing.mail.bounce_token = engine.keys.bounce_token(outgoing.notification, no);
    outgoing.receipt_url = format!(
        "{}/v1/receipts/{kind}?a={}",
        engine.behaviour.public_url,
        engine.keys.token(&grant)
    );
    if let Shaped::Voice(Script { talk: Some(_), .. }) = &outgoing.shaped {
        let (notification, until_s) = (outgoing.notification, link_until_s(outgoing.at));
        let grant = Grant::Call { notification, no, stage: Stage::Answered, until_s };
        outgoing.call_url = Some(engine.call_link(kind, &grant));
    }
}
