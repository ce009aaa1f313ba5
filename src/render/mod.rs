//! TEXT: message x presentation -> what goes on the wire. Reads files only at load.
//!
//! [`message`] says it once per language; [`email`], [`sms`] and [`voice`] put the same
//! message on each channel; [`locale`] writes dates and money; [`lint`] reads every message
//! as its readers will. Knows nothing of rules, addresses or providers.

pub mod calendar;
pub mod email;
pub mod lint;
pub mod locale;
pub mod message;
pub mod presentation;
pub mod sample;
pub mod sms;
pub mod voice;

use crate::domain::message::Shaped;
use crate::domain::{Channel, Message};

use serde::Serialize;

use locale::Setting;
use message::{Messages, RenderError, Scene};
use presentation::{Frame, Presentation};

/// A message as it was written, and as it goes on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub message: Message,
    pub shaped: Shaped,
}

/// How a message is to be written, besides what it is about.
#[derive(Debug, Clone, Copy)]
pub struct Manner<'a> {
    pub channel: Channel,
    /// The code that verifies the message.
    pub code: &'a str,
    /// Can the customer reply to a text?
    pub replies: bool,
    /// No case details where somebody else may look.
    pub discreet: bool,
    /// What may be answered, in the order of the rule: text 1, 2, …; keys 4, 5, …
    pub answers: &'a [String],
    pub company: Company<'a>,
}

/// What goes with a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Company<'a> {
    /// What rides in it, by priority.
    pub words: &'a [RiderWords],
    /// It is the daily or weekly message: its own words are the first of several.
    pub digest: bool,
    /// The first message a customer gets says why it comes this way: because they chose so,
    /// or because everybody begins like that.
    pub first: Option<bool>,
}

/// What a message says inside another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RiderWords {
    pub subject: String,
    pub changed: String,
    pub action: String,
    pub case_id: String,
}

/// Writes a message that rides in another one.
///
/// # Errors
/// When there is no such message, or it uses what the case does not have.
pub fn rider(
    messages: &Messages,
    name: &str,
    scene: &Scene<'_>,
) -> Result<RiderWords, RenderError> {
    let message = messages.render(name, scene)?;
    Ok(RiderWords {
        subject: message.subject,
        changed: message.changed,
        action: message.action,
        case_id: scene.case.id.0.clone(),
    })
}

/// Writes a message for one channel.
///
/// # Errors
/// When there is no such message, or it uses what the case does not have.
pub fn write(
    messages: &Messages,
    presentation: &Presentation,
    name: &str,
    scene: &Scene<'_>,
    manner: Manner<'_>,
) -> Result<Written, RenderError> {
    let mut message = messages.render(name, scene)?;
    message.keep_answers(manner.answers);
    let shaped = shape(messages, presentation, &message, scene, manner)?;
    Ok(Written { message, shaped })
}

/// Puts a written message on one channel.
///
/// # Errors
/// When a layout uses what is not there.
pub fn shape(
    messages: &Messages,
    presentation: &Presentation,
    message: &Message,
    scene: &Scene<'_>,
    manner: Manner<'_>,
) -> Result<Shaped, RenderError> {
    let earlier: Vec<String> =
        scene.skipped.iter().filter_map(|step| messages.changed(step, scene)).collect();
    let frame = Frame {
        message,
        scene,
        earlier: &earlier,
        code: manner.code,
        replies: manner.replies,
        discreet: manner.discreet,
        company: manner.company,
        needs: scene.customer.preferences.needs.as_deref().unwrap_or_default(),
        left_out: 0,
        wait_min: scene.wait_min,
    };
    let setting = || Setting {
        language: messages.languages().get(&message.locale),
        zone: scene.zone.clone(),
    };
    Ok(match manner.channel {
        Channel::Email => Shaped::Email(presentation.email(&frame, setting())?),
        Channel::Sms => Shaped::Sms(presentation.sms(&frame, setting)?),
        Channel::Voice => Shaped::Voice(presentation.voice(&frame, setting())?),
    })
}
