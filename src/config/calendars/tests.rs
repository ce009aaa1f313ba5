use super::super::Settings;
use super::*;
use jiff::civil::date;

const SENDER: &str =
    "[sender]\nname = \"Example Shop\"\nmail_from = \"Example Shop <service@example.com>\"\n";

fn read(text: &str) -> Result<Settings, Box<Finding>> {
    Settings::read("tidings.toml", &format!("{text}{SENDER}"), [])
}

#[test]
fn a_section_says_in_a_line_how_a_calendar_differs() {
    let settings = read(
        "[calendars]\ndefault = \"depot\"\n[calendars.depot]\nbased_on = \"gb-eng\"\nweekend = [\"FRI\", \"SAT\"]\n",
    );
    let depot = &settings.expect("valid").calendars.days["depot"];
    for (day, works) in [
        (date(2026, 12, 25), false),
        (date(2026, 12, 27), true),
        (date(2026, 12, 28), false),
        (date(2026, 12, 30), true),
    ] {
        assert_eq!(depot.is_working(day), works, "{day}");
    }
}

#[test]
fn a_mistake_in_a_section_is_named_with_its_line() {
    for (text, line, word) in [
        ("[calendars]\ndefault = \"mars\"\n", 2, "known are"),
        ("[calendars.depot]\nbased_on = \"mars\"\n", 2, "no calendar"),
        ("[calendars.a]\nbased_on = \"b\"\n[calendars.b]\nbased_on = \"a\"\n", 4, "itself"),
        ("[calendars.depot]\nweekend = [\"FUN\"]\n", 2, "FUN"),
        ("[calendars.depot]\nfile = \"nowhere.ics\"\n", 2, "cannot be read"),
        ("[calendars.depot]\nfil = \"nowhere.ics\"\n", 2, "fil"),
        ("[calendars]\nholidays = \"gb\"\n", 2, ""),
        ("[calendars]\ndir = \"nowhere\"\n", 2, "not there"),
        ("[calendars.weekdays]\nweekend = [\"SUN\"]\n", 1, "another name"),
    ] {
        let finding = read(text).expect_err(text);
        assert_eq!(finding.line(), Some(line), "{text}: {finding}");
        assert!(finding.message.contains(word), "{text}: {finding}");
    }
}

#[test]
fn files_of_the_folder_stand_beside_the_shipped_ones_and_a_fault_points_into_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let put = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("a file");
    };
    put(
        "depot.ics",
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20261224\nEND:VEVENT\nEND:VCALENDAR\n",
    );
    put("us.toml", "[holidays]\n2026-07-04 = \"ours\"\n");
    let text = format!(
        "[calendars]\ndir = {:?}\n[calendars.both]\nfile = {:?}\nbased_on = \"fr\"\n",
        folder.path().display().to_string(),
        folder.path().join("depot.ics").display().to_string()
    );
    let days = read(&text).expect("valid").calendars.days;
    assert_eq!(days["depot"].holidays, [date(2026, 12, 24)]);
    assert_eq!(days["us"].holidays, [date(2026, 7, 4)], "the folder's replaces the shipped");
    assert!(days["both"].holidays.len() > 90 && !days["both"].is_working(date(2026, 12, 24)));
    put("bad.toml", "[holidays]\nsoon = \"x\"\n");
    let finding = read(&text).expect_err("a bad file");
    assert!(finding.file().ends_with("bad.toml"), "{finding:?}");
    assert_eq!(finding.line(), Some(2));
}
