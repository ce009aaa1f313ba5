//! Files on their way in: customers and events, line by line. The good lines are kept, the
//! bad ones listed.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::domain::customer::CustomerRecord;
use crate::domain::fault::joined;
use crate::domain::time::Instant;
use crate::domain::{CaseEvent, Zones};
use crate::store::intake::{Accepted, Incoming};
use crate::store::{Store, StoreError};

/// The longest line of a file, in bytes: one event or customer.
pub const MAX_LINE: usize = 256 * 1024;

/// Rows of one transaction.
pub const BATCH: usize = 500;

/// The most bad lines listed one by one.
const MAX_LISTED: usize = 1_000;

/// What became of a file.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    pub accepted: usize,
    pub duplicate: usize,
    pub invalid: usize,
    pub errors: Vec<LineError>,
    pub duration_s: f64,
}

/// A line that was not taken, counted from 1, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LineError {
    pub line: usize,
    pub reason: String,
}

impl Report {
    pub fn refuse(&mut self, line: usize, reason: String) {
        self.invalid += 1;
        if self.errors.len() < MAX_LISTED {
            self.errors.push(LineError { line, reason });
        }
    }
}

/// A file, standard input for `-`, unpacked when its name ends in `.gz`.
///
/// # Errors
/// When the file cannot be opened.
pub fn open(path: &Path) -> std::io::Result<Box<dyn Read + Send>> {
    if path == Path::new("-") {
        return Ok(Box::new(std::io::stdin()));
    }
    let file = std::fs::File::open(path)?;
    if path.extension().is_some_and(|ending| ending == "gz") {
        return Ok(Box::new(MultiGzDecoder::new(file)));
    }
    Ok(Box::new(file))
}

/// The lines of a file, numbered from 1; empty ones are left out. A line that cannot be read
/// comes as the reason.
pub fn lines(reader: impl Read) -> impl Iterator<Item = (usize, Result<String, String>)> {
    let mut reader = BufReader::with_capacity(1 << 20, reader);
    let mut number = 0;
    let mut broken = false;
    std::iter::from_fn(move || {
        while !broken {
            let mut bytes = Vec::new();
            let mut bounded = (&mut reader).take(MAX_LINE as u64 + 1);
            match bounded.read_until(b'\n', &mut bytes) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => {
                    broken = true;
                    return Some((number + 1, Err(format!("the file cannot be read on: {error}"))));
                }
            }
            number += 1;
            if bytes.len() > MAX_LINE && !bytes.ends_with(b"\n") {
                skip_line(&mut reader);
                return Some((number, Err(format!("is longer than {} kB", MAX_LINE / 1024))));
            }
            while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
                bytes.pop();
            }
            if number == 1 && bytes.starts_with(b"\xef\xbb\xbf") {
                bytes.drain(..3);
            }
            match String::from_utf8(bytes) {
                Ok(text) if text.trim().is_empty() => {}
                Ok(text) => return Some((number, Ok(text))),
                Err(_) => return Some((number, Err("is not UTF-8".into()))),
            }
        }
        None
    })
}

fn skip_line(reader: &mut impl BufRead) {
    let mut rest = Vec::new();
    loop {
        rest.clear();
        match reader.by_ref().take(1 << 20).read_until(b'\n', &mut rest) {
            Ok(0) | Err(_) => return,
            Ok(_) if rest.ends_with(b"\n") => return,
            Ok(_) => {}
        }
    }
}

/// One event of a file.
///
/// # Errors
/// Why the line is no event.
pub fn event_of(line: &str, now: Instant) -> Result<Incoming, String> {
    let value: Value =
        serde_json::from_str(line).map_err(|error| format!("is no JSON: {error}"))?;
    let event = CaseEvent::from_json(&value, "", now).map_err(|faults| joined(&faults))?;
    Ok(Incoming::new(event, &value))
}

/// Sends the events of a file into the store, in its order.
///
/// # Errors
/// `Unavailable` when the store is away; what was accepted before stays accepted.
pub async fn send_events(
    store: &Store,
    reader: impl Read,
    now: impl Fn() -> Instant,
    progress: impl Fn(usize),
) -> Result<Report, StoreError> {
    let mut report = Report::default();
    let mut batch: Vec<(usize, Incoming)> = Vec::new();
    for (line, text) in lines(reader) {
        match text.and_then(|text| event_of(&text, now())) {
            Ok(incoming) => batch.push((line, incoming)),
            Err(why) => report.refuse(line, why),
        }
        if batch.len() == BATCH {
            accept(store, std::mem::take(&mut batch), now(), &mut report).await?;
            progress(line);
        }
    }
    accept(store, batch, now(), &mut report).await?;
    Ok(report)
}

