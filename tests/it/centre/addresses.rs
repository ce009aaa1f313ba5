use tidings::domain::Channel;
use tidings::domain::customer::Address;
use tidings::store::visits::MAX_CODES_PER_HOUR;

use crate::support::visitor::{Browser, value_of};
use crate::support::{TestApp, ada};

#[tokio::test]
async fn nothing_risky_is_possible_before_a_code_was_entered() {
    let app = TestApp::start().await;
    app.ada().await;
    let browser = Browser::visiting(&app).await;
    let page = browser.get("/centre/addresses").await.body;
    let key = value_of(&page, "<option value=\"").expect("an address");
    for form in [
        [("do", "remove"), ("key", key.as_str())],
        [("do", "add"), ("address", "eve@example.com")],
        [("do", "confirm"), ("digits", "123456")],
    ] {
        let page = browser.post("/centre/addresses", &form).await.body;
        assert!(page.contains("First enter a code"), "{form:?} {page}");
    }
    for what in ["export", "erase"] {
        let form = [("do", what), ("sure", "yes")];
        let page = browser.post("/centre/data", &form).await.body;
        assert!(page.contains("First enter a code"), "{what} {page}");
    }
    assert_eq!(app.customer_now().await.contact_points.len(), 2);
    app.end().await;
}

#[tokio::test]
async fn a_wrong_code_is_not_taken_and_after_five_not_even_the_right_one() {
    let app = TestApp::start().await;
    app.ada().await;
    let browser = Browser::visiting(&app).await;
    let page = browser.get("/centre/addresses").await.body;
    let key = value_of(&page, "<option value=\"").expect("an address");
    browser.post("/centre/addresses", &[("do", "send_code"), ("key", &key)]).await;
    let digits = app.digits().await;
    let wrong = if digits == "000000" { "000001" } else { "000000" };
    let enter = async |digits: &str| {
        browser.post("/centre/addresses", &[("do", "prove"), ("digits", digits)]).await.body
    };
    for _ in 0..5 {
        assert!(enter(wrong).await.contains("These are not the digits."));
    }
    assert!(enter(&digits).await.contains("This code is over."));
    app.end().await;
}

#[tokio::test]
async fn a_code_is_over_after_ten_minutes_and_counts_once() {
    let app = TestApp::start().await;
    app.ada().await;
    let browser = Browser::proven(&app).await;
    let digits = app.digits().await;
    let form = [("do", "prove"), ("digits", digits.as_str())];
    assert!(browser.post("/centre/addresses", &form).await.body.contains("This code is over."));
    let page = browser.get("/centre/addresses").await.body;
    assert!(page.contains("Add an address"), "the proof still holds: {page}");
    app.advance_to("2026-11-23T10:15:00Z").await;
    let page = browser.get("/centre/addresses").await.body;
    assert!(!page.contains("Add an address"), "and ends after a quarter of an hour: {page}");
    app.end().await;
}

#[tokio::test]
async fn an_address_is_added_with_its_own_code_and_the_others_hear_of_it() {
    let app = TestApp::start().await;
    app.ada().await;
    let browser = Browser::proven(&app).await;
    let add = [("do", "add"), ("channel", "email"), ("address", "ada@work.example")];
    let page = browser.post("/centre/addresses", &add).await.body;
    assert!(page.contains("on its way to the new address"), "{page}");
    let digits = app.digits().await;
    assert_eq!(app.smtp.taken().last().expect("a mail").to, "ada@work.example");
    assert_eq!(app.customer_now().await.contact_points.len(), 2, "not before the code");
    let form = [("do", "confirm"), ("digits", digits.as_str())];
    let page = browser.post("/centre/addresses", &form).await.body;
    assert!(page.contains("Added.") && page.contains("a***@w***.example"), "{page}");
    app.drain().await;
    let receipt = app.smtp.taken().pop().expect("a receipt");
    assert_eq!(receipt.to, "ada@example.com");
    assert!(receipt.text().contains("a***@w***.example was added"), "{}", receipt.text());
    // An import takes it away no more.
    app.customer(ada()).await;
    let points = app.customer_now().await.contact_points;
    assert!(points.iter().any(|p| p.address.expose() == "ada@work.example" && p.verified));
    app.end().await;
}

#[tokio::test]
async fn a_removed_address_is_told_once_and_an_import_does_not_bring_it_back() {
    let app = TestApp::start().await;
    app.ada().await;
    let browser = Browser::proven(&app).await;
    let page = browser.get("/centre/addresses").await.body;
    let key = value_of(&page, "name=\"key\" value=\"").expect("an address");
    let form = [("do", "remove"), ("key", key.as_str())];
    let page = browser.post("/centre/addresses", &form).await.body;
    assert!(page.contains("Removed."), "{page}");
    app.drain().await;
    let told = app.smtp.taken().pop().expect("a word to it");
    assert_eq!(told.to, "ada@example.com");
    assert!(told.text().contains("This address was removed."), "{}", told.text());
    app.customer(ada()).await;
    let points = app.customer_now().await.contact_points;
    let channels: Vec<Channel> = points.iter().map(|point| point.channel).collect();
    assert_eq!(channels, [Channel::Sms]);
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    assert_eq!(app.of("taken-in-charge").await.channel.as_deref(), Some("sms"));
    app.end().await;
}

