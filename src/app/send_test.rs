//! `tidings doctor --send-test`: one message that says it is a test, by each provider of a
//! channel, past the store. Nothing is recorded: what a provider answers is shown.

use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

use crate::channel::{Gateway, HandOverWindow, MailParts, Outgoing};
use crate::clock::Clock;
use crate::config::Settings;
use crate::domain::customer::Address;
use crate::domain::message::{EmailText, Script, Shaped, SmsText};
use crate::domain::token::{Grant, Keyring};
use crate::domain::{CaseId, Channel, NotificationId};
use crate::render::sms;

use super::{AppError, gateways};

/// Where a test goes: `ada@example.com`, `+447911123456` (a text), `voice:+447911123456`.
#[derive(Debug, Clone)]
pub struct Target {
    channel: Channel,
    address: Address,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (channel, address) = match text.split_once(':') {
            Some((channel, address)) => (channel.parse()?, address),
            None if text.contains('@') => (Channel::Email, text),
            None => (Channel::Sms, text),
        };
        Ok(Self { channel, address: Address::parse(channel, address)? })
    }
}

/// What one provider answered.
#[derive(Debug, Clone, Serialize)]
pub struct Tested {
    pub channel: Channel,
    pub provider: String,
    pub taken: bool,
    pub answer: String,
    pub took_ms: u128,
}

/// Sends a test to each target by every provider of its channel, one after the other.
///
/// # Errors
/// When a provider cannot be made of its settings.
pub async fn send_test(settings: &Settings, targets: &[Target]) -> Result<Vec<Tested>, AppError> {
    let gateways = gateways(settings)?;
    // Its tokens open nothing: a receipt of a test is about no attempt of the store.
    let keys = Keyring::new(rand::random());
    let mut tested = Vec::new();
    for Target { channel, address } in targets {
        for gateway in gateways.get(*channel) {
            tested.push(send(settings, &keys, gateway, *channel, address).await);
        }
    }
    Ok(tested)
}

async fn send(
    settings: &Settings,
    keys: &Keyring,
    gateway: &Gateway,
    channel: Channel,
    address: &Address,
) -> Tested {
    let outgoing = outgoing(settings, keys, gateway, channel, address);
    let window = HandOverWindow::open(Duration::from_secs(5));
    let began = std::time::Instant::now();
    let answer = gateway.provider.send(&outgoing, window).await;
    Tested {
        channel,
        provider: gateway.name.to_string(),
        taken: answer.is_ok(),
        answer: match answer {
            Ok(taken) => {
                [taken.detail, taken.provider_ref.unwrap_or_default()].join(" ").trim().to_owned()
            }
            Err(error) => error.to_string(),
        },
        took_ms: began.elapsed().as_millis(),
    }
}

fn outgoing(
    settings: &Settings,
    keys: &Keyring,
    gateway: &Gateway,
    channel: Channel,
    address: &Address,
) -> Outgoing {
    let now = Clock::System.now();
    let nonce = u32::try_from(now.timestamp() & 0x7fff_ffff).unwrap_or(0);
    let name = gateway.name.name();
    let notification = NotificationId::derive("doctor", "send-test", name, nonce);
    let case = CaseId("send-test".into());
    let domain = super::identity(settings, &settings.channels.email).domain().to_owned();
    let public_url = settings.http.public_url.trim_end_matches('/');
    Outgoing {
        notification,
        no: 1,
        to: address.clone(),
        to_name: String::new(),
        message_id: keys.message_id(notification, &domain),
        thread_id: keys.thread_id(&case, &"doctor".into(), &domain),
        case,
        shaped: shaped(channel, &settings.sender.name, name),
        unsubscribe: None,
        topic: "test".into(),
        receipt_url: format!(
            "{public_url}/v1/receipts/{}?a={}",
            gateway.name.kind(),
            keys.token(&Grant::Receipt { notification, no: 1 })
        ),
        call_url: None,
        at: now,
        mail: MailParts { notice: "test".into(), ..MailParts::default() },
    }
}

fn shaped(channel: Channel, sender: &str, provider: &str) -> Shaped {
    let words = format!("This is a test by {sender}, sent with {provider}. Nothing is to be done.");
    match channel {
        Channel::Email => Shaped::Email(EmailText {
            subject: format!("A test by {sender}"),
            html: format!(
                "<!doctype html><html lang=\"en\"><title>A test</title><p>{}</p></html>",
                words.replace('&', "&amp;").replace('<', "&lt;")
            ),
            text: words,
        }),
        Channel::Sms => Shaped::Sms(SmsText { counted: sms::count(&words), text: words }),
        Channel::Voice => Shaped::Voice(Script {
            paragraphs: vec![words],
            locale: "en-GB".into(),
            ..Script::default()
        }),
    }
}
