//! Help desks' webhooks: what was damaged after it was signed is refused and kept nowhere; what
//! was signed as it is becomes an event that holds, or is told which key fails.

use axum::body::Body;
use axum::http::Request;
use tidings::app::sources::Payload;
use tidings::domain::Zones;
use tidings::planning::source::Mapped;

use super::{Damage, MANY};
use crate::sources::{NAMES, NOW_S, all_samples, sample, secrets, sign};
use crate::support::{TestApp, answered};

/// How many knock at each source's door, damaged after and before they were signed.
const KNOCKS: u32 = 250;

fn samples_of(source: &str) -> Vec<Payload> {
    let names = all_samples().into_iter().filter(|name| name.split('-').next() == Some(source));
    names.map(|name| sample(&name)).collect()
}

/// One of the samples with a damaged body.
fn damaged(samples: &[Payload], damage: &mut Damage) -> Payload {
    let bodies: Vec<Vec<u8>> = samples.iter().map(|payload| payload.body.clone()).collect();
    Payload { body: damage.of(&bodies), headers: damage.one(samples).headers.clone() }
}

#[tokio::test]
async fn a_damaged_webhook_is_read_by_its_rules_or_each_failing_key_is_named() {
    let app = TestApp::with(&secrets()).await;
    let zones = Zones::bundled();
    for name in NAMES {
        let source = app.app.sources.get(name).expect("it ships");
        let samples = samples_of(name);
        let mut damage = Damage::new(name);
        let [mut told, mut failed] = [0, 0];
        for _ in 0..MANY / 5 {
            let payload = damaged(&samples, &mut damage);
            let failing = match payload.map(source, &zones, app.now()) {
                Mapped::Ignored(why) => {
                    assert!(!why.is_empty());
                    continue;
                }
                Mapped::Unknown(failing) => vec![failing],
                Mapped::Told(items) => {
                    for event in items.iter().filter_map(|item| item.event.as_ref()) {
                        told += 1;
                        for id in [&event.id, &event.source, &event.case.0] {
                            assert!(!id.is_empty() && id.chars().count() <= 200, "{event:?}");
                            assert!(!id.chars().any(char::is_control), "{event:?}");
                        }
                    }
                    items.into_iter().flat_map(|item| item.failing).collect()
                }
            };
            for failing in failing {
                failed += 1;
                assert!(!failing.key.is_empty() && !failing.detail.is_empty(), "{failing:?}");
                let place = failing.pointer.is_empty() || failing.pointer.starts_with('/');
                assert!(place, "{failing:?}");
            }
        }
        assert!(told > 100 && failed > 100, "{name}: {told} told, {failed} failed");
    }
    app.end().await;
}

fn request(source: &str, payload: Payload) -> Request<Body> {
    let mut request = Request::post(format!("/v1/sources/{source}"));
    for (name, value) in &payload.headers {
        request = request.header(name, value);
    }
    request.body(Body::from(payload.body)).expect("a request")
}

#[tokio::test]
async fn a_webhook_that_was_damaged_moves_nothing_unless_it_is_signed() {
    for source in NAMES {
        let app = TestApp::with(&secrets()).await;
        let router = app.router();
        let samples = samples_of(source);
        let secret = format!("secret-of:{source}");
        let mut damage = Damage::new(source);
        let signed = matches!(source, "zendesk" | "shopify" | "chatwoot");
        let mut refused = 0;
        for _ in 0..KNOCKS {
            let mut payload = damage.one(&samples).clone();
            if signed {
                let sent = payload.body.clone();
                sign(source, &secret, &mut payload, NOW_S);
                payload.body = damage.of(&[payload.body]);
                if payload.body == sent {
                    continue;
                }
            } else {
                // These carry a secret and no signature: it is what is damaged.
                let wrong = damage.of(&[secret.clone().into_bytes()]);
                if wrong == secret.as_bytes() {
                    continue;
                }
                let wrong = data_encoding::HEXLOWER.encode(&wrong);
                sign(source, &wrong, &mut payload, NOW_S);
            }
            let (status, answer) = answered(router.clone(), request(source, payload)).await;
            assert!([401, 429].contains(&status), "{source}: {status} {answer}");
            refused += 1;
        }
        assert!(refused > KNOCKS / 2, "{source}: {refused} were refused");
        assert_eq!(app.summary().await.balance.accepted, 0, "{source}");
        assert_eq!(app.tasks().await, [""; 0], "{source}");

        let mut taken = 0;
        for _ in 0..KNOCKS {
            let mut payload = damaged(&samples, &mut damage);
            sign(source, &secret, &mut payload, NOW_S);
            let body = payload.body.clone();
            let (status, answer) = answered(router.clone(), request(source, payload)).await;
            let known = [200, 202, 207, 400, 422].contains(&status);
            assert!(known, "{source}: {status} {answer} to {}", body.escape_ascii());
            taken += u32::from(status < 300);
        }
        assert!(taken > 5, "{source}: {taken} were taken");
        app.end().await;
    }
}
