//! Twenty thousand of each kind of report and of each kind of text that came in.

use serde_json::{Value, json};
use tidings::channel::asterisk::event::{Event, not_picked_up};
use tidings::channel::http_door::receipt::Callback;
use tidings::channel::receipt::{InboundText, Word};
use tidings::channel::vonage_voice::callback::Told;
use tidings::channel::{http_door, kannel, plivo, sinch, twilio, vonage};
use tidings::domain::call::{Slot, Stage};
use tidings::domain::customer::Address;
use tidings::domain::http_door::HttpDoor;
use tidings::domain::{Channel, call};
use tidings::web::receipts::{field, pairs};

use super::{Damage, MANY, bytes};
use crate::texts::accounts::form;

/// The longest that is kept of what a provider says, in characters.
const MAX_DETAIL: usize = 300;

/// Reads damaged ones of these. Each way must be walked: some still say something, some nothing.
fn many(kind: &str, samples: &[Vec<u8>], read: impl Fn(&[u8]) -> Word) {
    let mut damage = Damage::new(kind);
    let (mut nothing, mut undelivered) = (0, 0);
    for round in 0..MANY {
        let damaged = damage.of(samples);
        match read(&damaged) {
            Word::Nothing => nothing += 1,
            Word::Undelivered { detail, .. } | Word::NotReached { detail } => {
                undelivered += 1;
                let length = detail.chars().count();
                assert!(length <= MAX_DETAIL, "{kind} {round}: {length} characters are kept");
            }
            Word::Taken | Word::Delivered | Word::CallOver { .. } => {}
        }
    }
    let both = nothing > 200 && undelivered > 200;
    assert!(both, "{kind}: {nothing} say nothing, {undelivered} that it failed");
}

fn document(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_default()
}

fn door() -> HttpDoor {
    serde_json::from_value(json!({
        "url": "https://sms.example.com/send",
        "receipts": {"status": "/report/state", "detail": "/report/error", "verify": "token",
                     "values": {"DELIVRD": "delivered", "UNDELIV": "failed", "1": "sent"}},
        "inbound": {"from": "/msisdn", "text": "/message", "id": "/ref"},
    }))
    .expect("a door")
}

fn forms(samples: &[&[(&str, &str)]]) -> Vec<Vec<u8>> {
    samples.iter().map(|fields| form(fields).into_bytes()).collect()
}

#[test]
fn damaged_reports_in_forms_are_read_without_harm() {
    let said = |bytes: &[u8]| {
        let fields = pairs(bytes);
        move |name: &str| field(&fields, name)
    };
    let texts = forms(&[
        &[("MessageSid", "SM1"), ("MessageStatus", "delivered")],
        &[("MessageSid", "SM1"), ("MessageStatus", "undelivered"), ("ErrorCode", "30005")],
        &[("MessageSid", "SM1"), ("MessageStatus", "failed"), ("ErrorCode", "30007")],
    ]);
    many("twilio", &texts, |bytes| twilio::receipt::read(said(bytes)));
    let calls = forms(&[
        &[("CallSid", "CA1"), ("CallStatus", "completed"), ("AnsweredBy", "human")],
        &[("CallSid", "CA1"), ("CallStatus", "failed"), ("ErrorCode", "13224")],
        &[("CallSid", "CA1"), ("CallStatus", "busy")],
    ]);
    many("calls of twilio", &calls, |bytes| {
        let _ = twilio::receipt::picked_up(&said(bytes));
        twilio::receipt::read(said(bytes))
    });
    let plivo = forms(&[
        &[("Status", "delivered"), ("MessageUUID", "u1"), ("ErrorCode", "000")],
        &[("Status", "undelivered"), ("MessageUUID", "u1"), ("ErrorCode", "200")],
        &[("Status", "failed"), ("MessageUUID", "u1"), ("ErrorCode", "9999")],
    ]);
    many("plivo", &plivo, |bytes| plivo::receipt::read(said(bytes)));
    let kannel = forms(&[
        &[("d", "1"), ("said", "ok")],
        &[("d", "2"), ("said", "NACK/0x0000000b/Invalid Destination")],
        &[("d", "16"), ("said", "NACK/")],
    ]);
    many("kannel", &kannel, |bytes| kannel::receipt::read(said(bytes)));
}

#[test]
fn damaged_reports_in_json_are_read_without_harm() {
    let vonage = bytes(&[
        json!({"message_uuid": "m-1", "status": "delivered", "channel": "sms"}),
        json!({"message_uuid": "m-1", "status": "rejected", "error": {
            "type": "https://developer.vonage.com/api-errors/messages#1050", "title": "1050"}}),
        json!({"message_uuid": "m-1", "status": "failed", "error": {"title": "9999"}}),
    ]);
    many("vonage", &vonage, |bytes| vonage::receipt::read(&document(bytes)));
    let sinch = bytes(&[
        json!({"type": "recipient_delivery_report_sms", "batch_id": "m-1", "code": 0, "status": "Delivered"}),
        json!({"type": "recipient_delivery_report_sms", "batch_id": "m-1", "code": 412, "status": "Aborted"}),
        json!({"type": "recipient_delivery_report_sms", "batch_id": "m-1", "code": 2001, "status": "Failed"}),
    ]);
    many("sinch", &sinch, |bytes| sinch::receipt::read(&document(bytes)));
    let receipts = door().receipts.expect("described");
    let described = bytes(&[
        json!({"report": {"state": "DELIVRD"}}),
        json!({"report": {"state": "UNDELIV", "error": "absent"}}),
        json!({"report": {"state": 1, "error": 7}}),
    ]);
    many("http", &described, |bytes| {
        let body: Option<Value> = serde_json::from_slice(bytes).ok();
        let fields = if body.is_some() { Vec::new() } else { pairs(bytes) };
        http_door::receipt::read(&Callback { body: body.unwrap_or_default(), fields }, &receipts)
    });
}

