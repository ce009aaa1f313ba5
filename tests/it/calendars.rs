//! The shipped public holidays against a second computation: the date of Easter, first and
//! last Mondays, substitute days. Weekends are left out on both sides.

use std::collections::BTreeSet;

use jiff::ToSpan;
use jiff::civil::{Date, Weekday, date};
use serde_json::json;
use tidings::config::Settings;

use crate::support::TestApp;
use crate::support::binary::Installation;

/// Easter Sunday: the anonymous Gregorian computus (Meeus, Astronomical Algorithms, chapter 8).
#[allow(clippy::many_single_char_names, reason = "the letters of the book")]
fn easter(year: i16) -> Date {
    let y = i32::from(year);
    let (a, b, c) = (y % 19, y / 100, y % 100);
    let (d, e) = (b / 4, b % 4);
    let g = (8 * b + 13) / 25;
    let h = (19 * a + b - d - g + 15) % 30;
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k) % 7;
    let m = (a + 11 * h + 19 * l) / 433;
    let month = (h + l - 7 * m + 90) / 25;
    let day = (h + l - 7 * m + 33 * month + 19) % 32;
    date(year, i8::try_from(month).expect("3 or 4"), i8::try_from(day).expect("a day"))
}

fn nth(nth: i8, weekday: Weekday, year: i16, month: i8) -> Date {
    date(year, month, 1).nth_weekday_of_month(nth, weekday).expect("there is one")
}

fn is_weekend(day: Date) -> bool {
    matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday)
}

/// The next day to work on that is not taken: a bank holiday in lieu (Banking and Financial
/// Dealings Act 1971, schedule 1).
fn in_lieu(day: Date, taken: &BTreeSet<Date>) -> Date {
    day.series(1.day()).find(|day| !is_weekend(*day) && !taken.contains(day)).expect("one comes")
}

/// Fixed days of the United Kingdom: one on a weekend moves on.
fn british(year: i16, fixed: &[(i8, i8)], others: &[Date]) -> BTreeSet<Date> {
    let mut days: BTreeSet<Date> = others.iter().copied().collect();
    let fixed: Vec<Date> = fixed.iter().map(|(month, day)| date(year, *month, *day)).collect();
    days.extend(fixed.iter().filter(|day| !is_weekend(**day)));
    for day in fixed.into_iter().filter(|day| is_weekend(*day)) {
        days.insert(in_lieu(day, &days));
    }
    days
}

fn england(year: i16) -> Vec<Date> {
    let e = easter(year);
    vec![
        e - 2.days(),
        e + 1.day(),
        nth(1, Weekday::Monday, year, 5),
        nth(-1, Weekday::Monday, year, 5),
        nth(-1, Weekday::Monday, year, 8),
    ]
}

/// 5 U.S.C. 6103: a Saturday's holiday is kept on Friday, a Sunday's on Monday.
fn american(year: i16) -> BTreeSet<Date> {
    let fixed = |year| [(1, 1), (6, 19), (7, 4), (11, 11), (12, 25)].map(|(m, d)| date(year, m, d));
    let kept = |day: Date| match day.weekday() {
        Weekday::Saturday => day - 1.day(),
        Weekday::Sunday => day + 1.day(),
        _ => day,
    };
    let mut days: BTreeSet<Date> = fixed(year)
        .into_iter()
        .chain(fixed(year + 1))
        .map(kept)
        .filter(|d| d.year() == year)
        .collect();
    days.extend([
        nth(3, Weekday::Monday, year, 1),
        nth(3, Weekday::Monday, year, 2),
        nth(-1, Weekday::Monday, year, 5),
        nth(1, Weekday::Monday, year, 9),
        nth(2, Weekday::Monday, year, 10),
        nth(4, Weekday::Thursday, year, 11),
    ]);
    days
}

fn dates(year: i16, days: &[(i8, i8)]) -> BTreeSet<Date> {
    days.iter().map(|(month, day)| date(year, *month, *day)).collect()
}

fn french(year: i16) -> BTreeSet<Date> {
    let mut days =
        dates(year, &[(1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25)]);
    days.extend([1, 39, 50].map(|after| easter(year) + after.days()));
    days
}

fn german(year: i16, land: &str) -> BTreeSet<Date> {
    let mut days = dates(year, &[(1, 1), (5, 1), (10, 3), (12, 25), (12, 26)]);
    days.extend([-2, 1, 39, 50].map(|after| easter(year) + after.days()));
    let mut own = |lands: &str, day: Date| {
        if lands.split(' ').any(|known| known == land) {
            days.insert(day);
        }
    };
    own("bw by st", date(year, 1, 6));
    own("be mv", date(year, 3, 8));
    own("bw by he nw rp sl", easter(year) + 60.days());
    own("sl", date(year, 8, 15));
    own("th", date(year, 9, 20));
    own("bb hb hh mv ni sh sn st th", date(year, 10, 31));
    own("bw by nw rp sl", date(year, 11, 1));
    // The Wednesday before 23 November.
    own("sn", date(year, 11, 23).nth_weekday(-1, Weekday::Wednesday).expect("there is one"));
    if year == 2025 {
        own("be", date(2025, 5, 8));
    }
    days
}

