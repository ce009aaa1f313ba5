//! `kill -9` of the real binary under load: nothing accepted is lost, nothing is told twice in
//! silence.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::support::ada;
use crate::support::binary::Installation;
use crate::support::smtp::SmtpSink;

/// How often the server is killed.
const KILLS: usize = 6;

/// Events sent between two kills.
const EVENTS: usize = 120;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_again_and_again_loses_no_accepted_event_and_doubles_none_in_silence() {
    let smtp = SmtpSink::start().await;
    let here = Installation::new(&format!(
        "[channels.email]\nprovider = \"smtp\"\nurl = \"{}\"\n[dispatch]\nsettle_doubt_after_s = 1\n",
        smtp.url()
    ));
    let mut customer = ada();
    customer["contact_points"].as_array_mut().expect("points").truncate(1);
    here.file("customers.jsonl", &customer.to_string());
    here.json(&["import", "customers", "customers.jsonl", "--json"]);
    let client = reqwest::Client::new();
    let mut accepted: Vec<String> = Vec::new();
    for round in 0..KILLS {
        let served = here.serve(&[]);
        let url = format!("{}/v1/events", served.url);
        let sending = (0..EVENTS).map(|n| {
            let (client, url) = (client.clone(), url.clone());
            let case = format!("T-{round}-{n}");
            async move {
                let event = json!({"id": case, "source": "desk", "case": case, "case_type": "ticket",
                                   "customer": "C-1", "state": "take_in_charge_ticket"});
                let answer = client.post(url).json(&event).send().await;
                answer.is_ok_and(|answer| answer.status() == 202).then_some(case)
            }
        });
        let sending = tokio::spawn(futures::future::join_all(sending));
        // Killed as soon as a share of the mails has left, a different one each round.
        let target = smtp.taken().len() + 10 + round * 15;
        while smtp.taken().len() < target {
            tokio::task::yield_now().await;
        }
        served.kill();
        accepted.extend(sending.await.expect("sent").into_iter().flatten());
    }
    assert!(accepted.len() > KILLS * 10, "{} accepted", accepted.len());
    let done: Value = loop {
        let done = here.json(&["work", "--until-idle", "--json"]);
        if done["balance"]["open"] == 0 {
            break done;
        }
    };
    // What was accepted is there, and accounted for.
    let balance = &done["balance"];
    let count = |name: &str| balance[name].as_i64().expect("a number");
    assert!(count("accepted") >= i64::try_from(accepted.len()).expect("few"));
    assert_eq!(count("accepted"), count("told") + count("silent") + count("task"));
    assert_eq!(count("silent"), 0, "{done}");
    let mut copies: HashMap<String, usize> = HashMap::new();
    for mail in smtp.taken() {
        *copies.entry(mail.header("Message-ID").expect("an id")).or_default() += 1;
    }
    let twice = copies.values().filter(|n| **n > 1).count();
    assert_eq!(twice, 0, "at most once, whatever happened");
    let told = usize::try_from(count("told")).expect("few");
    let doubtful = usize::try_from(count("task")).expect("few");
    assert!(
        copies.len() >= told && copies.len() <= told + doubtful,
        "{} mails, {done}",
        copies.len()
    );
}
