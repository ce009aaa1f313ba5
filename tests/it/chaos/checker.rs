//! The verdict: what providers saw and what was said to the installation, joined with what it
//! says of itself.

use std::collections::{BTreeMap, HashMap};

use tidings::domain::NotificationId;
use tidings::domain::token::Keyring;

use super::cluster::KEY;
use super::ledger::{Entry, HandOver, Word};
use super::load::{Person, Refusal, Sent};
use super::parcel::{REMINDER, STATES, TWICE_RATHER_THAN_NEVER};

/// What can be wrong, or at least deserves to be counted. The first six fail a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Count {
    Lost,
    WrongChannel,
    Early,
    Late,
    Stale,
    Duplicate,
    /// A second copy after the doubt was written down, of a topic that prefers that.
    DuplicateInDoubt,
    /// Notifications that were in doubt at some time.
    InDoubt,
    /// Notifications that ended so.
    Unknown,
}

impl Count {
    pub const ALL: [Self; 9] = [
        Self::Lost,
        Self::WrongChannel,
        Self::Early,
        Self::Late,
        Self::Stale,
        Self::Duplicate,
        Self::DuplicateInDoubt,
        Self::InDoubt,
        Self::Unknown,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::WrongChannel => "wrong-channel",
            Self::Early => "early",
            Self::Late => "late",
            Self::Stale => "stale",
            Self::Duplicate => "duplicate",
            Self::DuplicateInDoubt => "duplicate-in-doubt",
            Self::InDoubt => "in-doubt",
            Self::Unknown => "unknown",
        }
    }

    pub const fn fails(self) -> bool {
        !matches!(self, Self::DuplicateInDoubt | Self::InDoubt | Self::Unknown)
    }
}

/// A notification as the installation tells of it.
#[derive(Debug, Clone)]
pub struct Account {
    pub id: String,
    pub case: String,
    pub notice: String,
    pub status: String,
    /// When each attempt was opened, in ms since 1970.
    pub opened: Vec<i64>,
    /// When a doubt was written down, in ms since 1970.
    pub doubts: Vec<i64>,
}

/// Everything a verdict is made of.
#[derive(Debug)]
pub struct Evidence {
    pub people: Vec<Person>,
    pub sent: Vec<Sent>,
    pub refusals: Vec<Refusal>,
    pub entries: Vec<Entry>,
    pub accounts: Vec<Account>,
    /// Accepted events that the installation did not know when told again.
    pub forgotten: Vec<String>,
    /// How often fate struck.
    pub blows: usize,
    /// How many processes ended before their time. Five that had claimed a notification, and
    /// opened no attempt, set it aside with a task.
    pub deaths: usize,
    /// How long after its opening an attempt may reach the wire, in ms.
    pub window_ms: i64,
    /// By how much the ledger may be late, in ms.
    pub lag_ms: i64,
}

/// Counts, and a line for each failure.
#[derive(Debug, Default)]
pub struct Verdict {
    pub counts: BTreeMap<Count, usize>,
    pub findings: Vec<String>,
    pub events: usize,
    pub blows: usize,
    pub hand_overs: usize,
    /// From acceptance, or the hour of a reminder, to the first hand-over, in ms.
    pub delays_ms: Vec<i64>,
}

impl Verdict {
    fn find(&mut self, count: Count, what: impl std::fmt::Display) {
        self.count(count);
        self.findings.push(format!("{}: {what}", count.name()));
    }

    /// Counts what deserves to be counted and is no failure.
    fn count(&mut self, count: Count) {
        *self.counts.entry(count).or_default() += 1;
    }

    pub fn of(&self, count: Count) -> usize {
        self.counts.get(&count).copied().unwrap_or_default()
    }

    /// Is nothing wrong that must not be?
    pub fn holds(&self) -> bool {
        self.findings.is_empty()
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: Self) {
        for (count, n) in other.counts {
            *self.counts.entry(count).or_default() += n;
        }
        self.findings.extend(other.findings);
        self.events += other.events;
        self.blows += other.blows;
        self.hand_overs += other.hand_overs;
        self.delays_ms.extend(other.delays_ms);
    }

    /// The head of the table.
    pub fn head() -> String {
        let names = Count::ALL.map(|count| format!(" {} |", count.name()));
        format!("| cell | blows | events | hand-overs |{} p50 ms | p99 ms |", names.concat())
    }

