//! A call, as what is said and what may be pressed: one machine for every provider.
//!
//! Pure: where the call stands, what was heard and what the house can do come in; lines to be
//! spoken and the next step go out. The house carries out what a step asks for and hands
//! its result back; a provider's own file says the lines.
//!
//! Nothing of the case but its reference is said before the person presses 2, and nothing at
//! all of it to a machine (47 CFR 64.1200(b) for the name, number and way out in any call).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::channel::Channel;
use super::time::{Instant, from_ms};

/// How often the message is said again.
pub const MAX_REPEATS: u8 = 2;

/// How often silence, or a key that means nothing here, is met by saying it once more.
const MAX_MISSES: u8 = 1;

/// The key of the first answer; lower ones mean the same in every call.
pub const FIRST_ANSWER: usize = 4;

/// How many answers keys can give: 4 to 8.
pub const MAX_ANSWERS: usize = 5;

/// Where a call stands. It travels in the signed address the next key is told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "snake_case")]
pub enum Stage {
    /// It was picked up.
    Answered,
    /// Who calls has been said, and not yet what.
    Greeting { misses: u8 },
    /// The message has been said.
    Message { repeats: u8, misses: u8 },
    /// A call back was offered.
    Offer { slot: Slot, misses: u8 },
    /// It rings at the contact centre.
    Transfer,
    /// The contact centre picked up and hears what it is about.
    Desk,
}

/// When somebody calls back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slot {
    Soon,
    /// The beginning of a window, in milliseconds since 1970.
    At(i64),
}

impl Slot {
    /// When it begins; `None` for as soon as possible.
    #[must_use]
    pub fn from(self) -> Option<Instant> {
        match self {
            Self::Soon => None,
            Self::At(ms) => Some(from_ms(ms)),
        }
    }
}

/// What came from the other end, or of what was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Somebody or something picked up; which, the provider says later.
    Somebody,
    /// A person picked up, or what nothing was said about.
    Person,
    /// An answering machine or a mailbox.
    Machine,
    Fax,
    Key(char),
    Silence,
    /// The contact centre and the person have talked.
    Talked,
    /// Nobody at the contact centre took the call.
    NobodyCame,
    Done(Done),
}

/// What came of an act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// How the question stands now, in a sentence.
    Answered(String),
    Stopped {
        /// A message was already on its way.
        pending: bool,
    },
    Copied(Channel),
    Booked(Slot),
    /// Somebody took the window.
    SlotGone,
    /// It could not be done, or there was nothing to do.
    Nothing,
}

/// What the house can do at this moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct House {
    /// There is a contact centre to connect to.
    pub centre: bool,
    /// Somebody is there.
    pub open: bool,
    /// The next time somebody could call back.
    pub slot: Option<Slot>,
    /// How the message can be had in writing: allowed, and with an address.
    pub copy: Option<Channel>,
    /// How many answers may be given.
    pub answers: usize,
}

/// What is to be done before anything is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// This number is called no more.
    Stop,
    Copy(Channel),
    /// By its place, from 0.
    Answer(usize),
    Book(Slot),
}

/// One thing to say; its words are the presentation's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Who calls, and nothing else.
    Hello,
    Greeting,
    Message,
    /// For a machine: who called, the number to call, how to stop.
    Machine,
    /// For the contact centre: who is on the line, and what about.
    Summary,
    Unclear,
    Wait,
    Connecting,
    /// Nobody is there at this hour.
    Closed,
    /// Nobody took the call.
    NobodyFree,
    Offer(Slot),
    Booked(Slot),
    SlotGone,
    Copied(Channel),
    Said(String),
    Stopped {
        pending: bool,
    },
    Press(Key),
    Goodbye,
}

/// A key that is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Person,
    Hear,
    Again,
    Copy(Channel),
    /// By its place, from 0.
    Answer(usize),
    TakeOffer,
    Stop,
}

impl Key {
    /// What is pressed.
    #[must_use]
    pub fn digit(self) -> char {
        match self {
            Self::Person | Self::TakeOffer => '1',
            Self::Hear | Self::Again => '2',
            Self::Copy(_) => '3',
            Self::Answer(place) => {
                let key = u32::try_from(place + FIRST_ANSWER).unwrap_or(u32::MAX);
                char::from_digit(key, 10).unwrap_or('8')
            }
            Self::Stop => '9',
        }
    }
}

/// How a call goes on after its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// A key may be pressed, also while it speaks.
    Listen(Stage),
    /// The contact centre is called, and the two are connected.
    Transfer,
    /// The two parties talk.
    Join,
    HangUp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    pub lines: Vec<Line>,
    pub then: Then,
}

/// What follows from what was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Do this first and ask again with what came of it.
    Do(Act),
    Say(Turn),
}

/// A turn in the words of its language, ready for a provider to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub lines: Vec<String>,
    pub voice: Voice,
    /// Spoken slowly, for who asked for it.
    pub slow: bool,
    pub then: Go,
}

