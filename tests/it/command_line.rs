use serde_json::{Value, json};

use crate::support::ada;
use crate::support::binary::Installation;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_files_bad_lines_are_listed_and_its_good_ones_kept() {
    let here = Installation::new("");
    let good = ada().to_string();
    here.file(
        "customers.jsonl",
        &format!("{good}\n{{\"id\": \"C-2\"}}\n\nnot json\n{}\n", good.replace("C-1", "C-3")),
    );
    let output = here.run(&["import", "customers", "customers.jsonl"]);
    assert_eq!(output.status.code(), Some(2));
    let shown = text(&output.stdout);
    assert!(shown.contains("2 customers accepted, 0 seen before, 2 invalid"), "{shown}");
    assert!(
        shown.contains("line 2: /name: is required") && shown.contains("line 4: is no JSON"),
        "{shown}"
    );
    let again = here.run(&["import", "customers", "customers.jsonl", "--json"]);
    let report: Value = serde_json::from_slice(&again.stdout).expect("one JSON document");
    assert_eq!((report["accepted"].as_i64(), report["duplicate"].as_i64()), (Some(0), Some(2)));

    here.file("more.csv", "id,name,email,email_verified,attributes.tier\nC-7,\"Hopper, Grace\",grace@example.com,yes,gold\nC-8,Nobody,nowhere,yes,\n");
    let output = here.run(&["import", "customers", "more.csv"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stdout).contains("line 3: /contact_points/0/address"),
        "{}",
        text(&output.stdout)
    );
}

