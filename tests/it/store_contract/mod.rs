//! What every store promises. Each promise is kept on SQLite and on PostgreSQL in every run,
//! whatever `TIDINGS_TEST_STORE` says, through the public methods of `Store` alone.

mod at_once;
mod attempts;
mod audit;
mod balance;
mod bed;
mod call_offers;
mod calls;
mod centre;
mod console;
mod console_pages;
mod customers;
mod drafts;
mod faults;
mod intake;
mod leases;
mod lifting;
mod locks;
mod moving;
mod notifications;
mod odd_text;
mod opening;
mod operators;
mod outcomes;
mod plans;
mod promises;
mod providers;
mod races;
mod receipts;
mod recorded;
mod reports;
mod resolving;
mod restored;
mod riders;
mod soak;
mod source_links;
mod tasks;
mod texts;
mod webhooks;

use std::path::Path;

/// The texts of the Rust files of a folder, by name.
fn texts(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut texts: Vec<_> = std::fs::read_dir(&folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("text");
            (path.file_name().expect("a name").to_string_lossy().into_owned(), text)
        })
        .collect();
    texts.sort_unstable();
    texts
}

/// The public methods of `impl Store` in a text.
fn methods(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match line {
            "impl Store {" => inside = true,
            "}" => inside = false,
            _ if inside => {
                let signature = line.strip_prefix("    pub ").map(|rest| {
                    let rest = rest.strip_prefix("const ").unwrap_or(rest);
                    rest.strip_prefix("async ").unwrap_or(rest)
                });
                let name = signature.and_then(|rest| rest.strip_prefix("fn ")).map(|rest| {
                    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().expect("a name")
                });
                found.extend(name);
            }
            _ => {}
        }
    }
    found
}

#[test]
fn every_public_method_of_the_store_has_its_contract_here() {
    let contract: String =
        texts("tests/it/store_contract").into_iter().map(|(_, text)| text).collect();
    let called = |name: &str| {
        contract.contains(&format!(".{name}(")) || contract.contains(&format!("Store::{name}("))
    };
    let mut seen = 0;
    for (file, text) in texts("src/store") {
        for method in methods(&text) {
            seen += 1;
            assert!(called(method), "{file}: {method} is called nowhere in the contract");
        }
    }
    assert!(seen > 50, "only {seen} methods were found: are they read rightly?");
}
