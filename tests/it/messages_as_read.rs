//! Every shipped message on every channel, as its readers get it. Read the snapshots when
//! they change: this is what people see.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tidings::app::content;
use tidings::config::Settings;
use tidings::domain::message::Shaped;
use tidings::domain::{ChannelMap, Zones};

fn compiled() -> content::Compiled {
    let text = "[sender]\nname = \"Example Shop\"\nmail_from = \"Example Shop <service@example.com>\"\n\
                reply_to = \"service@example.com\"\nphone = \"+442079460000\"\n\
                [http]\npublic_url = \"https://msg.example.com\"\n";
    let settings = Settings::read("test", text, []).expect("valid");
    let files = content::version_files(&settings).expect("the shipped files");
    let layouts = content::layouts(&settings).expect("the shipped layouts");
    let all = ChannelMap { email: true, sms: true, voice: true };
    let zones = Zones::bundled();
    content::compile("test", &files, &layouts, &settings, all, &zones).expect("the layouts compile")
}

#[test]
fn the_shipped_journeys_and_messages_have_no_findings() {
    let found: Vec<String> =
        compiled().findings.iter().map(|f| format!("{}: {f}", f.file())).collect();
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn every_message_reads_as_it_was_read() {
    let mut pages: BTreeMap<(String, String), String> = BTreeMap::new();
    for reading in compiled().readings {
        let page = pages.entry((reading.message.clone(), reading.locale.clone())).or_default();
        let parts = match &reading.shaped {
            Shaped::Sms(sms) => {
                format!(" · {} parts, {:?}", sms.counted.parts, sms.counted.encoding)
            }
            _ => String::new(),
        };
        let _ = write!(
            page,
            "── {} · sample {}{parts} ──\n{}\n\n",
            reading.channel,
            reading.sample + 1,
            reading.shaped.words().trim_end()
        );
    }
    for ((message, locale), page) in pages {
        insta::assert_snapshot!(format!("{}-{locale}", message.replace('/', "-")), page);
    }
}

#[test]
fn the_html_of_a_mail_loads_nothing_from_elsewhere() {
    for reading in compiled().readings {
        let Shaped::Email(email) = reading.shaped else { continue };
        for loads in ["<img", "<script", "<iframe", "src=", "@import", "fonts.googleapis"] {
            assert!(!email.html.contains(loads), "{}: {loads}", reading.message);
        }
        assert!(email.html.len() < 102_000, "Gmail clips what is longer");
        assert!(email.html.contains("<html lang=\""), "{}", reading.message);
    }
}
