use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidings::channel::webhook::{Answer, Hook, Lookup, Target, system_lookup};
use tidings::domain::webhook::SigningKey;

use super::receiver::{Receiver, SECRET, Say};

fn hook(url: &str, allow_private: bool, lookup: Lookup) -> Hook {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let keys = vec![SigningKey::parse(SECRET).expect("a secret")];
    let timeout = Duration::from_secs(5);
    Hook::new(Target { url: url.to_owned(), keys, timeout, allow_private }, lookup).expect(url)
}

async fn post(hook: &Hook) -> Answer {
    hook.post("msg_1", chrono::DateTime::UNIX_EPOCH.timestamp(), "{}").await
}

/// A lookup that says these, one after the other, the last one for ever.
fn says(answers: Vec<Vec<&'static str>>) -> (Lookup, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&asked);
    let lookup: Lookup = Arc::new(move |_| {
        let n = counting.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        let found: Vec<IpAddr> =
            answers[n].iter().map(|text| text.parse().expect("an address")).collect();
        Box::pin(std::future::ready(Ok(found)))
    });
    (lookup, asked)
}

#[tokio::test]
async fn an_inner_address_is_not_spoken_to_however_it_is_written() {
    let receiver = Receiver::start().await;
    let port = receiver.port();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "0.0.0.0",
        "[::]",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::a00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "10.0.0.1",
        "100.64.0.1",
        "192.168.0.1",
        "[fd00::1]",
        "[fe80::1]",
        "localhost",
    ] {
        for scheme in ["https", "http"] {
            let hook = hook(&format!("{scheme}://{host}:{port}/"), false, system_lookup());
            let answer = post(&hook).await;
            assert_eq!(answer.status, None, "{scheme} {host}");
            let why = &answer.said;
            let refused = ["is a private address", "is no address a webhook may go to"];
            assert!(refused.iter().any(|words| why.contains(words)), "{host}: {why}");
        }
    }
    assert!(receiver.told().is_empty());
}

#[tokio::test]
async fn a_name_is_resolved_once_and_what_was_looked_at_is_spoken_to() {
    let receiver = Receiver::start().await;
    let url = format!("https://hook.example.com:{}/", receiver.port());
    // It means something harmless whenever somebody checks it, and us when it is connected to.
    let (lookup, asked) = says(vec![vec!["127.0.0.1"]]);
    let answer = post(&hook(&url, false, lookup)).await;
    assert_eq!((answer.status, asked.load(Ordering::SeqCst)), (None, 1));
    assert!(answer.said.contains("127.0.0.1 is a private address"), "{answer:?}");
    let (lookup, asked) = says(vec![vec!["127.0.0.1"], vec!["169.254.169.254"]]);
    let plain = format!("http://hook.example.com:{}/", receiver.port());
    let hook = hook(&plain, true, lookup);
    assert_eq!(post(&hook).await.status, Some(204));
    assert_eq!(receiver.told().len(), 1);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn of_a_names_addresses_only_those_that_may_be_are_spoken_to() {
    let receiver = Receiver::start().await;
    let url = format!("http://hook.example.com:{}/", receiver.port());
    let (lookup, _) = says(vec![vec!["169.254.169.254", "1.1.1.1", "127.0.0.1"]]);
    assert_eq!(post(&hook(&url, true, lookup)).await.status, Some(204));
    let (lookup, _) = says(vec![vec!["1.1.1.1"]]);
    let answer = post(&hook(&url, true, lookup)).await;
    assert!(answer.said.contains("use https://"), "{answer:?}");
    let (lookup, _) = says(vec![vec![]]);
    assert!(post(&hook(&url, true, lookup)).await.said.contains("no address"));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let (receiver, inner) = (Receiver::start().await, Receiver::start().await);
    receiver.will([Say::Elsewhere(inner.url()), Say::Elsewhere("http://10.0.0.1/".into())]);
    let hook = hook(&receiver.url(), true, system_lookup());
    for _ in 0..2 {
        let answer = post(&hook).await;
        assert_eq!(answer.status, Some(302));
        assert!(!answer.is_taken());
    }
    assert!(inner.told().is_empty());
}

#[tokio::test]
async fn of_a_long_answer_the_beginning_is_kept() {
    let receiver = Receiver::start().await;
    receiver.will([Say::Much(5_000_000)]);
    let answer = post(&hook(&receiver.url(), true, system_lookup())).await;
    assert_eq!((answer.status, answer.said.len()), (Some(200), 300));
}
