use crate::support::visitor::Browser;
use crate::support::{TestApp, ada};

/// A folder of templates with these files of the centre, for the settings.
fn templates(files: &[(&str, &str)]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/messages");
    std::os::unix::fs::symlink(shipped, folder.path().join("messages")).expect("a link");
    let centre = folder.path().join("centre");
    std::fs::create_dir(&centre).expect("a folder");
    for (name, text) in files {
        std::fs::write(centre.join(name), text).expect("a file");
    }
    let more = format!("[templates]\ndir = \"{}\"", folder.path().display());
    (folder, more)
}

#[tokio::test]
async fn a_house_gives_the_pages_its_own_style_frame_and_a_language_without_a_rebuild() {
    let english = include_str!("../../../templates/centre/words.en.toml");
    let arabic = english.replace("Your matters with us", "طلباتك لدينا");
    let (_folder, more) = templates(&[
        ("style.css", "body { color: hotpink }"),
        ("open.html", "{% extends \"page.html\" %}{% block content %}Welcome to us{% endblock %}"),
        ("words.ar.toml", &arabic),
    ]);
    let app = TestApp::with(&more).await;
    let mut customer = ada();
    customer["locale"] = "ar-EG".into();
    app.customer(customer).await;
    let browser = Browser::visiting(&app).await;
    assert_eq!(browser.get("/centre/style.css").await.body, "body { color: hotpink }");
    let page = browser.get("/centre").await.body;
    assert!(page.contains(r#"<html lang="ar-EG" dir="rtl">"#), "{page}");
    assert!(page.contains("طلباتك لدينا"), "{page}");
    app.end().await;
}
