//! Signatures as a receiver checks them: by dkimpy, which `tests/run` installs.

use std::path::{Path, PathBuf};
use std::process::Command;

use tidings::domain::Channel;

use crate::support::TestApp;

/// Runs a program and answers what it printed, and whether it was content.
fn run(command: &mut Command) -> (String, bool) {
    let out = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    (String::from_utf8_lossy(&out.stdout).into_owned(), out.status.success())
}

fn python() -> PathBuf {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/python/bin/python");
    assert!(python.exists(), "dkimpy is not there; tests/run installs it under target/tools");
    python
}

/// Does the signature hold, and what are its tags?
fn verify(mail: &str, record: &str) -> (bool, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mail.eml");
    std::fs::write(&file, mail).expect("written");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/mail/verify.py");
    let (said, good) = run(Command::new(python()).arg(script).arg(&file).arg(record));
    assert!(!said.is_empty(), "the check itself failed");
    (good, said)
}

/// A signed mail on a topic that can be switched off, with one-click headers.
async fn signed(key: &Path) -> String {
    signed_by(&format!("selector = \"t1\", key_file = \"{}\"", key.display())).await
}

async fn signed_by(keys: &str) -> String {
    let settings = format!("email.dkim = {{ domain = \"example.com\", {keys} }}\n");
    let app = TestApp::with(&settings).await;
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Email])).await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    let mail = app.smtp.taken().remove(0);
    assert_eq!(mail.header("List-Unsubscribe-Post").as_deref(), Some("List-Unsubscribe=One-Click"));
    app.end().await;
    mail.data
}

fn holds_and_covers(mail: &str, record: &str, algorithm: &str) {
    let (good, said) = verify(mail, record);
    assert!(good, "{said}");
    for tag in [algorithm, "d=example.com;", "s=t1;", "c=relaxed/relaxed;"] {
        assert!(said.contains(tag), "{tag} in {said}");
    }
    let signed = said.split("h=").nth(1).and_then(|rest| rest.split(';').next()).expect("h=");
    let names: Vec<&str> = signed.split(':').collect();
    for name in ["list-unsubscribe", "list-unsubscribe-post", "message-id", "feedback-id"] {
        assert!(names.contains(&name), "{name} in {signed}");
    }
    assert_eq!(names.iter().filter(|name| **name == "from").count(), 2, "a second From breaks it");
    assert!(said.contains("t1._domainkey.example.com"), "{said}");
    for (what, with) in [
        ("Ada Byron", "Eve Byron"),
        ("List-Unsubscribe=One-Click", "List-Unsubscribe=Two-Clicks"),
        ("\r\nSubject:", "\r\nFrom: eve@example.net\r\nSubject:"),
    ] {
        assert!(mail.contains(what), "{what}");
        assert!(!verify(&mail.replacen(what, with, 1), record).0, "{what} was changed");
    }
    let body_at = mail.find("\r\n\r\n").expect("a body") + 4;
    let changed = format!("{}{}", &mail[..body_at], mail[body_at..].replacen("Ada", "Eve", 1));
    assert_ne!(changed, mail);
    assert!(!verify(&changed, record).0, "the body was changed");
}

/// A new RSA key in this folder, and the record of its public half.
fn rsa_key(folder: &Path) -> (PathBuf, String) {
    let key = folder.join("dkim.pem");
    let make =
        ["genrsa", "-traditional", "-out", &key.display().to_string(), "2048"].map(str::to_owned);
    assert!(run(Command::new("openssl").args(make)).1);
    let mut public = Command::new("openssl");
    public.args(["rsa", "-pubout", "-in"]).arg(&key);
    let pem = run(&mut public).0;
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    (key, format!("v=DKIM1; k=rsa; p={base64}"))
}

/// The same of an Ed25519 key.
fn ed25519_key(folder: &Path) -> (PathBuf, String) {
    let key = folder.join("dkim.key");
    let seed = data_encoding::BASE64.encode(&[7; 32]);
    std::fs::write(&key, format!("{seed}\n")).expect("written");
    let script = "import base64, sys, nacl.signing; print(base64.b64encode(bytes(nacl.signing.SigningKey(base64.b64decode(sys.argv[1])).verify_key)).decode())";
    let (public, good) = run(Command::new(python()).args(["-c", script, &seed]));
    assert!(good);
    (key, format!("v=DKIM1; k=ed25519; p={}", public.trim()))
}

#[tokio::test]
async fn an_rsa_signature_holds_covers_one_click_and_breaks_with_any_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let (key, record) = rsa_key(folder.path());
    holds_and_covers(&signed(&key).await, &record, "a=rsa-sha256;");
}

#[tokio::test]
async fn an_ed25519_signature_does_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let (key, record) = ed25519_key(folder.path());
    holds_and_covers(&signed(&key).await, &record, "a=ed25519-sha256;");
}

#[tokio::test]
async fn with_two_keys_each_signature_holds_alone_and_neither_breaks_the_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let ((rsa, rsa_record), (ed, ed_record)) = (rsa_key(folder.path()), ed25519_key(folder.path()));
    let mail = signed_by(&format!(
        "selector = \"t1\", key_file = \"{}\", second = {{ selector = \"t2\", key_file = \"{}\" }}",
        rsa.display(),
        ed.display()
    ))
    .await;
    assert_eq!(mail.matches("DKIM-Signature:").count(), 2);
    // The check looks at the first one it meets: that of the second key, then the other.
    let (good, said) = verify(&mail, &ed_record);
    assert!(good && said.contains("s=t2;") && said.contains("a=ed25519-sha256;"), "{said}");
    let from = mail.find("DKIM-Signature:").expect("two");
    let without_second = format!("{}{}", &mail[..from], &mail[header_end(&mail, from)..]);
    let (good, said) = verify(&without_second, &rsa_record);
    assert!(good && said.contains("s=t1;") && said.contains("a=rsa-sha256;"), "{said}");
    assert!(!verify(&mail.replacen("Ada Byron", "Eve Byron", 1), &ed_record).0);
}

/// Where the header that begins at `from` ends.
fn header_end(mail: &str, from: usize) -> usize {
    let lines = mail[from..].split_inclusive("\r\n");
    let mut end = from;
    for (n, line) in lines.enumerate() {
        if n > 0 && !line.starts_with([' ', '\t']) {
            break;
        }
        end += line.len();
    }
    end
}
