//! Calls whose process is gone while they last: somebody else goes on with them, and who still
//! hears one keeps it. The leases live by the app's clock, which each test moves by hand.

mod ended;

use std::time::Duration;

use chrono::TimeDelta;
use tidings::app::phone::{Pace, process, switchboard_as};
use tidings::channel::asterisk::attempt_of;
use tidings::store::calls::Ear as Lease;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::exchange::{becomes, call_ada, called, connect, hung_up, nothing_said_stays, unheard};
use crate::support::TestApp;
use crate::support::asterisk::{Asked, AsteriskDouble, PATIENCE};

const PACE: Pace = Pace {
    look: Duration::from_millis(20),
    left_after: TimeDelta::seconds(8),
    screened: TimeDelta::seconds(20),
    pause: Duration::from_millis(10),
};

/// A process that hears the exchange; aborted, it is gone like one that was killed.
struct Ear {
    stop: watch::Sender<bool>,
    runs: JoinHandle<()>,
}

impl Ear {
    async fn of(process: &str, app: &TestApp, exchange: &AsteriskDouble) -> Self {
        let (stop, stopping) = watch::channel(false);
        let board = switchboard_as(&app.app, process, PACE).expect("calls go by the exchange");
        let runs = tokio::spawn(board.run(stopping));
        exchange.listened_to().await;
        Self { stop, runs }
    }

    async fn killed(self) {
        self.runs.abort();
        assert!(self.runs.await.expect_err("it never ends by itself").is_cancelled());
    }

    async fn stopped(self) {
        self.stop.send(true).expect("it runs");
        let stopped = tokio::time::timeout(PATIENCE, self.runs).await;
        stopped.expect("it does not stop").expect("in order");
    }
}

/// Moves the clock, and works at nothing.
fn later(app: &TestApp, seconds: i64) {
    app.app.engine.clock.advance_to(app.now() + TimeDelta::seconds(seconds));
}

async fn lease_of(app: &TestApp, channel: &str) -> Option<Lease> {
    let (id, no) = attempt_of(channel).expect("a call");
    app.store().phone_call(&id, no).await.expect("kept").ear
}

