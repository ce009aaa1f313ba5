//! The journey of the runs: every state is told while it lasts, each message says which case
//! and state it tells, and a reminder has its hour and its end.

use std::path::Path;

/// States a case passes through, one version each.
pub const STATES: [&str; 6] = ["s1", "s2", "s3", "s4", "s5", "s6"];

/// The state whose topic would rather be told twice than never.
pub const TWICE_RATHER_THAN_NEVER: &str = "s4";

/// The notice with an hour of its own.
pub const REMINDER: &str = "soon";

fn journey() -> String {
    let told = STATES.map(|state| {
        let topic = if state == TWICE_RATHER_THAN_NEVER { "code" } else { "parcel" };
        format!(
            r#"
[[notice]]
id = "{state}"
on = {{ state = "{state}" }}
while = ["{state}"]
topic = "{topic}"
expires_after = "1 hour"
channels = ["email", "sms", "voice"]
"#
        )
    });
    format!(
        r#"
case_type = "parcel"
states = {STATES:?}
{}
[[notice]]
id = "{REMINDER}"
on = {{ fact = "a_minute_on", before = "1 minute" }}
while = {STATES:?}
until = "remind_until"
topic = "parcel"
channels = ["sms", "email", "voice"]
"#,
        told.concat()
    )
}

/// `tells` stands in every channel's words; see [`super::tells`].
fn message(tells: &str) -> String {
    format!(
        "{{% block subject %}}Ref {tells} {{% endblock %}}\n\
         {{% block changed %}}Ref {tells} has news.{{% endblock %}}\n\
         {{% block action %}}There is nothing to do.{{% endblock %}}\n\
         {{% block next %}}We tell you more.{{% endblock %}}\n\
         {{% block voice %}}Ref {tells} has news. There is nothing to do. We tell you more.{{% endblock %}}\n"
    )
}

/// Writes journey and messages into an installation's folder.
pub fn write(folder: &Path) {
    let messages = folder.join("templates/messages/parcel");
    std::fs::create_dir_all(&messages).expect("a folder");
    std::fs::create_dir_all(folder.join("journeys")).expect("a folder");
    std::fs::write(folder.join("journeys/parcel.toml"), journey()).expect("written");
    for name in STATES.into_iter().chain([REMINDER]) {
        let tells = format!("{{{{ case.id }}}}/{name}");
        std::fs::write(messages.join(format!("{name}.en.j2")), message(&tells)).expect("written");
    }
}
