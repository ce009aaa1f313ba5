//! Damaged callbacks of calls, and of texts by Twilio: states, keys, who picked up.

use axum::body::Body;
use axum::http::Request;
use data_encoding::HEXLOWER;
use serde_json::json;
use sha2::{Digest, Sha256};
use tidings::domain::Channel;

use super::doors::{KNOCKS, means};
use super::{Damage, bytes};
use crate::support::telephone::{By, Next, Telephone};
use crate::support::twilio::{pairs, sign};
use crate::support::vonage::SIGNATURE_SECRET;
use crate::support::{TestApp, ada, answered};
use crate::texts::accounts::{PUBLIC, bearer, form};

/// A door that callbacks come to, and honest ones.
struct Door {
    url: String,
    samples: Vec<Vec<u8>>,
}

fn signed(app: &TestApp, by: By, url: &str, body: &[u8]) -> axum::http::request::Builder {
    let request = Request::post(url.strip_prefix(PUBLIC).expect("ours"));
    match by {
        By::Twilio => {
            let mut fields = pairs(&String::from_utf8_lossy(body));
            fields.sort_unstable();
            fields.dedup();
            let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            request.header("x-twilio-signature", sign(url, &fields))
        }
        By::Vonage => {
            let claims = json!({"iat": app.now().timestamp(), "jti": "j",
                "payload_hash": HEXLOWER.encode(&Sha256::digest(body))});
            request.header("authorization", bearer(&claims, SIGNATURE_SECRET))
        }
    }
}

/// Damaged after it was signed: refused. Answers how often.
async fn forge(app: &TestApp, by: By, doors: &[Door], damage: &mut Damage) -> u32 {
    let router = app.router();
    let mut refused = 0;
    for door in doors {
        for _ in 0..KNOCKS {
            let sample = damage.one(&door.samples).clone();
            let damaged = damage.of(std::slice::from_ref(&sample));
            let same = match by {
                By::Twilio => means(&damaged) == means(&sample),
                By::Vonage => damaged == sample,
            };
            if same {
                continue;
            }
            let request = signed(app, by, &door.url, &sample).body(damaged.clone().into());
            let (status, answer) = answered(router.clone(), request.expect("a request")).await;
            assert_eq!(status, 401, "{}: {answer} to {}", door.url, damaged.escape_ascii());
            refused += 1;
        }
    }
    refused
}

/// Signed as it is: answered.
async fn knock(app: &TestApp, by: By, doors: &[Door], damage: &mut Damage) {
    let router = app.router();
    for door in doors {
        let mut taken = 0;
        for _ in 0..KNOCKS {
            let body = damage.of(&door.samples);
            let request = signed(app, by, &door.url, &body).body(Body::from(body.clone()));
            let (status, answer) = answered(router.clone(), request.expect("a request")).await;
            let what = || format!("{}: {status} {answer} to {}", door.url, body.escape_ascii());
            assert!([200, 204].contains(&status), "{}", what());
            taken += 1;
        }
        assert_eq!(taken, KNOCKS);
    }
}

fn forms(samples: &[&[(&str, &str)]]) -> Vec<Vec<u8>> {
    samples.iter().map(|fields| form(fields).into_bytes()).collect()
}