    /// The delay that so many of a hundred do not exceed, in ms.
    pub fn delay_ms(&self, percent: usize) -> i64 {
        let mut delays = self.delays_ms.clone();
        delays.sort_unstable();
        delays.get(delays.len() * percent / 100).copied().unwrap_or(0)
    }

    /// One row of the table.
    pub fn row(&self, name: &str) -> String {
        let Self { blows, events, hand_overs, .. } = self;
        let counts = Count::ALL.map(|count| format!(" {} |", self.of(count)));
        let (p50, p99) = (self.delay_ms(50), self.delay_ms(99));
        format!("| {name} | {blows} | {events} | {hand_overs} |{} {p50} | {p99} |", counts.concat())
    }
}

/// A notification with its hand-overs, in their order.
struct Told<'a> {
    account: &'a Account,
    hand_overs: Vec<&'a HandOver>,
}

/// Makes the verdict.
pub fn check(evidence: &Evidence) -> Verdict {
    let mut verdict =
        Verdict { events: evidence.sent.len(), blows: evidence.blows, ..Verdict::default() };
    let mut hand_overs: Vec<&HandOver> = Vec::new();
    let mut words: Vec<&Word> = Vec::new();
    for entry in &evidence.entries {
        match entry {
            Entry::HandOver(hand_over) => hand_overs.push(hand_over),
            Entry::Word(word) => words.push(word),
        }
    }
    hand_overs.sort_by_key(|hand_over| hand_over.at_ms);
    verdict.hand_overs = hand_overs.len();
    for event in &evidence.forgotten {
        verdict.find(Count::Lost, format!("accepted and not known afterwards: {event}"));
    }
    let told = join(evidence, &hand_overs, &mut verdict);
    for hand_over in &hand_overs {
        look_at_channel(evidence, hand_over, &mut verdict);
    }
    for told in told.values() {
        for hand_over in &told.hand_overs {
            look_at_time(evidence, told.account, hand_over, &mut verdict);
        }
        look_at_copies(told, &words, &mut verdict);
        look_at_account(evidence, told, &words, &mut verdict);
    }
    look_for_the_last_word(evidence, &told, &mut verdict);
    look_for_doubles(&told, &words, &mut verdict);
    verdict.delays_ms = told.values().filter_map(|told| delay_ms(evidence, told)).collect();
    verdict
}

/// Accounts with their hand-overs. What no account knows of is lost from the record.
fn join<'a>(
    evidence: &'a Evidence,
    hand_overs: &[&'a HandOver],
    verdict: &mut Verdict,
) -> BTreeMap<&'a str, Told<'a>> {
    let keys = Keyring::new(KEY);
    let mut by_name: HashMap<String, &str> = HashMap::new();
    let mut told = BTreeMap::new();
    for account in &evidence.accounts {
        let id = account.id.as_str();
        by_name.insert(id.to_owned(), id);
        if let Ok(parsed) = NotificationId::parse(id) {
            by_name.insert(keys.message_id(parsed, "example.com"), id);
        }
        told.insert(id, Told { account, hand_overs: Vec::new() });
    }
    for hand_over in hand_overs {
        match by_name.get(&hand_over.name).and_then(|id| told.get_mut(id)) {
            Some(told) => told.hand_overs.push(hand_over),
            // A mail that broke off before its name was read reached nobody.
            None if hand_over.name.is_empty() && !hand_over.taken => {}
            None => {
                let what = format!("no record of a hand-over: {hand_over:?}");
                verdict.find(Count::Lost, what);
            }
        }
    }
    told
}

fn is_code(tells: Option<&str>) -> bool {
    tells.is_some_and(|tells| tells.ends_with(&format!("/{TWICE_RATHER_THAN_NEVER}")))
}

fn look_at_channel(evidence: &Evidence, hand_over: &HandOver, verdict: &mut Verdict) {
    let channel = hand_over.channel;
    let found = evidence.people.iter().position(|person| {
        person.order.contains(&channel) && person.address(channel) == hand_over.address
    });
    let Some(customer) = found else {
        let what = format!("nobody allowed {channel} to {}", hand_over.address);
        return verdict.find(Count::WrongChannel, what);
    };
    if evidence.people[customer].night_on == Some(channel) {
        verdict.find(Count::Early, format!("in the quiet hours: {hand_over:?}"));
    }
    if is_code(hand_over.tells.as_deref()) {
        return;
    }
    let refused = evidence.refusals.iter().find(|refusal| {
        refusal.customer == customer
            && refusal.channel == channel
            && refusal.from_ms + evidence.lag_ms < hand_over.at_ms
            && refusal.until_ms.is_none_or(|until| hand_over.at_ms < until)
    });
    if let Some(refusal) = refused {
        verdict.find(Count::WrongChannel, format!("{hand_over:?} after {refusal:?}"));
    }
}

