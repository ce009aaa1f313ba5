//! Calls that ended while nobody heard them: each is given its end, and none that somebody may
//! hear elsewhere.

use chrono::TimeDelta;
use tidings::app::phone::process;
use tidings::channel::asterisk::attempt_of;

use super::{Ear, greeted, later, left_alone};
use crate::exchange::{becomes, unheard};
use crate::support::asterisk::Asked;

#[tokio::test]
async fn a_call_that_ended_unheard_is_judged_by_how_far_it_came() {
    for (heard_it, status) in [(true, "delivered"), (false, "planned")] {
        let (app, exchange, _folder) = unheard("").await;
        let first = Ear::of(process(), &app, &exchange).await;
        let channel = greeted(&app, &exchange).await;
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

#[tokio::test]
async fn a_call_at_another_hosts_exchange_is_not_judged_while_somebody_hears_it() {
    let (app, exchange, _folder) = unheard("").await;
    let first = Ear::of(process(), &app, &exchange).await;
    let channel = greeted(&app, &exchange).await;
    first.killed().await;
    exchange.forgets(&channel);
    later(&app, 9);
    let (of, now) = (attempt_of(&channel).expect("a call"), app.now());
    let until = now + TimeDelta::minutes(4);
    let elsewhere = app.store().hear_calls(&[of], "tidings-elsewhere", until, now).await;
    assert_eq!(elsewhere.expect("the store is there"), [of]);
    let _second = Ear::of("another", &app, &exchange).await;
    for at in ["2026-11-23T10:03:00Z", "2026-11-23T10:04:30Z"] {
        app.advance_to(at).await;
        left_alone(&exchange).await;
        assert_eq!(app.of("out-of-stock").await.status, "sent", "{at}");
    }
    app.advance_to("2026-11-23T10:04:45Z").await;
    becomes(&app, "planned", "voice").await;
    app.end().await;
}
