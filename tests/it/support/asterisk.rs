//! A double of an exchange's REST interface: HTTP and the events' WebSocket on one port, as
//! Asterisk has them. Strict about what it is asked for; a channel that is there is a 409.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use futures::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc};
use tokio_tungstenite::tungstenite::Message;

/// How long a test waits before it says that it was asked for nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// How an application begins that was set up as `tidings`: each process has one of its own.
const APPLICATION: &str = "tidings-";

pub const PASSWORD: &str = "ari-password";

/// What the exchange was asked for, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    Call { channel: String, body: Value },
    Play { channel: String, words: String },
    StopPlaying,
    HangUp { channel: String },
    Join { channels: String },
    Move { channel: String, to: String },
}

#[derive(Clone)]
pub struct AsteriskDouble {
    address: std::net::SocketAddr,
    inner: Arc<Inner>,
}

struct Inner {
    /// The channels that are there, with their state.
    channels: Mutex<BTreeMap<String, &'static str>>,
    /// What each was begun with, what it plays, and the application that hears it: `app`.
    variables: Mutex<BTreeMap<String, Value>>,
    /// Who hears each, as they say themselves.
    ears: Mutex<BTreeMap<String, String>>,
    /// Those that are connected, by their bridge.
    bridges: Mutex<BTreeMap<String, Vec<String>>>,
    /// Status codes of the next originations; 0 begins the call and says nothing.
    answers: Mutex<VecDeque<u16>>,
    /// Begins calls and answers no origination.
    mute: AtomicBool,
    asked: mpsc::UnboundedSender<Asked>,
    heard: tokio::sync::Mutex<mpsc::UnboundedReceiver<Asked>>,
    /// Each for one application.
    events: broadcast::Sender<(String, String)>,
    listeners: tokio::sync::Semaphore,
}

