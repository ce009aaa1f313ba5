use serde_json::{Value, json};
use tidings::domain::Channel;
use tidings::domain::preference::Need;

use crate::support::visitor::Browser;
use crate::support::{TestApp, ada};

/// The fields of a form.
type Form = &'static [(&'static str, &'static str)];

/// Sends a form of the choices and returns the page that confirms it.
async fn choose(browser: &Browser<'_>, fields: &[(&str, &str)]) -> String {
    let answer = browser.post("/centre/choices", fields).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

async fn chosen(app: &TestApp) -> Value {
    serde_json::to_value(app.customer_now().await.chosen).expect("plain data")
}

#[tokio::test]
async fn each_choice_is_kept_and_confirmed_as_the_store_holds_it() {
    let app = TestApp::start().await;
    app.ada().await;
    let browser = Browser::visiting(&app).await;
    let forms: [(Form, &str, Value); 8] = [
        (
            &[("do", "order"), ("first", "sms"), ("second", "email"), ("third", "")],
            "channel_order",
            json!(["sms", "email"]),
        ),
        (
            &[("do", "quiet"), ("from", "21:00"), ("to", "08:00")],
            "quiet_hours",
            json!("21:00-08:00"),
        ),
        (&[("do", "quiet"), ("from", ""), ("to", "")], "quiet_hours", json!("none")),
        (&[("do", "zone"), ("zone", "Asia/Tokyo")], "time_zone", json!("Asia/Tokyo")),
        (
            &[("do", "pause"), ("until", "2026-12-24")],
            "paused_until",
            json!("2026-12-23T15:00:00Z"),
        ),
        (&[("do", "cap"), ("cap", "4")], "cap_per_day", json!(4)),
        (&[("do", "discreet"), ("discreet", "on")], "discreet", json!(true)),
        (&[("do", "language"), ("locale", "de")], "locale", json!("de")),
    ];
    for (form, key, expected) in forms {
        let page = choose(&browser, form).await;
        assert!(page.contains(r#"class="said done""#), "{form:?} {page}");
        assert_eq!(chosen(&app).await[key], expected, "{form:?}");
    }
    let page = browser.get("/centre/choices").await.body;
    assert!(page.contains("Bei Ihnen ist es jetzt") && page.contains("Tokyo"), "{page}");
    assert!(page.contains("19:00"), "ten in London is seven in the evening in Tokyo: {page}");
    assert!(page.contains(r#"<option value="sms" selected>"#), "{page}");
    app.end().await;
}

#[tokio::test]
async fn topics_are_chosen_by_channel_with_their_rhythm() {
    let app = TestApp::start().await;
    app.ada().await;
    let browser = Browser::visiting(&app).await;
    let form = [
        ("do", "topics"),
        ("want", "status:sms"),
        ("want", "survey:email"),
        ("want", "status:voice"),
        ("want", "nonsense:fax"),
        ("rhythm:survey", "weekly"),
        ("rhythm:status", "at_once"),
    ];
    let page = choose(&browser, &form).await;
    assert!(page.contains(r#"value="status:sms" checked"#), "{page}");
    assert!(!page.contains(r#"value="status:email" checked"#), "{page}");
    let topics = app.customer_now().await.preferences.topics;
    assert_eq!(topics["status"], [(Channel::Email, false), (Channel::Sms, true)].into());
    assert!(!topics.contains_key("nonsense"));
    assert_eq!(chosen(&app).await["digest"], json!({"survey": "weekly MON 18:00"}));
    app.event("resolve_ticket").await;
    app.drain().await;
    assert_eq!(app.of("resolved").await.channel.as_deref(), Some("sms"));
    app.end().await;
}

#[tokio::test]
async fn the_hour_and_day_of_gathered_messages_are_the_customers() {
    let app = TestApp::start().await;
    app.ada().await;
    let browser = Browser::visiting(&app).await;
    let page = browser.get("/centre/choices").await.body;
    assert!(page.contains(r#"name="gathered_at" value="18:00""#), "{page}");
    let form = |at: &'static str| {
        [
            ("do", "topics"),
            ("want", "status:email"),
            ("want", "survey:email"),
            ("rhythm:status", "daily"),
            ("rhythm:survey", "weekly"),
            ("gathered_day", "4"),
            ("gathered_at", at),
        ]
    };
    let page = choose(&browser, &form("07:30")).await;
    assert!(page.contains(r#"name="gathered_at" value="07:30""#), "{page}");
    assert!(page.contains(r#"<option value="4" selected>Friday</option>"#), "{page}");
    let digest = json!({"status": "daily 07:30", "survey": "weekly FRI 07:30"});
    assert_eq!(chosen(&app).await["digest"], digest);
    let page = choose(&browser, &form("25:00")).await;
    assert!(page.contains("Write a time such as 18:00."), "{page}");
    app.event("take_in_charge_ticket").await;
    app.advance_to("2026-11-24T07:29:00Z").await;
    assert!(app.smtp.taken().is_empty());
    app.advance_to("2026-11-24T07:30:00Z").await;
    assert_eq!(app.smtp.taken().len(), 1, "at the hour they named");
    app.end().await;
}

#[tokio::test]
async fn a_rhythm_that_a_case_system_set_is_kept_until_the_customer_changes_it() {
    let app = TestApp::start().await;
    let mut customer = ada();
    customer["preferences"] = json!({"digest": {"status": "daily 08:15"}});
    app.customer(customer).await;
    let browser = Browser::visiting(&app).await;
    let form = [
        ("do", "topics"),
        ("want", "status:email"),
        ("rhythm:status", "daily"),
        ("gathered_day", "0"),
        ("gathered_at", "08:15"),
    ];
    choose(&browser, &form).await;
    assert_eq!(chosen(&app).await["digest"], Value::Null, "as it was shown");
    app.end().await;
}

#[tokio::test]
async fn what_cannot_be_chosen_says_why_in_plain_words() {
    let app = TestApp::start().await;
    let mut customer = ada();
    customer["contact_points"][0]["verified"] = json!(false);
    app.customer(customer).await;
    app.choose(|chosen| chosen.needs = Some(vec![Need::NoCalls])).await;
    let sms = "+447911123456";
    let address = tidings::domain::customer::Address::parse(Channel::Sms, sms).expect("valid");
    app.store().suppress(Channel::Sms, &address, "STOP", "stop", app.now()).await.expect("kept");
    let page = Browser::visiting(&app).await.get("/centre/choices").await.body;
    assert!(page.contains("E-mail: this address is not confirmed yet."), "{page}");
    assert!(page.contains("Text message: you replied STOP"), "{page}");
    assert!(page.contains("Phone call: you asked for no calls."), "{page}");
    assert!(!page.contains(r#"name="want""#), "nothing is left to tick: {page}");
    app.end().await;
}

#[tokio::test]
async fn what_is_mandatory_keeps_one_way_and_says_why() {
    let app = TestApp::with(
        "[topics.status]\nmandatory = \"the law wants it\"\ntitle = { en = \"Status\" }\ndefault = { email = true, sms = true, voice = false }",
    )
    .await;
    app.ada().await;
    let browser = Browser::visiting(&app).await;
    let page = choose(&browser, &[("do", "topics"), ("want", "survey:sms")]).await;
    assert!(page.contains("One way must stay on") && page.contains(r#"role="alert""#), "{page}");
    assert!(page.contains("the law wants it"), "{page}");
    let page = choose(&browser, &[("do", "stop_all")]).await;
    assert!(page.contains("Stopped."), "{page}");
    let topics = app.customer_now().await.preferences.topics;
    assert!(!topics.contains_key("status") && topics["survey"].values().all(|on| !on));
    app.end().await;
}

#[tokio::test]
async fn stopping_everything_optional_can_be_undone_to_the_letter() {
    let app = TestApp::start().await;
    app.ada().await;
    let browser = Browser::visiting(&app).await;
    choose(&browser, &[("do", "topics"), ("want", "status:sms"), ("want", "survey:email")]).await;
    let before = chosen(&app).await;
    let page = browser.post("/centre", &[("do", "stop_all")]).await.body;
    assert!(page.contains("Undo it"), "{page}");
    let stopped = app.customer_now().await.preferences.topics;
    assert!(stopped.values().flat_map(|channels| channels.values()).all(|on| !on));
    app.drain().await;
    let mails = app.smtp.taken();
    assert!(mails[0].text().contains("You stopped everything optional."), "a receipt");
    let page = browser.post("/centre", &[("do", "undo")]).await.body;
    assert!(page.contains("Undone.") && !page.contains("Undo it"), "{page}");
    assert_eq!(chosen(&app).await, before);
    app.end().await;
}

#[tokio::test]
async fn a_form_that_cannot_be_followed_says_what_is_wrong_and_three_offer_a_person() {
    let app = TestApp::start().await;
    app.ada().await;
    let browser = Browser::visiting(&app).await;
    let wrong: [(Form, &str); 8] = [
        (&[("do", "order"), ("first", "sms"), ("second", "sms")], "One way stands there twice."),
        (&[("do", "quiet"), ("from", "21:00"), ("to", "")], "Fill in both times"),
        (&[("do", "zone"), ("zone", "Mars/Crater")], "We do not know this time zone."),
        (&[("do", "language"), ("locale", "tlh")], "We do not speak this language yet."),
        (&[("do", "pause"), ("until", "2026-11-23")], "Choose a day from tomorrow on"),
        (&[("do", "pause"), ("until", "2031-01-01")], "Choose a day from tomorrow on"),
        (&[("do", "cap"), ("cap", "many")], "Write a whole number"),
        (&[("do", "dance")], "That did not work."),
    ];
    for (index, (form, says)) in wrong.into_iter().enumerate() {
        let page = choose(&browser, form).await;
        assert!(page.contains(says) && page.contains(r#"role="alert""#), "{form:?} {page}");
        assert_eq!(page.contains("Let a person help you"), index >= 2, "{index}");
    }
    assert_eq!(chosen(&app).await, json!({}));
    let page = choose(&browser, &[("do", "cap"), ("cap", "2")]).await;
    assert!(!page.contains("Let a person help you"), "{page}");
    app.end().await;
}

#[tokio::test]
async fn the_language_and_zone_a_customer_chose_outlive_an_import() {
    let app = TestApp::start().await;
    app.ada().await;
    let browser = Browser::visiting(&app).await;
    choose(&browser, &[("do", "language"), ("locale", "de")]).await;
    choose(&browser, &[("do", "zone"), ("zone", "Europe/Berlin")]).await;
    let mut again = ada();
    again["name"] = json!("Ada King");
    app.customer(again).await;
    let profile = app.customer_now().await.profile;
    assert_eq!(profile.name, "Ada King");
    assert_eq!(profile.locale.as_deref(), Some("de"));
    assert_eq!(profile.time_zone.as_deref(), Some("Europe/Berlin"));
    app.end().await;
}