/// How a call goes on, with the addresses the provider is to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Go {
    /// A key, or silence, is told to `url`.
    Listen {
        url: String,
    },
    /// `to` is called. Who picks up there hears what `hears_url` says before the two are
    /// connected; how it ended is told to `ended_url`.
    Connect {
        to: String,
        hears_url: Option<String>,
        ended_url: String,
    },
    /// The two are connected.
    Join,
    HangUp,
}

/// Which voice speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voice {
    /// As the provider names it: BCP 47 with a region, for most.
    pub language: String,
    /// The provider's name of the voice, or its style; its own choice when absent.
    #[serde(default)]
    pub voice: Option<String>,
}

/// The voices of the languages: `en`, `de`, `fr`, or one more exact, such as `fr-CA`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Speech(pub BTreeMap<String, Voice>);

impl Speech {
    /// The voice for a language: the most exact one that is set, or else the language with the
    /// region that providers ask for.
    #[must_use]
    pub fn of(&self, locale: &str) -> Voice {
        let mut name = locale;
        loop {
            if let Some(voice) = self.0.get(name) {
                return voice.clone();
            }
            match name.rsplit_once('-') {
                Some((shorter, _)) => name = shorter,
                None => break,
            }
        }
        let language = match locale {
            "en" => "en-GB",
            "de" => "de-DE",
            "fr" => "fr-FR",
            other => other,
        };
        Voice { language: language.to_owned(), voice: None }
    }
}

/// Who picked up, as the provider takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PickedUp {
    Person,
    Machine,
    Fax,
}

/// The detail of a receipt for a call that a machine took.
pub const VOICEMAIL_LEFT: &str = "voicemail_left";

/// What a call that is over came to: `Ok` when the person was told, else why they were not.
/// Where nobody fetched a word nobody heard one.
///
/// # Errors
/// Why it was not delivered.
pub const fn outcome(progress: Progress, by: Option<PickedUp>) -> Result<(), &'static str> {
    match (progress, by) {
        (_, Some(PickedUp::Fax)) | (Progress::Fax, _) => Err("answered by a fax machine"),
        (Progress::Machine, _) => Err(VOICEMAIL_LEFT),
        (Progress::Reached | Progress::Copied, _) => Ok(()),
        (_, Some(PickedUp::Machine)) => Err("a machine answered and heard no message"),
        (Progress::None | Progress::Begun | Progress::Greeted, _) => {
            Err("they hung up before the message")
        }
    }
}

/// How far a call came, in order: a later report never takes an earlier one back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// Nobody fetched a word.
    None,
    /// Only who calls was said.
    Begun,
    /// And for whom, and about which reference.
    Greeted,
    Fax,
    Machine,
    /// The person heard the message, or took up what was offered.
    Reached,
    /// And has it in writing.
    Copied,
}

impl Progress {
    const ALL: [Self; 7] = [
        Self::None,
        Self::Begun,
        Self::Greeted,
        Self::Fax,
        Self::Machine,
        Self::Reached,
        Self::Copied,
    ];

    /// Its place in the order, from 0.
    #[must_use]
    pub const fn rank(self) -> i64 {
        self as i64
    }

    #[must_use]
    pub fn from_rank(rank: i64) -> Self {
        Self::ALL.into_iter().find(|progress| progress.rank() == rank).unwrap_or(Self::None)
    }
}

fn say(lines: Vec<Line>, then: Then) -> Step {
    Step::Say(Turn { lines, then })
}

/// What follows where a call stands at `stage` and this was heard.
#[must_use]
pub fn step(stage: Stage, heard: &Heard, house: &House) -> Step {
    match heard {
        Heard::Machine => return say(vec![Line::Machine], Then::HangUp),
        Heard::Fax => return say(Vec::new(), Then::HangUp),
        Heard::Done(done) => return after(stage, done, house),
        Heard::Key('9') if stage != Stage::Desk => return Step::Do(Act::Stop),
        _ => {}
    }
    match stage {
        Stage::Answered if *heard == Heard::Somebody => {
            say(vec![Line::Hello], Then::Listen(Stage::Answered))
        }
        Stage::Answered => greeting(0, false, house),
        Stage::Greeting { misses } => match heard {
            Heard::Key('2') => message(0, 0, house),
            heard => common(stage, heard, misses, house),
        },
        Stage::Message { repeats, misses } => match heard {
            Heard::Key('2') if repeats < MAX_REPEATS => message(repeats + 1, misses, house),
            heard => common(stage, heard, misses, house),
        },
        Stage::Offer { slot, misses } => match heard {
            Heard::Key('1') => Step::Do(Act::Book(slot)),
            heard => missed(stage, heard, misses, house),
        },
        Stage::Transfer => match heard {
            Heard::NobodyCame => offer(Line::NobodyFree, house),
            _ => say(Vec::new(), Then::HangUp),
        },
        Stage::Desk => say(vec![Line::Summary], Then::Join),
    }
}

