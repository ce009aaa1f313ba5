//! Real mail servers: Postfix bounces, smtp-sink listens.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tidings::channel::{HandOverWindow, SendError, SmtpPool, SmtpServer};
use tidings::domain::customer::Address;
use tidings::domain::message::{EmailText, Shaped};

use crate::support::binary::Installation;
use crate::support::postfix::Postfix;
use crate::support::redis::free_port;

/// The program with mail by this relay and text into files, at any hour.
fn installation(postfix: &Postfix) -> Installation {
    let zone = "[quiet_hours]\nsms = \"none\"\nemail = \"none\"\n[legal_hours.default]\nsms = []\n[legal_hours.gb]\nsms = []\n";
    Installation::new(&format!(
        "[channels.email]\nprovider = \"smtp\"\nurl = \"{}\"\nbounce_to = \"bounces@bounce.example.com\"\n[channels.sms]\nprovider = \"outbox\"\n{zone}",
        postfix.url()
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_bounce_comes_back_through_a_pipe_and_the_customer_is_told_by_text() {
    let postfix = Postfix::start();
    let here = installation(&postfix);
    let ada = json!({
        "id": "C-1", "name": "Ada Byron", "locale": "en-GB", "time_zone": "Europe/London",
        "contact_points": [
            {"channel": "email", "address": "ada@example.com", "verified": true},
            {"channel": "sms", "address": "+447911123456", "verified": true}
        ],
        "preferences": {"channel_order": ["email", "sms"]}
    });
    here.file("customers.jsonl", &format!("{ada}\n"));
    let now = tidings::clock::Clock::System.now().to_rfc3339();
    let event = json!({"id": "e1", "source": "desk", "case": "T-1", "case_type": "ticket",
        "customer": "C-1", "state": "take_in_charge_ticket", "occurred_at": now});
    here.file("events.jsonl", &format!("{event}\n"));
    here.json(&["import", "customers", "customers.jsonl", "--json"]);
    here.json(&["send-events", "events.jsonl", "--json"]);
    let done = here.json(&["work", "--until-idle", "--json"]);
    assert_eq!(done["by_channel"]["email"], 1, "{done}");

    let (to, bounce) = postfix.came_back().await;
    assert!(to.starts_with("bounces+") && to.ends_with("@bounce.example.com"), "{to}");
    let text = String::from_utf8_lossy(&bounce).into_owned();
    assert!(text.contains("message/delivery-status"), "{text}");
    let said = here.run_with(&["bounce", "--to", &to, "--json"], &bounce);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let taken: serde_json::Value = serde_json::from_slice(&said.stdout).expect("JSON");
    assert_eq!(taken["result"], "receipt", "{taken}\n{text}");

    here.json(&["work", "--until-idle", "--json"]);
    let explained = here.run(&["explain", "--customer", "C-1"]);
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(explained.contains("unknown user"), "the server's own words: {explained}");
    let texts = std::fs::read_dir(here.path().join("var/outbox")).expect("the outbox");
    let texts: Vec<_> = texts.map(|file| file.expect("a file").file_name()).collect();
    assert_eq!(texts.len(), 1, "told by text instead: {texts:?}");
    let customer = here.json(&["customer", "export", "C-1"]).to_string();
    assert!(customer.contains("5.1.1"), "the address is closed, and why: {customer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_server_with_a_certificate_of_its_own_is_told_nothing_after_starttls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let postfix = Postfix::start();
    let window = || HandOverWindow::open(Duration::from_secs(30));
    let pool = |tls: &str| {
        let server = SmtpServer::parse(&format!("{}?tls={tls}", postfix.url()), None);
        SmtpPool::new(server.expect("an address"))
    };
    let (envelope, mail) = built("hello");
    let failed = pool("required").send(&envelope, &mail, window()).await.expect_err("refused");
    let SendError::ProviderDown { reason, .. } = failed.error else { panic!("{failed:?}") };
    assert!(reason.contains("certificate"), "{reason}");
    let taken = pool("none").send(&envelope, &mail, window()).await.expect("the server is well");
    assert!(taken.detail.contains("queued"), "{taken:?}");
}

/// A mail with this text, as it goes over the wire.
fn built(text: &str) -> (lettre::address::Envelope, Vec<u8>) {
    let identity = tidings::channel::MailIdentity {
        from: "Example Shop <service@example.com>".parse().expect("a mailbox"),
        reply_to: None,
        bounce_to: None,
        signer: None,
    };
    let shaped =
        Shaped::Email(EmailText { subject: "hello".into(), text: text.into(), html: text.into() });
    let outgoing = tidings::channel::Outgoing {
        notification: tidings::domain::NotificationId::derive("T-1", "n", "e1", 0),
        no: 1,
        case: "T-1".into(),
        to: Address::stored("ada@example.com".into()),
        to_name: "Ada".into(),
        shaped,
        message_id: "n.1@example.com".into(),
        thread_id: "c.1@example.com".into(),
        unsubscribe: None,
        topic: "status".into(),
        receipt_url: String::new(),
        call_url: None,
        at: crate::support::at("2026-11-23T10:00:00Z"),
        mail: tidings::channel::MailParts::default(),
    };
    identity.build(&outgoing).expect("built")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_makes_a_second_mail_of_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let dump = folder.path().join("dump");
    let mut command = Command::new("smtp-sink");
    if rustix::process::geteuid().is_root() {
        let open = ["777", &folder.path().display().to_string()].map(str::to_owned);
        assert!(Command::new("chmod").args(open).status().expect("chmod").success());
        command.args(["-u", "nobody"]);
    }
    let mut sink = command
        .arg("-D")
        .arg(&dump)
        .args([&format!("127.0.0.1:{port}"), "16"])
        .stdin(Stdio::null())
        .spawn()
        .expect("smtp-sink is installed, with Postfix");
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(sink.try_wait().expect("a child").is_none(), "the sink ended");
        tokio::task::yield_now().await;
    }
    let pool =
        SmtpPool::new(SmtpServer::parse(&format!("smtp://127.0.0.1:{port}"), None).expect("one"));
    let hostile = "hi\n.\nMAIL FROM:<a@b>\r.\rRCPT TO:<c@d>\r\n.\r\nDATA\nSubject: two\n\n\n.\n";
    let (envelope, mail) = built(hostile);
    let window = HandOverWindow::open(Duration::from_secs(30));
    pool.send(&envelope, &mail, window).await.expect("taken");
    sink.kill().expect("it runs");
    sink.wait().expect("it ended");
    let taken = std::fs::read_to_string(&dump).expect("what it took");
    assert_eq!(taken.matches("X-Mail-Args:").count(), 1, "one mail: {taken}");
    assert_eq!(taken.matches("X-Rcpt-Args:").count(), 1, "to one recipient: {taken}");
}
