use std::path::Path;

use tidings::config::Settings;

fn read(text: &str) -> Result<Settings, String> {
    let sender =
        "[sender]\nname = \"Example Shop\"\nmail_from = \"Example Shop <service@example.com>\"\n";
    Settings::read("tidings.toml", &format!("{text}\n{sender}"), [])
        .map_err(|finding| format!("{}: {}", finding.line().unwrap_or(0), finding.message))
}

/// A folder with the secrets that the examples name.
fn secrets(folder: &Path) {
    for name in ["token", "callbacks"] {
        std::fs::write(folder.join(name), "s3cret\n").expect("written");
    }
}

#[test]
fn the_example_of_each_provider_loads() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples");
    for name in ["vonage", "plivo", "sinch", "kannel", "generic-http"] {
        let folder = tempfile::tempdir().expect("a folder");
        secrets(folder.path());
        let text = std::fs::read_to_string(examples.join(format!("{name}.toml"))).expect(name);
        assert!(text.contains("/run/credentials/tidings"), "{name} keeps its secrets in files");
        let here = folder.path().display().to_string();
        let file = folder.path().join("tidings.toml");
        std::fs::write(&file, text.replace("/run/credentials/tidings", &here)).expect("written");
        let done = std::process::Command::new(env!("CARGO_BIN_EXE_tidings"))
            .args(["check", "--config"])
            .arg(&file)
            .output()
            .expect("run");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{name}: {said}");
    }
}

#[test]
fn what_a_provider_needs_is_named() {
    for (provider, word) in [
        ("vonage", "private_key_file"),
        ("plivo", "auth token"),
        ("sinch", "service plan"),
        ("kannel", "sendsms-user"),
        ("http", "[channels.sms.http]"),
    ] {
        let said = read(&format!("[channels.sms]\nprovider = \"{provider}\"")).expect_err(provider);
        assert!(said.starts_with("2: channels.sms.provider") && said.contains(word), "{said}");
        let said =
            read(&format!("[channels.voice]\nprovider = \"{provider}\"")).expect_err(provider);
        let why = if provider == "vonage" { "callback_secret_file" } else { "text messages only" };
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn faults_of_senders_doors_and_caps_point_at_their_line() {
    let account = "[channels.sms]\nprovider = \"http\"\nfrom = \"EXAMPLE\"\n";
    let door = "[channels.sms.http]\nurl = \"https://sms.example.com\"\n";
    for (text, start) in [
        ("[channels.sms]\nsenders = { US = \"EXAMPLE\" }".to_owned(), "2: channels.sms.senders.US"),
        ("[channels.sms]\nfrom = \"Much too long a name\"".to_owned(), "2: channels.sms.from"),
        (format!("{account}{door}body = \"{{{{ tex }}}}\""), "6: channels.sms.http.body"),
        (
            format!("{account}{door}success = {{ status = \"x\" }}"),
            "6: channels.sms.http.success.status",
        ),
        ("[limits.sms]\ncountries = [\"England\"]".to_owned(), "2: limits.sms.countries"),
        ("[limits.voice]\ncost_per_day = -1.0".to_owned(), "2: limits.voice.cost_per_day"),
        ("[limits.sms]\nper_minute = 1".to_owned(), "2: "),
    ] {
        let said = read(&text).expect_err(&text);
        assert!(said.starts_with(start), "{said}");
    }
}

#[test]
fn no_secret_of_a_provider_is_kept_with_the_settings_or_printed() {
    let settings = read(
        "[channels.sms]\nprovider = \"http\"\ntoken = \"s3cret1\"\ncallback_secret = \"s3cret2\"\n\
         [channels.sms.http]\nurl = \"https://sms.example.com\"\nheaders = { X-Key = \"s3cret3\" }\n",
    );
    let settings = settings.expect("valid");
    assert!(!settings.fingerprint().1.contains("s3cret"));
    let said = read(
        "[channels.sms]\nprovider = \"vonage\"\napplication = \"a\"\nfrom = \"+442079460001\"\nprivate_key = \"s3cret\"",
    );
    let said = said.expect_err("no key");
    assert!(said.contains("private_key") && !said.contains("s3cret"), "{said}");
}