/// The keys that mean the same before and after the message.
fn common(stage: Stage, heard: &Heard, misses: u8, house: &House) -> Step {
    let confirmed = matches!(stage, Stage::Message { .. });
    match heard {
        Heard::Key('1') if house.centre && house.open => {
            say(vec![Line::Wait, Line::Connecting], Then::Transfer)
        }
        Heard::Key('1') if house.centre => offer(Line::Closed, house),
        Heard::Key('3') if let Some(channel) = house.copy => Step::Do(Act::Copy(channel)),
        Heard::Key(key) if confirmed && let Some(place) = answer(*key, house) => {
            Step::Do(Act::Answer(place))
        }
        heard => missed(stage, heard, misses, house),
    }
}

fn answer(key: char, house: &House) -> Option<usize> {
    let place = usize::try_from(key.to_digit(10)?).ok()?.checked_sub(FIRST_ANSWER)?;
    (place < house.answers.min(MAX_ANSWERS)).then_some(place)
}

/// Silence, or a key that means nothing here: once more, then goodbye with the number to call.
fn missed(stage: Stage, heard: &Heard, misses: u8, house: &House) -> Step {
    if misses >= MAX_MISSES {
        return say(vec![Line::Goodbye], Then::HangUp);
    }
    let unclear = matches!(heard, Heard::Key(_));
    match stage {
        // After a key that says nothing the menu will do; after silence all of it.
        Stage::Message { repeats, .. } if unclear => {
            let mut lines = vec![Line::Unclear];
            lines.extend(menu(true, repeats, house));
            say(lines, Then::Listen(Stage::Message { repeats, misses: misses + 1 }))
        }
        Stage::Message { repeats, .. } => message(repeats, misses + 1, house),
        Stage::Offer { slot, .. } => {
            let lines = vec![Line::Offer(slot), Line::Press(Key::TakeOffer)];
            say(lines, Then::Listen(Stage::Offer { slot, misses: misses + 1 }))
        }
        _ => greeting(misses + 1, unclear, house),
    }
}

fn greeting(misses: u8, unclear: bool, house: &House) -> Step {
    let mut lines = Vec::new();
    if unclear {
        lines.push(Line::Unclear);
    }
    lines.push(Line::Greeting);
    lines.extend(menu(false, 0, house));
    say(lines, Then::Listen(Stage::Greeting { misses }))
}

fn message(repeats: u8, misses: u8, house: &House) -> Step {
    let mut lines = vec![Line::Message];
    lines.extend(menu(true, repeats, house));
    say(lines, Then::Listen(Stage::Message { repeats, misses }))
}

/// What may be pressed, in the order it is said.
fn menu(confirmed: bool, repeats: u8, house: &House) -> Vec<Line> {
    let mut keys = Vec::new();
    if confirmed {
        keys.extend((0..house.answers.min(MAX_ANSWERS)).map(Key::Answer));
    } else {
        keys.push(Key::Hear);
    }
    if house.centre {
        keys.push(Key::Person);
    }
    if confirmed && repeats < MAX_REPEATS {
        keys.push(Key::Again);
    }
    if confirmed {
        keys.extend(house.copy.map(Key::Copy));
    }
    keys.push(Key::Stop);
    keys.into_iter().map(Line::Press).collect()
}

fn offer(why: Line, house: &House) -> Step {
    let Some(slot) = house.slot else { return say(vec![why, Line::Goodbye], Then::HangUp) };
    let lines = vec![why, Line::Offer(slot), Line::Press(Key::TakeOffer)];
    say(lines, Then::Listen(Stage::Offer { slot, misses: 0 }))
}

/// What is said once something was done.
fn after(stage: Stage, done: &Done, house: &House) -> Step {
    match done {
        // No menu after it, and nobody to talk to (47 CFR 64.1200(b)(3)).
        Done::Stopped { pending } => say(vec![Line::Stopped { pending: *pending }], Then::HangUp),
        Done::Answered(said) => say(vec![Line::Said(said.clone()), Line::Goodbye], Then::HangUp),
        Done::Booked(slot) => say(vec![Line::Booked(*slot), Line::Goodbye], Then::HangUp),
        Done::SlotGone => say(vec![Line::SlotGone, Line::Goodbye], Then::HangUp),
        Done::Copied(channel) => say(vec![Line::Copied(*channel), Line::Goodbye], Then::HangUp),
        Done::Nothing => match stage {
            Stage::Greeting { misses }
            | Stage::Message { misses, .. }
            | Stage::Offer { misses, .. } => missed(stage, &Heard::Key(' '), misses, house),
            Stage::Answered | Stage::Transfer | Stage::Desk => {
                say(vec![Line::Goodbye], Then::HangUp)
            }
        },
    }
}

/// How far a call has come once this turn is said.
#[must_use]
pub fn progress(turn: &Turn) -> Progress {
    let reached = turn.lines.iter().any(|line| {
        matches!(line, Line::Message | Line::Said(_) | Line::Copied(_) | Line::Booked(_))
    });
    if reached || turn.then == Then::Transfer {
        Progress::Reached
    } else if turn.lines.contains(&Line::Machine) {
        Progress::Machine
    } else if turn.lines == [Line::Hello] {
        Progress::Begun
    } else if turn.lines.is_empty() {
        Progress::None
    } else {
        Progress::Greeted
    }
}

#[cfg(test)]
mod tests;
