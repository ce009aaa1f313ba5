//! What this installation would have sent beside what another system sent: together, only ours,
//! only theirs, and how far apart.
//!
//! Two messages are the same word when they went to one customer, about one case where the file
//! names it, within [`WITHIN_HOURS`] of each other: by one channel first, then by another. Each
//! is paired once, the earliest of theirs with the nearest of ours.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use serde::Serialize;

use crate::app::files::Report as Lines;
use crate::domain::time::{Instant, from_ms, parse_instant};
use crate::domain::{CaseId, Channel};
use crate::store::shadow::ShadowMessage;
use crate::store::{Result, Store};

use super::Spread;

/// How far apart two messages may be and still be the same word.
const WITHIN_HOURS: i64 = 24;

/// The most messages listed of each kind.
const MAX_LISTED: usize = 20;

/// Cases looked up at a time.
const CASES: usize = 500;

/// A message the other system sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub at: Instant,
    pub customer: String,
    pub channel: Channel,
    pub case: Option<String>,
    pub message: Option<String>,
}

/// How many words of one channel or case type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Both sent it, by the same channel.
    pub both: i64,
    /// Both sent it, by different channels; counted at ours.
    pub other_channel: i64,
    pub only_we: i64,
    pub only_they: i64,
}

/// One message, or a pair of them. Instants are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    pub customer: String,
    pub case: Option<String>,
    pub ours: Option<String>,
    pub theirs: Option<String>,
    /// Ours, or what theirs is called.
    pub message: Option<String>,
    pub channel: Channel,
    /// How many minutes later ours is; negative where it is earlier.
    pub later_min: Option<i64>,
}

/// The comparison.
#[derive(Debug, Clone, Serialize)]
pub struct Shadow {
    pub from: Instant,
    pub to: Instant,
    pub total: Counts,
    pub by_channel: BTreeMap<String, Counts>,
    pub by_case_type: BTreeMap<String, Counts>,
    /// By how many minutes ours and theirs differ, whichever is later.
    pub apart_min: Spread,
    /// How many of ours come later than theirs by a minute or more, and how many earlier.
    pub later: i64,
    pub earlier: i64,
    /// Those farthest apart.
    pub farthest: Vec<Line>,
    pub only_we: Vec<Line>,
    pub only_they: Vec<Line>,
}

/// Reads what the other system sent: CSV with a header of `at, customer, channel` and, where it
/// has them, `case` and `message`. The good lines are kept, the bad ones listed; a header that
/// cannot be used is the one bad line.
#[must_use]
pub fn read(file: impl Read) -> (Vec<Sent>, Lines) {
    let mut lines = Lines::default();
    let mut sent = Vec::new();
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(file);
    let places = match reader.headers().map(Places::of) {
        Ok(Ok(places)) => places,
        Ok(Err(why)) => {
            lines.refuse(1, why);
            return (sent, lines);
        }
        Err(error) => {
            lines.refuse(1, format!("cannot be read: {error}"));
            return (sent, lines);
        }
    };
    let mut record = csv::StringRecord::new();
    loop {
        let line = usize::try_from(reader.position().line()).unwrap_or(usize::MAX);
        match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {
                let line = record
                    .position()
                    .map_or(line, |at| usize::try_from(at.line()).unwrap_or(usize::MAX));
                match places.sent(&record) {
                    Ok(read) => {
                        lines.accepted += 1;
                        sent.push(read);
                    }
                    Err(why) => lines.refuse(line, why),
                }
            }
            Err(error) => {
                lines.refuse(line, format!("cannot be read: {error}"));
                if error.is_io_error() {
                    break;
                }
            }
        }
    }
    (sent, lines)
}

/// Where each column stands.
struct Places {
    at: usize,
    customer: usize,
    channel: usize,
    case: Option<usize>,
    message: Option<usize>,
}

impl Places {
    fn of(header: &csv::StringRecord) -> std::result::Result<Self, String> {
        const KNOWN: [&str; 5] = ["at", "customer", "channel", "case", "message"];
        let place = |name: &str| header.iter().position(|known| known == name);
        if let Some(unknown) = header.iter().find(|name| !KNOWN.contains(name)) {
            return Err(format!(
                "/{unknown}: there is no such column; known are {}",
                KNOWN.join(", ")
            ));
        }
        let required = |name: &str| {
            place(name).ok_or_else(|| {
                format!("/{name}: the column is missing; the header is at,customer,channel[,case][,message]")
            })
        };
        Ok(Self {
            at: required("at")?,
            customer: required("customer")?,
            channel: required("channel")?,
            case: place("case"),
            message: place("message"),
        })
    }

    fn sent(&self, record: &csv::StringRecord) -> std::result::Result<Sent, String> {
        let required = |name: &str, place: usize| match record.get(place) {
            Some("") | None => Err(format!("/{name}: is required")),
            Some(text) => Ok(text.to_owned()),
        };
        let optional =
            |place: Option<usize>| Some(record.get(place?)?.to_owned()).filter(|t| !t.is_empty());
        let at = parse_instant(&required("at", self.at)?).map_err(|why| format!("/at: {why}"))?;
        let channel =
            required("channel", self.channel)?.parse().map_err(|why| format!("/channel: {why}"))?;
        Ok(Sent {
            at,
            customer: required("customer", self.customer)?,
            channel,
            case: optional(self.case),
            message: optional(self.message),
        })
    }
}