/// Accepts numbered events and adds what became of them to the report.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn accept(
    store: &Store,
    batch: Vec<(usize, Incoming)>,
    now: Instant,
    report: &mut Report,
) -> Result<Vec<i64>, StoreError> {
    let mut seqs = Vec::new();
    if batch.is_empty() {
        return Ok(seqs);
    }
    let (lines, incoming): (Vec<usize>, Vec<Incoming>) = batch.into_iter().unzip();
    for (line, accepted) in lines.into_iter().zip(store.accept_events(incoming, now).await?) {
        match accepted {
            Accepted::New { seq } => {
                report.accepted += 1;
                seqs.push(seq);
            }
            Accepted::Duplicate => report.duplicate += 1,
            Accepted::Conflict => report.refuse(
                line,
                "another event with this source and id was accepted before; give it an id of its own".into(),
            ),
            Accepted::OtherCaseType { known } => report.refuse(
                line,
                format!("/case_type: the case is known as {known:?}"),
            ),
        }
    }
    Ok(seqs)
}

/// Imports the customers of a file: JSON lines, or CSV when its first line is no JSON.
///
/// # Errors
/// `Unavailable` when the store is away; what was imported before stays.
pub async fn import_customers(
    store: &Store,
    reader: impl Read,
    zones: &Zones,
    now: impl Fn() -> Instant,
    progress: impl Fn(usize),
) -> Result<Report, StoreError> {
    let mut report = Report::default();
    let mut batch: Vec<CustomerRecord> = Vec::new();
    for (line, record) in customer_records(reader, zones) {
        match record {
            Ok(record) => batch.push(record),
            Err(why) => report.refuse(line, why),
        }
        if batch.len() == BATCH {
            take_customers(store, std::mem::take(&mut batch), now(), &mut report).await?;
            progress(line);
        }
    }
    take_customers(store, batch, now(), &mut report).await?;
    Ok(report)
}

/// The customers of a file, for who keeps them in memory; the later line of one customer holds.
pub fn import_records(reader: impl Read, zones: &Zones) -> (Vec<CustomerRecord>, Report) {
    let mut report = Report::default();
    let mut records = Vec::new();
    for (line, record) in customer_records(reader, zones) {
        match record {
            Ok(record) => {
                report.accepted += 1;
                records.push(record);
            }
            Err(why) => report.refuse(line, why),
        }
    }
    (records, report)
}

/// The customers of a file, each with its line. A header that cannot be used is the last line.
fn customer_records(
    reader: impl Read,
    zones: &Zones,
) -> impl Iterator<Item = (usize, Result<CustomerRecord, String>)> {
    let mut header: Option<Vec<String>> = None;
    let mut first = true;
    let mut ended = false;
    let mut lines = lines(reader);
    std::iter::from_fn(move || {
        while !ended {
            let (line, text) = lines.next()?;
            let value = match text {
                Err(why) => Err(why),
                Ok(text) if std::mem::take(&mut first) && !text.trim_start().starts_with('{') => {
                    match csv_header(&text) {
                        Ok(names) => header = Some(names),
                        Err(why) => {
                            ended = true;
                            return Some((line, Err(why)));
                        }
                    }
                    continue;
                }
                Ok(text) => match &header {
                    Some(header) => csv_record(header, &text),
                    None => {
                        serde_json::from_str(&text).map_err(|error| format!("is no JSON: {error}"))
                    }
                },
            };
            let record = value.and_then(|value| {
                CustomerRecord::from_json(&value, None, zones).map_err(|faults| joined(&faults))
            });
            return Some((line, record));
        }
        None
    })
}

async fn take_customers(
    store: &Store,
    batch: Vec<CustomerRecord>,
    now: Instant,
    report: &mut Report,
) -> Result<(), StoreError> {
    if !batch.is_empty() {
        let done = store.import_customers(batch, "import", now).await?;
        report.accepted += done.new + done.changed;
        report.duplicate += done.unchanged;
    }
    Ok(())
}

const CSV_COLUMNS: [&str; 12] = [
    "id",
    "name",
    "locale",
    "time_zone",
    "email",
    "email_verified",
    "sms",
    "sms_verified",
    "voice",
    "voice_verified",
    "channel_order",
    "quiet_hours",
];