#[tokio::test]
async fn damaged_callbacks_of_calls_are_answered_and_move_nothing_unless_they_are_signed() {
    for by in [By::Twilio, By::Vonage] {
        let settings = match by {
            By::Twilio => "[contact_centre]\nphone = \"+442079460099\"",
            By::Vonage => "{vonage}\n[contact_centre]\nphone = \"+442079460099\"",
        };
        let app = TestApp::with(settings).await;
        let mut customer = ada();
        let points = customer["contact_points"].as_array_mut().expect("a list");
        points.push(json!({"channel": "voice", "address": "+442079460123", "verified": true}));
        app.customer(customer).await;
        app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Voice])).await;
        let facts = json!({"item": "Blue trousers", "expected_on": "2026-12-10",
            "answer_by": "2026-12-04", "amount": "49.90", "currency": "EUR"});
        app.event_of(json!({"case": "R-1001", "case_type": "return", "state": "out_of_stock",
            "facts": facts}))
            .await;
        app.drain().await;
        let first = Telephone::rings(&app, by).picked_up("unknown").await;
        let Next::Listen { url: key } = first.then else { panic!("{first:?}") };
        let (answer, state) = match by {
            By::Twilio => {
                let call = app.twilio.taken().remove(0);
                (call.field("Url").to_owned(), call.field("StatusCallback").to_owned())
            }
            By::Vonage => {
                let call = app.vonage.taken().remove(0).body;
                let url = |name: &str| call[name][0].as_str().expect("an address").to_owned();
                (url("answer_url"), url("event_url"))
            }
        };
        let (states, turns) = match by {
            By::Twilio => (
                forms(&[
                    &[("CallSid", "CA1"), ("CallStatus", "completed"), ("AnsweredBy", "human")],
                    &[("CallSid", "CA1"), ("CallStatus", "no-answer")],
                    &[("CallSid", "CA1"), ("CallStatus", "failed"), ("ErrorCode", "13224")],
                ]),
                forms(&[
                    &[("CallSid", "CA1"), ("Digits", "2")],
                    &[("CallSid", "CA1"), ("AnsweredBy", "machine_end_beep")],
                    &[("CallSid", "CA1"), ("Digits", "3"), ("DialCallStatus", "completed")],
                ]),
            ),
            By::Vonage => (
                bytes(&[
                    json!({"uuid": "u-1", "status": "completed"}),
                    json!({"uuid": "u-1", "status": "machine", "sub_state": "beep_start"}),
                    json!({"uuid": "u-1", "status": "rejected"}),
                ]),
                bytes(&[
                    json!({"uuid": "u-1", "dtmf": {"digits": "2", "timed_out": false}}),
                    json!({"uuid": "u-1", "dtmf": {"digits": "", "timed_out": true}}),
                    json!({"uuid": "u-1", "dtmf": {"digits": "3"}}),
                ]),
            ),
        };
        let doors = [
            Door { url: key, samples: turns.clone() },
            Door { url: answer, samples: turns },
            Door { url: state, samples: states },
        ];
        let mut damage = Damage::new("calls");
        let refused = forge(&app, by, &doors, &mut damage).await;
        assert!(refused > KNOCKS, "{by:?}: {refused} were refused");
        app.drain().await;
        let detail = app.detail("out-of-stock").await;
        assert_eq!(detail.notification.status, "sent", "{by:?}");
        assert!(detail.receipts.is_empty(), "{by:?}: {:?}", detail.receipts);
        let points = app.customer_now().await.contact_points;
        assert!(points.iter().all(|point| point.suppressed.is_none()), "{by:?}");
        knock(&app, by, &doors, &mut damage).await;
        app.end().await;
    }
}

#[tokio::test]
async fn damaged_callbacks_of_twilios_texts_move_nothing_unless_they_are_signed() {
    let app = TestApp::start().await;
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Sms])).await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    let state = app.twilio.taken()[0].field("StatusCallback").to_owned();
    let doors = [
        Door {
            url: state,
            samples: forms(&[
                &[("MessageSid", "SM1"), ("MessageStatus", "delivered")],
                &[("MessageSid", "SM1"), ("MessageStatus", "undelivered"), ("ErrorCode", "30005")],
            ]),
        },
        Door {
            url: format!("{PUBLIC}/v1/inbound/twilio"),
            samples: forms(&[
                &[("From", "+447911123456"), ("Body", "STOP"), ("MessageSid", "SM2")],
                &[("From", "+447911123456"), ("Body", "2"), ("OptOutType", "START")],
            ]),
        },
    ];
    let mut damage = Damage::new("texts of twilio");
    assert!(forge(&app, By::Twilio, &doors, &mut damage).await > KNOCKS);
    app.drain().await;
    let detail = app.detail("taken-in-charge").await;
    assert_eq!((detail.notification.status.as_str(), detail.receipts.len()), ("sent", 0));
    assert!(app.customer_now().await.contact_points[1].suppressed.is_none());
    knock(&app, By::Twilio, &doors, &mut damage).await;
    app.end().await;
}
