//! The pages of a visit and their forms. Each form says what it wants in a field `do`.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use minijinja::context;
use minijinja::value::{Serde, Value};

use crate::app::Seam;
use crate::app::barrier;
use crate::app::centre::Person;
use crate::app::centre::addresses::{self, Entered};
use crate::app::centre::{calls, choices, data, letters, matters};
use crate::domain::Channel;
use crate::domain::time::{Instant, from_ms};
use crate::store::StoreError;
use crate::web::receipts::pairs;
use crate::web::{Web, pages};

use super::{Said, Visitor, refuse, show};

/// What came of a form.
type Done = Result<Vec<Said>, StoreError>;

/// A form: name and value pairs.
struct Form(Vec<(String, String)>);

impl Form {
    fn read(body: &[u8]) -> Self {
        Self(pairs(body))
    }

    fn field(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.trim())
    }
}

/// Which page an answer is.
#[derive(Debug, Clone, Copy)]
enum Room {
    Overview,
    Choices,
    Addresses,
    Call,
    Data,
}

impl Room {
    const fn template(self) -> &'static str {
        match self {
            Self::Overview => "overview.html",
            Self::Choices => "choices.html",
            Self::Addresses => "addresses.html",
            Self::Call => "call.html",
            Self::Data => "data.html",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Overview, Self::Choices, Self::Addresses, Self::Call, Self::Data]
            .into_iter()
            .find(|room| room.template().trim_end_matches(".html") == name)
    }

    async fn values(self, web: &Web, visitor: &Visitor) -> Result<Value, StoreError> {
        let (app, person, now) = (&web.app, &visitor.person, visitor.now);
        let name = person.customer.profile.name.as_str();
        Ok(match self {
            Self::Overview => {
                let overview = matters::overview(app, person, now).await?;
                let choices = choices::choices(app, person, now).await?;
                let channels: Vec<Channel> = person.reachable().collect();
                context! {
                    name, channels => Serde(channels), may_undo => choices.may_undo,
                    paused_until => choices.paused_until, ..Value::from(Serde(overview))
                }
            }
            Self::Choices => Value::from(Serde(choices::choices(app, person, now).await?)),
            Self::Addresses | Self::Data => {
                context! { addresses => Serde(addresses::addresses(app, person, now).await?) }
            }
            Self::Call => Value::from(Serde(calls::calls(app, person, now).await?)),
        })
    }
}

/// Shows a room, and notes that it was seen.
async fn seen(web: Web, visitor: Visitor, room: Room) -> Response {
    let store = &web.app.engine.store;
    let id = &visitor.person.customer.id;
    let page = room.template().trim_end_matches(".html");
    let done = async {
        store.note_action(id, "page_seen", page, visitor.now).await?;
        let values = room.values(&web, &visitor).await?;
        show(&web, &visitor, room.template(), values, Vec::new()).await
    };
    done.await.unwrap_or_else(|error| refuse(&web, &visitor, error))
}

/// Shows a room after a form, with what came of it. What failed is noted too.
async fn answered(web: Web, visitor: Visitor, room: Room, form: &Form, done: Done) -> Response {
    let what = form.field("do").chars().take(30).collect::<String>();
    let store = &web.app.engine.store;
    let id = visitor.person.customer.id.clone();
    let said = match done {
        Ok(said) => said,
        Err(StoreError::Refused(word)) => vec![Said::fault(&web, &visitor, &word)],
        Err(StoreError::NotFound { .. }) => vec![Said::fault(&web, &visitor, "fault_gone")],
        Err(error) => return refuse(&web, &visitor, error),
    };
    let failed = said.iter().any(|line| line.kind == "fault");
    let kind = if failed { "failed" } else { "chose" };
    let shown = async {
        store.note_action(&id, kind, &what, visitor.now).await?;
        let visitor = visitor.clone().read_again(&web).await?;
        let said = if failed { said } else { in_the_language_now(&web, &visitor, said) };
        let values = room.values(&web, &visitor).await?;
        show(&web, &visitor, room.template(), values, said).await
    };
    shown.await.unwrap_or_else(|error| refuse(&web, &visitor, error))
}