#[test]
fn easter_falls_where_tables_say() {
    for (year, month, day) in [(2024, 3, 31), (2025, 4, 20), (2026, 4, 5), (2030, 4, 21)] {
        assert_eq!(easter(year), date(year, month, day));
    }
}

#[test]
fn the_shipped_holidays_are_those_the_rules_give() {
    let settings = Settings::read(
        "settings",
        "[sender]\nname = \"Example Shop\"\nmail_from = \"service@example.com\"\n",
        [],
    );
    let calendars = settings.expect("valid").calendars.days;
    let mut compared = 0;
    for (name, calendar) in &calendars {
        if name == "weekdays" {
            assert!(calendar.holidays.is_empty());
            continue;
        }
        assert_eq!(calendar.known_until, Some(2032), "{name}");
        for year in 2024..=2032 {
            let rules: BTreeSet<Date> = match name.as_str() {
                "gb-eng" => british(year, &[(1, 1), (12, 25), (12, 26)], &england(year)),
                "gb-nir" => {
                    let fixed = [(1, 1), (3, 17), (7, 12), (12, 25), (12, 26)];
                    british(year, &fixed, &england(year))
                }
                "gb-sct" => {
                    let e = easter(year);
                    let mut others = vec![
                        e - 2.days(),
                        nth(1, Weekday::Monday, year, 5),
                        nth(-1, Weekday::Monday, year, 5),
                        nth(1, Weekday::Monday, year, 8),
                    ];
                    // By proclamation, once.
                    others.extend((year == 2026).then(|| date(2026, 6, 15)));
                    let fixed = [(1, 1), (1, 2), (11, 30), (12, 25), (12, 26)];
                    british(year, &fixed, &others)
                }
                "us" => american(year),
                "fr" => french(year),
                "fr-57" => {
                    let mut days = french(year);
                    days.extend([easter(year) - 2.days(), date(year, 12, 26)]);
                    days
                }
                german_one => german(year, german_one.strip_prefix("de-").unwrap_or_default()),
            };
            let rules: Vec<Date> = rules.into_iter().filter(|day| !is_weekend(*day)).collect();
            let of_year = calendar.holidays.iter().filter(|day| day.year() == year);
            let shipped: Vec<Date> = of_year.copied().filter(|day| !is_weekend(*day)).collect();
            assert_eq!(shipped, rules, "{name} {year}");
            compared += shipped.len();
        }
    }
    assert_eq!(calendars.len(), 24);
    assert!(compared > 1_700, "only {compared} days were compared");
}

const ON_WORKING_DAYS: &str = r#"
case_type = "repair"
states = ["ready"]
[[notice]]
id = "ready"
on = { state = "ready" }
message = "ticket/resolved"
channels = ["email"]
window = "09:00-18:00 working days"
"#;

#[tokio::test]
async fn a_message_for_working_days_waits_over_christmas_by_the_calendar_of_the_settings() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("repair.toml"), ON_WORKING_DAYS).expect("a file");
    let more = format!(
        "[journeys]\ndir = {:?}\n[calendars]\ndefault = \"gb-eng\"\n",
        folder.path().display().to_string()
    );
    let app = TestApp::at_with("2026-12-24T20:00:00Z", &more).await;
    app.ada().await;
    app.event_of(json!({"case": "R-1", "case_type": "repair", "state": "ready"})).await;
    // Friday and Saturday are Christmas and Boxing Day, Monday is the day in lieu.
    app.advance_to("2026-12-29T08:59:00Z").await;
    assert_eq!(app.of("ready").await.status, "planned");
    app.advance_to("2026-12-29T09:00:00Z").await;
    assert_eq!(app.of("ready").await.status, "sent");
    app.end().await;
}

#[test]
fn a_fault_in_a_calendar_is_shown_with_its_line() {
    let here = Installation::new("[calendars.depot]\nfile = \"depot.ics\"\n");
    here.file("depot.ics", "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20261224\nRRULE:FREQ=WEEKLY\nEND:VEVENT\nEND:VCALENDAR\n");
    let output = here.run(&["check"]);
    assert_eq!(output.status.code(), Some(2));
    let shown = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(shown.contains("depot.ics:4") && shown.contains("FREQ=WEEKLY"), "{shown}");
}

#[test]
fn the_doctor_says_how_long_the_holidays_in_use_are_known() {
    let here =
        Installation::new("[calendars]\ndefault = \"old\"\n[calendars.old]\nfile = \"old.toml\"\n");
    here.file("old.toml", "years = [2020, 2021]\n[holidays]\n2021-12-24 = \"Closed\"\n");
    let found = here.json(&["doctor", "--json"]);
    let checks = found["checks"].as_array().expect("checks");
    let calendar = checks.iter().find(|check| check["what"] == "calendar").expect("looked at");
    assert_eq!(calendar["state"], "note");
    assert!(
        calendar["found"].as_str().is_some_and(|text| text.contains("until 2021")),
        "{calendar}"
    );
}
