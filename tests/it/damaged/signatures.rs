//! Signatures and tags of our own: damaged in any way, they hold for nothing.

use serde_json::json;
use tidings::channel::{kannel, plivo, sinch, twilio, vonage};
use tidings::domain::call::Stage;
use tidings::domain::token::{Grant, Keyring};
use tidings::domain::{NotificationId, Secret};
use tidings::web::receipts::pairs;

use super::doors::means;
use super::{Damage, MANY};
use crate::support::at;
use crate::support::twilio::{TOKEN, sign};
use crate::texts::accounts::{Kind, PUBLIC, SECRET, bearer, form};

/// Does a signature hold for what it came with?
type Check<'c> = &'c dyn Fn(&[Vec<u8>]) -> bool;

/// How many of each signature: a check takes longer than a reading.
const CHECKS: u32 = 2_500;

/// One of several things, damaged: which, and what became of it.
fn one_damaged(things: &[Vec<u8>], damage: &mut Damage) -> (usize, Vec<Vec<u8>>) {
    let which = damage.below(things.len());
    let mut things = things.to_vec();
    things[which] = damage.of(std::slice::from_ref(&things[which].clone()));
    (which, things)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_signature_holds_for_what_was_signed_and_nothing_else() {
    let now = at("2026-11-23T10:00:00Z");
    let url = format!("{PUBLIC}/v1/receipts/x?a=v1.abc.def");
    let fields = [("MessageSid", "SM1"), ("MessageStatus", "delivered")];
    let body = form(&fields).into_bytes();
    let mut damage = Damage::new("signatures");

    let twilio = [body.clone(), sign(&url, &fields).into_bytes(), url.clone().into_bytes()];
    let plivo_head = Kind::Plivo.signed(&url, body.clone(), SECRET, now).into_parts().0.headers;
    let header = |headers: &axum::http::HeaderMap, name: &str| headers[name].as_bytes().to_vec();
    let plivo = [
        body.clone(),
        header(&plivo_head, "x-plivo-signature-v3"),
        header(&plivo_head, "x-plivo-signature-v3-nonce"),
    ];
    let sinch_head = Kind::Sinch.signed(&url, body.clone(), SECRET, now).into_parts().0.headers;
    let sinch = [
        body.clone(),
        header(&sinch_head, "x-sinch-webhook-signature"),
        header(&sinch_head, "x-sinch-webhook-signature-nonce"),
        header(&sinch_head, "x-sinch-webhook-signature-timestamp"),
    ];
    let vonage_head = Kind::Vonage.signed(&url, body.clone(), SECRET, now).into_parts().0.headers;
    let vonage = [body.clone(), header(&vonage_head, "authorization")];

    let by_twilio = |of: &[Vec<u8>]| {
        twilio::receipt::verify(TOKEN, &text(&of[2]), &pairs(&of[0]), &text(&of[1]), None)
    };
    let by_plivo = |of: &[Vec<u8>]| {
        plivo::receipt::verify(SECRET, &url, &pairs(&of[0]), &text(&of[2]), &text(&of[1]))
    };
    let by_sinch = |of: &[Vec<u8>]| {
        let beside: Vec<String> = of[1..].iter().map(|header| text(header)).collect();
        let header = |name: &str| match name {
            "x-sinch-webhook-signature" => Some(beside[0].as_str()),
            "x-sinch-webhook-signature-nonce" => Some(beside[1].as_str()),
            _ => Some(beside[2].as_str()),
        };
        sinch::receipt::scheme().verify(&Secret::from(SECRET), header, &of[0], now).is_ok()
    };
    let by_vonage =
        |of: &[Vec<u8>]| vonage::receipt::verify(SECRET, Some(&text(&of[1])), &of[0], now);
    let all: [(&str, &[Vec<u8>], Check<'_>); 4] = [
        ("twilio", &twilio, &by_twilio),
        ("plivo", &plivo, &by_plivo),
        ("sinch", &sinch, &by_sinch),
        ("vonage", &vonage, &by_vonage),
    ];
    for (who, signed, verify) in all {
        assert!(verify(signed), "{who}: as it was signed");
        for round in 0..CHECKS {
            let (which, damaged) = one_damaged(signed, &mut damage);
            if !verify(&damaged) {
                continue;
            }
            // The same said in other bytes.
            let (was, is) = (&signed[which], &damaged[which]);
            let same = match (who, which) {
                ("twilio" | "plivo", 0) => means(is) == means(was),
                // One of several, or with blanks around it.
                (_, 1) => text(is).split(',').any(|one| one.trim().ends_with(text(was).trim())),
                _ => is == was,
            };
            assert!(same, "{who} {round}: {} holds", is.escape_ascii());
        }
    }
}

#[test]
fn a_token_that_is_signed_and_says_anything_at_all_is_judged_without_harm() {
    let now = at("2026-11-23T10:00:00Z");
    for moment in [
        json!(i64::MIN),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(-1),
        json!(1e300),
        json!("now"),
        json!(null),
        json!([now.timestamp()]),
    ] {
        let token = bearer(&json!({ "iat": moment }), SECRET);
        assert!(!vonage::receipt::verify(SECRET, Some(&token), b"{}", now), "{moment}");
    }
}

#[test]
fn a_tag_of_ours_holds_as_it_is_and_not_otherwise() {
    let keys = Keyring::new([7; 32]);
    let (id, now) = (NotificationId::derive("T-1", "n", "desk/e1", 0), at("2026-11-23T10:00:00Z"));
    let until_s = now.timestamp() + 60;
    let grants = [
        Grant::Receipt { notification: id, no: 1 },
        Grant::Call { notification: id, no: 1, stage: Stage::Answered, until_s },
    ];
    let tokens: Vec<Vec<u8>> = grants.iter().map(|one| keys.token(one).into_bytes()).collect();
    let bounce = [keys.bounce_token(id, 1).into_bytes()];
    let message = [keys.message_id(id, "example.com").into_bytes()];
    let mut damage = Damage::new("tags");
    for _ in 0..MANY {
        let token = damage.of(&tokens);
        if keys.read(&text(&token), now).is_some() {
            assert!(tokens.contains(&token), "{}", token.escape_ascii());
        }
        let token = damage.of(&bounce);
        if keys.read_bounce_token(&text(&token)).is_some() {
            assert!(token.eq_ignore_ascii_case(&bounce[0]), "{}", token.escape_ascii());
        }
        let known = damage.of(&message);
        if keys.read_message_id(&text(&known)).is_some() {
            let local = |bytes: &[u8]| text(bytes).split('@').next().map(str::to_lowercase);
            let said = local(&known).unwrap_or_default();
            let said = said.trim().trim_start_matches('<').to_owned();
            assert_eq!(Some(said), local(&message[0]), "{}", known.escape_ascii());
        }
        let word = text(&damage.of(&[SECRET.as_bytes().to_vec()]));
        assert!(word == SECRET || !kannel::receipt::verify(SECRET, Some(&word)), "{word:?}");
    }
}