/// After a change of the language, what was done is said in the new one.
fn in_the_language_now(web: &Web, visitor: &Visitor, said: Vec<Said>) -> Vec<Said> {
    let pages = &web.app.pages;
    let now = pages.words(&visitor.person.reader.locale);
    let key_of = |text: &str| {
        let mut words = pages.locales().flat_map(|locale| pages.words(locale));
        words.find(|(_, known)| *known == text).map(|(key, _)| key.clone())
    };
    let turn = |line: Said| {
        let text = key_of(&line.text).and_then(|key| now.get(&key).cloned());
        Said { text: text.unwrap_or(line.text), ..line }
    };
    said.into_iter().map(turn).collect()
}

/// What is confirmed once nothing new can start against it, and what may still come.
async fn settled(web: &Web, visitor: &Visitor, said: &mut Vec<Said>) {
    if barrier::settled(&web.app, &visitor.person.customer.id).await {
        said.push(Said::done(web, visitor, "pending"));
    }
}

/// `GET /centre`.
pub async fn overview(State(web): State<Web>, visitor: Visitor) -> Response {
    seen(web, visitor, Room::Overview).await
}

/// `GET /centre/choices`.
pub async fn choices(State(web): State<Web>, visitor: Visitor) -> Response {
    seen(web, visitor, Room::Choices).await
}

/// `GET /centre/addresses`.
pub async fn addresses(State(web): State<Web>, visitor: Visitor) -> Response {
    seen(web, visitor, Room::Addresses).await
}

/// `GET /centre/call`.
pub async fn call(State(web): State<Web>, visitor: Visitor) -> Response {
    seen(web, visitor, Room::Call).await
}

/// `GET /centre/data`.
pub async fn data(State(web): State<Web>, visitor: Visitor) -> Response {
    seen(web, visitor, Room::Data).await
}

/// One of a customer's pages for an operator at `base`, with every form switched off. No
/// cookie, and no visit on the customer's timeline. `None` when there is no such page.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn as_seen_by(
    web: &Web,
    person: Person,
    name: &str,
    query: Option<String>,
    base: &str,
    now: Instant,
) -> Result<Option<Response>, StoreError> {
    let visitor = Visitor::looking(person, now);
    let (template, values) = if name == "history" {
        ("history.html", past(web, &visitor, query).await?)
    } else {
        let Some(room) = Room::named(name) else { return Ok(None) };
        (room.template(), room.values(web, &visitor).await?)
    };
    let reader = &visitor.person.reader;
    let frame = context! {
        title => web.app.pages.word(&reader.locale, &format!("title_{name}")), page => name,
        signed_in => true, proven => false,
        base => format!("{base}/as"), viewing => context! { back => base, id => visitor.person.customer.id.as_str() },
    };
    Ok(Some(pages::html(web, template, reader, context! { ..values, ..frame })))
}

/// 90 days, newest first, planned up to the milliseconds that `until` says.
async fn past(web: &Web, visitor: &Visitor, query: Option<String>) -> Result<Value, StoreError> {
    let query = Form::read(query.unwrap_or_default().as_bytes());
    let until = query.field("until").parse().ok().filter(|ms| (0..=1 << 52).contains(ms));
    let (person, now) = (&visitor.person, visitor.now);
    let until = until.map_or_else(|| matters::end_of_today(person, now), from_ms);
    let (past, older) = matters::history(&web.app, person, until, now).await?;
    Ok(context! { past => Serde(past), older })
}