fn csv_fields(text: &str) -> Result<Vec<String>, String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    match reader.records().next() {
        Some(Ok(record)) => Ok(record.iter().map(str::to_owned).collect()),
        Some(Err(error)) => Err(format!("is no CSV: {error}")),
        None => Err("is empty".into()),
    }
}

fn csv_header(text: &str) -> Result<Vec<String>, String> {
    let names = csv_fields(text)?;
    let unknown: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| !CSV_COLUMNS.contains(name) && !name.starts_with("attributes."))
        .collect();
    if !unknown.is_empty() || !names.iter().any(|name| name == "id") {
        return Err(format!(
            "is no header: {}; columns are {} and attributes.<name>, and id is required",
            if unknown.is_empty() {
                "id is missing".into()
            } else {
                format!("unknown {}", unknown.join(", "))
            },
            CSV_COLUMNS.join(", ")
        ));
    }
    Ok(names)
}

/// A CSV line as the customer it describes.
fn csv_record(header: &[String], text: &str) -> Result<Value, String> {
    let fields = csv_fields(text)?;
    if fields.len() != header.len() {
        return Err(format!("has {} fields, the header {}", fields.len(), header.len()));
    }
    let field = |name: &str| {
        let at = header.iter().position(|known| known == name)?;
        Some(fields[at].as_str()).filter(|text| !text.is_empty())
    };
    let mut customer = Map::new();
    for name in ["id", "name", "locale", "time_zone"] {
        if let Some(text) = field(name) {
            customer.insert(name.into(), text.into());
        }
    }
    let mut points = Vec::new();
    for channel in ["email", "sms", "voice"] {
        let Some(address) = field(channel) else { continue };
        let verified = match field(&format!("{channel}_verified")) {
            None | Some("false" | "no" | "0") => false,
            Some("true" | "yes" | "1") => true,
            Some(other) => {
                return Err(format!("{channel}_verified: {other:?} is neither true nor false"));
            }
        };
        points.push(json!({"channel": channel, "address": address, "verified": verified}));
    }
    customer.insert("contact_points".into(), points.into());
    let mut attributes = Map::new();
    for (name, text) in header.iter().zip(&fields) {
        if let Some(name) = name.strip_prefix("attributes.")
            && !text.is_empty()
        {
            attributes.insert(name.to_owned(), text.as_str().into());
        }
    }
    customer.insert("attributes".into(), attributes.into());
    let mut preferences = Map::new();
    if let Some(order) = field("channel_order") {
        let order: Vec<&str> = order.split([' ', ';', '>']).filter(|c| !c.is_empty()).collect();
        preferences.insert("channel_order".into(), json!(order));
    }
    if let Some(hours) = field("quiet_hours") {
        preferences.insert("quiet_hours".into(), hours.into());
    }
    customer.insert("preferences".into(), preferences.into());
    Ok(customer.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_and_what_cannot_be_read_is_said() {
        let text = b"\xef\xbb\xbffirst\n\nthird\r\n\xff\xfe\nlast";
        let read: Vec<_> = lines(&text[..]).collect();
        assert_eq!(
            read,
            [
                (1, Ok("first".to_owned())),
                (3, Ok("third".to_owned())),
                (4, Err("is not UTF-8".to_owned())),
                (5, Ok("last".to_owned())),
            ]
        );
        let long = format!("{}\nafter", "x".repeat(MAX_LINE + 10));
        let read: Vec<_> = lines(long.as_bytes()).collect();
        assert!(read[0].1.is_err());
        assert_eq!(read[1], (2, Ok("after".to_owned())));
    }

    #[test]
    fn a_csv_line_is_the_customer_it_describes() {
        let header = csv_header("id,name,email,email_verified,channel_order,attributes.tier")
            .expect("valid");
        let value = csv_record(&header, "C-1,\"Byron, Ada\",ada@example.com,yes,sms email,gold")
            .expect("valid");
        assert_eq!(
            value,
            json!({
                "id": "C-1", "name": "Byron, Ada", "attributes": {"tier": "gold"},
                "contact_points": [{"channel": "email", "address": "ada@example.com", "verified": true}],
                "preferences": {"channel_order": ["sms", "email"]}
            })
        );
        assert!(csv_header("name,mail").is_err());
        assert!(csv_record(&header, "C-1,Ada").is_err());
    }
}
