//! What the exchange answers over HTTP, and the WebSocket of its events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use futures::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::switch::Order;
use super::{APPLICATION, Asked, Inner, PASSWORD};

type Fields = Query<BTreeMap<String, String>>;
type Exchange = State<Arc<Inner>>;

pub async fn open(listener: TcpListener, inner: Arc<Inner>) {
    let router = Router::new()
        .route("/ari/channels", get(all))
        .route("/ari/channels/{id}", post(originate).get(one).delete(hang_up))
        .route("/ari/channels/{id}/move", post(move_to))
        .route("/ari/channels/{id}/play/{playback}", post(play))
        .route("/ari/channels/{id}/variable", get(variable))
        .route("/ari/playbacks/{id}", delete(stop_playing).get(playback))
        .route("/ari/bridges/{id}", post(bridge).get(bridged).delete(leave))
        .route("/ari/bridges/{id}/addChannel", post(join))
        .route("/ari/applications/{app}/subscription", post(subscribe))
        .route("/ari/asterisk/info", get(async || "{}"))
        .layer(axum::middleware::from_fn(welcome))
        .with_state(Arc::clone(&inner));
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, router.clone(), Arc::clone(&inner)));
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
    let (line, mut events) = mpsc::unbounded_channel();
    // Held by the switch alone: when it lets go the connection ends.
    let ours = line.downgrade();
    {
        let mut switch = inner.switch.lock().expect("lock");
        switch.known.insert(application.clone());
        switch.lines.insert(application.clone(), line);
    }
    inner.listeners.add_permits(1);
    loop {
        tokio::select! {
            event = events.recv() => {
                let Some(event) = event else { break };
                if out.send(Message::text(event)).await.is_err() { break }
            }
            more = back.next() => if !matches!(more, Some(Ok(_))) { break },
        }
    }
    let mut switch = inner.switch.lock().expect("lock");
    if let (Some(ours), Some(last)) = (ours.upgrade(), switch.lines.get(&application))
        && last.same_channel(&ours)
    {
        switch.lines.remove(&application);
    }
}

async fn welcome(request: Request, next: Next) -> Response {
    let basic = data_encoding::BASE64.encode(format!("tidings:{PASSWORD}").as_bytes());
    assert_eq!(request.headers()["authorization"], format!("Basic {basic}"));
    next.run(request).await
}

async fn originate(State(inner): Exchange, Path(channel): Path<String>, body: String) -> Response {
    let body: Value = serde_json::from_str(&body).expect("JSON");
    for name in body.as_object().expect("an object").keys() {
        let by_application = ["app", "appArgs"].contains(&name.as_str());
        let by_dialplan = ["context", "extension", "priority"].contains(&name.as_str());
        let known = ["endpoint", "callerId", "timeout", "variables"].contains(&name.as_str());
        // ARI takes one of the two.
        assert!(known || by_application == body["app"].is_string(), "{name}");
        assert!(known || by_dialplan == body["context"].is_string(), "{name}");
    }
    assert!(body["context"].is_null() || body["context"] == "screened", "{body}");
    let application =
        if body["app"].is_string() { &body["app"] } else { &body["variables"]["TIDINGS_APP"] };
    let application = application.as_str().expect("an application").to_owned();
    assert!(application.starts_with(APPLICATION), "{body}");
    assert!(body["timeout"].is_u64() && body["endpoint"].is_string(), "{body}");
    let is_mute = inner.mute.load(Ordering::SeqCst);
    let mut switch = inner.switch.lock().expect("lock");
    let is_there = switch.channels.contains_key(&channel);
    let answer = if is_there {
        409
    } else {
        let args = body["appArgs"].as_str().map(str::to_owned);
        let letter = body["variables"]["TIDINGS_LETTER"].clone();
        switch.begins(&channel, (application, args), letter);
        let asked = Asked::Call { channel: channel.clone(), body };
        inner.asked.send(asked).expect("kept");
        switch.answers.pop_front().unwrap_or(200)
    };
    if !is_there && answer >= 400 {
        switch.channels.remove(&channel);
    }
    drop(switch);
    if is_mute || answer == 0 {
        // A panic closes the connection: no answer at all.
        std::panic::resume_unwind(Box::new("vanished"));
    }
    let said = json!({"id": channel, "state": "Down"}).to_string();
    (StatusCode::from_u16(answer).expect("a status"), said).into_response()
}

