//! What the tests stand on: the app on a manual clock, and real counterparts on loopback.

pub mod asterisk;
pub mod binary;
pub mod gateway;
pub mod kannel;
pub mod node;
pub mod openid;
pub mod postfix;
pub mod postgres;
pub mod redis;
pub mod smtp;
pub mod telephone;
pub mod twilio;
pub mod visitor;
pub mod vonage;

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use tidings::app::{App, Workers};
use tidings::channel::Gateways;
use tidings::clock::Clock;
use tidings::config::Settings;
use tidings::domain::customer::CustomerRecord;
use tidings::domain::time::{Instant, parse_instant};
use tidings::domain::{CaseEvent, CustomerId, NotificationId, Preferences, Zones};
use tidings::store::console::{Detail, Filter, NotificationView, Summary};
use tidings::store::intake::{Accepted, Incoming};
use tidings::store::{Beside, Store};
use tidings::worker::seams::Seams;

use smtp::SmtpSink;
use twilio::TwilioDouble;
use vonage::VonageDouble;

/// An empty store for a test: a file in its folder, or with `TIDINGS_TEST_STORE=postgres` a
/// database of its own.
pub fn fresh_store(folder: &Path) -> String {
    match std::env::var("TIDINGS_TEST_STORE").as_deref() {
        Ok("postgres") => postgres::PostgresServer::shared().fresh_database(),
        Ok("sqlite") | Err(_) => format!("sqlite:{}/store.db", folder.display()),
        Ok(other) => panic!("TIDINGS_TEST_STORE is {other:?}; sqlite and postgres are known"),
    }
}

/// Changes what lies in a store behind its back, as damage would.
pub async fn damage(url: &str, statement: &'static str) {
    use sqlx::Connection;
    if url.starts_with("postgres") {
        let mut connection = sqlx::PgConnection::connect(url).await.expect("a connection");
        sqlx::query(statement).execute(&mut connection).await.expect("written");
    } else {
        let mut connection = sqlx::SqliteConnection::connect(url).await.expect("a connection");
        sqlx::query(statement).execute(&mut connection).await.expect("written");
    }
}

/// A number that a store is asked for, past the program.
pub async fn counted(url: &str, statement: &'static str) -> i64 {
    use sqlx::Connection;
    if url.starts_with("postgres") {
        let mut connection = sqlx::PgConnection::connect(url).await.expect("a connection");
        sqlx::query_scalar(statement).fetch_one(&mut connection).await.expect("read")
    } else {
        let mut connection = sqlx::SqliteConnection::connect(url).await.expect("a connection");
        sqlx::query_scalar(statement).fetch_one(&mut connection).await.expect("read")
    }
}

/// The same text but for its last letter: a token that is not ours, whatever it ends in.
pub fn forged(token: &str) -> String {
    let (kept, last) = token.split_at(token.len() - 1);
    format!("{kept}{}", if last == "A" { "B" } else { "A" })
}

pub fn at(text: &str) -> Instant {
    parse_instant(text).expect(text)
}

/// The app with a manual clock, its store in a temporary folder, e-mail to a sink, text and
/// voice to a double of Twilio.
pub struct TestApp {
    pub app: Arc<App>,
    pub smtp: SmtpSink,
    pub twilio: TwilioDouble,
    pub vonage: VonageDouble,
    workers: Option<Workers>,
    /// Removed with the app.
    _folder: TempDir,
    seq: std::cell::Cell<u32>,
}

/// The settings of a test, with `more` at the end; lines of it that begin with `email.` go to
/// those of the channel.
pub fn settings(folder: &Path, smtp: &SmtpSink, twilio: &TwilioDouble, more: &str) -> Settings {
    let token = folder.join("token");
    std::fs::write(&token, twilio::TOKEN).expect("a temporary file");
    let email: String = more
        .lines()
        .filter_map(|line| line.strip_prefix("email."))
        .fold(String::new(), |lines, line| lines + line + "\n");
    let more: String = more
        .lines()
        .filter(|line| !line.starts_with("email."))
        .fold(String::new(), |lines, line| lines + line + "\n");
    let http = if more.contains("[http]") {
        ""
    } else {
        "[http]\npublic_url = \"https://tidings.example.com\""
    };
    let twilio_texts = if more.contains("[channels.sms]") {
        String::new()
    } else {
        format!(
            "[channels.sms]\nprovider = \"twilio\"\nbase_url = {:?}\naccount = \"AC1\"\n\
             token_file = {:?}\nfrom = \"+442079460001\"",
            twilio.url(),
            token.display().to_string()
        )
    };
    let voice = format!(
        "[channels.voice]\nprovider = \"twilio\"\nbase_url = \"{}\"\naccount = \"AC1\"\ntoken_file = \"{}\"\nfrom = \"+442079460001\"",
        twilio.url(),
        token.display()
    );
    let voice = if more.contains("[channels.voice]") { "" } else { voice.as_str() };
    let relay = if email.contains("url = ") {
        String::new()
    } else {
        format!("url = \"{}\"\n", smtp.url())
    };
    let text = format!(
        r#"
[store]
url = "{store}"
{http}
[sender]
name = "Example Shop"
mail_from = "Example Shop <service@example.com>"
reply_to = "service@example.com"
phone = "+442079460000"
[channels.email]
provider = "smtp"
{relay}{email}{twilio_texts}
{voice}
{more}
"#,
        store = fresh_store(folder),
    );
    Settings::read("test settings", &text, []).unwrap_or_else(|finding| panic!("{finding}"))
}

