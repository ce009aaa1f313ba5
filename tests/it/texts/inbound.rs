use super::accounts::{ALL, SECRET, start, texted};

const ADA: &str = "+447911123456";

#[tokio::test]
async fn stop_by_text_stops_texts_and_is_confirmed_once() {
    for kind in ALL {
        let (app, double, _) = texted(kind).await;
        let request = || kind.text(ADA, "Stop.", "t-1", SECRET, app.now());
        let (status, body) = app.http(request()).await;
        assert!(matches!(status, 200 | 204), "{kind:?}: {status} {body}");
        assert!(app.customer_now().await.contact_points[1].suppressed.is_some(), "{kind:?}");
        let confirmed =
            if kind.answers_by_wire() { kind.reply(&double.wait_for(2).await[1]) } else { body };
        assert!(confirmed.contains("no more texts"), "{kind:?}: {confirmed}");
        let (_, again) = app.http(request()).await;
        assert!(!again.contains("no more texts"), "{kind:?}: told twice, confirmed once");
        if kind.answers_by_wire() {
            app.http(kind.text(ADA, "HELP", "t-9", SECRET, app.now())).await;
            let third = kind.reply(&double.wait_for(3).await[2]);
            assert!(third.contains("We send you news"), "{kind:?}: confirmed once: {third}");
        }
        let before = double.seen().len();
        app.event_of(serde_json::json!({"state": "wait", "case": "T-2"})).await;
        app.drain().await;
        assert_eq!(double.seen().len(), before, "{kind:?}: nothing more by text");
        app.end().await;
    }
}

#[tokio::test]
async fn a_stop_that_nobody_signed_stops_nothing() {
    for kind in ALL {
        let (app, _double) = start(kind).await;
        let (status, _) = app.http(kind.text(ADA, "STOP", "t-1", "guess", app.now())).await;
        assert_eq!(status, 401, "{kind:?}");
        assert!(app.customer_now().await.contact_points[1].suppressed.is_none(), "{kind:?}");
        app.end().await;
    }
}

/// Who kept a START cannot undo a later STOP with it.
#[tokio::test]
async fn a_start_that_was_heard_before_lifts_nothing() {
    for kind in ALL {
        let (app, _double) = start(kind).await;
        let say = async |text: &str, id: &str| {
            app.http(kind.text(ADA, text, id, SECRET, app.now())).await.0
        };
        say("START", "t-1").await;
        say("STOP", "t-2").await;
        say("START", "t-1").await;
        assert!(app.customer_now().await.contact_points[1].suppressed.is_some(), "{kind:?}");
        say("START", "t-3").await;
        assert!(
            app.customer_now().await.contact_points[1].suppressed.is_none(),
            "{kind:?}: a new one does"
        );
        app.end().await;
    }
}

#[tokio::test]
async fn a_start_from_another_number_lifts_nothing() {
    for kind in ALL {
        let (app, _double) = start(kind).await;
        app.http(kind.text(ADA, "STOP", "t-1", SECRET, app.now())).await;
        app.http(kind.text("+447911123457", "START", "t-2", SECRET, app.now())).await;
        assert!(app.customer_now().await.contact_points[1].suppressed.is_some(), "{kind:?}");
        app.end().await;
    }
}

#[tokio::test]
async fn help_says_who_we_are() {
    for kind in ALL {
        let (app, double) = start(kind).await;
        let (_, body) = app.http(kind.text(ADA, "HELP", "t-1", SECRET, app.now())).await;
        let said =
            if kind.answers_by_wire() { kind.reply(&double.wait_for(1).await[0]) } else { body };
        assert!(
            said.contains("Example Shop") && said.contains("+442079460000"),
            "{kind:?}: {said}"
        );
        app.end().await;
    }
}

/// An id is part of an index, whose entries PostgreSQL bounds.
#[tokio::test]
async fn a_text_with_an_id_of_any_length_is_kept_under_its_beginning() {
    // No two letters alike for long, so that nothing is won by packing it.
    let long: String = (0..1_300_u32)
        .filter_map(|n| char::from_u32(0x4E00 + n.wrapping_mul(2_654_435_761) % 20_000))
        .collect();
    for kind in ALL {
        let (app, _double, _) = texted(kind).await;
        let text = kind.text(ADA, "Where is it?", &long, SECRET, app.now());
        let (status, body) = app.http(text).await;
        assert!(matches!(status, 200 | 204), "{kind:?}: {status} {body}");
        let kept: String = format!("text-{long}").chars().take(200).collect();
        let events = app.store().events_named(&kept).await.expect("the store is there");
        assert_eq!(events.len(), 1, "{kind:?}");
        app.end().await;
    }
}
