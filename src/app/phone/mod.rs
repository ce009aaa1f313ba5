//! Calls while they last: what is said next, what a key does, and what became of a call.
//!
//! [`crate::domain::call`] decides; here is what it asks for: the reading, the doing, the
//! words. Every provider's door comes to [`turn`].

mod asterisk;
mod held;
mod left_behind;
mod lookout;
pub mod promised;
mod synthesis;

use std::sync::Arc;

use crate::config::{Telephone, TelephoneProvider};
use crate::domain::call::{
    Act, Done, Go, Heard, House, Line, MAX_ANSWERS, Progress, Said, Slot, Speech, Stage, Step,
    Then, Turn, progress, step,
};
use crate::domain::message::{Script, Shaped};
use crate::domain::time::Instant;
use crate::domain::token::Grant;
use crate::domain::{Channel, Customer, Notification, NotificationId};
use crate::planning::Telling;
use crate::planning::routing::consent;
use crate::render::locale::{Setting, spoken_number};
use crate::render::voice::Standing;
use crate::store::calls::PhoneCall;
use crate::store::consent::{OwnWord, STOP};
use crate::store::{Result, StoreError};
use crate::worker::writing::{Riding, write_message};

use asterisk::Switchboard;
use synthesis::Synthesis;

pub use lookout::Pace;

use super::centre::{self, Person, calls, letters};
use super::gateways::exchange;
pub use super::gateways::process;
use super::{App, answers, barrier};

/// Acts one key may lead to; a machine that asks for more is broken.
const MAX_ACTS: usize = 3;

/// How long the addresses of a call work, in seconds: longer than any call lasts.
const CALL_S: i64 = 24 * 60 * 60;

/// What a call is about, as it stands while somebody listens.
struct Matter {
    id: NotificationId,
    no: i64,
    call: PhoneCall,
    notification: Notification,
    customer: Customer,
    house: House,
    now: Instant,
}

/// What the call of an attempt says next, through `provider`.
///
/// # Errors
/// `NotFound` where the attempt is no call, or its customer was erased; `Unavailable` when
/// what was pressed could not be kept: the provider asks again.
pub async fn turn(
    app: &Arc<App>,
    provider: &str,
    (id, no): (NotificationId, i64),
    stage: Stage,
    heard: Heard,
) -> Result<Said> {
    let matter = read(app, id, no).await?;
    if matches!(heard, Heard::Key(_)) {
        app.engine.store.note_sign(&id, true, matter.now).await?;
    }
    let turn = follow(app, &matter, stage, heard).await?;
    app.engine.store.note_progress(&id, no, progress(&turn)).await?;
    say(app, provider, &matter, turn).await
}

async fn read(app: &App, id: NotificationId, no: i64) -> Result<Matter> {
    let (store, now) = (&app.engine.store, app.engine.clock.now());
    let call = store.phone_call(&id, no).await?;
    let notification = store.one_notification(&id).await?;
    let customer = store.customer(&notification.customer, now).await?;
    let talk = call.script.talk.as_ref();
    let house = House {
        centre: centre_phone(app).is_some(),
        open: calls::is_open(app, now),
        slot: Some(next_slot(app, now).await?),
        copy: copy_channel(app, &notification, &customer).await?,
        answers: talk.map_or(0, |talk| talk.answers.len().min(MAX_ANSWERS)),
    };
    Ok(Matter { id, no, call, notification, customer, house, now })
}

/// The ear of the exchange that calls go by; `None` where they go by a provider, or nowhere.
#[must_use]
pub fn switchboard(app: &Arc<App>) -> Option<Switchboard> {
    switchboard_as(app, process(), Pace::default())
}

/// The same for a process of this name, with a pace of its own.
#[must_use]
pub fn switchboard_as(app: &Arc<App>, process: &str, pace: Pace) -> Option<Switchboard> {
    let mut voices = app.settings.channels.voice.each().iter();
    let voice = voices.find(|voice| voice.provider == TelephoneProvider::Asterisk)?;
    let exchange = exchange(voice, process).ok().filter(|_| !app.engine.behaviour.shadow)?;
    let synthesis = Synthesis { command: voice.speak.clone(), dir: voice.sounds.clone() };
    Some(Switchboard::new(Arc::clone(app), exchange, synthesis, pace))
}

/// The contact centre's number, or else the house's own.
#[must_use]
pub fn centre_phone(app: &App) -> Option<&str> {
    let settings = &app.settings;
    settings.contact_centre.phone.as_deref().or(settings.sender.phone.as_deref())
}

async fn next_slot(app: &App, now: Instant) -> Result<Slot> {
    let free = calls::free_windows(app, now).await?;
    Ok(free.first().map_or(Slot::Soon, |from| Slot::At(from.timestamp_millis())))
}

/// How the message can be had in writing: as the customer allows it for this topic.
async fn copy_channel(
    app: &App,
    notification: &Notification,
    customer: &Customer,
) -> Result<Option<Channel>> {
    let engine = &app.engine;
    let live = engine.live.load();
    let choice = engine.store.cases([&notification.case]).await?;
    let choice = choice.get(&notification.case).map(|standing| standing.choice).unwrap_or_default();
    let fits = |channel: &Channel| {
        let topic = &notification.topic;
        let usable = |point: &crate::domain::ContactPoint| {
            point.channel == *channel && point.verified && point.suppressed.is_none()
        };
        consent(topic, *channel, customer, choice, &live.rules).is_ok()
            && !engine.gateways.get(*channel).is_empty()
            && customer.contact_points.iter().any(usable)
    };
    Ok([Channel::Sms, Channel::Email].into_iter().find(fits))
}