impl AsteriskDouble {
    pub async fn start() -> Self {
        let (asked, heard) = mpsc::unbounded_channel();
        let inner = Arc::new(Inner {
            channels: Mutex::default(),
            variables: Mutex::default(),
            ears: Mutex::default(),
            bridges: Mutex::default(),
            answers: Mutex::default(),
            mute: AtomicBool::new(false),
            asked,
            heard: tokio::sync::Mutex::new(heard),
            events: broadcast::channel(64).0,
            listeners: tokio::sync::Semaphore::new(0),
        });
        let router = Router::new()
            .route("/ari/channels", get(all))
            .route("/ari/channels/{id}", post(originate).get(one).delete(hang_up))
            .route("/ari/channels/{id}/move", post(move_to))
            .route("/ari/channels/{id}/play/{playback}", post(play))
            .route("/ari/channels/{id}/variable", get(variable).post(set_variable))
            .route("/ari/playbacks/{id}", delete(stop_playing))
            .route("/ari/bridges/{id}", post(async || "{}").get(bridge).delete(leave))
            .route("/ari/bridges/{id}/addChannel", post(join))
            .route("/ari/asterisk/info", get(async || "{}"))
            .with_state(Arc::clone(&inner));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let serving = Arc::clone(&inner);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, router.clone(), Arc::clone(&serving)));
            }
        });
        Self { address, inner }
    }

    pub fn url(&self) -> String {
        format!("http://{}/ari", self.address)
    }

    pub fn will(&self, answers: impl IntoIterator<Item = u16>) {
        self.inner.answers.lock().expect("lock").extend(answers);
    }

    /// Answers no origination while `mute`; calls begin all the same.
    pub fn goes_mute(&self, mute: bool) {
        self.inner.mute.store(mute, Ordering::SeqCst);
    }

    /// Waits until somebody listens to the events.
    pub async fn listened_to(&self) {
        let listener = tokio::time::timeout(PATIENCE, self.inner.listeners.acquire()).await;
        listener.expect("nobody listens").expect("open").forget();
    }

    /// What it is asked for next.
    pub async fn next(&self) -> Asked {
        let mut heard = self.inner.heard.lock().await;
        let asked = tokio::time::timeout(PATIENCE, heard.recv()).await;
        asked.expect("asked for nothing").expect("asked")
    }

    /// Waits until this channel is told words with `part` in them, playing all that comes
    /// before to its end. The words up to there.
    pub async fn plays_until(&self, channel: &str, part: &str) -> String {
        let mut all = String::new();
        loop {
            match self.next().await {
                Asked::Play { channel: on, words } => {
                    assert_eq!(on, channel, "{words}");
                    all.push_str(&words);
                    all.push('\n');
                    if words.contains(part) {
                        return all;
                    }
                    self.played(channel);
                }
                Asked::StopPlaying => {}
                other => panic!("{other:?} before {part:?}: {all}"),
            }
        }
    }

    /// The last sound of a channel is over.
    pub fn played(&self, channel: &str) {
        let last = self.inner.of(channel, "playing");
        let event = json!({"type": "PlaybackFinished", "playback": {"id": last, "state": "done"}});
        self.inner.tell(channel, &event);
    }

    /// A call without a part of the dialplan: the application gets what it was begun with.
    pub fn picks_up(&self, channel: &str) {
        let args = self.inner.of(channel, "args");
        self.inner.starts(channel, args.as_str().expect("no context"));
    }

    /// A call that goes through the dialplan, which ends in `Stasis(${TIDINGS_APP},call,MACHINE)`.
    pub fn dialplan_finds(&self, channel: &str, machine: &str) {
        assert_eq!(self.inner.of(channel, "context"), "screened");
        self.inner.starts(channel, &format!("call,{machine}"));
    }

    pub fn presses(&self, channel: &str, key: &str) {
        let event = json!({"type": "ChannelDtmfReceived", "digit": key, "duration_ms": 100,
            "channel": {"id": channel}});
        self.inner.tell(channel, &event);
    }

    pub fn ends(&self, channel: &str, cause: u16, text: &str) {
        self.forgets(channel);
        self.inner.tell(channel, &json!({"type": "StasisEnd", "channel": {"id": channel}}));
        let event = json!({"type": "ChannelDestroyed", "cause": cause, "cause_txt": text,
            "channel": {"id": channel}});
        self.inner.tell(channel, &event);
    }

    /// A call ends and nobody hears of it.
    pub fn forgets(&self, channel: &str) {
        self.inner.channels.lock().expect("lock").remove(channel);
    }

    /// Who says that they hear a channel, and how often they said it.
    pub fn heard_by(&self, channel: &str) -> Option<String> {
        self.inner.ears.lock().expect("lock").get(channel).cloned()
    }
}

impl Inner {
    fn of(&self, channel: &str, name: &str) -> Value {
        self.variables.lock().expect("lock")[channel][name].clone()
    }

    fn starts(&self, channel: &str, args: &str) {
        self.channels.lock().expect("lock").insert(channel.to_owned(), "Up");
        let args: Vec<&str> = args.split(',').collect();
        let event = json!({"type": "StasisStart", "application": self.of(channel, "app"),
            "args": args, "channel": {"id": channel, "state": "Up"}});
        self.tell(channel, &event);
    }

    /// Tells the application that hears this channel, if anybody listens to it.
    fn tell(&self, channel: &str, event: &Value) {
        let application = self.of(channel, "app").as_str().expect("an application").to_owned();
        let _ = self.events.send((application, event.to_string()));
    }
}

