//! The values of a journey file that are tuned without writing rules: delays, windows,
//! repeats, channels, on and off. Only the value itself is replaced in the text; every other
//! byte, each comment and the order stay as they were.

use std::ops::Range;

use serde::Serialize;
use toml_edit::{Array, Document, InlineTable, Item, Table, Value};

/// How a value is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    Text,
    Number,
    YesNo,
}

/// A value that may be tuned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Knob {
    /// Where it stands in its notice: `on.after`.
    pub key: &'static str,
    pub label: &'static str,
    pub help: &'static str,
    pub input: Input,
    /// As it stands there; empty where it does not.
    pub value: String,
}

/// The values of one notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Panel {
    pub notice: String,
    pub message: Option<String>,
    pub knobs: Vec<Knob>,
}

const LENGTH: &str = "such as 90 minutes, 6 hours, 3 days, 2 weeks or 5 working days";

/// Key, label, help, input, and the triggers it belongs to (none for all).
type Described = (&'static str, &'static str, &'static str, Input, &'static [&'static str]);

const KNOBS: [Described; 12] = [
    ("on.after", "Delay", LENGTH, Input::Text, &["state", "fact"]),
    ("on.before", "How long before", LENGTH, Input::Text, &["fact"]),
    ("on.silence", "After so long without a word", LENGTH, Input::Text, &["silence"]),
    (
        "on.cron",
        "At times of the calendar",
        "minute hour day month weekday: 0 9 * * MON",
        Input::Text,
        &["cron"],
    ),
    (
        "window",
        "Only at these hours",
        "on the customer's clock: 09:00-18:00 working days; empty for any",
        Input::Text,
        &[],
    ),
    ("repeat.every", "Said again every", LENGTH, Input::Text, &["state", "fact", "event"]),
    (
        "repeat.at_most",
        "Said at most so many times",
        "the first one counts too",
        Input::Number,
        &["state", "fact", "event"],
    ),
    ("channels", "Channels", "email, sms and voice, the best first", Input::Text, &[]),
    ("expires_after", "Worth nothing after", LENGTH, Input::Text, &[]),
    ("escalate.after", "The next channel after", LENGTH, Input::Text, &[]),
    (
        "valid_until",
        "Its text is valid until",
        "a day, such as 2027-01-31; empty for no end",
        Input::Text,
        &[],
    ),
    ("enabled", "Switched on", "", Input::YesNo, &[]),
];

/// Why a value cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CannotSet(String);

fn cannot(why: impl Into<String>) -> CannotSet {
    CannotSet(why.into())
}

fn parsed(text: &str) -> Result<Document<&str>, CannotSet> {
    Document::parse(text).map_err(|error| cannot(error.to_string()))
}

fn notices(document: &Document<&str>) -> Vec<Table> {
    let all = document.as_table().get("notice").and_then(Item::as_array_of_tables);
    all.map(|all| all.iter().cloned().collect()).unwrap_or_default()
}

fn id_of(notice: &Table) -> Option<&str> {
    notice.get("id").and_then(Item::as_str)
}

/// The item a key such as `on.after` leads to.
fn find<'t>(notice: &'t Table, key: &str) -> Option<&'t Item> {
    match key.split_once('.') {
        None => notice.get(key),
        Some((outer, inner)) => notice.get(outer)?.as_table_like()?.get(inner),
    }
}

/// The values of every notice of a file, in its order.
///
/// # Errors
/// When it is no TOML.
pub fn panels(text: &str) -> Result<Vec<Panel>, CannotSet> {
    let document = parsed(text)?;
    let all = notices(&document);
    let panels = all.iter().filter_map(|notice| {
        let on = notice.get("on").and_then(Item::as_table_like);
        let trigger = ["state", "fact", "event", "silence", "cron"]
            .into_iter()
            .find(|name| on.is_some_and(|on| on.contains_key(name)));
        let fits = |triggers: &[&str]| {
            triggers.is_empty() || trigger.is_some_and(|name| triggers.contains(&name))
        };
        let either = |key: &str| match key {
            // A fact has one of the two.
            "on.after" | "on.before" if trigger == Some("fact") => find(notice, key).is_some(),
            "escalate.after" => find(notice, key).is_some(),
            _ => true,
        };
        let knobs = KNOBS.iter().filter(|knob| fits(knob.4) && either(knob.0));
        Some(Panel {
            notice: id_of(notice)?.to_owned(),
            message: notice.get("message").and_then(Item::as_str).map(str::to_owned),
            knobs: knobs
                .map(|(key, label, help, input, _)| Knob {
                    key,
                    label,
                    help,
                    input: *input,
                    value: shown(find(notice, key), *input),
                })
                .collect(),
        })
    });
    Ok(panels.collect())
}

