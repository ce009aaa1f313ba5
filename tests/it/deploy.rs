//! What stands in `deploy` speaks of the program as it is.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use tidings::config::Settings;

use crate::support::ada;
use crate::support::binary::Installation;
use crate::support::postgres::PostgresServer;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Names of figures in a text, without what Prometheus adds to those of a histogram.
fn figures_in(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_lowercase() && c != '_')
        .filter(|word| word.starts_with("tidings_"))
        .map(|word| word.trim_end_matches("_bucket").to_owned())
        .collect()
}

/// The figures the program exports: what is quoted in its source and begins as figures do.
fn figures_of_the_program() -> BTreeSet<String> {
    let mut folders = vec![repository().join("src")];
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).expect("a file");
                let quoted = text.split("\"tidings_").skip(1);
                let names = quoted.filter_map(|rest| rest.split_once('"')).map(|(name, _)| name);
                found.extend(names.map(|name| format!("tidings_{name}")));
            }
        }
    }
    found
}

#[test]
fn the_board_and_the_alerts_speak_of_figures_the_program_exports_and_leave_none_out() {
    let exported = figures_of_the_program();
    assert!(exported.contains("tidings_attempts_total"), "{exported:?}");
    let board = figures_in(&read("deploy/grafana/tidings.json"));
    let alerts = figures_in(&read("deploy/prometheus/rules.yaml"));
    let tested = figures_in(&read("deploy/prometheus/rules_test.yaml"));
    for (where_from, named) in [("board", &board), ("alerts", &alerts), ("their tests", &tested)] {
        let unknown: Vec<_> = named.difference(&exported).collect();
        assert!(unknown.is_empty(), "{where_from}: {unknown:?}");
    }
    let unseen: Vec<_> = exported.difference(&board).collect();
    assert!(unseen.is_empty(), "not on the board: {unseen:?}");
}

