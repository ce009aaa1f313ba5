use std::process::Command;

#[test]
fn the_example_with_postfix_is_read_by_the_program() {
    let checked = Command::new(env!("CARGO_BIN_EXE_tidings"))
        .args(["check", "--config", "config/examples/postfix.toml"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("the binary runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn what_is_wrong_with_the_settings_of_mail_is_said_with_its_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key.pem");
    std::fs::write(&key, "-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n")
        .expect("written");
    let good = folder.path().join("good.key");
    std::fs::write(&good, data_encoding::BASE64.encode(&[7; 32])).expect("written");
    let good_key = format!("key_file = \"{}\"", good.display());
    let signed = format!("dkim = {{ domain = \"example.com\", selector = \"t1\", {good_key}");
    let minimal = "[sender]\nname = \"Shop\"\nmail_from = \"a@example.com\"\n[channels.email]\n";
    for (line, says) in [
        ("bounce_to = \"nobody\"".to_owned(), "bounce_to"),
        ("bounce_to = \"a-name-that-is-too-long@example.com\"".to_owned(), "17 characters"),
        ("bounce_to = \"a+b@example.com\"".to_owned(), "bounce_to"),
        ("domains.\"no domain\" = { rate_per_s = 1 }".to_owned(), "no domain"),
        ("domains.\"example.com\" = { rate_per_s = -1 }".to_owned(), "rate_per_s"),
        ("domains.\"example.com\" = { speed = 1 }".to_owned(), "speed"),
        ("dkim = { domain = \"example.com\", selector = \"t1\" }".to_owned(), "key_file"),
        (
            format!(
                "dkim = {{ domain = \"example.com\", selector = \"t1\", key_file = \"{}\" }}",
                key.display()
            ),
            "PKCS#8",
        ),
        (format!("{signed}, second = {{ selector = \"t2\" }} }}"), "second"),
        (format!("{signed}, second = {{ selector = \"t1\", {good_key} }} }}"), "its own"),
        (format!("{signed}, second = {{ selector = \"t 2\", {good_key} }} }}"), "no name"),
    ] {
        let read = tidings::config::Settings::read("t.toml", &format!("{minimal}{line}\n"), []);
        let said = format!("{:?}", read.err().unwrap_or_else(|| panic!("{line} was taken")));
        assert!(said.contains(says), "{line}: {said}");
        assert!(!said.contains("MC4="), "no part of a key is shown");
    }
}