fn of(found: Option<Value>) -> Response {
    found.map_or_else(
        || (StatusCode::NOT_FOUND, r#"{"message":"not found"}"#).into_response(),
        |found| found.to_string().into_response(),
    )
}

async fn one(State(inner): Exchange, Path(id): Path<String>) -> Response {
    let switch = inner.switch.lock().expect("lock");
    of(switch.channels.get(&id).map(|channel| json!({"id": id, "state": channel.state})))
}

async fn all(State(inner): Exchange) -> String {
    inner.looks.fetch_add(1, Ordering::SeqCst);
    let switch = inner.switch.lock().expect("lock");
    let listed =
        switch.channels.iter().map(|(id, channel)| json!({"id": id, "state": channel.state}));
    let elses = json!({"id": "1700000000.12", "state": "Up"});
    listed.chain([elses]).collect::<Value>().to_string()
}

async fn move_to(
    State(inner): Exchange,
    Path(channel): Path<String>,
    Query(query): Fields,
) -> StatusCode {
    let mut switch = inner.switch.lock().expect("lock");
    match switch.channels.get(&channel) {
        None => return StatusCode::NOT_FOUND,
        // In the dialplan it is nobody's to move.
        Some(found) if found.within.is_none() => return StatusCode::CONFLICT,
        Some(_) => {}
    }
    let (to, args) = (query["app"].clone(), query["appArgs"].clone());
    inner.asked.send(Asked::Move { channel: channel.clone(), to: to.clone() }).expect("kept");
    if !std::mem::take(&mut switch.moves_nothing) {
        switch.order(&channel, Order::Move { to, args });
    }
    StatusCode::NO_CONTENT
}

async fn subscribe(
    State(inner): Exchange,
    Path(application): Path<String>,
    Query(query): Fields,
) -> StatusCode {
    let channel = query["eventSource"].strip_prefix("channel:").expect("a channel");
    let mut switch = inner.switch.lock().expect("lock");
    if !switch.known.contains(&application) {
        return StatusCode::NOT_FOUND;
    }
    if !switch.channels.contains_key(channel) {
        return StatusCode::UNPROCESSABLE_ENTITY;
    }
    switch.ask_for(&application, channel, 1);
    StatusCode::OK
}

async fn bridge(State(inner): Exchange, Path(bridge): Path<String>) -> &'static str {
    inner.switch.lock().expect("lock").bridges.entry(bridge).or_default();
    "{}"
}

async fn bridged(State(inner): Exchange, Path(bridge): Path<String>) -> Response {
    let switch = inner.switch.lock().expect("lock");
    of(switch.bridges.get(&bridge).map(|channels| json!({"id": bridge, "channels": channels})))
}

async fn leave(State(inner): Exchange, Path(bridge): Path<String>) -> StatusCode {
    match inner.switch.lock().expect("lock").bridges.remove(&bridge) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::NOT_FOUND,
    }
}

async fn join(
    State(inner): Exchange,
    Path(bridge): Path<String>,
    Query(query): Fields,
) -> StatusCode {
    let channels = query["channel"].clone();
    let both: Vec<String> = channels.split(',').map(str::to_owned).collect();
    let mut switch = inner.switch.lock().expect("lock");
    if both.iter().any(|one| switch.channels.get(one).is_none_or(|one| one.within.is_none())) {
        return StatusCode::UNPROCESSABLE_ENTITY;
    }
    switch.bridges.get_mut(&bridge).expect("a bridge").extend(both);
    inner.asked.send(Asked::Join { channels }).expect("kept");
    StatusCode::NO_CONTENT
}

async fn play(
    State(inner): Exchange,
    Path((channel, playback)): Path<(String, String)>,
    Query(query): Fields,
) -> StatusCode {
    let sound = query["media"].strip_prefix("sound:").expect("a sound");
    let mut switch = inner.switch.lock().expect("lock");
    match switch.channels.get(&channel) {
        None => return StatusCode::NOT_FOUND,
        Some(found) if found.within.is_none() => return StatusCode::CONFLICT,
        Some(_) => {}
    }
    // The test's own voice writes the words down.
    let words = std::fs::read_to_string(format!("{sound}.wav")).expect("a sound that is there");
    switch.order(&channel, Order::Play(playback));
    inner.asked.send(Asked::Play { channel, words }).expect("kept");
    StatusCode::CREATED
}

async fn playback(State(inner): Exchange, Path(id): Path<String>) -> Response {
    let switch = inner.switch.lock().expect("lock");
    of(switch.channel_of(&id).map(|_| json!({"id": id, "state": "playing"})))
}

async fn stop_playing(State(inner): Exchange, Path(id): Path<String>) -> StatusCode {
    let mut switch = inner.switch.lock().expect("lock");
    let Some(channel) = switch.channel_of(&id) else { return StatusCode::NOT_FOUND };
    inner.asked.send(Asked::StopPlaying).expect("kept");
    switch.sound_ends(&channel);
    StatusCode::NO_CONTENT
}

async fn variable(
    State(inner): Exchange,
    Path(channel): Path<String>,
    Query(query): Fields,
) -> Response {
    assert_eq!(query["variable"], "TIDINGS_LETTER");
    let switch = inner.switch.lock().expect("lock");
    let letter = switch.channels.get(&channel).map(|channel| channel.letter.clone());
    of(letter.filter(|letter| !letter.is_null()).map(|letter| json!({ "value": letter })))
}

async fn hang_up(State(inner): Exchange, Path(channel): Path<String>) -> StatusCode {
    if !inner.switch.lock().expect("lock").channels.contains_key(&channel) {
        return StatusCode::NOT_FOUND;
    }
    inner.asked.send(Asked::HangUp { channel }).expect("kept");
    StatusCode::NO_CONTENT
}