/// `TIDINGS__…=value` wherever it stands in a text.
fn variables_in(text: &str) -> Vec<(String, String)> {
    text.split_whitespace()
        .filter_map(|word| word.trim_start_matches("Environment=").split_once('='))
        .filter(|(name, _)| name.starts_with("TIDINGS__"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn the_settings_of_each_deployment_are_read_by_the_program() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let secret = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("a file");
    };
    secret("store_url", "postgres://tidings:s3cret@postgres/tidings\n");
    secret("queue_url", "redis://:s3cret@redis\n");
    secret("smtp_url", "smtps://desk:s3cret@mail.example.com\n");
    let image = variables_in(&read("deploy/Dockerfile"));
    assert_eq!(image.len(), 2, "{image:?}");
    for (path, secrets) in [
        ("deploy/tidings.toml", "/run/secrets"),
        ("deploy/kubernetes/tidings.toml", "/run/secrets/tidings"),
    ] {
        let here = folder.path().display().to_string();
        let text = read(path).replace(&format!("{secrets}/"), &format!("{here}/"));
        let sending = text.replace("# url_file", "url_file");
        assert_ne!(text, sending, "{path} shows how to send");
        for text in [text, sending] {
            let settings = Settings::read(path, &text, image.clone())
                .unwrap_or_else(|finding| panic!("{finding}"));
            assert_eq!(settings.store.url, "postgres://tidings:s3cret@postgres/tidings");
            assert_eq!(settings.queue.url, "redis://:s3cret@redis");
            assert!(!settings.http.listen.ip().is_loopback(), "{path}: reached from outside");
            assert!(
                !settings.fingerprint().1.contains("s3cret"),
                "{path}: secrets are kept nowhere"
            );
        }
    }
    let unit = variables_in(&read("deploy/tidings.service"));
    assert_eq!(unit.len(), 1, "{unit:?}");
    Settings::read("config/tidings.toml", &read("config/tidings.toml"), unit)
        .unwrap_or_else(|finding| panic!("{finding}"));
}

#[test]
fn every_secret_a_deployment_reads_is_one_it_provides() {
    let names = |settings: &str, folder: &str| -> BTreeSet<String> {
        let text = read(settings);
        let rest = text.lines().filter(|line| !line.starts_with('#'));
        rest.filter_map(|line| line.split_once(folder))
            .map(|(_, name)| name.trim_end_matches('"').to_owned())
            .collect()
    };
    let compose = read("deploy/compose.yaml");
    for name in names("deploy/tidings.toml", "/run/secrets/") {
        assert!(compose.contains(&format!("  {name}: {{ file: ./secrets/{name} }}")), "{name}");
    }
    let kustomization = read("deploy/kubernetes/kustomization.yaml");
    for name in names("deploy/kubernetes/tidings.toml", "/run/secrets/tidings/") {
        let provided = ["file", "literal"].map(|kind| format!("--from-{kind}={name}="));
        assert!(provided.iter().any(|option| kustomization.contains(option)), "{name}");
    }
}

#[test]
fn every_role_has_its_two_processes_and_no_other_is_named() {
    let help = Installation::new("").run(&["serve", "--help"]);
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let compose = read("deploy/compose.yaml");
    for role in ["api", "worker", "scheduler"] {
        assert!(help.contains(role), "{help}");
        assert!(compose.contains(&format!("command: [serve, --roles, {role}]")), "{role}");
        let manifest = read(&format!("deploy/kubernetes/{role}.yaml"));
        assert!(manifest.contains(&format!("args: [serve, --roles, {role}]")), "{role}");
        assert!(manifest.contains("replicas: 2") && manifest.contains("minAvailable: 1"), "{role}");
    }
    assert_eq!(compose.matches("--roles").count(), 3);
    assert_eq!(compose.matches("replicas: 2").count(), 1, "one anchor for all");
}

#[test]
fn the_unit_gives_the_service_no_more_than_it_needs() {
    let unit = read("deploy/tidings.service");
    for line in [
        "DynamicUser=yes",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "SystemCallFilter=@system-service",
        "MemoryDenyWriteExecute=yes",
        "IPAddressDeny=link-local multicast",
        "LoadCredential=secrets:/etc/tidings/secrets",
    ] {
        assert!(unit.lines().any(|known| known == line), "{line}");
    }
    assert!(unit.lines().any(|line| line.starts_with("MemoryMax=")));
}

#[test]
fn no_command_prints_the_password_of_the_store() {
    let here = Installation::new("");
    let url = PostgresServer::shared().fresh_database().replace("tidings@", "tidings:s3cret@");
    let store = here.file("store_url", &url);
    here.file(
        "tidings.toml",
        &format!(
            "[store]\nurl_file = {store:?}\n[sender]\nname = \"Example Shop\"\nmail_from = \"service@example.com\"\n"
        ),
    );
    for command in [["migrate"], ["doctor"]] {
        let output = here.run(&command);
        let shown = [output.stdout, output.stderr].concat();
        let shown = String::from_utf8_lossy(&shown).into_owned();
        assert_eq!(output.status.code(), Some(0), "{command:?}: {shown}");
        assert!(shown.contains("postgres://tidings@127.0.0.1"), "{command:?}: {shown}");
        assert!(!shown.contains("s3cret"), "{command:?}: {shown}");
    }
}

#[test]
fn ready_asks_the_process_that_serves_here() {
    let here = Installation::new("");
    let alone = here.run(&["ready"]);
    assert_eq!(alone.status.code(), Some(1), "nobody serves");
    assert!(String::from_utf8_lossy(&alone.stderr).contains("/readyz"));
    let served = here.serve(&[]);
    let asked = here.run(&["ready"]);
    assert_eq!((asked.status.code(), asked.stdout.as_slice()), (Some(0), b"ready\n".as_slice()));
    assert_eq!(served.stop(), Some(0));
}

async fn scrape(url: &str) -> String {
    let answer = reqwest::get(format!("{url}/metrics")).await.expect("answered");
    assert_eq!(answer.status(), 200);
    answer.text().await.expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_tells_how_late_things_are_and_goes_on_while_the_store_is_away() {
    let here = Installation::new("");
    let served = here.serve(&[]);
    let client = reqwest::Client::new();
    client.put(format!("{}/v1/customers/C-1", served.url)).json(&ada()).send().await.expect("put");
    let event = json!({"id": "e1", "source": "desk", "case": "T-1", "case_type": "ticket",
                       "customer": "C-1", "state": "take_in_charge_ticket"});
    let post = client.post(format!("{}/v1/events", served.url)).json(&event);
    let answer: Value = post.send().await.expect("answered").json().await.expect("JSON");
    assert_eq!(answer["results"][0]["result"], "accepted");
    let began = std::time::Instant::now();
    let figures = loop {
        let figures = scrape(&served.url).await;
        if figures.contains("tidings_attempts_total") {
            break figures;
        }
        assert!(began.elapsed().as_secs() < 10, "{figures}");
    };
    for figure in [
        "tidings_ready 1",
        "tidings_in_doubt 0",
        "tidings_build_info{version=",
        "tidings_plan_delay_seconds_count 1",
        "tidings_send_seconds_count{channel=\"email\",provider=\"outbox\"} 1",
        "tidings_hand_over_delay_seconds_bucket{channel=\"email\",le=\"+Inf\"} 1",
    ] {
        assert!(figures.contains(figure), "{figure} in\n{figures}");
    }

    let file = format!("sqlite:{}", here.path().join("tidings.db").display());
    let pool = sqlx::SqlitePool::connect(&file).await.expect("the store's file");
    sqlx::query("ALTER TABLE notification RENAME TO gone").execute(&pool).await.expect("renamed");
    let figures = scrape(&served.url).await;
    assert!(
        figures.contains("tidings_ready 0") && figures.contains("tidings_in_doubt NaN"),
        "{figures}"
    );
    assert!(figures.contains("tidings_attempts_total"), "what was counted stays");
}
