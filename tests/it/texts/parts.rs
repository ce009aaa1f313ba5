//! How many parts a text takes, judged by the program that Twilio publishes for it.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tidings::domain::Channel;
use tidings::domain::message::Encoding;
use tidings::render::sms::{count, safe};

use crate::support::TestApp;
use crate::support::node::asked;

const TEXTS: usize = 20_000;

/// What texts are made of: plain letters, GSM-7's own, its extension table, what forces UCS-2,
/// surrogate pairs, and what is joined from several characters.
const POOLS: [&[&str]; 6] = [
    &["a", "b", "Z", "0", " ", ".", ",", "!", "\n"],
    &[
        "@", "£", "$", "¥", "è", "é", "ù", "ì", "ò", "Ç", "Ø", "Å", "Δ", "_", "Φ", "ß", "É", "¤",
        "¡", "Ä", "§", "¿", "à",
    ],
    &["^", "{", "}", "\\", "[", "~", "]", "|", "€"],
    &["`", "ç", "ë", "á", "ł", "’", "–", "…", "\u{a0}", "日", "本", "ж", "ا"],
    &["😀", "🎉", "𝒜", "𠮷"],
    &["👨\u{200d}👩\u{200d}👧", "🇬🇧", "e\u{301}", "👍🏽"],
];

fn text(rng: &mut SmallRng) -> String {
    // Mostly one kind, with a few of another: what sits at the borders of parts.
    let main = rng.random_range(0..3);
    let other = rng.random_range(0..POOLS.len());
    let share = rng.random_range(0..=20);
    let length = match rng.random_range(0..4) {
        0 => rng.random_range(0..40),
        1 => rng.random_range(60..75),
        2 => rng.random_range(148..165),
        _ => rng.random_range(0..700),
    };
    (0..length)
        .map(|_| {
            let pool = if rng.random_range(0..100) < share { POOLS[other] } else { POOLS[main] };
            pool[rng.random_range(0..pool.len())]
        })
        .collect()
}

#[test]
fn twenty_thousand_texts_take_as_many_parts_as_twilios_own_program_says() {
    let mut rng = SmallRng::seed_from_u64(20_261_123);
    let texts: Vec<String> = (0..TEXTS).map(|_| text(&mut rng)).collect();
    let lines: Vec<String> =
        texts.iter().map(|text| serde_json::to_string(text).expect("text")).collect();
    let said = asked("sms-segments-calculator", "segments.cjs", &lines);
    assert_eq!(said.len(), TEXTS);
    let mut several = 0;
    for (text, said) in texts.iter().zip(said) {
        let counted = count(text);
        let name = match counted.encoding {
            Encoding::Gsm7 => "GSM-7",
            Encoding::Ucs2 => "UCS-2",
        };
        assert_eq!(format!("{name} {}", counted.parts), said, "{text:?}");
        several += usize::from(counted.parts > 1);
    }
    assert!(several > TEXTS / 4, "{several} of several parts");
}

#[test]
fn what_nobody_sees_is_not_sent() {
    let hidden = "Re\u{200b}fu\u{200d}nd\u{2060}:\u{ad} 5\u{202e}0 €\u{feff}\u{e0041}";
    let shown = safe(hidden);
    assert!(
        !shown.chars().any(|c| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{ad}' | '\u{e0000}'..='\u{e007f}')),
        "{shown:?}"
    );
    assert_eq!(count(&shown).encoding, Encoding::Gsm7, "{shown:?}");
}

#[tokio::test]
async fn no_text_has_more_parts_than_it_may_whatever_stands_in_its_facts() {
    let app = TestApp::start().await;
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Sms])).await;
    for (case, item) in
        [("R-1", "😀".repeat(400)), ("R-2", "a\u{200d}".repeat(900)), ("R-3", "Trousers".into())]
    {
        app.event_of(json!({"state": "requested", "case": case, "case_type": "return",
            "facts": {"item": item, "amount": "49.90", "currency": "GBP"}}))
            .await;
    }
    app.drain().await;
    let texts = app.twilio.taken();
    assert!(texts.iter().any(|text| text.field("Body").contains("Trousers")));
    for text in &texts {
        let body = text.field("Body");
        assert!(count(body).parts <= 6, "{} parts", count(body).parts);
        assert!(!body.contains('\u{200d}'), "{body:?}");
    }
    let told = app.notifications().await;
    let told = told.iter().filter(|n| n.notice == "registered");
    for n in told {
        assert!(matches!(n.status.as_str(), "sent" | "quarantined"), "{n:?}");
    }
    app.end().await;
}