/// Asks the machine, and does what it asks for, until it has something to say.
async fn follow(app: &Arc<App>, matter: &Matter, stage: Stage, heard: Heard) -> Result<Turn> {
    let mut heard = heard;
    for _ in 0..MAX_ACTS {
        match step(stage, &heard, &matter.house) {
            Step::Say(turn) => return Ok(turn),
            Step::Do(act) => heard = Heard::Done(carry_out(app, matter, act).await?),
        }
    }
    Ok(Turn { lines: vec![Line::Goodbye], then: Then::HangUp })
}

async fn carry_out(app: &Arc<App>, matter: &Matter, act: Act) -> Result<Done> {
    match act {
        Act::Stop => {
            let why = OwnWord { reason: "the customer pressed 9", source: STOP };
            let to = &matter.call.to;
            let pending = barrier::stop(app, Channel::Voice, to, why, true).await?;
            Ok(Done::Stopped { pending })
        }
        Act::Answer(place) => {
            let key = (place + crate::domain::call::FIRST_ANSWER).to_string();
            match answers::press(app, matter.id, &key, matter.now).await {
                Ok(question) => {
                    let live = app.engine.live.load();
                    let words = live.presentation.words(&question.message.locale);
                    let said = answers::said(words, &question, None);
                    Ok(said.map_or(Done::Nothing, Done::Answered))
                }
                Err(StoreError::NotFound { .. }) => Ok(Done::Nothing),
                Err(error) => Err(error),
            }
        }
        Act::Copy(channel) => {
            let Some((person, shaped)) = written_copy(app, matter, channel).await? else {
                return Ok(Done::Nothing);
            };
            // Asked twice, by a provider that repeats itself, it is sent once.
            let first = app.engine.store.note_progress(&matter.id, matter.no, Progress::Copied);
            if first.await? {
                letters::copy(app, &person, channel, shaped, matter.now);
            }
            Ok(Done::Copied(channel))
        }
        Act::Book(slot) => {
            let (customer, case) = (&matter.customer.id, &matter.notification.case);
            let how = format!("they asked for it during our call about case {case}");
            match calls::book(app, customer, Some(case), slot, &how, matter.now).await {
                Ok(()) => Ok(Done::Booked(slot)),
                Err(StoreError::Refused(_)) => Ok(Done::SlotGone),
                Err(error) => Err(error),
            }
        }
    }
}

/// The same message in writing, as it stands now; `None` where it cannot be written.
async fn written_copy(
    app: &Arc<App>,
    matter: &Matter,
    channel: Channel,
) -> Result<Option<(Person, Shaped)>> {
    let engine = &app.engine;
    let live = engine.live.load_full();
    let Matter { notification, customer, .. } = matter;
    let cases = engine.store.cases([&notification.case]).await?;
    let journey = live.rules.journeys.of(&notification.case_type, &notification.case);
    let notice = journey.and_then(|journey| journey.notice(&notification.notice));
    let (Some(standing), Some(journey), Some(notice)) =
        (cases.get(&notification.case), journey, notice)
    else {
        return Ok(None);
    };
    let case = &standing.case;
    let telling = Telling { notification, notice, journey, case, customer };
    let alone = Riding::default();
    match write_message(engine.pen(), &live, telling, &alone, channel, matter.now) {
        Ok(written) => {
            let person = centre::person(app, &customer.id, matter.now).await?;
            Ok(Some((person, written.shaped)))
        }
        Err(why) => {
            tracing::error!(%why, "the copy of a call could not be written");
            Ok(None)
        }
    }
}

/// Puts a turn into words.
async fn say(app: &App, provider: &str, matter: &Matter, turn: Turn) -> Result<Said> {
    let engine = &app.engine;
    let live = engine.live.load_full();
    let Script { locale, slow, .. } = &matter.call.script;
    let wait = engine.store.wait_time(Channel::Voice, matter.now).await?;
    let standing = Standing {
        wait: wait.and_then(|wait| live.presentation.wait(locale, wait.minutes())),
        phone: app.settings.sender.phone.as_deref().map(spoken_number),
    };
    let setting = Setting {
        language: live.messages.languages().get(reader_of(&matter.customer, locale)),
        zone: live.rules.zone_of(&matter.customer),
    };
    let when = |at: Instant| setting.datetime(at);
    let spoken = |line| live.presentation.spoken(line, &matter.call.script, &standing, &when);
    let lines = turn.lines.iter().flat_map(spoken).collect();
    let link = |stage| {
        let until_s = matter.now.timestamp() + CALL_S;
        let grant = Grant::Call { notification: matter.id, no: matter.no, stage, until_s };
        engine.call_link(provider, &grant)
    };
    let then = match (turn.then, centre_phone(app)) {
        (Then::Listen(stage), _) => Go::Listen { url: link(stage) },
        (Then::Transfer, Some(to)) => Go::Connect {
            to: to.to_owned(),
            hears_url: Some(link(Stage::Desk)),
            ended_url: link(Stage::Transfer),
        },
        (Then::Join, _) => Go::Join,
        (Then::Transfer, None) | (Then::HangUp, _) => Go::HangUp,
    };
    Ok(Said { lines, voice: speech(app, provider).of(locale), slow: *slow, then })
}

/// In whose manner dates are said: the customer's where they speak the language of the text.
fn reader_of<'a>(customer: &'a Customer, text: &'a str) -> &'a str {
    let language = text.split('-').next().unwrap_or(text);
    let own = customer.profile.locale.as_deref();
    own.filter(|own| own.split('-').next() == Some(language)).unwrap_or(text)
}

/// The voices of the provider a call goes by.
fn speech<'a>(app: &'a App, provider: &str) -> &'a Speech {
    let voice = &app.settings.channels.voice;
    let by = |one: &&Telephone| one.provider.speaks_as(provider);
    &voice.each().iter().find(by).unwrap_or(voice).speech
}