/// A connection: the events' WebSocket, or HTTP.
async fn serve(stream: TcpStream, router: Router, inner: Arc<Inner>) {
    let mut head = [0; 128];
    let length = stream.peek(&mut head).await.unwrap_or(0);
    let head = String::from_utf8_lossy(&head[..length]).into_owned();
    let Some(asked) = head.strip_prefix("GET /ari/events?app=") else {
        let service = TowerToHyperService::new(router);
        let http = hyper::server::conn::http1::Builder::new();
        let _ = http.serve_connection(TokioIo::new(stream), service).await;
        return;
    };
    let (application, rest) = asked.split_once('&').expect("app, then subscribeAll");
    assert!(
        application.starts_with(APPLICATION) && rest.starts_with("subscribeAll=false"),
        "{asked}"
    );
    let application = application.to_owned();
    let socket = tokio_tungstenite::accept_async(stream).await.expect("a WebSocket");
    let (mut out, mut back) = socket.split();
    let mut events = inner.events.subscribe();
    inner.listeners.add_permits(1);
    loop {
        tokio::select! {
            event = events.recv() => {
                let Ok((of, event)) = event else { return };
                if of != application {
                    continue;
                }
                if out.send(Message::text(event)).await.is_err() { return }
            }
            closed = back.next() => if closed.is_none() { return },
        }
    }
}

fn welcome(headers: &HeaderMap) {
    let basic = data_encoding::BASE64.encode(format!("tidings:{PASSWORD}").as_bytes());
    assert_eq!(headers["authorization"], format!("Basic {basic}"));
}

async fn originate(
    State(inner): State<Arc<Inner>>,
    Path(channel): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    welcome(&headers);
    let body: Value = serde_json::from_str(&body).expect("JSON");
    for name in body.as_object().expect("an object").keys() {
        let by_application = ["app", "appArgs"].contains(&name.as_str());
        let by_dialplan = ["context", "extension", "priority"].contains(&name.as_str());
        let known = ["endpoint", "callerId", "timeout", "variables"].contains(&name.as_str());
        // ARI takes one of the two.
        assert!(known || by_application == body["app"].is_string(), "{name}");
        assert!(known || by_dialplan == body["context"].is_string(), "{name}");
    }
    let application =
        if body["app"].is_string() { &body["app"] } else { &body["variables"]["TIDINGS_APP"] };
    let ours = application.as_str().is_some_and(|name| name.starts_with(APPLICATION));
    assert!(ours, "{body}");
    assert!(body["timeout"].is_u64() && body["endpoint"].is_string(), "{body}");
    let is_mute = inner.mute.load(Ordering::SeqCst);
    if inner.channels.lock().expect("lock").contains_key(&channel) {
        if is_mute {
            std::panic::resume_unwind(Box::new("vanished"));
        }
        let body = r#"{"message":"Channel with given unique ID already exists"}"#;
        return (StatusCode::CONFLICT, body).into_response();
    }
    inner.channels.lock().expect("lock").insert(channel.clone(), "Ringing");
    let answer = inner.answers.lock().expect("lock").pop_front().unwrap_or(200);
    let kept = json!({"args": body["appArgs"], "letter": body["variables"]["TIDINGS_LETTER"],
        "context": body["context"], "app": application});
    inner.variables.lock().expect("lock").insert(channel.clone(), kept);
    inner.asked.send(Asked::Call { channel: channel.clone(), body }).expect("kept");
    match answer {
        _ if is_mute => std::panic::resume_unwind(Box::new("vanished")),
        // A panic closes the connection: no answer at all.
        0 => std::panic::resume_unwind(Box::new("vanished")),
        status if status >= 400 => {
            inner.channels.lock().expect("lock").remove(&channel);
            StatusCode::from_u16(status).expect("a status").into_response()
        }
        _ => json!({"id": channel, "state": "Down"}).to_string().into_response(),
    }
}

async fn one(
    State(inner): State<Arc<Inner>>,
    Path(channel): Path<String>,
    headers: HeaderMap,
) -> Response {
    welcome(&headers);
    let Some(state) = inner.channels.lock().expect("lock").get(&channel).copied() else {
        let body = r#"{"message":"Channel not found"}"#;
        return (StatusCode::NOT_FOUND, body).into_response();
    };
    json!({"id": channel, "state": state}).to_string().into_response()
}

async fn all(State(inner): State<Arc<Inner>>, headers: HeaderMap) -> String {
    welcome(&headers);
    let channels = inner.channels.lock().expect("lock");
    let listed = channels.iter().map(|(id, state)| json!({"id": id, "state": state}));
    let elses = json!({"id": "1700000000.12", "state": "Up"});
    listed.chain([elses]).collect::<Value>().to_string()
}