#[test]
fn events_sent_into_the_store_are_worked_off_until_nothing_is_due() {
    let here = Installation::new("");
    here.file("customers.jsonl", &ada().to_string());
    here.json(&["import", "customers", "customers.jsonl", "--json"]);
    let event = json!({"id": "e1", "source": "desk", "case": "T-1", "case_type": "ticket", "customer": "C-1", "state": "take_in_charge_ticket"});
    here.file("events.jsonl", &format!("{event}\n"));
    let report = here.json(&["send-events", "events.jsonl", "--json"]);
    assert_eq!(report["accepted"], 1);
    let done = here.json(&["work", "--until-idle", "--json"]);
    assert_eq!(done["balance"]["told"], 1);
    let shown = text(&here.run(&["explain", "--event", "e1"]).stdout);
    assert!(shown.contains("The case entered “take_in_charge_ticket”."), "{shown}");
    let shown = text(&here.run(&["explain", "--customer", "C-1"]).stdout);
    assert!(shown.contains("attempt"), "{shown}");
    let output = here.run(&["explain", "--event", "nothing"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn settings_with_a_fault_point_at_the_line() {
    let here = Installation::new("[channels.email]\nprovider = \"pigeon\"\n");
    let output = here.run(&["check"]);
    assert_eq!(output.status.code(), Some(2));
    let shown = text(&output.stderr);
    assert!(shown.contains("provider = \"pigeon\"") && shown.contains("pigeon"), "{shown}");
    assert!(shown.contains("tidings.toml:11"), "{shown}");
}

#[test]
fn a_key_is_shown_once_and_its_hash_goes_into_the_settings() {
    let here = Installation::new("");
    let key = here.json(&["key", "new", "desk", "--scopes", "ingest,read", "--json"]);
    assert!(key["key"].as_str().is_some_and(|key| key.starts_with("tdk_desk_")));
    assert_eq!(key["hash"].as_str().map(str::len), Some(64));
    assert_eq!(here.run(&["key", "new", "desk", "--scopes", "root"]).status.code(), Some(2));
}

#[test]
fn a_second_dispatcher_is_refused_and_told_who_holds_the_store() {
    let here = Installation::new("");
    let served = here.serve(&[]);
    let output = here.run(&["work", "--until-idle"]);
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stderr);
    assert!(shown.contains("tidings serve, process"), "{shown}");
    assert_eq!(here.run(&["play", "-"]).status.code(), Some(1));
    assert_eq!(served.stop(), Some(0), "a graceful end");
    assert_eq!(here.run(&["work", "--until-idle"]).status.code(), Some(0));
}

/// What is on the wire is finished first, however early the request to stop comes.
#[test]
fn a_server_that_is_told_to_stop_the_moment_it_serves_ends_in_order() {
    let here = Installation::new("");
    for _ in 0..5 {
        let served = here.serve(&[]);
        assert_eq!(served.stop(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_another_process_are_picked_up_within_a_second() {
    let here = Installation::new("");
    here.file("customers.jsonl", &ada().to_string());
    here.json(&["import", "customers", "customers.jsonl", "--json"]);
    let served = here.serve(&[]);
    let event = json!({"id": "e1", "source": "desk", "case": "T-1", "case_type": "ticket", "customer": "C-1", "state": "take_in_charge_ticket"});
    here.file("events.jsonl", &event.to_string());
    here.json(&["send-events", "events.jsonl", "--json"]);
    // Asked again and again until told; every answer takes a while by itself.
    let began = std::time::Instant::now();
    let client = reqwest::Client::new();
    loop {
        let url = format!("{}/v1/customers/C-1/timeline", served.url);
        let body: Value =
            client.get(url).send().await.expect("answered").json().await.expect("JSON");
        if body["timeline"].as_array().is_some_and(|t| t.iter().any(|e| e["kind"] == "attempt")) {
            break;
        }
        assert!(began.elapsed().as_secs() < 5, "not picked up: {}", served.log());
    }
    assert_eq!(served.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_the_log_nor_the_figures_hold_personal_data() {
    let here = Installation::new("[log]\nformat = \"json\"\nlevel = \"trace\"\n");
    let served = here.serve(&[]);
    let client = reqwest::Client::new();
    let put = client.put(format!("{}/v1/customers/C-1", served.url)).json(&ada());
    assert_eq!(put.send().await.expect("answered").status(), 201);
    let event = json!({"id": "e1", "source": "desk", "case": "T-1", "case_type": "ticket", "customer": "C-1",
                       "state": "take_in_charge_ticket", "facts": {"product": "Marker-4711"}});
    let post = client.post(format!("{}/v1/events", served.url)).json(&event);
    assert_eq!(post.send().await.expect("answered").status(), 202);
    let figures = loop {
        let text = client
            .get(format!("{}/metrics", served.url))
            .send()
            .await
            .expect("answered")
            .text()
            .await
            .expect("text");
        if text.contains("tidings_attempts_total") {
            break text;
        }
    };
    let everything = format!("{}{figures}", served.log());
    assert!(everything.contains("serving"), "the log was read");
    for marker in ["ada@example.com", "447911123456", "Ada Byron", "Marker-4711"] {
        assert!(!everything.contains(marker), "{marker} in {everything}");
    }
    assert_eq!(served.stop(), Some(0));
}

#[test]
fn the_demo_tells_its_story_and_every_event_is_accounted_for() {
    let here = Installation::new("");
    let summary = here.json(&["demo", "--json"]);
    assert_eq!(summary["balance"]["open"], 0);
    assert!(summary["balance"]["told"].as_i64().is_some_and(|told| told > 5), "{summary}");
}

#[test]
fn completions_manual_and_document_are_made_of_the_code() {
    let here = Installation::new("");
    let printed = |args: &[&str]| text(&here.run(args).stdout);
    for shell in ["bash", "zsh", "fish"] {
        assert!(printed(&["completions", shell]).contains("send-events"), "{shell}");
    }
    assert!(printed(&["man"]).contains(".SH SUBCOMMANDS"));
    assert!(printed(&["man", "play"]).contains("virtual clock"));
    assert_eq!(here.json(&["openapi"])["info"]["title"], "Tidings");
}

#[test]
fn the_story_is_told_as_it_was_read() {
    let here = Installation::new("");
    let output = here.run(&["demo", "--exit"]);
    assert_eq!(output.status.code(), Some(0));
    insta::assert_snapshot!("the_story", text(&output.stdout));
}

#[test]
fn what_became_of_an_event_is_explained_for_people_and_for_programs() {
    let here = Installation::new("");
    let event = json!({"id": "e1", "source": "desk", "case": "R-1", "case_type": "return",
        "customer": "C-1", "state": "posted", "facts": {"item": "Hat"}});
    here.file("events.jsonl", &event.to_string());
    here.json(&["send-events", "events.jsonl", "--json"]);
    assert_eq!(here.json(&["explain", "--event", "e1", "--json"])[0]["id"], "e1");
    let output = here.run(&["explain", "e1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--event e1 explains an event"));
}

#[test]
fn the_doctor_finds_nothing_wrong_with_a_fresh_installation_and_names_what_is() {
    let here = Installation::new("");
    assert_eq!(here.json(&["doctor", "--json"])["failed"], 0);
    let broken =
        Installation::new("[channels.email]\nprovider = \"smtp\"\nurl = \"smtp://127.0.0.1:1\"\n");
    let output = broken.run(&["doctor"]);
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stdout);
    assert!(shown.contains("no connection"), "{shown}");
}

#[test]
fn refusals_are_compared_with_the_carriers_and_taken_over_when_asked() {
    let here = Installation::new("");
    here.file("customers.jsonl", &ada().to_string());
    here.json(&["import", "customers", "customers.jsonl", "--json"]);
    here.file("carrier.csv", "date,phone_number\n2026-11-01,+447911123456\n2026-11-02,nobody\n");
    let compare = ["consent", "reconcile", "--file", "carrier.csv"];
    let output = here.run(&compare);
    assert_eq!(output.status.code(), Some(1), "they differ");
    let (shown, said) = (text(&output.stdout), text(&output.stderr));
    assert!(shown.contains("+447911123456") && shown.contains("stopped at the carrier only"));
    assert!(shown.contains("1 addresses compared, 1 differ, 0 taken over"), "{shown}");
    assert!(said.contains("carrier.csv, line 3: "), "{said}");
    here.file("carrier.csv", "date,phone_number\n2026-11-01,+447911123456\n");
    let output = here.run(&[&compare[..], &["--apply", "--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!(report["taken_over"], 1);
    assert_eq!(report["drift"][0]["kind"], "not_stopped_here");
    assert_eq!(here.run(&compare).status.code(), Some(0), "now they agree");
    let data = here.json(&["customer", "export", "C-1"]);
    let line = data["consent"].as_array().and_then(|lines| lines.last()).expect("a line");
    assert_eq!((&line["who"], &line["source"]), (&json!("customer"), &json!("carrier")));
    here.file("carrier.csv", "phone\n");
    let report = here.run(&[&compare[..], &["--json"]].concat());
    let report: Value = serde_json::from_slice(&report.stdout).expect("one JSON document");
    assert_eq!(report["drift"][0]["kind"], "not_stopped_at_carrier");
    for (file, text_of_it) in [("none.csv", None), ("bad.csv", Some("a,b\n1,2\n"))] {
        if let Some(text_of_it) = text_of_it {
            here.file(file, text_of_it);
        }
        let output = here.run(&["consent", "reconcile", "--file", file]);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    }
}

#[test]
fn a_test_message_goes_by_every_provider_and_shows_what_each_answered() {
    let here = Installation::new("");
    let args = ["doctor", "--send-test", "ada@example.com", "--send-test", "+447911123456"];
    let done = here.json(&[&args[..], &["--json"]].concat());
    assert_eq!(done["failed"], 0, "{done}");
    let channels: Vec<&Value> =
        done["tests"].as_array().expect("tests").iter().map(|test| &test["channel"]).collect();
    assert_eq!(channels, ["email", "sms"]);
    let file = done["tests"][1]["answer"].as_str().expect("the file");
    let words = std::fs::read_to_string(here.path().join("var/outbox").join(file)).expect("a file");
    assert!(words.contains("This is a test by Example Shop"), "{words}");
    let report = here.json(&["work", "--until-idle", "--json"]);
    assert_eq!(report["balance"]["told"], 0, "no test is in the store");

    let odd = here.run(&["doctor", "--send-test", "pigeon:ada"]);
    assert_eq!(odd.status.code(), Some(2));
    assert!(text(&odd.stderr).contains("is no channel"), "{}", text(&odd.stderr));
}

#[test]
fn a_provider_that_cannot_be_reached_fails_its_test() {
    let port = crate::support::redis::free_port();
    let smtp = format!(
        "[channels.email]\nprovider = \"smtp\"\nurl = \"smtp://127.0.0.1:{port}\"\n[channels.voice]\nprovider = \"none\"\n"
    );
    let here = Installation::new(&smtp);
    let output = here.run(&["doctor", "--send-test", "ada@example.com"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("no connection"), "{}", text(&output.stdout));
    let none = here.run(&["doctor", "--send-test", "voice:+447911123456"]);
    assert_eq!(none.status.code(), Some(1), "nothing was tested");
}
