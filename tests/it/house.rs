//! The arrows between the rooms of `src`, and what stands in one room only.

use std::path::{Path, PathBuf};

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found
}

/// The modules of the crate that a room uses.
fn used_by(room: &str) -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room);
    let mut used = Vec::new();
    for file in files(&root) {
        let text = std::fs::read_to_string(&file).expect("a file");
        for part in text.split("crate::").skip(1) {
            let module: String =
                part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            used.push((module, file.clone()));
        }
    }
    used
}

#[test]
fn rooms_use_only_the_rooms_below_them() {
    let allowed: [(&str, &[&str]); 10] = [
        ("domain", &["domain"]),
        ("planning", &["domain", "planning"]),
        ("render", &["domain", "render"]),
        ("store", &["domain", "store"]),
        ("queue", &["domain", "queue"]),
        ("channel", &["domain", "channel"]),
        (
            "worker",
            &["domain", "planning", "render", "store", "queue", "channel", "clock", "worker"],
        ),
        ("simulate", &["domain", "planning", "simulate"]),
        ("config", &["domain", "planning", "config"]),
        ("web", &["domain", "store", "queue", "channel", "config", "app", "web"]),
    ];
    for (room, allowed) in allowed {
        for (used, file) in used_by(room) {
            assert!(allowed.contains(&used.as_str()), "{} uses {used}", file.display());
        }
    }
}

#[test]
fn sql_the_queue_library_the_wall_clock_and_providers_stay_in_their_rooms() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let only: [(&str, &[&str]); 6] = [
        ("sqlx::query", &["store/"]),
        ("apalis::", &["queue/"]),
        ("Utc::now()", &["clock.rs"]),
        ("SystemTime::now()", &["clock.rs"]),
        // The sinks of the benchmark answer as the provider does.
        ("2010-04-01", &["channel/twilio/", "bench/"]),
        ("rand::random", &["app", "bench/", "store/", "web/auth.rs"]),
    ];
    for file in files(&src) {
        let text = std::fs::read_to_string(&file).expect("a file");
        let name = file.strip_prefix(&src).expect("below").display().to_string();
        for (what, rooms) in only {
            let at_home = rooms.iter().any(|room| name.starts_with(room));
            assert!(at_home || !text.contains(what), "{name} holds {what}");
        }
    }
}
