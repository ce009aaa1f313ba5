//! Somebody who has read the design alone writes rules and messages for a case type of their
//! own, and needs no change of code.

use serde_json::json;

use crate::support::ada;
use crate::support::binary::Installation;

const JOURNEY: &str = r#"
case_type = "library-loan"
states = ["lent", "overdue", "returned", "lost"]
final = ["returned", "lost"]

[[notice]]
id = "lent"
on = { state = "lent" }
collapse = "loan"

[[notice]]
id = "due-soon"
on = { fact = "due_on", before = "2 days" }
while = ["lent"]
when = "facts.fee|float < 100"
topic = "reminder"
window = "09:00-18:00 working days"
channels = ["sms", "email"]
urgency = "high"

[[notice]]
id = "returned"
on = { state = "returned" }
collapse = "loan"
"#;

const LENT: &str = "{% block subject %}You borrowed {{ facts.title }}{% endblock %}\n\
{% block changed %}You borrowed {{ facts.title }}.{% endblock %}\n\
{% block action %}Bring it back by {{ facts.due_on|date }}.{% endblock %}\n\
{% block next %}We remind you two days before.{% endblock %}\n";

const DUE_SOON: &str = "{% block subject %}{{ facts.title }} is due soon{% endblock %}\n\
{% block changed %}{{ facts.title }} is due on {{ facts.due_on|date }}.{% endblock %}\n\
{% block action %}Bring it back in time; a late day costs {{ facts.fee|money(\"GBP\") }}.{% endblock %}\n\
{% block next %}We tell you when it is back.{% endblock %}\n";

const RETURNED: &str = "{% block subject %}{{ facts.title }} is back{% endblock %}\n\
{% block changed %}{{ facts.title }} is back with us.{% endblock %}\n\
{% block action %}There is nothing to do.{% endblock %}\n\
{% block next %}We look forward to your next visit.{% endblock %}\n";

const SAMPLE: &str =
    r#"{"facts": {"title": "Middlemarch", "due_on": "2026-12-01", "fee": "0.20"}}"#;

const FOLDERS: &str = "[journeys]\ndir = \"rules\"\n[templates]\ndir = \"words\"\n";

fn library() -> Installation {
    let here = Installation::new(FOLDERS);
    here.file("rules/library.toml", JOURNEY);
    for (name, text) in [("lent", LENT), ("due-soon", DUE_SOON), ("returned", RETURNED)] {
        here.file(&format!("words/messages/library-loan/{name}.en.j2"), text);
        here.file(&format!("words/messages/library-loan/{name}.sample.json"), SAMPLE);
    }
    here
}

#[test]
fn a_case_type_of_ones_own_needs_only_files() {
    let here = library();
    let checked = here.run(&["check"]);
    let shown = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success(), "{shown}");
    here.file("customers.jsonl", &ada().to_string());
    here.json(&["import", "customers", "customers.jsonl", "--json"]);
    let facts = json!({"title": "Middlemarch", "due_on": "2026-03-31", "fee": "0.20"});
    let event = |id: &str, state: &str, at: &str, facts: &serde_json::Value| {
        json!({"id": id, "source": "library", "case": "L-1", "case_type": "library-loan", "customer": "C-1",
               "state": state, "occurred_at": at, "facts": facts})
        .to_string()
    };
    let story = [
        event("1", "lent", "2026-03-02T10:00:00Z", &facts),
        event("2", "returned", "2026-04-02T10:00:00Z", &json!({})),
    ];
    here.file("story.jsonl", &story.join("\n"));
    let played = here.json(&["play", "story.jsonl", "--json"]);
    assert_eq!(played["by_status"], json!({"sent": 3}));
    let mut names: Vec<String> = std::fs::read_dir(here.path().join("var/outbox"))
        .expect("messages")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let when: Vec<&str> = names.iter().map(|name| &name[..13]).collect();
    // Two days before 31 March is a Sunday: Monday at nine, summer time by then.
    assert_eq!(when, ["20260302T1000", "20260330T0800", "20260402T1000"]);
}

#[test]
fn each_fault_of_a_journey_or_message_is_underlined_and_nothing_is_published() {
    let here = library();
    for (file, text, line, says) in [
        (
            "rules/library.toml",
            JOURNEY.replace("before = \"2 days\"", "before = \"2 dayz\""),
            "2 dayz",
            "no length of time",
        ),
        (
            "rules/library.toml",
            JOURNEY.replace("while = [\"lent\"]", "while = [\"lend\"]"),
            "\"lend\"",
            "no state of this journey",
        ),
        (
            "rules/library.toml",
            JOURNEY.replace("facts.fee|float < 100", "facts.fee < 100"),
            "facts.fee < 100",
            "text with a number",
        ),
        (
            "words/messages/library-loan/lent.en.j2",
            LENT.replace("facts.title", "facts.titel"),
            "facts.titel",
            "the case does not have",
        ),
        (
            "words/messages/library-loan/lent.en.j2",
            LENT.replace("{% block next %}We remind you two days before.{% endblock %}", ""),
            "",
            "lacks next",
        ),
        (
            "words/messages/library-loan/lent.en.j2",
            format!("{LENT}A word outside."),
            "A word outside.",
            "outside a block",
        ),
        (
            "words/messages/library-loan/lent.en.j2",
            LENT.replace("{% block action %}", "{% block action "),
            "",
            "not well formed",
        ),
        (
            "words/messages/library-loan/lent.en.j2",
            LENT.replace("You borrowed", &"very long ".repeat(60)),
            "",
            "parts",
        ),
    ] {
        let before = std::fs::read_to_string(here.path().join(file)).expect("a file");
        here.file(file, &text);
        let output = here.run(&["check"]);
        let shown = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{says}: {shown}");
        assert!(shown.contains(says) && shown.contains(line), "{says}: {shown}");
        here.file(file, &before);
    }
    here.file("rules/library.toml", &JOURNEY.replace("state = \"lent\"", "state = \"borrowed\""));
    assert_eq!(here.run(&["journeys", "publish"]).status.code(), Some(2));
    assert_eq!(here.json(&["journeys", "list", "--json"]).as_array().map(Vec::len), Some(0));
}

#[test]
fn a_published_version_stays_in_force_until_another_is_published() {
    let here = library();
    here.json(&["work", "--until-idle", "--json"]);
    here.file("rules/library.toml", &JOURNEY.replace("2 days", "3 days"));
    let diff = here.run(&["journeys", "diff"]);
    assert_eq!(diff.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&diff.stdout)
            .contains("+ on = { fact = \"due_on\", before = \"3 days\" }")
    );
    assert_eq!(here.json(&["journeys", "list", "--json"]).as_array().map(Vec::len), Some(1));
    assert!(here.run(&["journeys", "publish", "--reason", "earlier"]).status.success());
    let published = here.json(&["journeys", "list", "--json"]);
    assert_eq!(published.as_array().map(Vec::len), Some(2));
    let first = published[1]["hash"].as_str().expect("a hash");
    assert!(here.run(&["journeys", "rollback", first]).status.success());
    assert_eq!(here.json(&["journeys", "list", "--json"])[0]["hash"], first);
}
