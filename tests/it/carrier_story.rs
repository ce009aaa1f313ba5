//! The story of the demo over everything real at once: Postfix takes the mail, Kannel and the
//! network behind it the texts, a telephone the calls; and all of them report.
//!
//! One thing is as the demo does not have it: Jonas gave us an address that nobody has. His first
//! mail comes back, he is told by text, and goes on by text as the story has it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tidings::app::demo::captured::{answer_path, plain};
use tidings::app::demo::{Action, By, CUSTOMERS, Deed, Story};
use tidings::app::play::{Script, Step, play_with};
use tidings::domain::{CustomerId, NotificationId};

use crate::chaos::until;
use crate::support::kannel::{KannelServer, Served, free_port};
use crate::support::postfix::Postfix;
use crate::support::telephone::Telephone;
use crate::support::twilio::pairs;
use crate::support::{TestApp, counted};
use crate::texts::accounts::form;

const OURS: &str = "+442079460001";
const REPORTS: &str = "/v1/receipts/kannel?";

/// How long a mail may take on this machine. Longer than it ever takes.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(1);

/// Who lives through the story. Jonas gave us an address, too: a wrong one.
fn customers() -> Vec<Value> {
    let read = |line| serde_json::from_str(line).expect("a customer");
    let mut customers: Vec<Value> = CUSTOMERS.lines().map(read).collect();
    let points = customers[1]["contact_points"].as_array_mut().expect("a list");
    points.push(json!({"channel": "email", "address": "jonas@example.com", "verified": true}));
    customers
}

fn address(customer: &str, channel: &str) -> String {
    let customers = customers();
    let known = customers.iter().find(|known| known["id"] == customer).expect("in the story");
    let points = known["contact_points"].as_array().expect("a list");
    let point = points.iter().find(|point| point["channel"] == channel).expect("an address");
    point["address"].as_str().expect("text").to_owned()
}

/// The app and those it speaks to.
struct Stage {
    app: TestApp,
    postfix: Postfix,
    kannel: KannelServer,
    served: Served,
    url: String,
    last_attempt: i64,
    mails: BTreeMap<String, usize>,
    came_back: usize,
    texts: usize,
    calls: usize,
    /// What the network said: of which text, and what.
    reports: BTreeSet<(String, String)>,
}

impl Stage {
    async fn set(begins_at: &str) -> Self {
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        let postfix = Postfix::with_mailboxes(&["ada@example.com", "claire@example.com"]);
        let inbound = format!("{url}/v1/inbound/kannel?secret=s3cret");
        let kannel = KannelServer::start(&inbound, "100 200 text hello");
        let settings = format!(
            "email.url = \"{}\"\nemail.bounce_to = \"bounces@bounce.example.com\"\n\
             [http]\npublic_url = \"{url}\"\n[channels.sms]\nprovider = \"kannel\"\n\
             base_url = \"{}\"\naccount = \"tidings\"\ntoken = \"t0ken\"\n\
             callback_secret = \"s3cret\"\nfrom = \"{OURS}\"\n\
             [limits.sms]\ncountries = [\"GB\", \"DE\"]\n\
             [limits.voice]\ncountries = [\"CA\"]\n",
            postfix.url(),
            kannel.url()
        );
        let app = TestApp::at_with(begins_at, &settings).await;
        for customer in customers() {
            app.customer(customer).await;
        }
        let served = Served::start(&app, port).await;
        Self {
            app,
            postfix,
            kannel,
            served,
            url,
            last_attempt: 0,
            mails: BTreeMap::new(),
            came_back: 0,
            texts: 0,
            calls: 0,
            reports: BTreeSet::new(),
        }
    }

    /// Everybody does their part with what left, until nothing more leaves.
    async fn settle(&mut self) {
        loop {
            let news = self.app.store().news(i64::MAX, self.last_attempt, i64::MAX).await;
            let sent = news.expect("the store is there").sent;
            let Some(last) = sent.last() else { return };
            self.last_attempt = last.seq;
            for one in &sent {
                match (one.channel.as_str(), one.customer_id.as_str()) {
                    ("email", "C-2") => self.comes_back().await,
                    ("email", customer) => self.lands(&address(customer, "email")).await,
                    ("sms", _) => self.texts += 1,
                    _ => self.rings().await,
                }
            }
            self.network_reports().await;
            self.app.drain().await;
        }
    }

    async fn comes_back(&mut self) {
        let (to, mail) = self.postfix.came_back().await;
        self.came_back += 1;
        let path = format!("/v1/inbound/mail?{}", form(&[("to", &to)]));
        let request = Request::post(path).body(Body::from(mail)).expect("a request");
        let (status, taken) = self.app.http(request).await;
        assert_eq!(status, 200, "{taken}");
        assert!(taken.contains("\"receipt\""), "{taken}");
    }

    async fn lands(&mut self, address: &str) {
        let count = self.mails.entry(address.to_owned()).or_default();
        *count += 1;
        let all = async || self.postfix.mails(address).len() == *count;
        assert!(until(PATIENCE, all).await, "{count} for {address}: {}", self.postfix.log());
    }

    async fn rings(&mut self) {
        let mut calls = self.app.twilio.taken().into_iter().filter(|one| one.resource == "Calls");
        let call = calls.nth(self.calls).expect("a call");
        self.calls += 1;
        let phone = Telephone::by_twilio(&self.app, &call);
        let first = phone.picked_up("human").await;
        phone.press(&first, '2').await;
        // Without its report a call is an open end, and we would see it.
        let open = unsettled(&self.app).await;
        assert!(open.iter().any(|end| end.contains("by voice")), "{open:?}");
        phone.reports("completed", Some("human")).await;
    }

