//! Faults of the settings for the console point at their line, and show no secret.

use tidings::config::Settings;
use tidings::domain::Finding;

use super::entry;

const SENDER: &str = "[sender]\nname = \"S\"\nmail_from = \"s@example.com\"\n";

fn fault(more: &str) -> Box<Finding> {
    Settings::read("tidings.toml", &format!("{SENDER}{more}"), []).expect_err(more)
}

/// The text of a line.
fn line_of(more: &str, finding: &Finding) -> String {
    let text = format!("{SENDER}{more}");
    let line = finding.line().unwrap_or_else(|| panic!("no line: {finding}"));
    text.lines().nth(line - 1).expect("a line").to_owned()
}

#[test]
fn a_fault_of_an_operators_entry_points_at_its_line() {
    let good = entry("vera", "viewer");
    let ada = entry("ada", "admin");
    let changed = |from: &str, to: &str| format!("{good}{}", ada.replace(from, to));
    for (more, at, word) in [
        (changed("role = \"admin\"", "role = \"root\""), "role = \"root\"", "viewer"),
        (changed("argon2id", "argon2i"), "hash = ", "Argon2id"),
        (changed("m=19456", "m=1024"), "hash = ", "too quick"),
        (changed("totp = \"", "totp = \"!"), "totp = ", "Base32"),
        (changed("name = \"ada\"", "name = \"vera\""), "name = \"vera\"", "twice"),
        (changed("name = \"ada\"", "name = \"a b\""), "name = \"a b\"", "letters"),
        (changed("name = \"ada\"", "name = \"local\""), "name = \"local\"", "audit log"),
        (changed("name = \"ada\"", "nome = \"ada\""), "nome = ", "unknown field"),
        ("[console]\nidle = \"2 days\"\n".into(), "idle = ", "between 5 minutes"),
        ("[console]\nidle = \"9 hours\"\n".into(), "idle = ", "longer than"),
        ("[console]\nlongest = \"1 minute\"\n".into(), "longest = ", "between 5 minutes"),
    ] {
        let finding = fault(&more);
        assert!(line_of(&more, &finding).starts_with(at), "{at}: {finding}");
        assert!(finding.message.contains(word), "{at}: {finding}");
    }
    let missing = changed("role = \"admin\"\n", "");
    let finding = fault(&missing);
    assert!(finding.message.contains("console.operators.1") && finding.message.contains("role"));
    assert!(line_of(&missing, &finding).contains("[console.operators]"), "{finding}");
    assert!(!format!("{finding:?}").contains("mail_from have no default"), "{finding:?}");
}

#[test]
fn a_secret_with_a_fault_is_not_shown() {
    let more = entry("ada", "admin").replace("totp = \"", "totp = \"!KEEPTHISSECRET");
    let finding = fault(&more);
    let shown = format!("{finding} {finding:?}");
    assert!(!shown.contains("KEEPTHISSECRET"), "{shown}");
}

#[test]
fn a_fault_of_the_openid_section_points_at_its_line() {
    let good = "[console.openid]\nissuer = \"https://login.example.com\"\nclient_id = \"tidings\"\nroles = { ops = \"editor\" }\n";
    let read = Settings::read("f", &format!("{SENDER}{good}"), []);
    let openid = read.expect("valid").console.openid.expect("set");
    assert_eq!((&*openid.role_claim, &*openid.name_claim), ("roles", "sub"));
    for (from, to, at, word) in [
        ("https://login", "http://login", "issuer", "https://"),
        ("https://login.example.com", "login", "issuer", "issuer's address"),
        ("\"tidings\"", "\"\"", "client_id", "empty"),
        ("{ ops = \"editor\" }", "{}", "roles", "nobody could"),
        ("\"editor\"", "\"boss\"", "roles", "publisher"),
        ("client_id", "client", "client", "unknown field"),
    ] {
        let more = good.replace(from, to);
        let finding = fault(&more);
        assert!(line_of(&more, &finding).starts_with(at), "{to}: {finding}");
        assert!(finding.message.contains(word), "{to}: {finding}");
    }
    let more = format!("{good}client_secret_file = \"/nowhere/secret\"\n");
    let finding = fault(&more);
    assert!(line_of(&more, &finding).starts_with("client_secret_file"), "{finding}");
}

#[test]
fn secrets_come_from_files_and_print_nowhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ada");
    let secret = super::secret("ada").base32();
    std::fs::write(&file, format!("{secret}\n")).expect("a file");
    let inline = format!("totp = \"{secret}\"");
    let more = entry("ada", "admin")
        .replace(&inline, &format!("totp_secret_file = {:?}", file.display().to_string()));
    let settings = Settings::read("f", &format!("{SENDER}{more}"), []).expect("valid");
    assert_eq!(settings.console.operators[0].totp, super::secret("ada"));
    let shown = format!("{settings:?} {}", settings.fingerprint().1);
    assert!(!shown.contains(&secret) && !shown.contains("argon2id"), "{shown}");
    std::fs::write(&file, "short").expect("a file");
    let finding = fault(&more);
    assert!(line_of(&more, &finding).starts_with("totp_secret_file"), "{finding}");
}
