//! A real Kannel with its fake SMSC: what reaches the network, and what comes back.

use tidings::channel::account::{Account, Senders};
use tidings::channel::kannel::Kannel;
use tidings::channel::{HandOverWindow, MailParts, Outgoing, Wire};
use tidings::domain::customer::Address;
use tidings::domain::message::{Shaped, SmsText};
use tidings::domain::{CaseId, Channel, NotificationId, Secret};
use tidings::render::sms::count;

use crate::support::TestApp;
use crate::support::kannel::{KannelServer, Served, free_port};

const ADA: &str = "+447911123456";
const WAIT: std::time::Duration = std::time::Duration::from_secs(30);

fn kannel(server: &KannelServer) -> Kannel {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let senders = Senders { from: "+442079460001".into(), by_country: [].into() };
    Kannel::new(Account {
        base_url: Some(server.url()),
        name: "tidings".into(),
        token: Some(Secret::from("t0ken")),
        application: None,
        private_key: None,
        senders,
        connections: 1,
        door: None,
    })
    .expect("a client")
}

fn outgoing(text: &str) -> Outgoing {
    Outgoing {
        notification: NotificationId::derive("T-1", "n", "desk/e1", 0),
        no: 1,
        case: CaseId("T-1".into()),
        to: Address::parse(Channel::Sms, ADA).expect("a number"),
        to_name: "Ada".into(),
        shaped: Shaped::Sms(SmsText { text: text.into(), counted: count(text) }),
        message_id: String::new(),
        thread_id: String::new(),
        unsubscribe: None,
        topic: "status".into(),
        receipt_url: String::new(),
        call_url: None,
        at: crate::support::at("2026-11-23T10:00:00Z"),
        mail: MailParts::default(),
    }
}

#[tokio::test]
async fn every_character_reaches_the_network_in_the_coding_that_holds_it() {
    let nowhere = "http://127.0.0.1:9/v1/inbound/kannel?secret=s";
    let server = KannelServer::start(nowhere, "100 200 text hello");
    let wire = kannel(&server);
    let send = async |text: &str| {
        let window = HandOverWindow::open(WAIT);
        let taken = wire.send(&outgoing(text), window).await.expect("taken");
        assert_eq!(taken.detail, "0: Accepted for delivery");
    };
    let gsm = "Größe 5 € [x] {y} ~ & more = 100 % é à ñ Δ";
    send(gsm).await;
    let got = server.next();
    assert_eq!((got.from.as_str(), got.to.as_str()), ("+442079460001", ADA));
    assert_eq!((got.kind.as_str(), got.text.as_str()), ("text", gsm));

    for text in ["日本", "ë", "Zoë said “hi” – 😀"] {
        send(text).await;
        let got = server.next();
        assert_eq!((got.kind.as_str(), got.text.as_str()), ("ucs-2", text), "no question marks");
    }

    let long = "a".repeat(161);
    assert_eq!(count(&long).parts, 2);
    send(&long).await;
    let parts = [server.next(), server.next()];
    let letters: usize = parts.iter().map(|part| part.text.matches('a').count()).sum();
    // The word "data" stands between the header and the letters.
    assert_eq!(letters - 2 * 2, 161, "{parts:?}");
    assert!(parts.iter().all(|part| part.kind == "udh"), "{parts:?}");
}

#[tokio::test]
async fn a_report_of_kannel_is_applied_and_a_stop_from_its_network_is_followed() {
    let port = free_port();
    let inbound = format!("http://127.0.0.1:{port}/v1/inbound/kannel?secret=s3cret");
    let app_settings = |url: &str| {
        format!(
            "[http]\npublic_url = \"http://127.0.0.1:{port}\"\n[channels.sms]\nprovider = \"kannel\"\n\
             base_url = \"{url}\"\naccount = \"tidings\"\ntoken = \"t0ken\"\n\
             callback_secret = \"s3cret\"\nfrom = \"+442079460001\"\n"
        )
    };
    let server = KannelServer::start(&inbound, "100 200 text hello");
    let app = TestApp::with(&app_settings(&server.url())).await;
    let mut served = Served::start(&app, port).await;
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Sms])).await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    let got = server.next();
    assert_eq!(got.to, ADA);
    // Accepted by the network, and delivered: in whatever order they come.
    let mut reports = Vec::new();
    while reports.len() < 2 {
        reports.push(served.next("/v1/receipts/kannel").await);
    }
    assert!(reports.iter().all(|line| line.starts_with("204 ")), "{reports:?}");
    assert!(reports.iter().any(|line| line.contains("d=1&")), "{reports:?}");
    app.drain().await;
    assert_eq!(app.of("taken-in-charge").await.status, "delivered");
    drop(server);

    let server = KannelServer::start(&inbound, &format!("{ADA} +442079460001 text STOP"));
    let line = served.next("text=STOP").await;
    assert!(line.starts_with("200 "), "{line}");
    assert!(app.customer_now().await.contact_points[1].suppressed.is_some());
    let reply = server.next();
    assert_eq!(reply.to, ADA);
    assert!(reply.text.contains("no more texts"), "{reply:?}");
    app.end().await;
}