    /// The network says of each text that it has it, and that it was delivered.
    async fn network_reports(&mut self) {
        while self.reports.len() < 2 * self.texts {
            let line = self.served.next(REPORTS).await;
            assert!(line.starts_with("204 "), "{line}");
            let (_, query) = line.split_once(REPORTS).expect("a query");
            let fields: BTreeMap<String, String> = pairs(query).into_iter().collect();
            let (of, what) = (fields["a"].clone(), fields["d"].clone());
            assert!(["1", "8"].contains(&what.as_str()), "{line}");
            self.reports.insert((of, what));
        }
    }

    /// What a customer does, each by the way the story says.
    async fn perform(&mut self, action: Action) {
        let id = CustomerId(action.customer.clone());
        match action.deed {
            Deed::Chooses(chosen) => {
                let order = chosen.channel_order;
                let change = |preferences: &mut tidings::domain::Preferences| {
                    preferences.channel_order = Some(order);
                };
                let now = self.app.now();
                self.app.store().choose(&id, "centre", now, change).await.expect("known");
            }
            Deed::Answers(given) if given.by == By::Link => {
                let mails = self.postfix.mails(&address(&action.customer, "email"));
                let link = mails.iter().find_map(|mail| answer_path(&plain(mail)));
                let link = format!("{}{}", self.url, link.expect("a mail with a question"));
                let answer = [("answer", given.answer)];
                let page = reqwest::Client::new().post(link).form(&answer).send().await;
                page.expect("answered").error_for_status().expect("taken");
            }
            Deed::Answers(given) => {
                let number = address(&action.customer, "sms");
                self.kannel.lets_in(&format!("{number} {OURS} text {}", given.answer));
                let heard = self.served.next("/v1/inbound/kannel?").await;
                assert!(heard.starts_with("200 "), "{heard}");
                assert_eq!(self.kannel.next().to, number, "they hear that it was noted");
            }
        }
        self.app.drain().await;
    }
}

/// What has not come to its end: a hand-over nobody reported of, or one that failed and that
/// nothing followed.
async fn unsettled(app: &TestApp) -> Vec<String> {
    let mut open = Vec::new();
    for n in app.notifications().await {
        let id = NotificationId::parse(&n.id).expect("an id");
        let detail = app.store().notification(&id).await.expect("it is there");
        let last = detail.attempts.last().map(|attempt| attempt.no);
        for attempt in &detail.attempts {
            let at_its_end = match (attempt.state.as_str(), attempt.channel.as_str()) {
                ("delivered", _) => n.status == "delivered",
                // No mailbox tells us that a mail came: this is its last state.
                ("sent", "email") => n.status == "sent",
                ("undelivered", _) => Some(attempt.no) < last,
                _ => false,
            };
            if !at_its_end {
                let (state, channel) = (&attempt.state, &attempt.channel);
                let told = tidings::app::explain::notification(&app.app, &id).await;
                let told = told.expect("it is there").text;
                open.push(format!("{} is {state} by {channel}: {told}", n.notice));
            }
        }
        if last.is_none() && !matches!(n.status.as_str(), "cancelled" | "suppressed") {
            open.push(format!("{} of {} is {}", n.notice, n.customer_id, n.status));
        }
    }
    open
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_story_by_mail_text_and_phone_ends_with_every_report_applied_and_nothing_open() {
    let mut story = Story::read();
    let begins_at = story.events[0].event.occurred_at.to_rfc3339();
    let mut stage = Stage::set(&begins_at).await;
    let app = Arc::clone(&stage.app.app);
    let script = Script::of(std::mem::take(&mut story.events));
    let mut steps = play_with(&app, script, "10 days".parse().expect("a span"));
    steps.stop_at(story.actions.iter().map(|action| action.at).collect());
    loop {
        match steps.next().await.expect("the store is there") {
            Step::Moved => {}
            Step::Stopped => stage.perform(story.actions.pop_front().expect("one a stop")).await,
            Step::Ended => break,
        }
        stage.settle().await;
        steps.look_again();
    }

    assert_eq!(unsettled(&stage.app).await, Vec::<String>::new());
    let waiting = "SELECT count(*) FROM receipt WHERE applied_at_ms IS NULL";
    assert_eq!(counted(&app.settings.store.url, waiting).await, 0);
    let due = app.engine.run_until_idle().await.expect("the store is there");
    assert_eq!(due, None, "nothing is left due");

    let summary = stage.app.summary().await;
    let balance = summary.balance;
    assert!(balance.adds_up(), "{balance:?}");
    let sums = (balance.accepted, balance.open, balance.told, balance.silent, balance.task);
    assert_eq!(sums, (29, 0, 26, 3, 0), "as the demo ends");
    let by_status = |status: &str| summary.by_status.get(status).copied().unwrap_or_default();
    assert_eq!((by_status("sent"), by_status("delivered")), (14, 16), "{:?}", summary.by_status);

    let mails: usize = stage.mails.values().sum();
    assert_eq!((mails, stage.came_back, stage.texts, stage.calls), (14, 1, 13, 3));
    let jonas = stage.app.store().customer(&"C-2".into(), stage.app.now()).await.expect("known");
    let closed = jonas.contact_points.iter().filter(|point| point.suppressed.is_some());
    let closed: Vec<&str> = closed.map(|point| point.address.expose()).collect();
    assert_eq!(closed, ["jonas@example.com"], "nobody writes there again");
    stage.app.end().await;
}