/// `GET /centre/history?until=<milliseconds>`: 90 days, newest first.
pub async fn history(
    State(web): State<Web>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Response {
    let shown = async {
        let store = &web.app.engine.store;
        store.note_action(&visitor.person.customer.id, "page_seen", "history", visitor.now).await?;
        let values = past(&web, &visitor, query).await?;
        show(&web, &visitor, "history.html", values, Vec::new()).await
    };
    shown.await.unwrap_or_else(|error| refuse(&web, &visitor, error))
}

/// `POST /centre`: a planned message, one case, or silence about everything optional.
pub async fn steer(State(web): State<Web>, visitor: Visitor, body: Bytes) -> Response {
    let form = Form::read(&body);
    let done = match form.field("do") {
        "case" => for_case(&web, &visitor, &form).await,
        "stop_all" | "undo" | "resume" => changed(&web, &visitor, &form).await,
        what => {
            let wish = (what, form.field("to"));
            let done =
                matters::steer(&web.app, &visitor.person, form.field("id"), wish, visitor.now);
            match done.await {
                Ok(word) => Ok(vec![Said::done(&web, &visitor, word)]),
                Err(error) => Err(error),
            }
        }
    };
    answered(web, visitor, Room::Overview, &form, done).await
}

async fn for_case(web: &Web, visitor: &Visitor, form: &Form) -> Done {
    let (case, choice) = (form.field("case"), form.field("choice"));
    let muted =
        matters::choose_for_case(&web.app, &visitor.person, case, choice, visitor.now).await?;
    let mut said = vec![Said::done(web, visitor, "saved")];
    if muted {
        settled(web, visitor, &mut said).await;
    }
    Ok(said)
}

/// `POST /centre/choices`.
pub async fn choose(State(web): State<Web>, visitor: Visitor, body: Bytes) -> Response {
    let form = Form::read(&body);
    let done = changed(&web, &visitor, &form).await;
    answered(web, visitor, Room::Choices, &form, done).await
}

async fn changed(web: &Web, visitor: &Visitor, form: &Form) -> Done {
    let (app, person, now) = (&web.app, &visitor.person, visitor.now);
    let change = match choices::read(app, person, &form.0, now) {
        Ok(change) => change,
        Err(word) => return Ok(vec![Said::fault(web, visitor, word)]),
    };
    let stops_all = change == choices::Change::StopAll;
    let word = match &change {
        choices::Change::StopAll => "stopped_all",
        choices::Change::Undo => "undone",
        _ => "saved",
    };
    app.engine.seams.pass(Seam::OptoutBeforeCommit).await;
    let changed = choices::change(app, person, change, now).await?;
    app.engine.seams.pass(Seam::AfterOptoutCommit).await;
    if !changed.stored {
        return Ok(vec![Said::fault(web, visitor, "fault_not_stored")]);
    }
    // What waited for the pause, the hour or the channel may go now.
    app.engine.wake.notify_one();
    let mut said = vec![Said::done(web, visitor, word)];
    if changed.narrower {
        settled(web, visitor, &mut said).await;
    }
    if stops_all {
        letters::receipt(app, person, &addresses::told(person), "receipt_stopped_all", "", now);
    }
    Ok(said)
}

/// `POST /centre/addresses`.
pub async fn change_addresses(State(web): State<Web>, visitor: Visitor, body: Bytes) -> Response {
    let form = Form::read(&body);
    let (visitor, done) = with_proof(&web, visitor, &form).await;
    let done = match done {
        Some(done) => done,
        None => addressed(&web, &visitor, &form).await,
    };
    answered(web, visitor, Room::Addresses, &form, done).await
}

/// What comes before anything risky: digits sent to an address that is known already. `None`
/// when the form wants something else and the visitor has proven who they are.
async fn with_proof(web: &Web, visitor: Visitor, form: &Form) -> (Visitor, Option<Done>) {
    let (app, now) = (&web.app, visitor.now);
    match form.field("do") {
        "send_code" => {
            let sent = addresses::begin_proof(app, &visitor.person, form.field("key"), now).await;
            let done = sent.map(|()| vec![Said::done(web, &visitor, "code_sent")]);
            (visitor, Some(done))
        }
        "prove" => {
            let digits = form.field("digits");
            match addresses::finish_proof(app, &visitor.person, digits, now).await {
                Ok(Entered::Right(..)) => {
                    let said = vec![Said::done(web, &visitor, "proven")];
                    (visitor.proven(), Some(Ok(said)))
                }
                Ok(entered) => {
                    let said = vec![Said::fault(web, &visitor, wrong_digits(&entered))];
                    (visitor, Some(Ok(said)))
                }
                Err(error) => (visitor, Some(Err(error))),
            }
        }
        // The digits prove what they would have to prove before.
        "again" | "works" => {
            let done = opened_again(web, &visitor, form).await;
            (visitor, Some(done))
        }
        _ if !visitor.proven => {
            let said = vec![Said::fault(web, &visitor, "fault_prove_first")];
            (visitor, Some(Ok(said)))
        }
        _ => (visitor, None),
    }
}

/// An address where nothing arrived: digits are sent there, or were read there.
async fn opened_again(web: &Web, visitor: &Visitor, form: &Form) -> Done {
    let (app, person, now) = (&web.app, &visitor.person, visitor.now);
    if form.field("do") == "again" {
        addresses::begin_again(app, person, form.field("key"), now).await?;
        return Ok(vec![Said::done(web, visitor, "code_sent")]);
    }
    let said = match addresses::finish_again(app, person, form.field("digits"), now).await? {
        Entered::Right(..) => Said::done(web, visitor, "address_open_again"),
        entered => Said::fault(web, visitor, wrong_digits(&entered)),
    };
    Ok(vec![said])
}

const fn wrong_digits(entered: &Entered) -> &'static str {
    match entered {
        Entered::Wrong => "fault_code_wrong",
        Entered::Over | Entered::Right(..) => "fault_code_over",
    }
}