#[tokio::test]
async fn what_is_no_address_or_known_already_is_said() {
    let app = TestApp::start().await;
    app.ada().await;
    let browser = Browser::proven(&app).await;
    for (channel, address, says) in [
        ("email", "nobody", "This is no e-mail address."),
        ("sms", "07911 123456", "This is no number."),
        ("email", "ada@example.com", "We have this address already."),
    ] {
        let form = [("do", "add"), ("channel", channel), ("address", address)];
        let page = browser.post("/centre/addresses", &form).await.body;
        assert!(page.contains(says), "{address} {page}");
    }
    app.end().await;
}

/// Ada, whose mail came back on Monday.
async fn bounced() -> TestApp {
    let app = TestApp::start().await;
    app.ada().await;
    let address = email("ada@example.com");
    let why = "550 5.1.1 no such user";
    app.store().suppress(Channel::Email, &address, why, "smtp", app.now()).await.expect("kept");
    app
}

fn email(text: &str) -> Address {
    Address::parse(Channel::Email, text).expect("an address")
}

/// The key of the form that tries an address again.
fn again_key(page: &str) -> Option<String> {
    let before = page.split_once("value=\"again\"")?.0;
    value_of(&before[before.rfind("name=\"key\"")?..], "value=\"")
}

#[tokio::test]
async fn an_address_that_bounced_is_opened_again_by_the_digits_read_there() {
    let app = bounced().await;
    let browser = Browser::visiting(&app).await;
    let page = browser.get("/centre/addresses").await.body;
    assert!(page.contains("Closed: we could not deliver to it on 23 November 2026."), "{page}");
    let key = again_key(&page).expect("a form");
    let page = browser.post("/centre/addresses", &[("do", "again"), ("key", &key)]).await.body;
    assert!(page.contains("A code is on its way"), "{page}");
    let digits = app.digits().await;
    assert_eq!(app.smtp.taken().last().expect("a mail").to, "ada@example.com");
    let wrong = if digits == "000000" { "000001" } else { "000000" };
    let enter = async |digits: &str| {
        browser.post("/centre/addresses", &[("do", "works"), ("digits", digits)]).await.body
    };
    assert!(enter(wrong).await.contains("These are not the digits."));
    assert!(app.customer_now().await.contact_points[0].suppressed.is_some());
    let page = enter(&digits).await;
    assert!(page.contains("We use this address again."), "{page}");
    assert!(again_key(&page).is_none(), "{page}");
    assert!(app.customer_now().await.contact_points[0].suppressed.is_none());
    let line = app.store().last_consent(&"C-1".into()).await.expect("there").expect("a line");
    assert_eq!((line.source.as_str(), line.what.as_str()), ("centre", r#"{"usable":"email"}"#));
    assert!(!line.text_version.is_empty(), "which words they saw");
    assert!(enter(&digits).await.contains("This code is over."), "it counts once");
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    assert_eq!(app.of("taken-in-charge").await.channel.as_deref(), Some("email"));
    app.end().await;
}

#[tokio::test]
async fn what_somebody_said_of_an_address_is_not_opened_by_a_code() {
    for source in ["stop", "carrier", "not mine"] {
        let app = bounced().await;
        let browser = Browser::visiting(&app).await;
        let key = again_key(&browser.get("/centre/addresses").await.body).expect("a form");
        let address = email("ada@example.com");
        browser.post("/centre/addresses", &[("do", "again"), ("key", &key)]).await;
        let digits = app.digits().await;
        // Said while the code was on its way.
        let (store, now) = (app.store(), app.now() + chrono::TimeDelta::milliseconds(1));
        store.suppress(Channel::Email, &address, "said so", source, now).await.expect("kept");
        app.advance_to("2026-11-23T10:00:01Z").await;
        browser.post("/centre/addresses", &[("do", "works"), ("digits", &digits)]).await;
        let suppressed = app.customer_now().await.contact_points[0].suppressed.clone();
        assert_eq!(suppressed.as_deref(), Some("said so"), "{source}");
        let page = browser.get("/centre/addresses").await.body;
        assert!(again_key(&page).is_none() && page.contains("said no"), "{source} {page}");
        let page = browser.post("/centre/addresses", &[("do", "again"), ("key", &key)]).await.body;
        assert!(page.contains("This address cannot be used for a code."), "{source} {page}");
        app.end().await;
    }
}

#[tokio::test]
async fn nobody_opens_an_address_that_is_not_theirs_and_few_codes_go_there() {
    let app = bounced().await;
    let browser = Browser::visiting(&app).await;
    let key = again_key(&browser.get("/centre/addresses").await.body).expect("a form");
    let page = browser.post("/centre/addresses", &[("do", "again"), ("key", "made up")]).await.body;
    assert!(page.contains("notice-fault") || page.contains("fault"), "{page}");
    let page =
        browser.post("/centre/addresses", &[("do", "works"), ("digits", "123456")]).await.body;
    assert!(page.contains("This code is over."), "none was sent: {page}");
    for _ in 0..10 {
        browser.post("/centre/addresses", &[("do", "again"), ("key", &key)]).await;
    }
    app.drain().await;
    let sent = app.smtp.taken().len();
    assert!(sent <= usize::try_from(MAX_CODES_PER_HOUR).expect("few"), "{sent}");
    app.end().await;
}