async fn move_to(
    State(inner): State<Arc<Inner>>,
    Path(channel): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> StatusCode {
    welcome(&headers);
    let to = query["app"].clone();
    inner.tell(&channel, &json!({"type": "StasisEnd", "channel": {"id": channel}}));
    inner.variables.lock().expect("lock").get_mut(&channel).expect("a channel")["app"] =
        to.as_str().into();
    inner.asked.send(Asked::Move { channel: channel.clone(), to }).expect("kept");
    inner.starts(&channel, &query["appArgs"]);
    StatusCode::NO_CONTENT
}

async fn set_variable(
    State(inner): State<Arc<Inner>>,
    Path(channel): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> StatusCode {
    welcome(&headers);
    assert_eq!(query["variable"], "TIDINGS_HEARD_BY");
    if !inner.channels.lock().expect("lock").contains_key(&channel) {
        return StatusCode::NOT_FOUND;
    }
    inner.ears.lock().expect("lock").insert(channel, query["value"].clone());
    StatusCode::NO_CONTENT
}

async fn bridge(
    State(inner): State<Arc<Inner>>,
    Path(bridge): Path<String>,
    headers: HeaderMap,
) -> Response {
    welcome(&headers);
    match inner.bridges.lock().expect("lock").get(&bridge) {
        Some(channels) => json!({"id": bridge, "channels": channels}).to_string().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn leave(
    State(inner): State<Arc<Inner>>,
    Path(bridge): Path<String>,
    headers: HeaderMap,
) -> StatusCode {
    welcome(&headers);
    inner.bridges.lock().expect("lock").remove(&bridge);
    StatusCode::NO_CONTENT
}

async fn play(
    State(inner): State<Arc<Inner>>,
    Path((channel, playback)): Path<(String, String)>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> StatusCode {
    welcome(&headers);
    let sound = query["media"].strip_prefix("sound:").expect("a sound").to_owned();
    // The test's own voice writes the words down.
    let words = std::fs::read_to_string(format!("{sound}.wav")).expect("a sound that is there");
    inner.variables.lock().expect("lock").get_mut(&channel).expect("a channel")["playing"] =
        playback.into();
    inner.asked.send(Asked::Play { channel, words }).expect("kept");
    StatusCode::CREATED
}

async fn variable(
    State(inner): State<Arc<Inner>>,
    Path(channel): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    welcome(&headers);
    let value = match query["variable"].as_str() {
        "TIDINGS_LETTER" => inner.of(&channel, "letter"),
        "TIDINGS_HEARD_BY" => {
            inner.ears.lock().expect("lock").get(&channel).map_or(Value::Null, |ear| json!(ear))
        }
        other => panic!("{other}"),
    };
    if value.is_null() {
        return (StatusCode::NOT_FOUND, "no such variable").into_response();
    }
    json!({ "value": value }).to_string().into_response()
}

async fn stop_playing(State(inner): State<Arc<Inner>>, headers: HeaderMap) -> StatusCode {
    welcome(&headers);
    inner.asked.send(Asked::StopPlaying).expect("kept");
    StatusCode::NO_CONTENT
}

async fn hang_up(
    State(inner): State<Arc<Inner>>,
    Path(channel): Path<String>,
    headers: HeaderMap,
) -> StatusCode {
    welcome(&headers);
    inner.asked.send(Asked::HangUp { channel }).expect("kept");
    StatusCode::NO_CONTENT
}

async fn join(
    State(inner): State<Arc<Inner>>,
    Path(bridge): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> StatusCode {
    welcome(&headers);
    let channels = query["channel"].clone();
    let both = channels.split(',').map(str::to_owned).collect();
    inner.bridges.lock().expect("lock").insert(bridge, both);
    inner.asked.send(Asked::Join { channels }).expect("kept");
    StatusCode::NO_CONTENT
}