async fn addressed(web: &Web, visitor: &Visitor, form: &Form) -> Done {
    let (app, person, now) = (&web.app, &visitor.person, visitor.now);
    let word = match form.field("do") {
        "add" => {
            let channel: Channel = form
                .field("channel")
                .parse()
                .map_err(|_| StoreError::Refused("fault_form".into()))?;
            addresses::begin_add(app, person, channel, form.field("address"), now).await?;
            "code_sent_new"
        }
        "confirm" => {
            let entered = addresses::finish_add(app, person, form.field("digits"), now).await?;
            match entered {
                Entered::Right(..) => "address_added",
                entered => return Ok(vec![Said::fault(web, visitor, wrong_digits(&entered))]),
            }
        }
        "remove" => {
            addresses::remove(app, person, form.field("key"), now).await?;
            let mut said = vec![Said::done(web, visitor, "address_removed")];
            settled(web, visitor, &mut said).await;
            return Ok(said);
        }
        _ => return Err(StoreError::Refused("fault_form".into())),
    };
    Ok(vec![Said::done(web, visitor, word)])
}

/// `POST /centre/call`.
pub async fn ask_for_call(State(web): State<Web>, visitor: Visitor, body: Bytes) -> Response {
    let form = Form::read(&body);
    let (app, now) = (&web.app, visitor.now);
    let done = match form.field("do") {
        "call" => calls::ask(app, &visitor.person, form.field("when"), now)
            .await
            .map(|()| vec![Said::done(&web, &visitor, "call_noted")]),
        "cancel" => app
            .engine
            .store
            .cancel_callback(&visitor.person.customer.id, now)
            .await
            .map(|()| vec![Said::done(&web, &visitor, "call_cancelled")]),
        _ => Err(StoreError::Refused("fault_form".into())),
    };
    answered(web, visitor, Room::Call, &form, done).await
}

/// `POST /centre/data`: hands the customer's data over, or forgets them.
pub async fn act_on_data(State(web): State<Web>, visitor: Visitor, body: Bytes) -> Response {
    let form = Form::read(&body);
    let (visitor, done) = with_proof(&web, visitor, &form).await;
    let done = match (done, form.field("do")) {
        (Some(done), _) => done,
        (None, "export") => match exported(&web, &visitor).await {
            Ok(file) => return file,
            Err(error) => Err(error),
        },
        (None, "erase") if form.field("sure") == "yes" => {
            match data::erase(&web.app, &visitor.person, visitor.now).await {
                Ok(()) => return pages::note(&web, &visitor.person.reader, "erased", true),
                Err(error) => Err(error),
            }
        }
        (None, "erase") => Err(StoreError::Refused("fault_not_sure".into())),
        _ => Err(StoreError::Refused("fault_form".into())),
    };
    answered(web, visitor, Room::Data, &form, done).await
}

async fn exported(web: &Web, visitor: &Visitor) -> Result<Response, StoreError> {
    let (person, now) = (&visitor.person, visitor.now);
    let store = &web.app.engine.store;
    store.note_action(&person.customer.id, "exported", "", now).await?;
    let document = data::export(store, &person.customer.id, now).await?;
    let text = serde_json::to_string_pretty(&document).expect("plain data");
    letters::receipt(&web.app, person, &addresses::told(person), "receipt_exported", "", now);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment; filename=\"my-data.json\""),
        ),
    ];
    Ok(visitor.go_on(web, (headers, text).into_response()))
}