fn look_at_time(
    evidence: &Evidence,
    account: &Account,
    hand_over: &HandOver,
    verdict: &mut Verdict,
) {
    let opened = &account.opened;
    let Some((case, state)) = hand_over.tells.as_deref().and_then(|tells| tells.split_once('/'))
    else {
        return;
    };
    let slack_ms = evidence.window_ms + evidence.lag_ms;
    let of_case = || evidence.sent.iter().filter(|event| event.case == case);
    if state == REMINDER {
        let Some((at, end)) = of_case().find_map(|event| event.reminder) else {
            return verdict.find(Count::Early, format!("never asked for: {hand_over:?}"));
        };
        if hand_over.at_ms < at {
            verdict.find(Count::Early, format!("due at {at}, opened {opened:?}: {hand_over:?}"));
        } else if hand_over.at_ms > end + slack_ms {
            verdict.find(
                Count::Late,
                format!("worth nothing from {end}, opened {opened:?}: {hand_over:?}"),
            );
        }
        return;
    }
    let version = STATES.iter().position(|known| *known == state).map_or(0, |at| at + 1);
    let newer = of_case().find(|event| {
        event.version > version
            && event.accepted_ms.is_some_and(|at| at + slack_ms < hand_over.at_ms)
    });
    if let Some(newer) = newer {
        let (version, at) = (newer.version, newer.accepted_ms.unwrap_or_default());
        let what =
            format!("version {version} was accepted at {at}, opened {opened:?}: {hand_over:?}");
        verdict.find(Count::Stale, what);
    }
}

/// How long the first hand-over of a notification took.
fn delay_ms(evidence: &Evidence, told: &Told<'_>) -> Option<i64> {
    let first = told.hand_overs.first()?;
    let mut of_case = evidence.sent.iter().filter(|event| event.case == told.account.case);
    let asked_ms = if told.account.notice == REMINDER {
        of_case.find_map(|event| event.reminder)?.0
    } else {
        of_case.find(|event| STATES[event.version - 1] == told.account.notice)?.accepted_ms?
    };
    Some((first.at_ms - asked_ms).max(0))
}

/// Was the copy before this one declared void?
fn undelivered(words: &[&Word], id: &str, after_ms: i64, before_ms: i64) -> bool {
    words.iter().any(|word| {
        word.name == id
            && word.says == "undelivered"
            && after_ms <= word.at_ms
            && word.at_ms <= before_ms
    })
}

fn look_at_copies(told: &Told<'_>, words: &[&Word], verdict: &mut Verdict) {
    let Told { account, hand_overs } = told;
    let mut numbers: Vec<i64> = hand_overs.iter().filter_map(|hand_over| hand_over.no).collect();
    numbers.sort_unstable();
    if let Some([no, ..]) = numbers.windows(2).find(|pair| pair[0] == pair[1]) {
        let what = format!("attempt {no} of {account:?} left twice");
        verdict.find(Count::Duplicate, what);
    }
    if hand_overs.len() > account.opened.len() {
        let what = format!("{} hand-overs of {account:?}", hand_overs.len());
        verdict.find(Count::Duplicate, what);
    }
    let taken: Vec<_> = hand_overs.iter().filter(|hand_over| hand_over.taken).collect();
    for pair in taken.windows(2) {
        let (first, second) = (pair[0], pair[1]);
        if undelivered(words, &account.id, first.at_ms, second.at_ms + 1_000) {
            continue;
        }
        let doubted = account.doubts.iter().any(|at| *at <= second.at_ms);
        if doubted && account.notice == TWICE_RATHER_THAN_NEVER {
            verdict.count(Count::DuplicateInDoubt);
        } else {
            verdict.find(Count::Duplicate, format!("{first:?} and {second:?} of {account:?}"));
        }
    }
}