fn shown(item: Option<&Item>, input: Input) -> String {
    match item.and_then(Item::as_value) {
        None if input == Input::YesNo => "true".into(),
        Some(Value::Array(array)) => words(array),
        Some(Value::String(text)) => text.value().clone(),
        Some(Value::Integer(number)) => number.value().to_string(),
        Some(Value::Boolean(yes)) => yes.value().to_string(),
        Some(Value::Datetime(at)) => at.value().to_string(),
        None | Some(_) => String::new(),
    }
}

fn words(array: &Array) -> String {
    array.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

/// The text with one value of one notice replaced; an empty one is taken out. What is entered
/// is checked when the whole is compiled, with line and caret.
///
/// # Errors
/// When there is no such value, or it does not stand where it can be replaced.
pub fn set(text: &str, notice: &str, key: &str, entered: &str) -> Result<String, CannotSet> {
    let document = parsed(text)?;
    let (_, _, _, input, _) = KNOBS
        .iter()
        .find(|knob| knob.0 == key)
        .ok_or_else(|| cannot(format!("{key} is no value that is tuned here")))?;
    let all = notices(&document);
    let table = all
        .iter()
        .find(|table| id_of(table) == Some(notice))
        .ok_or_else(|| cannot(format!("the file has no notice {notice:?}")))?;
    let entered = entered.trim();
    let present = find(table, key);
    if shown(present, *input) == entered {
        return Ok(text.to_owned());
    }
    if entered.is_empty() && present.is_none() {
        return Ok(text.to_owned());
    }
    let literal = literal(key, *input, entered)?;
    match (present, entered.is_empty()) {
        (Some(item), false) => {
            let span = item.span().ok_or_else(|| cannot(format!("{key} has no place")))?;
            Ok(spliced(text, span, &literal))
        }
        (Some(_), true) => take_out(text, table, key),
        (None, _) => put_in(text, table, key, &literal),
    }
}

fn spliced(text: &str, span: Range<usize>, with: &str) -> String {
    format!("{}{with}{}", &text[..span.start], &text[span.end..])
}

fn literal(key: &str, input: Input, entered: &str) -> Result<String, CannotSet> {
    Ok(match (key, input) {
        ("channels", _) => {
            let names = entered.split([',', ' ', ';']).filter(|name| !name.is_empty());
            let quoted: Vec<String> = names.map(|name| Value::from(name).to_string()).collect();
            format!("[{}]", quoted.join(", "))
        }
        (_, Input::Number) if entered.is_empty() => String::new(),
        (_, Input::Number) => entered
            .parse::<i64>()
            .map_err(|_| cannot(format!("{entered:?} is no whole number")))?
            .to_string(),
        (_, Input::YesNo) => match entered {
            "true" | "false" => entered.to_owned(),
            other => return Err(cannot(format!("{other:?} is neither true nor false"))),
        },
        _ if entered.contains(['\n', '\r']) => return Err(cannot("a value has one line")),
        _ => Value::from(entered).to_string(),
    })
}

fn in_the_file(key: &str) -> CannotSet {
    cannot(format!("{key} stands in a way that is changed in the file only"))
}

/// A value that was not there: at the end of its inline table, or of its notice.
fn put_in(text: &str, notice: &Table, key: &str, literal: &str) -> Result<String, CannotSet> {
    let Some((outer, inner)) = key.split_once('.') else {
        return own_line(text, notice, &format!("{key} = {literal}"));
    };
    match notice.get(outer) {
        Some(Item::Value(Value::InlineTable(table))) => {
            let end = last_end(table).ok_or_else(|| in_the_file(key))?;
            Ok(spliced(text, end..end, &format!(", {inner} = {literal}")))
        }
        Some(_) => Err(in_the_file(key)),
        // One half of a rule; `repeat_from` makes it whole.
        None => own_line(text, notice, &format!("{outer} = {{ {inner} = {literal} }}")),
    }
}

fn last_end(table: &InlineTable) -> Option<usize> {
    table.iter().filter_map(|(_, value)| value.span()).map(|span| span.end).max()
}

fn own_line(text: &str, notice: &Table, line: &str) -> Result<String, CannotSet> {
    let ends = notice.iter().filter_map(|(_, item)| item.as_value()?.span());
    let end = ends.map(|span| span.end).max().ok_or_else(|| in_the_file(line))?;
    let line_end = text[end..].find('\n').map_or(text.len(), |at| end + at + 1);
    let newline = if text[..line_end].ends_with("\r\n") { "\r\n" } else { "\n" };
    let unfinished = !text[..line_end].ends_with('\n');
    let before = if unfinished { newline } else { "" };
    Ok(spliced(text, line_end..line_end, &format!("{before}{line}{newline}")))
}

/// A value that goes, with what belongs to it alone.
fn take_out(text: &str, notice: &Table, key: &str) -> Result<String, CannotSet> {
    let (outer, inner) = match key.split_once('.') {
        // A repeat without either half is none.
        Some(("repeat", _)) | None => (key.split('.').next().unwrap_or(key), None),
        Some((outer, inner)) => (outer, Some(inner)),
    };
    let (name, item) = notice.get_key_value(outer).ok_or_else(|| in_the_file(key))?;
    let Some(inner) = inner else {
        let (Some(name), Some(value)) = (name.span(), item.span()) else {
            return Err(in_the_file(key));
        };
        let from = text[..name.start].rfind('\n').map_or(0, |at| at + 1);
        let to = text[value.end..].find('\n').map_or(text.len(), |at| value.end + at + 1);
        if !text[from..name.start].trim().is_empty() {
            return Err(in_the_file(key));
        }
        return Ok(spliced(text, from..to, ""));
    };
    let table = item.as_inline_table().ok_or_else(|| in_the_file(key))?;
    let (name, value) = table.get_key_value(inner).ok_or_else(|| in_the_file(key))?;
    let (Some(name), Some(value)) = (name.span(), value.span()) else {
        return Err(in_the_file(key));
    };
    let ends = table.iter().filter_map(|(_, value)| value.span()).map(|span| span.end);
    match ends.filter(|end| *end < name.start).max() {
        Some(before) => Ok(spliced(text, before..value.end, "")),
        None => Err(in_the_file(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"# The journey.
case_type = "return"   # its type
states = [ "a",
  "b" ]

# Cancels itself.
[[notice]]
id = "post-it"
on = { state = "a",   after = "5 days" } # five
channels = ["email", "sms"]
repeat = { every = "4 days", at_most = 2 }

# The next one.
[[notice]]
id = "bare"
on = { state = "b" }
"#;

    #[test]
    fn one_value_is_replaced_and_every_other_byte_stays() {
        for (key, entered, was, is) in [
            ("on.after", "2 days", r#""5 days""#, r#""2 days""#),
            ("repeat.at_most", "3", "at_most = 2", "at_most = 3"),
            ("channels", "sms email", r#"["email", "sms"]"#, r#"["sms", "email"]"#),
            ("on.after", "", r#",   after = "5 days""#, ""),
            ("repeat.every", "", "repeat = { every = \"4 days\", at_most = 2 }\n", ""),
        ] {
            assert_eq!(FILE.matches(was).count(), 1);
            assert_eq!(set(FILE, "post-it", key, entered), Ok(FILE.replace(was, is)), "{key}");
        }
        let windows = FILE.replace('\n', "\r\n");
        let expected = windows.replace("5 days", "2 days");
        assert_eq!(set(&windows, "post-it", "on.after", "2 days"), Ok(expected));
    }

    #[test]
    fn a_value_that_was_not_there_is_put_at_the_end_of_its_notice() {
        let at = |line: &str| FILE.replace("at_most = 2 }\n", &format!("at_most = 2 }}\n{line}\n"));
        assert_eq!(set(FILE, "post-it", "enabled", "false"), Ok(at("enabled = false")));
        assert_eq!(
            set(FILE, "post-it", "window", "09:00-18:00"),
            Ok(at("window = \"09:00-18:00\""))
        );
        assert_eq!(
            set(FILE, "bare", "on.after", "1 day"),
            Ok(FILE.replace("{ state = \"b\" }", "{ state = \"b\", after = \"1 day\" }"))
        );
    }

    #[test]
    fn what_stands_there_already_changes_nothing() {
        for panel in panels(FILE).expect("TOML") {
            for knob in panel.knobs {
                let same = set(FILE, &panel.notice, knob.key, &knob.value);
                assert_eq!(same.as_deref(), Ok(FILE), "{} {}", panel.notice, knob.key);
            }
        }
    }

    #[test]
    fn a_value_cannot_break_out_of_its_quotes() {
        let text = set(FILE, "post-it", "window", "\" }\n[[notice]]");
        assert!(text.is_err());
        let text = set(FILE, "post-it", "window", "\" # x").expect("quoted");
        assert!(panels(&text).expect("still TOML").iter().any(|panel| {
            panel.knobs.iter().any(|knob| knob.key == "window" && knob.value == "\" # x")
        }));
        assert!(set(FILE, "post-it", "topic", "status").is_err());
        assert!(set(FILE, "other", "window", "").is_err());
        assert!(set(FILE, "post-it", "repeat.at_most", "many").is_err());
    }
}