#[test]
fn damaged_events_of_calls_are_read_without_harm() {
    let stages = [
        Stage::Answered,
        Stage::Greeting { misses: 0 },
        Stage::Message { repeats: 0, misses: 0 },
        Stage::Offer { slot: Slot::Soon, misses: 0 },
        Stage::Transfer,
        Stage::Desk,
    ];
    let events = bytes(&[
        json!({"uuid": "u-1", "status": "busy", "sub_state": null}),
        json!({"uuid": "u-1", "status": "machine", "sub_state": "beep_start"}),
        json!({"uuid": "u-1", "status": "rejected"}),
        json!({"uuid": "u-1", "dtmf": {"digits": "2", "timed_out": false}}),
    ]);
    many("calls of vonage", &events, |bytes| {
        let told: Told = serde_json::from_slice(bytes).unwrap_or_default();
        let _ = told.picked_up();
        for stage in stages {
            if let Some(call::Heard::Key(key)) = told.heard(stage) {
                assert!(told.dtmf.is_some(), "{key:?} was pressed by nobody");
            }
        }
        told.word()
    });
    let channel = json!({"id": "x.1", "name": "PJSIP/trunk-1", "state": "Up"});
    let exchange = bytes(&[
        json!({"type": "StasisStart", "args": ["call"], "channel": channel}),
        json!({"type": "ChannelDtmfReceived", "channel": channel, "digit": "2"}),
        json!({"type": "PlaybackFinished", "playback": {"id": "p.1"}}),
        json!({"type": "ChannelDestroyed", "channel": channel, "cause": 17, "cause_txt": "User busy"}),
        json!({"type": "ChannelDestroyed", "channel": channel, "cause": 1, "cause_txt": "Unallocated"}),
    ]);
    many("asterisk", &exchange, |bytes| match serde_json::from_slice::<Event>(bytes) {
        Ok(Event::ChannelDestroyed { cause, cause_txt, .. }) => not_picked_up(cause, &cause_txt),
        _ => Word::Nothing,
    });
}

/// Reads damaged texts that came in. Some still have a sender, of some it is a number.
fn texts(kind: &str, samples: &[Vec<u8>], read: impl Fn(&[u8]) -> Option<InboundText>) {
    let mut damage = Damage::new(kind);
    let (mut none, mut numbers) = (0, 0);
    for round in 0..MANY {
        match read(&damage.of(samples)) {
            None => none += 1,
            Some(text) => {
                // To look a number up takes longer than all the rest.
                if round % 32 == 0
                    && let Ok(number) = Address::parse(Channel::Sms, &text.from)
                {
                    numbers += 1;
                    let digits = number.expose().trim_start_matches('+');
                    assert!(digits.bytes().all(|byte| byte.is_ascii_digit()), "{digits:?}");
                }
            }
        }
    }
    assert!(none > 200 && numbers > 100, "{kind}: {none} are none, {numbers} have a number");
}

#[test]
fn damaged_texts_that_came_in_are_read_without_harm() {
    let said = |bytes: &[u8]| {
        let fields = pairs(bytes);
        move |name: &str| field(&fields, name)
    };
    let plivo = [("From", "447911123456"), ("To", "442079460001"), ("Text", "STOP")];
    texts("texts of plivo", &forms(&[&plivo]), |bytes| plivo::receipt::inbound(said(bytes)));
    let kannel = [("from", "+447911123456"), ("to", "+442079460001"), ("text", "1"), ("id", "i-1")];
    texts("texts of kannel", &forms(&[&kannel]), |bytes| kannel::receipt::inbound(said(bytes)));
    let vonage = json!({"channel": "sms", "message_uuid": "i-1", "to": "442079460001",
        "from": "447911123456", "text": "STOP"});
    texts("texts of vonage", &bytes(&[vonage]), |bytes| vonage::receipt::inbound(&document(bytes)));
    let sinch = json!({"type": "mo_text", "id": "i-1", "from": "447911123456",
        "to": "442079460001", "body": "STOP"});
    texts("texts of sinch", &bytes(&[sinch]), |bytes| sinch::receipt::inbound(&document(bytes)));
    let places = door().inbound.expect("described");
    let described = json!({"msisdn": "447911123456", "message": "STOP", "ref": 7});
    texts("texts of http", &bytes(&[described]), |bytes| {
        let callback = Callback { body: document(bytes), fields: Vec::new() };
        http_door::receipt::inbound(&callback, &places)
    });
}
