use super::super::journey::AllowedStates;
use super::*;
use crate::domain::{Channel, Urgency};

fn check(text: &str) -> (Option<Journey>, Vec<(usize, String)>) {
    let surroundings = Surroundings {
        topic_exists: &|topic| topic != "gossip",
        message_exists: &|message| !message.ends_with("missing"),
        calendar_exists: &|calendar| calendar == "weekdays",
        zone_exists: &|zone| zone == "Europe/London",
        cap_per_day: &|topic| (topic != "safety").then_some(4),
    };
    let (journey, findings) = read("return.toml", text, &surroundings);
    let found = findings
        .iter()
        .map(|finding| (finding.line().unwrap_or(0), finding.message.clone()))
        .collect();
    (journey, found)
}

const HEAD: &str = "case_type = \"return\"\nstates = [\"requested\", \"received\", \"closed\"]\nfinal = [\"closed\"]\n";

#[test]
fn a_notice_left_short_takes_the_documented_defaults() {
    let (journey, found) = check(&format!(
        "{HEAD}[[notice]]\nid = \"received\"\non = {{ state = \"received\" }}\ncollapse = \"progress\"\n"
    ));
    assert_eq!(found, []);
    let journey = journey.expect("a journey");
    let notice = journey.notice("received").expect("the notice");
    assert_eq!(notice.message, "return/received");
    assert_eq!(notice.topic, "status");
    assert_eq!(notice.channels, Channel::ALL);
    assert_eq!(notice.expires_after, Span::Days(7));
    assert_eq!(notice.allowed_states, AllowedStates::Any);
    assert_eq!(notice.urgency, Urgency::Normal);
    assert!(notice.enabled);
}

#[test]
fn while_defaults_to_the_state_for_reminders_and_to_open_cases_for_other_triggers() {
    let (journey, _) = check(&format!(
        "{HEAD}[[notice]]\nid = \"a\"\non = {{ state = \"requested\", after = \"3 days\" }}\n\
         [[notice]]\nid = \"b\"\non = {{ fact = \"return_by\", before = \"2 days\" }}\n"
    ));
    let journey = journey.expect("a journey");
    let states = |id| &journey.notice(id).expect("notice").allowed_states;
    assert_eq!(states("a"), &AllowedStates::Only(vec!["requested".into()]));
    assert_eq!(states("b"), &AllowedStates::NotFinal);
}

#[test]
fn each_mistake_is_named_with_its_line() {
    let body = "[[notice]]\nid = \"one\"\non = { state = \"reqested\" }\ntopic = \"gossip\"\n\
                window = \"9-18\"\nrepeat = { every = \"1 day\", at_most = 1 }\n\
                [[notice]]\nid = \"one\"\non = { state = \"received\", before = \"2 days\" }\nwhile = [\"closed\"]\n\
                [[notice]]\nid = \"missing\"\non = { fact = \"return_by\" }\nwhen = \"facts.amount >\"\n";
    let (journey, found) = check(&format!("{HEAD}order = [\"requested\"]\n{body}"));
    assert!(journey.is_none());
    let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
    for line in [4, 7, 8, 9, 10, 12, 13, 16, 17, 18] {
        assert!(lines.contains(&line), "line {line} in {found:#?}");
    }
}