fn look_at_account(evidence: &Evidence, told: &Told<'_>, words: &[&Word], verdict: &mut Verdict) {
    let Told { account, hand_overs } = told;
    let was_taken = hand_overs.iter().any(|hand_over| hand_over.taken);
    if !account.doubts.is_empty() {
        verdict.count(Count::InDoubt);
    }
    let voided = words.iter().any(|word| word.name == account.id && word.says == "undelivered");
    match account.status.as_str() {
        "sent" | "delivered" if !was_taken => {
            verdict.find(
                Count::Lost,
                format!("said to be told, and no provider took it: {account:?}"),
            );
        }
        "sent" | "delivered" => {}
        "unknown" => {
            verdict.count(Count::Unknown);
            if account.doubts.is_empty() {
                verdict.find(Count::Lost, format!("unknown without a doubt: {account:?}"));
            }
        }
        "planned" | "claimed" | "sending" | "in_doubt" => {
            verdict.find(Count::Lost, format!("never ends: {account:?} {hand_overs:?}"));
        }
        "quarantined" if evidence.deaths < 5 => {
            verdict.find(Count::Lost, format!("set aside: {account:?}"));
        }
        // Not told, it says; a provider has it all the same.
        _ if was_taken && !voided && account.doubts.is_empty() => {
            verdict.find(Count::Lost, format!("told and not recorded: {account:?} {hand_overs:?}"));
        }
        _ => {}
    }
}

/// The last state of every case is told, or there is a reason why not.
fn look_for_the_last_word(
    evidence: &Evidence,
    told: &BTreeMap<&str, Told<'_>>,
    verdict: &mut Verdict,
) {
    let mut last: BTreeMap<&str, &Sent> = BTreeMap::new();
    for event in evidence.sent.iter().filter(|event| event.accepted_ms.is_some()) {
        let known = last.entry(&event.case).or_insert(event);
        if event.version > known.version {
            *known = event;
        }
    }
    let by_notice: HashMap<(&str, &str), &Told<'_>> = told
        .values()
        .map(|told| ((told.account.case.as_str(), told.account.notice.as_str()), told))
        .collect();
    for (case, event) in last {
        let state = STATES[event.version - 1];
        let Some(told) = by_notice.get(&(case, state)) else {
            verdict.find(Count::Lost, format!("nothing was planned for {case}/{state}"));
            continue;
        };
        let wavers = evidence.people[event.customer].wavers_on.is_some();
        let refused = told
            .hand_overs
            .iter()
            .any(|hand_over| matches!(hand_over.fault, "4xx_perm" | "undelivered" | "busy"))
            // A mail refused at RCPT leaves no hand-over.
            || told.account.opened.len() > told.hand_overs.len();
        let fine = match told.account.status.as_str() {
            // What never ends was found before.
            "planned" | "claimed" | "sending" | "in_doubt" | "sent" | "delivered" | "unknown" => {
                true
            }
            "suppressed" => wavers,
            "failed" => refused,
            "quarantined" => evidence.deaths >= 5,
            _ => false,
        };
        if !fine {
            let what = format!("the last state of {case} was not told: {:?}", told.account);
            verdict.find(Count::Lost, what);
        }
    }
}

/// When a notification was first and last taken, in ms since 1970.
type Taken<'a> = (i64, i64, &'a Account);

/// One notice of a case under two names, the first of which was not declared void before.
fn look_for_doubles(told: &BTreeMap<&str, Told<'_>>, words: &[&Word], verdict: &mut Verdict) {
    let mut by_notice: BTreeMap<(&str, &str), Vec<Taken<'_>>> = BTreeMap::new();
    for Told { account, hand_overs } in told.values() {
        let mut taken = hand_overs.iter().filter(|hand_over| hand_over.taken);
        let Some(first) = taken.next() else { continue };
        let last = taken.next_back().unwrap_or(first);
        let key = (account.case.as_str(), account.notice.as_str());
        by_notice.entry(key).or_default().push((first.at_ms, last.at_ms, account));
    }
    for ((case, notice), mut names) in by_notice {
        names.sort_by_key(|(first_ms, ..)| *first_ms);
        for pair in names.windows(2) {
            let ((_, last_ms, former), (again_ms, _, other)) = (pair[0], pair[1]);
            if !undelivered(words, &former.id, last_ms, again_ms + 1_000) {
                let what = format!(
                    "{case}/{notice} was told as {former:?} and at {again_ms} as {other:?}"
                );
                verdict.find(Count::Duplicate, what);
            }
        }
    }
}