/// Calls by the double of Vonage: stands in settings for `{vonage}`.
fn vonage_voice(folder: &Path, vonage: &VonageDouble) -> String {
    let key = folder.join("vonage.pem");
    let secret = folder.join("vonage.secret");
    std::fs::write(&key, vonage::PRIVATE_KEY).expect("a temporary file");
    std::fs::write(&secret, vonage::SIGNATURE_SECRET).expect("a temporary file");
    format!(
        "[channels.voice]\nprovider = \"vonage\"\nbase_url = \"{}\"\napplication = \"{}\"\nprivate_key_file = \"{}\"\ncallback_secret_file = \"{}\"\nfrom = \"+442079460001\"",
        vonage.url(),
        vonage::APPLICATION,
        key.display(),
        secret.display()
    )
}

impl TestApp {
    /// Starts at 2026-11-23T10:00:00Z, a Monday, with the shipped journeys.
    pub async fn start() -> Self {
        Self::with("").await
    }

    /// The same with settings of its own at the end.
    pub async fn with(more: &str) -> Self {
        Self::at_with("2026-11-23T10:00:00Z", more).await
    }

    pub async fn at_with(now: &str, more: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (smtp, twilio) = (SmtpSink::start().await, TwilioDouble::start().await);
        let vonage = VonageDouble::start().await;
        let more = more.replace("{vonage}", &vonage_voice(folder.path(), &vonage));
        let settings = settings(folder.path(), &smtp, &twilio, &more);
        let store = Store::open(&settings.store.url).await.expect("a store");
        let clock = Clock::manual(at(now));
        let app = Box::pin(App::build(settings, clock, store));
        let app = app.await.unwrap_or_else(|e| panic!("{e:?}"));
        let app = Arc::new(app);
        let workers = Some(app.start_driven());
        Self { app, smtp, twilio, vonage, workers, _folder: folder, seq: std::cell::Cell::new(0) }
    }

    /// The same store under a new process, as after a restart.
    pub async fn restart(&mut self, gateways: Option<Gateways>, seams: Seams) {
        let settings = (*self.app.settings).clone();
        Box::pin(self.restart_with(settings, gateways, seams)).await;
    }

    /// The same with other settings.
    pub async fn restart_with(
        &mut self,
        settings: Settings,
        gateways: Option<Gateways>,
        seams: Seams,
    ) {
        if let Some(workers) = self.workers.take() {
            workers.abort();
        }
        let clock = self.app.engine.clock.clone();
        let store = Store::open(&settings.store.url).await.expect("a store");
        let gateways = gateways.unwrap_or_else(|| self.app.engine.gateways.clone());
        let lock = store.lock_dispatch("test", Beside::Nobody).await.expect("nobody else");
        let app = Box::pin(App::build_with(settings, clock, store, gateways, seams)).await;
        self.app = Arc::new(app.unwrap_or_else(|e| panic!("{e:?}")));
        self.app.recover(&lock).await.expect("the store is there");
        self.workers = Some(self.app.start_driven());
    }

    pub fn store(&self) -> &Store {
        &self.app.engine.store
    }

    pub fn now(&self) -> Instant {
        self.app.engine.clock.now()
    }

    /// Tells of a customer; addresses are verified.
    pub async fn customer(&self, value: Value) {
        let record = CustomerRecord::from_json(&value, None, &Zones::bundled())
            .unwrap_or_else(|faults| panic!("{faults:?}"));
        let done = self.store().import_customers(vec![record], "test", self.now()).await;
        if done.expect("the store is there").released {
            let events = self.store().unplanned_events(self.now(), 500).await.expect("the store");
            self.app.engine.ring_plan(&events);
        }
    }

    /// Ada Byron, C-1, in London: e-mail and text, no choices.
    pub async fn ada(&self) {
        self.customer(ada()).await;
    }

    /// Accepts an event of case T-1 of C-1 that happens now, without working on it.
    pub async fn event(&self, state: &str) -> Accepted {
        self.event_of(json!({"state": state})).await
    }

    /// Accepts an event; what is left out is as in [`TestApp::event`].
    pub async fn event_of(&self, more: Value) -> Accepted {
        let n = self.seq.get() + 1;
        self.seq.set(n);
        let mut value = json!({
            "id": format!("e{n}"), "source": "desk", "case": "T-1", "case_type": "ticket",
            "customer": "C-1", "occurred_at": self.now().to_rfc3339(),
        });
        for (name, field) in more.as_object().expect("an object") {
            value[name] = field.clone();
        }
        let event = CaseEvent::from_json(&value, "", self.now())
            .unwrap_or_else(|faults| panic!("{faults:?}"));
        let incoming = Incoming::new(event, &value);
        let accepted = self.store().accept_events(vec![incoming], self.now()).await;
        let accepted = accepted.expect("the store is there").remove(0);
        if let Accepted::New { seq } = accepted {
            self.app.engine.ring_plan(&[seq]);
        }
        accepted
    }

