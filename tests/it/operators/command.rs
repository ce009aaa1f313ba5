//! `tidings operator new` and `tidings report audit`.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;
use tidings::config::Settings;
use tidings::domain::Role;

use crate::support::binary::Installation;

/// Runs it with a line on standard input.
fn new(here: &Installation, args: &[&str], line: &str) -> (Option<i32>, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidings"))
        .args(["operator", "new"])
        .args(args)
        .current_dir(here.path())
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    let sent = writeln!(child.stdin.take().expect("piped"), "{line}");
    // A command that refuses its arguments reads nothing.
    drop(sent);
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_entry_it_prints_lets_that_password_in() {
    let here = Installation::new("");
    let password = "several words in a row";
    let (code, printed, _) = new(&here, &["grace", "--role", "publisher"], password);
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("otpauth://totp/Tidings:grace?secret="), "{printed}");
    assert!(!printed.contains(password), "{printed}");
    let lines: Vec<&str> = printed
        .lines()
        .skip_while(|line| !line.contains("[[console.operators]]"))
        .take(5)
        .map(str::trim)
        .collect();
    let lines = lines.join("\n");
    let text = format!("[sender]\nname = \"S\"\nmail_from = \"s@example.com\"\n{lines}");
    let settings = Settings::read("f", &text, []).unwrap_or_else(|finding| panic!("{finding}"));
    let [operator] = &settings.console.operators[..] else { panic!("{text}") };
    assert_eq!((&*operator.name, operator.role), ("grace", Role::Publisher));
    assert!(operator.hash.matches(password));
    let (_, again, _) = new(&here, &["grace", "--role", "publisher", "--json"], password);
    let again: Value = serde_json::from_str(&again).expect("one JSON document");
    assert_ne!(again["totp"], operator.totp.base32(), "a secret of its own each time");
    assert_ne!(again["hash"], operator.hash.as_str(), "and a salt");
}

#[test]
fn what_will_not_do_is_said_with_how_to_mend_it() {
    let here = Installation::new("");
    for (args, line, word) in [
        (&["grace", "--role", "viewer"][..], "too short", "12 characters"),
        (&["grace", "--role", "viewer"][..], "", "12 characters"),
        (&["grace", "--role", "root"][..], "several words in a row", "viewer, editor"),
        (&["two words", "--role", "viewer"][..], "several words in a row", "letters"),
        (&["nobody", "--role", "viewer"][..], "several words in a row", "audit log"),
    ] {
        let (code, _, said) = new(&here, args, line);
        assert_eq!(code, Some(2), "{args:?}: {said}");
        assert!(said.contains(word), "{args:?}: {said}");
    }
}

#[test]
fn the_audit_log_is_a_report_of_its_own() {
    let here = Installation::new("");
    let page = here.json(&["report", "audit", "--json"]);
    assert_eq!(page, serde_json::json!({ "entries": [], "before": null }));
    let output = here.run(&["report", "audit", "--limit", "0"]);
    assert_eq!(output.status.code(), Some(2));
}
