//! Damaged reports and texts at the doors of the providers of texts: what was damaged after it
//! was signed is refused and moves nothing; what was signed as it is, is answered.

use axum::body::Body;
use axum::http::Request;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::Damage;
use crate::support::twilio::pairs;
use crate::support::{TestApp, answered};
use crate::texts::accounts::{ALL, Kind, PUBLIC, SECRET, texted};

/// How many knock at each door, damaged after and before they were signed.
pub const KNOCKS: u32 = 250;

const ADA: &str = "+447911123456";

/// What a query is written in; the rest of its bytes are escaped, as every client does.
const QUERY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'&').remove(b'=').remove(b'%').remove(b'+').remove(b'.').remove(b'-');

pub fn query(bytes: &[u8]) -> String {
    percent_encode(bytes, QUERY).to_string()
}

/// One value of a query.
fn value(bytes: &[u8]) -> String {
    percent_encode(bytes, NON_ALPHANUMERIC).to_string()
}

/// A form means the same in whatever order, and only what is signed: names and values in a row.
pub fn means(body: &[u8]) -> String {
    let mut fields = pairs(&String::from_utf8_lossy(body));
    fields.sort_unstable();
    fields.dedup();
    fields.into_iter().map(|(name, value)| name + &value).collect()
}

/// A request that was signed and then damaged; `None` where nothing came of the damage. Kannel
/// signs nothing: there our own tag is damaged, or the word in the address.
fn forged(
    kind: Kind,
    url: &str,
    samples: &[Vec<u8>],
    app: &TestApp,
    damage: &mut Damage,
) -> Option<Request<Body>> {
    if kind == Kind::Kannel {
        let (address, tag) = url.split_once("?a=").unwrap_or((url, SECRET));
        let path = address.strip_prefix(PUBLIC).expect("ours");
        let damaged = damage.of(&[tag.as_bytes().to_vec()]);
        if damaged == tag.as_bytes() {
            return None;
        }
        let name = if url.contains("?a=") { "a" } else { "secret" };
        let rest = String::from_utf8_lossy(damage.one(samples).as_slice()).into_owned();
        let path = format!("{path}?{name}={}&{rest}", value(&damaged));
        return Some(Request::get(path).body(Body::empty()).expect("a request"));
    }
    let sample = damage.one(samples).clone();
    let damaged = damage.of(std::slice::from_ref(&sample));
    let same = match kind {
        Kind::Plivo => means(&damaged) == means(&sample),
        _ => damaged == sample,
    };
    let (head, _) = kind.signed(url, sample, SECRET, app.now()).into_parts();
    (!same).then(|| Request::from_parts(head, Body::from(damaged)))
}

/// Signed as it is; every fourth is about an attempt of somebody's making.
fn honest(
    kind: Kind,
    url: &str,
    samples: &[Vec<u8>],
    app: &TestApp,
    damage: &mut Damage,
) -> (Request<Body>, Vec<u8>) {
    let body = damage.of(samples);
    let sent = if kind == Kind::Kannel { query(&body).into_bytes() } else { body.clone() };
    let url = match url.split_once("?a=") {
        Some((address, tag)) if damage.below(4) == 0 && kind != Kind::Plivo => {
            format!("{address}?a={}", value(&damage.of(&[tag.as_bytes().to_vec()])))
        }
        _ => url.to_owned(),
    };
    (kind.signed(&url, sent, SECRET, app.now()), body)
}

#[tokio::test]
async fn a_report_or_a_text_that_was_damaged_is_answered_and_moves_nothing_unless_it_is_signed() {
    for kind in ALL {
        let (app, _double, seen) = texted(kind).await;
        let router = app.router();
        let mut damage = Damage::new(kind.name());
        let report_url = kind.report_url(&seen);
        let report_url = report_url.split("&d=").next().expect("an address").to_owned();
        let reports = ["delivered", "underway", "failed"].map(|word| kind.report_body(word));
        let reports = if kind == Kind::Kannel {
            [b"d=1&said=ok".to_vec(), b"d=8&said=".to_vec(), b"d=2&said=NACK%2F".to_vec()]
        } else {
            reports
        };
        let texts = ["STOP", "2", "Where is it?"].map(|text| kind.text_body(ADA, text, "t-1"));
        let doors = [(report_url, reports), (kind.text_url(), texts)];

        let mut refused = 0;
        for (url, samples) in &doors {
            for _ in 0..KNOCKS {
                let Some(request) = forged(kind, url, samples, &app, &mut damage) else { continue };
                let (status, answer) = answered(router.clone(), request).await;
                assert_eq!(status, 401, "{kind:?} {url}: {answer}");
                refused += 1;
            }
        }
        assert!(refused > KNOCKS, "{kind:?}: {refused} were refused");
        app.drain().await;
        let detail = app.detail("taken-in-charge").await;
        assert_eq!(detail.notification.status, "sent", "{kind:?}");
        assert!(detail.receipts.is_empty(), "{kind:?}: {:?}", detail.receipts);
        let points = app.customer_now().await.contact_points;
        assert!(points.iter().all(|point| point.suppressed.is_none()), "{kind:?}");

        for (url, samples) in &doors {
            let mut taken = 0;
            for _ in 0..KNOCKS {
                let (request, body) = honest(kind, url, samples, &app, &mut damage);
                let (status, answer) = answered(router.clone(), request).await;
                let what =
                    || format!("{kind:?} {url}: {status} {answer} to {}", body.escape_ascii());
                assert!([200, 204, 401, 404].contains(&status), "{}", what());
                taken += u32::from(status < 300);
            }
            assert!(taken > KNOCKS / 2, "{kind:?} {url}: {taken} were taken");
        }
        app.end().await;
    }
}
