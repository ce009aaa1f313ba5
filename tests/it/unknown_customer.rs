use crate::support::TestApp;

#[tokio::test]
async fn an_event_waits_for_its_customer_and_is_planned_when_they_arrive() {
    let app = TestApp::start().await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    assert_eq!(app.summary().await.balance.open, 1);
    app.advance_to("2026-11-23T10:30:00Z").await;
    app.ada().await;
    app.drain().await;
    assert_eq!(app.smtp.taken().len(), 1);
    assert_eq!(app.summary().await.balance.told, 1);
    app.end().await;
}

#[tokio::test]
async fn after_an_hour_a_person_is_asked_and_a_late_customer_is_still_told() {
    let app = TestApp::start().await;
    app.event("take_in_charge_ticket").await;
    app.advance_to("2026-11-23T10:59:00Z").await;
    assert_eq!(app.tasks().await.len(), 0);
    app.advance_to("2026-11-23T11:01:00Z").await;
    assert_eq!(app.tasks().await.len(), 1);
    assert_eq!(app.summary().await.balance.task, 1);
    app.advance_to("2026-11-23T15:00:00Z").await;
    app.ada().await;
    app.drain().await;
    assert_eq!(app.smtp.taken().len(), 1);
    assert_eq!(app.tasks().await.len(), 0, "withdrawn");
    assert_eq!(app.summary().await.balance.told, 1);
    app.end().await;
}