/// Compares what was sent with what would have been, in the time both know: from the first to
/// the last of theirs, a day around it for pairs.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn compare(store: &Store, sent: &[Sent]) -> Result<Shadow> {
    let from = sent.iter().map(|sent| sent.at).min().unwrap_or_else(|| from_ms(0));
    let to = sent.iter().map(|sent| sent.at).max().unwrap_or_else(|| from_ms(0));
    let around = chrono::TimeDelta::hours(WITHIN_HOURS);
    let mut ours = Vec::new();
    let mut after = String::new();
    loop {
        let page = store.shadow_messages(&after, from - around..to + around).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.id);
        ours.extend(page);
    }
    let known: Vec<CaseId> = sent.iter().filter_map(|sent| sent.case.clone()).map(CaseId).collect();
    let mut case_types = HashMap::new();
    for page in known.chunks(CASES) {
        let cases = store.cases(page.iter()).await?;
        case_types.extend(cases.into_iter().map(|(id, standing)| (id.0, standing.case.case_type)));
    }
    Ok(pair(sent, &ours, &case_types, from, to))
}

/// What pairs were found with; places in both lists.
struct Pairs {
    ours_of: Vec<Option<usize>>,
    taken: Vec<bool>,
}

fn pair(
    sent: &[Sent],
    ours: &[ShadowMessage],
    case_types: &HashMap<String, String>,
    from: Instant,
    to: Instant,
) -> Shadow {
    let mut by_customer: HashMap<&str, Vec<usize>> = HashMap::new();
    for (place, message) in ours.iter().enumerate() {
        by_customer.entry(&message.customer_id).or_default().push(place);
    }
    let mut order: Vec<usize> = (0..sent.len()).collect();
    order.sort_by_key(|place| sent[*place].at);
    let mut pairs = Pairs { ours_of: vec![None; sent.len()], taken: vec![false; ours.len()] };
    for same_channel in [true, false] {
        for theirs in &order {
            let word = &sent[*theirs];
            if pairs.ours_of[*theirs].is_some() {
                continue;
            }
            let fits = |place: &&usize| {
                let message = &ours[**place];
                let same_case = word.case.as_ref().is_none_or(|case| *case == message.case_id);
                // Without a case, another channel says nothing about being the same word.
                let channel = message.channel == word.channel.as_str()
                    || !same_channel && word.case.is_some();
                !pairs.taken[**place]
                    && same_case
                    && channel
                    && apart_ms(word, message).abs() <= WITHIN_HOURS * 3_600_000
            };
            let nearest = by_customer
                .get(word.customer.as_str())
                .into_iter()
                .flatten()
                .filter(fits)
                .min_by_key(|place| apart_ms(word, &ours[**place]).abs())
                .copied();
            if let Some(place) = nearest {
                pairs.ours_of[*theirs] = Some(place);
                pairs.taken[place] = true;
            }
        }
    }
    sum(sent, ours, case_types, &pairs, from..to)
}

fn apart_ms(theirs: &Sent, ours: &ShadowMessage) -> i64 {
    ours.told_at_ms - theirs.at.timestamp_millis()
}

fn sum(
    sent: &[Sent],
    ours: &[ShadowMessage],
    case_types: &HashMap<String, String>,
    pairs: &Pairs,
    period: std::ops::Range<Instant>,
) -> Shadow {
    let mut shadow = Shadow {
        from: period.start,
        to: period.end,
        total: Counts::default(),
        by_channel: BTreeMap::new(),
        by_case_type: BTreeMap::new(),
        apart_min: Spread::default(),
        later: 0,
        earlier: 0,
        farthest: Vec::new(),
        only_we: Vec::new(),
        only_they: Vec::new(),
    };
    let mut apart: BTreeMap<i64, i64> = BTreeMap::new();
    for (word, place) in sent.iter().zip(&pairs.ours_of) {
        let Some(message) = place.map(|place| &ours[place]) else {
            let known = word.case.as_ref().and_then(|case| case_types.get(case));
            let case_type = known.map_or("not known here", String::as_str);
            shadow.count(word.channel.as_str(), case_type, |counts| counts.only_they += 1);
            shadow.only_they.push(line(Some(word), None));
            continue;
        };
        let minutes = apart_ms(word, message) / 60_000;
        *apart.entry(minutes.abs()).or_default() += 1;
        shadow.later += i64::from(minutes > 0);
        shadow.earlier += i64::from(minutes < 0);
        let same = word.channel.as_str() == message.channel;
        shadow.count(&message.channel, &message.case_type, |counts| {
            *(if same { &mut counts.both } else { &mut counts.other_channel }) += 1;
        });
        shadow.farthest.push(line(Some(word), Some(message)));
    }
    let (from_ms, to_ms) = (period.start.timestamp_millis(), period.end.timestamp_millis());
    for (message, _) in ours.iter().zip(&pairs.taken).filter(|(_, taken)| !**taken) {
        // Around their time we looked only for pairs.
        if (from_ms..=to_ms).contains(&message.told_at_ms) {
            shadow.count(&message.channel, &message.case_type, |counts| counts.only_we += 1);
            shadow.only_we.push(line(None, Some(message)));
        }
    }
    shadow.apart_min = Spread::of(&apart);
    shadow.farthest.sort_by_key(|line| -line.later_min.unwrap_or(0).abs());
    shadow.only_we.sort_by(|one, other| one.ours.cmp(&other.ours));
    shadow.only_they.sort_by(|one, other| one.theirs.cmp(&other.theirs));
    for lines in [&mut shadow.farthest, &mut shadow.only_we, &mut shadow.only_they] {
        lines.truncate(MAX_LISTED);
    }
    shadow
}