    /// Works until nothing is due now.
    pub async fn drain(&self) {
        self.app.engine.run_until_idle().await.expect("the store is there");
    }

    /// Moves the clock to `target`, working at every instant at which something falls due.
    pub async fn advance_to(&self, target: &str) {
        let (engine, target) = (&self.app.engine, at(target));
        let mut due = engine.run_until_idle().await.expect("the store is there");
        while let Some(next) = due.filter(|due| *due <= target) {
            engine.clock.advance_to(next);
            due = engine.run_until_idle().await.expect("the store is there");
        }
        engine.clock.advance_to(target);
        self.drain().await;
    }

    pub async fn choose(&self, change: impl FnOnce(&mut Preferences) + Send + 'static) {
        self.store().choose(&"C-1".into(), "test", self.now(), change).await.expect("known");
    }

    pub async fn notifications(&self) -> Vec<NotificationView> {
        let filter = Filter { limit: 1_000, ..Filter::default() };
        let mut all = self.store().notifications(&filter).await.expect("the store is there");
        all.sort_by_key(|n| (n.planned_at_ms, n.due_at_ms, n.notice.clone()));
        all
    }

    /// The one notification of this notice.
    pub async fn of(&self, notice: &str) -> NotificationView {
        let mut all = self.notifications().await;
        all.retain(|n| n.notice == notice);
        assert_eq!(all.len(), 1, "{notice}: {all:?}");
        all.remove(0)
    }

    /// The notification with this id.
    pub async fn of_id(&self, id: &str) -> NotificationView {
        let mut named = self.store().named(&[id.to_owned()]).await.expect("the store is there");
        assert_eq!(named.len(), 1, "{id}");
        named.remove(0)
    }

    pub async fn detail(&self, notice: &str) -> Detail {
        let id = NotificationId::parse(&self.of(notice).await.id).expect("an id");
        self.store().notification(&id).await.expect("it is there")
    }

    pub async fn summary(&self) -> Summary {
        self.store().summary().await.expect("the store is there")
    }

    pub async fn tasks(&self) -> Vec<String> {
        let tasks = self.store().open_tasks(0, 100).await.expect("the store is there");
        tasks.into_iter().map(|task| task.detail).collect()
    }

    /// What `tidings explain` says about the one notification of this notice.
    pub async fn explained(&self, notice: &str) -> String {
        let id = NotificationId::parse(&self.of(notice).await.id).expect("an id");
        tidings::app::explain::notification(&self.app, &id).await.expect("it is there").text
    }

    pub async fn customer_now(&self) -> tidings::domain::Customer {
        let id = CustomerId("C-1".into());
        self.store().customer(&id, self.now()).await.expect("known")
    }

    /// What the app's own routes answer: status and body.
    pub async fn http(&self, request: axum::http::Request<axum::body::Body>) -> (u16, String) {
        answered(self.router(), request).await
    }

    /// The app's routes.
    pub fn router(&self) -> axum::Router {
        let metrics = tidings::web::Metrics::install();
        tidings::web::router(tidings::web::Web { app: Arc::clone(&self.app), metrics })
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        let request = axum::http::Request::get(path).body(axum::body::Body::empty());
        self.http(request.expect("a request")).await
    }

    /// Posts a form, with the signature of a provider where there is one.
    pub async fn post_form(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        signature: Option<String>,
    ) -> (u16, String) {
        let mut form = reqwest::Url::parse("form:x").expect("a URL");
        form.query_pairs_mut().extend_pairs(fields);
        let body = form.query().unwrap_or_default().to_owned();
        let mut request = axum::http::Request::post(path)
            .header("content-type", "application/x-www-form-urlencoded");
        if let Some(signature) = signature {
            request = request.header("x-twilio-signature", signature);
        }
        self.http(request.body(body.into()).expect("a request")).await
    }

    /// Stops in good order and asserts that nothing is left half done.
    pub async fn end(mut self) {
        self.drain().await;
        if let Some(workers) = self.workers.take() {
            workers.stop().await;
        }
        for n in self.notifications().await {
            assert!(!matches!(n.status.as_str(), "claimed" | "sending"), "{n:?}");
        }
        assert!(self.summary().await.balance.adds_up());
    }
}

/// What routes answer: status and body.
pub async fn answered(
    router: axum::Router,
    request: axum::http::Request<axum::body::Body>,
) -> (u16, String) {
    use tower::ServiceExt;
    let response = router.oneshot(request).await.expect("answered");
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

pub fn ada() -> Value {
    json!({
        "id": "C-1", "name": "Ada Byron", "locale": "en-GB", "time_zone": "Europe/London",
        "contact_points": [
            {"channel": "email", "address": "ada@example.com", "verified": true},
            {"channel": "sms", "address": "+447911123456", "verified": true}
        ]
    })
}
