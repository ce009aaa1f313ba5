//! Promised calls, made by the house itself: at its time the contact centre is rung first, hears
//! whose call it is, and is then connected with the customer.
//!
//! The centre first, because then somebody is there when the customer picks up: nobody who was
//! promised a person waits for one, and no call of ours is silent or dropped. Where the centre
//! does not answer the promise runs out, and is moved or becomes a task as any other.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use crate::channel::{HandOverWindow, MailParts, Outgoing};
use crate::domain::call::{Go, Heard, Said, Stage};
use crate::domain::customer::Address;
use crate::domain::message::{Script, Shaped, Talk};
use crate::domain::time::Instant;
use crate::domain::token::Grant;
use crate::domain::{CaseId, Channel, CustomerId, NotificationId};
use crate::store::callbacks::Callback;
use crate::store::{Result, StoreError};
use crate::worker::{Stopping, stopped};

use super::super::App;
use super::super::centre::promised_calls::{Outcome, ended};
use super::super::centre::{Person, calls, person};
use super::centre_phone;

/// How often promised calls are looked for, and how many at a time.
const LOOK_EVERY: Duration = Duration::from_secs(15);
const AT_A_TIME: i64 = 20;

/// Rings the contact centre for every promised call whose time has come.
///
/// # Errors
/// `Unavailable` when the store is away; what is left is looked at again.
pub async fn run_once(app: &Arc<App>, now: Instant) -> Result<()> {
    if !app.settings.callback.dial || app.engine.behaviour.shadow || !calls::is_open(app, now) {
        return Ok(());
    }
    // A call may have been made after the copy was.
    if app.engine.store.restored_at().await?.is_some() {
        return Ok(());
    }
    for id in app.engine.store.callbacks_to_ring(now, AT_A_TIME).await? {
        let Some(call) = app.engine.store.open_callback(&id).await? else { continue };
        let whom = match person(app, &id, now).await {
            Err(StoreError::NotFound { .. }) => continue,
            whom => whom?,
        };
        // A customer without a number is left to the task, and hides no other.
        if app.engine.store.ring_callback(call.seq, now).await? && number_of(app, &whom).is_some() {
            ring(app, &id, call, now).await;
        }
    }
    Ok(())
}

/// Does so until the process is asked to stop.
pub async fn run(app: Arc<App>, mut stopping: Stopping) {
    loop {
        if let Err(error) = run_once(&app, app.engine.clock.now()).await {
            tracing::warn!(%error, "promised calls were not rung");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stopped(&mut stopping) => return,
        }
    }
}

/// A number of the customer's that may be used, in a country calls go to: one for calls, or
/// else for texts.
fn number_of(app: &App, person: &Person) -> Option<Address> {
    let live = app.engine.live.load();
    let rules = &live.rules;
    let caps = rules.caps.get(Channel::Voice).as_ref();
    let open = |to: &Address| caps.is_none_or(|caps| caps.open(to, &rules.countries).is_ok());
    let numbers = [Channel::Voice, Channel::Sms].into_iter();
    let mut numbers =
        numbers.flat_map(|channel| person.usable(channel)).map(|point| point.address.clone());
    numbers.find(open)
}

async fn ring(app: &Arc<App>, id: &CustomerId, call: Callback, now: Instant) {
    let engine = &app.engine;
    let Some(to) = centre_phone(app).map(|to| Address::stored(to.to_owned())) else { return };
    let case = CaseId("centre".into());
    let cause = format!("promised/{}", call.seq);
    let notification = NotificationId::derive("centre", "promised call", &cause, 0);
    let Some(gateway) = engine.letter_gateway(Channel::Voice, notification, now) else { return };
    let provider = gateway.name.kind();
    let domain = &engine.behaviour.mail_domain;
    let receipt = engine.keys.token(&Grant::Receipt { notification, no: 1 });
    let locale = engine.behaviour.default_locale.clone();
    let outgoing = Outgoing {
        notification,
        no: 1,
        to,
        to_name: String::new(),
        message_id: engine.keys.message_id(notification, domain),
        thread_id: engine.keys.thread_id(&case, id, domain),
        case,
        shaped: Shaped::Voice(Script { locale, talk: Some(Talk::default()), ..Script::default() }),
        unsubscribe: None,
        topic: "centre".into(),
        receipt_url: format!("{}/v1/receipts/{provider}?a={receipt}", engine.behaviour.public_url),
        call_url: Some(link(app, provider, id, call.seq, Stage::Answered, now)),
        at: now,
        mail: MailParts::default(),
    };
    let note = format!("the contact centre was rung for call {}", call.seq);
    let window = HandOverWindow::open(engine.behaviour.hand_over_window);
    if let Err(error) = engine.store.note_action(id, "promised_call", &note, now).await {
        tracing::warn!(%error, "a promised call was not noted, and not rung");
    } else if let Err(error) = gateway.provider.send(&outgoing, window).await {
        // Its time runs out, and the promise is moved or becomes a task.
        tracing::warn!(%error, "the contact centre was not rung");
    }
}

fn link(
    app: &App,
    provider: &str,
    customer: &CustomerId,
    seq: i64,
    stage: Stage,
    now: Instant,
) -> String {
    let until_s = (now + TimeDelta::hours(24)).timestamp();
    let grant = Grant::Promised { customer: customer.clone(), seq, stage, until_s };
    app.engine.call_link(provider, &grant)
}

/// What the contact centre hears of a promised call, and what comes of it.
///
/// # Errors
/// `NotFound` where the call is no longer promised, `Unavailable` when its end was not kept.
pub async fn turn(
    app: &Arc<App>,
    provider: &str,
    (id, seq): (CustomerId, i64),
    stage: Stage,
    heard: Heard,
) -> Result<Said> {
    let now = app.engine.clock.now();
    let locale = &app.engine.behaviour.default_locale;
    let say = |lines, then| Said {
        lines,
        voice: super::speech(app, provider).of(locale),
        slow: false,
        then,
    };
    let call = app.engine.store.open_callback(&id).await?.filter(|call| call.seq == seq);
    if stage == Stage::Transfer {
        let outcome = match heard {
            Heard::Talked => Outcome::Reached,
            _ => Outcome::NotReached,
        };
        if let Some(call) = call {
            ended(app, &id, call, outcome, now).await?;
        }
        return Ok(say(Vec::new(), Go::HangUp));
    }
    // A machine at the centre is nobody, and neither is who says nothing.
    if matches!(heard, Heard::Machine | Heard::Fax | Heard::Silence) || call.is_none() {
        return Ok(say(Vec::new(), Go::HangUp));
    }
    let whom = person(app, &id, now).await?;
    let Some(to) = number_of(app, &whom) else { return Ok(say(Vec::new(), Go::HangUp)) };
    let live = app.engine.live.load();
    let words = live.presentation.words(locale);
    let promised = words.get("voice_promised").map(String::as_str).unwrap_or_default();
    let name = whom.customer.profile.name.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines = vec![promised.replace("{name}", &name)];
    // Where nobody knows yet what picked up, a key shows that it is a person.
    if heard == Heard::Somebody {
        let press = words.get("voice_promised_press").cloned().unwrap_or_default();
        let url = link(app, provider, &id, seq, Stage::Answered, now);
        return Ok(say([lines, vec![press]].concat(), Go::Listen { url }));
    }
    let connect = Go::Connect {
        to: to.expose().to_owned(),
        hears_url: None,
        ended_url: link(app, provider, &id, seq, Stage::Transfer, now),
    };
    Ok(say(lines, connect))
}