impl Shadow {
    fn count(&mut self, channel: &str, case_type: &str, add: impl Fn(&mut Counts)) {
        add(&mut self.total);
        add(self.by_channel.entry(channel.to_owned()).or_default());
        add(self.by_case_type.entry(case_type.to_owned()).or_default());
    }
}

fn line(theirs: Option<&Sent>, ours: Option<&ShadowMessage>) -> Line {
    let message = ours.map(|ours| format!("{}/{}", ours.case_type, ours.notice));
    let ours_channel = ours.and_then(|ours| ours.channel.parse().ok());
    Line {
        customer: theirs
            .map(|sent| sent.customer.clone())
            .or_else(|| ours.map(|ours| ours.customer_id.clone()))
            .unwrap_or_default(),
        case: ours
            .map(|ours| ours.case_id.clone())
            .or_else(|| theirs.and_then(|sent| sent.case.clone())),
        ours: ours.map(|ours| from_ms(ours.told_at_ms).to_rfc3339()),
        theirs: theirs.map(|sent| sent.at.to_rfc3339()),
        message: message.or_else(|| theirs.and_then(|sent| sent.message.clone())),
        channel: ours_channel.or(theirs.map(|sent| sent.channel)).unwrap_or(Channel::Email),
        later_min: theirs.zip(ours).map(|(sent, ours)| apart_ms(sent, ours) / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(id: &str, customer: &str, case: &str, channel: &str, at: &str) -> ShadowMessage {
        ShadowMessage {
            id: id.into(),
            customer_id: customer.into(),
            case_id: case.into(),
            case_type: "return".into(),
            notice: "received".into(),
            channel: channel.into(),
            told_at_ms: parse_instant(at).expect(at).timestamp_millis(),
        }
    }

    #[test]
    fn each_word_is_paired_once_with_the_nearest_by_its_own_channel_first() {
        let file = "at,customer,channel,case\n\
            2026-11-23T10:00:00Z,C-1,email,R-1\n\
            2026-11-23T10:30:00Z,C-1,email,R-1\n\
            2026-11-23T11:00:00Z,C-2,sms,R-2\n\
            2026-11-23T12:00:00Z,C-3,email,\n\
            soon,C-4,email,\n\
            2026-11-25T12:00:00Z,C-1,fax,\n";
        let (sent, lines) = read(file.as_bytes());
        let bad: Vec<usize> = lines.errors.iter().map(|error| error.line).collect();
        assert_eq!((sent.len(), bad), (4, vec![6, 7]), "{:?}", lines.errors);
        let messages = [
            ours("a", "C-1", "R-1", "email", "2026-11-23T10:31:00Z"),
            ours("b", "C-1", "R-1", "email", "2026-11-23T09:50:00Z"),
            ours("c", "C-2", "R-2", "email", "2026-11-23T13:00:00Z"),
            ours("d", "C-9", "R-9", "email", "2026-11-23T10:00:00Z"),
        ];
        let (from, to) = (sent[0].at, sent[3].at);
        let shadow = pair(&sent, &messages, &HashMap::new(), from, to);
        let total = Counts { both: 2, other_channel: 1, only_we: 1, only_they: 1 };
        assert_eq!(shadow.total, total);
        assert_eq!(shadow.by_channel["email"], total);
        assert_eq!((shadow.apart_min.p50, shadow.apart_min.max), (10, 120));
        assert_eq!((shadow.later, shadow.earlier), (2, 1));
        assert_eq!(shadow.farthest[0].case.as_deref(), Some("R-2"));
        assert_eq!(shadow.only_they[0].customer, "C-3");
    }

    #[test]
    fn a_header_that_will_not_do_is_the_one_bad_line() {
        for (file, said) in [("at,customer\n", "/channel"), ("at,customer,channel,to\n", "/to")] {
            let (sent, lines) = read(file.as_bytes());
            assert_eq!((sent.len(), lines.invalid, lines.errors[0].line), (0, 1, 1));
            assert!(lines.errors[0].reason.contains(said), "{}", lines.errors[0].reason);
        }
    }
}
