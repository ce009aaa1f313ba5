//! Calls whose process is gone while they last: somebody else goes on with them, and who still
//! hears one keeps it.

use std::time::Duration;

use tidings::app::phone::{Pace, process, switchboard_as};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::exchange::{becomes, call_ada, called, hung_up, unheard};
use crate::support::TestApp;
use crate::support::asterisk::{Asked, AsteriskDouble};

const PACE: Pace = Pace { look: Duration::from_millis(20), left_after: Duration::from_millis(400) };

/// A process that hears the exchange; aborted, it is gone like one that was killed.
struct Ear {
    _stop: watch::Sender<bool>,
    runs: JoinHandle<()>,
}

impl Ear {
    async fn of(process: &str, app: &TestApp, exchange: &AsteriskDouble) -> Self {
        let (stop, stopping) = watch::channel(false);
        let board = switchboard_as(&app.app, process, PACE).expect("calls go by the exchange");
        let runs = tokio::spawn(board.run(stopping));
        exchange.listened_to().await;
        Self { _stop: stop, runs }
    }

    async fn killed(self) {
        self.runs.abort();
        assert!(self.runs.await.expect_err("it never ends by itself").is_cancelled());
    }
}

async fn moved(exchange: &AsteriskDouble, which: &str, to: &str) {
    match exchange.next().await {
        Asked::Move { channel, to: application } => {
            assert_eq!((channel.as_str(), application), (which, format!("tidings-{to}")));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_call_whose_process_was_killed_goes_on_with_another_or_with_the_next_of_that_name() {
    for successor in ["another", process()] {
        let (app, exchange, folder) = unheard("").await;
        let first = Ear::of(process(), &app, &exchange).await;
        call_ada(&app).await;
        let channel = called(&exchange).await;
        exchange.picks_up(&channel);
        exchange.plays_until(&channel, "To hear the message, press 2.").await;
        first.killed().await;
        let _second = Ear::of(successor, &app, &exchange).await;
        moved(&exchange, &channel, successor).await;
        let greeting = exchange.plays_until(&channel, "To hear the message, press 2.").await;
        assert!(greeting.contains("Hello, this is Example Shop"), "{greeting}");
        exchange.presses(&channel, "2");
        exchange.plays_until(&channel, "Blue trousers").await;
        exchange.ends(&channel, 16, "Normal Clearing");
        becomes(&app, "delivered", "voice").await;
        let left = std::fs::read_dir(folder.path().join("sounds")).expect("a folder").count();
        assert_eq!(left, 0, "nor does what the first one said stay on the disk");
        app.end().await;
    }
}

#[tokio::test]
async fn a_call_that_somebody_hears_is_nobody_elses() {
    let (app, exchange, _folder) = unheard("").await;
    let _first = Ear::of(process(), &app, &exchange).await;
    let _second = Ear::of("another", &app, &exchange).await;
    call_ada(&app).await;
    let channel = called(&exchange).await;
    exchange.picks_up(&channel);
    exchange.plays_until(&channel, "To hear the message, press 2.").await;
    let word = |said: &str| said.rsplit_once('/').expect("a number").1.parse::<u64>();
    // Five times as long as a word may stand still.
    loop {
        let said = exchange.heard_by(&channel).unwrap_or("tidings-/0".into());
        assert!(!said.starts_with("tidings-another"), "{said}");
        if word(&said).expect("a number") > 100 {
            break;
        }
        tokio::task::yield_now().await;
    }
    exchange.presses(&channel, "2");
    assert_eq!(exchange.next().await, Asked::StopPlaying, "it was not moved");
    exchange.plays_until(&channel, "Blue trousers").await;
    exchange.ends(&channel, 16, "Normal Clearing");
    becomes(&app, "delivered", "voice").await;
    app.end().await;
}

#[tokio::test]
async fn a_machine_is_told_again_who_called_and_nothing_more() {
    let (app, exchange, _folder) = unheard("context = \"screened\"").await;
    let first = Ear::of(process(), &app, &exchange).await;
    call_ada(&app).await;
    let channel = called(&exchange).await;
    exchange.dialplan_finds(&channel, "MACHINE");
    exchange.plays_until(&channel, "Hello").await;
    first.killed().await;
    let _second = Ear::of("another", &app, &exchange).await;
    moved(&exchange, &channel, "another").await;
    let left = exchange.plays_until(&channel, "call the same number.").await;
    assert!(!left.contains("Ada") && !left.contains("R, 1"), "{left}");
    exchange.played(&channel);
    hung_up(&exchange, &channel).await;
    exchange.ends(&channel, 16, "Normal Clearing");
    becomes(&app, "sent", "sms").await;
    app.end().await;
}

#[tokio::test]
async fn two_who_talk_are_left_to_it_and_the_call_ends_when_one_has_gone() {
    let (app, exchange, _folder) = unheard("").await;
    let first = Ear::of(process(), &app, &exchange).await;
    call_ada(&app).await;
    let channel = called(&exchange).await;
    exchange.picks_up(&channel);
    exchange.plays_until(&channel, "press 1.").await;
    exchange.presses(&channel, "1");
    exchange.plays_until(&channel, "We connect you now.").await;
    exchange.played(&channel);
    let Asked::Call { channel: desk, .. } = exchange.next().await else { panic!("the desk") };
    exchange.picks_up(&desk);
    exchange.plays_until(&desk, "Call with Ada Byron about case R, 1, 0, 0, 1.").await;
    exchange.played(&desk);
    loop {
        match exchange.next().await {
            Asked::Join { .. } => break,
            Asked::Play { channel, .. } => exchange.played(&channel),
            other => panic!("{other:?}"),
        }
    }
    first.killed().await;
    let _second = Ear::of("another", &app, &exchange).await;
    // Claimed, and claimed again, for as long as they talk.
    let claimed = async || exchange.heard_by(&channel).filter(|said| said.contains("another"));
    let mut claims = std::collections::BTreeSet::new();
    while claims.len() < 3 {
        claims.extend(claimed().await);
        tokio::task::yield_now().await;
    }
    exchange.forgets(&desk);
    moved(&exchange, &channel, "another").await;
    hung_up(&exchange, &channel).await;
    exchange.ends(&channel, 16, "Normal Clearing");
    becomes(&app, "delivered", "voice").await;
    app.end().await;
}

#[tokio::test]
async fn a_call_that_ended_unheard_is_judged_by_how_far_it_came() {
    for (heard_it, status) in [(true, "delivered"), (false, "planned")] {
        let (app, exchange, _folder) = unheard("").await;
        let first = Ear::of(process(), &app, &exchange).await;
        call_ada(&app).await;
        let channel = called(&exchange).await;
        exchange.picks_up(&channel);
        exchange.plays_until(&channel, "To hear the message, press 2.").await;
        if heard_it {
            exchange.presses(&channel, "2");
            assert_eq!(exchange.next().await, Asked::StopPlaying);
            exchange.plays_until(&channel, "Blue trousers").await;
        }
        first.killed().await;
        exchange.forgets(&channel);
        let _second = Ear::of("another", &app, &exchange).await;
        app.advance_to("2026-11-23T10:02:00Z").await;
        becomes(&app, status, "voice").await;
        if !heard_it {
            let why = app.explained("out-of-stock").await;
            assert!(why.contains("the call ended while nobody heard it"), "{why}");
        }
        app.end().await;
    }
}