/// Waits until this process has taken or renewed the lease at the time it is now.
async fn leased(app: &TestApp, channel: &str, process: &str) {
    let ear = Some(Lease { by: format!("tidings-{process}"), until: app.now() + PACE.left_after });
    let leasing = async {
        while lease_of(app, channel).await != ear {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, leasing).await.expect("its lease is not renewed");
}

async fn moved(exchange: &AsteriskDouble, which: &str, to: &str) {
    let asked = Asked::Move { channel: which.to_owned(), to: format!("tidings-{to}") };
    assert_eq!(exchange.next().await, asked);
}

/// Nobody does anything, however often they look.
async fn left_alone(exchange: &AsteriskDouble) {
    exchange.looked_at().await;
    exchange.was_asked_for_nothing().await;
}

/// Ada is called, picks up, and hears who calls.
async fn greeted(app: &TestApp, exchange: &AsteriskDouble) -> String {
    call_ada(app).await;
    let channel = called(exchange).await;
    exchange.picks_up(&channel);
    exchange.plays_until(&channel, "To hear the message, press 2.").await;
    channel
}

#[tokio::test]
async fn a_call_whose_process_was_killed_goes_on_with_another_or_with_the_next_of_that_name() {
    for successor in ["another", process()] {
        let (app, exchange, folder) = unheard("").await;
        let first = Ear::of(process(), &app, &exchange).await;
        let channel = greeted(&app, &exchange).await;
        first.killed().await;
        let _second = Ear::of(successor, &app, &exchange).await;
        left_alone(&exchange).await;
        later(&app, 9);
        moved(&exchange, &channel, successor).await;
        // What was being said is said to its end.
        exchange.played(&channel);
        let greeting = exchange.plays_until(&channel, "To hear the message, press 2.").await;
        assert!(greeting.contains("Hello, this is Example Shop"), "{greeting}");
        exchange.presses(&channel, "2");
        exchange.plays_until(&channel, "Blue trousers").await;
        exchange.ends(&channel, 16, "Normal Clearing");
        becomes(&app, "delivered", "voice").await;
        nothing_said_stays(&folder);
        app.end().await;
    }
}

#[tokio::test]
async fn a_call_whose_process_stopped_in_order_goes_on_with_another_at_once() {
    let (app, exchange, _folder) = unheard("").await;
    let first = Ear::of(process(), &app, &exchange).await;
    let _second = Ear::of("another", &app, &exchange).await;
    let channel = greeted(&app, &exchange).await;
    first.stopped().await;
    moved(&exchange, &channel, "another").await;
    exchange.played(&channel);
    exchange.plays_until(&channel, "To hear the message, press 2.").await;
    exchange.ends(&channel, 16, "Normal Clearing");
    becomes(&app, "sent", "sms").await;
    app.end().await;
}

#[tokio::test]
async fn a_call_that_somebody_hears_is_nobody_elses_however_long_a_line_plays() {
    let (app, exchange, _folder) = unheard("").await;
    let _first = Ear::of(process(), &app, &exchange).await;
    let _second = Ear::of("another", &app, &exchange).await;
    let channel = greeted(&app, &exchange).await;
    for _ in 0..4 {
        later(&app, 5);
        leased(&app, &channel, process()).await;
        left_alone(&exchange).await;
    }
    exchange.presses(&channel, "2");
    assert_eq!(exchange.next().await, Asked::StopPlaying, "it was not moved");
    exchange.plays_until(&channel, "Blue trousers").await;
    exchange.ends(&channel, 16, "Normal Clearing");
    becomes(&app, "delivered", "voice").await;
    app.end().await;
}

#[tokio::test]
async fn a_move_that_brought_nothing_is_made_again_when_its_lease_is_over() {
    let (app, exchange, _folder) = unheard("").await;
    let first = Ear::of(process(), &app, &exchange).await;
    let channel = greeted(&app, &exchange).await;
    first.killed().await;
    exchange.played(&channel);
    exchange.moves_nothing_once();
    let _second = Ear::of("another", &app, &exchange).await;
    later(&app, 9);
    moved(&exchange, &channel, "another").await;
    later(&app, 7);
    left_alone(&exchange).await;
    later(&app, 2);
    moved(&exchange, &channel, "another").await;
    exchange.plays_until(&channel, "To hear the message, press 2.").await;
    app.end().await;
}

#[tokio::test]
async fn a_call_that_nobody_heard_yet_is_the_dialplans_for_a_while() {
    for screened in [true, false] {
        let (app, exchange, _folder) = unheard("context = \"screened\"").await;
        let first = Ear::of(process(), &app, &exchange).await;
        call_ada(&app).await;
        let channel = called(&exchange).await;
        let _ear = if screened {
            exchange.is_screened(&channel);
            left_alone(&exchange).await;
            later(&app, 15);
            left_alone(&exchange).await;
            exchange.dialplan_finds(&channel, "HUMAN");
            first
        } else {
            first.killed().await;
            exchange.dialplan_finds(&channel, "HUMAN");
            let second = Ear::of("another", &app, &exchange).await;
            left_alone(&exchange).await;
            later(&app, 21);
            moved(&exchange, &channel, "another").await;
            second
        };
        exchange.plays_until(&channel, "To hear the message, press 2.").await;
        app.end().await;
    }
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
    later(&app, 9);
    moved(&exchange, &channel, "another").await;
    exchange.played(&channel);
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
    for customer_goes in [false, true] {
        let (app, exchange, _folder) = unheard("").await;
        let first = Ear::of(process(), &app, &exchange).await;
        let channel = greeted(&app, &exchange).await;
        exchange.presses(&channel, "1");
        let desk = connect(&exchange, &channel).await;
        first.killed().await;
        let _second = Ear::of("another", &app, &exchange).await;
        later(&app, 9);
        for _ in 0..3 {
            leased(&app, &channel, "another").await;
            left_alone(&exchange).await;
            assert!(exchange.is_bridged(&channel));
            later(&app, 5);
        }
        if customer_goes {
            exchange.ends(&channel, 16, "Normal Clearing");
            hung_up(&exchange, &desk).await;
            exchange.ends(&desk, 16, "Normal Clearing");
            app.advance_to("2026-11-23T10:02:00Z").await;
        } else {
            exchange.ends(&desk, 16, "Normal Clearing");
            moved(&exchange, &channel, "another").await;
            hung_up(&exchange, &channel).await;
            exchange.ends(&channel, 16, "Normal Clearing");
        }
        becomes(&app, "delivered", "voice").await;
        assert!(!exchange.is_bridged(&channel));
        app.end().await;
    }
}

#[tokio::test]
async fn a_desk_that_was_rung_for_a_call_left_behind_is_hung_up_before_the_call_goes_on() {
    let (app, exchange, _folder) = unheard("").await;
    let first = Ear::of(process(), &app, &exchange).await;
    let channel = greeted(&app, &exchange).await;
    exchange.presses(&channel, "1");
    exchange.plays_until(&channel, "We connect you now.").await;
    exchange.played(&channel);
    let Asked::Call { channel: desk, .. } = exchange.next().await else { panic!("the desk") };
    first.killed().await;
    let _second = Ear::of("another", &app, &exchange).await;
    later(&app, 9);
    assert_eq!(exchange.next().await, Asked::HangUp { channel: desk.clone() });
    exchange.ends(&desk, 16, "Normal Clearing");
    moved(&exchange, &channel, "another").await;
    exchange.plays_until(&channel, "press 1.").await;
    app.end().await;
}

#[tokio::test]
async fn a_connection_that_is_lost_and_made_again_loses_nothing_of_a_call() {
    for ends_unheard in [false, true] {
        let (app, exchange, _folder) = unheard("").await;
        let _first = Ear::of(process(), &app, &exchange).await;
        call_ada(&app).await;
        let channel = called(&exchange).await;
        exchange.picks_up(&channel);
        exchange.plays_until(&channel, "Hello").await;
        exchange.hangs_up_on(process());
        exchange.played(&channel);
        exchange.listened_to().await;
        exchange.plays_until(&channel, "To hear the message, press 2.").await;
        exchange.presses(&channel, "2");
        exchange.plays_until(&channel, "Blue trousers").await;
        exchange.hangs_up_on(process());
        if !ends_unheard {
            exchange.listened_to().await;
        }
        exchange.ends(&channel, 16, "Normal Clearing");
        becomes(&app, "delivered", "voice").await;
        app.end().await;
    }
}
