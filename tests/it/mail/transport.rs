//! What a mail server is told before it has shown who it is.

use std::process::{Command, Stdio};
use std::time::Duration;

use tidings::channel::{HandOverWindow, SendError, SmtpPool, SmtpServer};

use crate::support::smtp::SmtpSink;

fn envelope() -> lettre::address::Envelope {
    let address = |text: &str| text.parse().expect(text);
    lettre::address::Envelope::new(Some(address("a@example.com")), vec![address("b@example.com")])
        .expect("an envelope")
}

async fn sent(url: &str) -> Result<String, SendError> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let pool = SmtpPool::new(SmtpServer::parse(url, Some("tests.example.com")).expect(url));
    let window = HandOverWindow::open(Duration::from_secs(5));
    let sent = pool.send(&envelope(), b"Subject: hello\r\n\r\nhello\r\n", window).await;
    sent.map(|taken| taken.detail).map_err(|failed| failed.error)
}

#[tokio::test]
async fn a_server_without_starttls_is_told_nothing_where_tls_is_required() {
    let sink = SmtpSink::start().await;
    let refused = sent(&format!("{}?tls=required", sink.url())).await;
    let Err(SendError::ProviderDown { reason, .. }) = refused else {
        panic!("a definite no: {refused:?}")
    };
    assert!(reason.contains("no connection"), "{reason}");
    assert_eq!(sink.taken().len(), 0);
    assert!(sent(&format!("{}?tls=none", sink.url())).await.is_ok(), "the server itself is well");
}

#[tokio::test]
async fn a_server_with_a_certificate_of_its_own_making_is_told_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (key, cert) = (folder.path().join("key.pem"), folder.path().join("cert.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj"])
        .args(["/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .stderr(Stdio::null())
        .status();
    assert!(made.expect("openssl is installed").success());
    let port = crate::support::redis::free_port();
    let mut server = Command::new("openssl")
        .args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}"), "-key"])
        .arg(&key)
        .arg("-cert")
        .arg(&cert)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is installed");
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(server.try_wait().expect("a child").is_none(), "the server ended");
        tokio::task::yield_now().await;
    }
    let refused = sent(&format!("smtps://127.0.0.1:{port}")).await;
    server.kill().expect("it runs");
    let said = server.wait_with_output().expect("it ended").stdout;
    let Err(SendError::ProviderDown { reason, .. }) = refused else {
        panic!("a definite no: {refused:?}")
    };
    assert!(reason.contains("certificate"), "{reason}");
    assert!(!String::from_utf8_lossy(&said).contains("MAIL"), "not a word of the mail");
}