#[test]
fn what_can_never_be_kept_is_refused_with_its_line_and_a_way_out() {
    let notice = |keys: &str| format!("{HEAD}[[notice]]\nid = \"a\"\n{keys}\n");
    let silence = "on = { silence = \"9 days\" }";
    for (text, line, why) in [
        (
            format!("{HEAD}order = [\"requested < received\", \"received < requested\"]\n"),
            4,
            "circle",
        ),
        (format!("{HEAD}promise = {{ update_every = \"5 days\" }}\n"), 4, "nothing keeps"),
        (
            format!(
                "{HEAD}promise = {{ update_every = \"5 days\" }}\n[[notice]]\nid = \"a\"\n{silence}\n"
            ),
            4,
            "nothing keeps",
        ),
        (notice("on = { cron = \"0 9 31 2 *\" }"), 6, "no day that exists"),
        (notice("on = { cron = \"0 9 * * MON\", zone = \"Mars\" }"), 6, "no time zone"),
        (notice("on = { silence = \"10 minutes\" }"), 6, "an hour or more"),
        (notice("on = { state = \"received\", zone = \"customer\" }"), 6, "only a `cron`"),
        (notice(&format!("{silence}\nwhile = [\"closed\"]")), 7, "the case is over"),
        (notice(&format!("{silence}\nonce_per = \"case\"")), 7, "comes again"),
        (notice("on = { silence = \"2 hours\" }"), 6, "promises 12 messages a day"),
        (
            notice("on = { state = \"requested\" }\nrepeat = { every = \"1 hour\", at_most = 9 }"),
            7,
            "promises 24 messages a day",
        ),
        (notice("on = { event = \"x\" }\nagain_after = \"9 days\""), 7, "needs `once_per`"),
        (
            notice("on = { event = \"x\" }\nescalate = { after = \"1 day\", unless = \"seen\" }"),
            7,
            "no sign of life",
        ),
        (notice("on = { event = \"x\" }\nneeds = [\"pretty\"]"), 7, "no need"),
        (
            notice("on = { event = \"x\" }\nchannels = [\"voice\"]\nhuman_only = true"),
            8,
            "no other channel",
        ),
    ] {
        let (journey, found) = check(&text);
        assert!(journey.is_none(), "{text}");
        let named = found.iter().any(|(at, message)| *at == line && message.contains(why));
        assert!(named, "{text}: {found:#?}");
    }
    let private = "on = { event = \"x\" }\nchannels = [\"sms\", \"email\"]\nneeds = [\"private\"]";
    let (journey, found) = check(&notice(private));
    assert!(journey.is_some() && found[0].1.contains("is not private"), "{found:?}");
    let safety = "on = { silence = \"2 hours\" }\ntopic = \"safety\"";
    assert!(check(&notice(safety)).0.is_some(), "mandatory ones know no cap");
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let (journey, found) = check(&format!(
        "{HEAD}[[notice]]\nid = \"a\"\non = {{ state = \"received\" }}\ndelay = \"3 days\"\n"
    ));
    assert!(journey.is_none());
    assert_eq!(found[0].0, 7);
    assert!(found[0].1.contains("delay"), "{found:?}");
}

#[test]
fn a_notice_its_own_while_leaves_out_can_never_be_said() {
    let (_, found) = check(&format!(
        "{HEAD}[[notice]]\nid = \"a\"\non = {{ state = \"received\" }}\nwhile = [\"requested\"]\n"
    ));
    assert!(found[0].1.contains("can never be said"), "{found:?}");
}

#[test]
fn an_entry_for_the_calendar_names_facts_and_goes_with_mails() {
    let notice = |more: &str| {
        format!(
            "{HEAD}[[notice]]\nid = \"received\"\non = {{ state = \"received\" }}\ncollapse = \"x\"\n{more}\n"
        )
    };
    let (journey, found) =
        check(&notice("calendar = { start = \"starts_at\", lasts = \"2 hours\" }"));
    assert_eq!(found, []);
    let journey = journey.expect("a journey");
    let rule = journey.notice("received").expect("the notice").calendar.clone().expect("a rule");
    assert_eq!(
        (rule.start.as_str(), rule.lasts, rule.cancel),
        ("starts_at", Span::Hours(2), false)
    );
    for (more, says) in [
        ("channels = [\"sms\"]\ncalendar = { start = \"starts_at\" }", "sends none"),
        ("calendar = { start = \"facts.starts_at\" }", "by its name alone"),
        ("calendar = { start = \"a\", end = \"b\", lasts = \"1 hour\" }", "contradicts"),
        ("calendar = { start = \"a\", lasts = \"soon\" }", "soon"),
        ("calendar = { start = \"a\", where = \"b\" }", "where"),
    ] {
        let (_, found) = check(&notice(more));
        assert!(found.iter().any(|(_, message)| message.contains(says)), "{more}: {found:?}");
    }
}
