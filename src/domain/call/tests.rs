use super::*;
use proptest::prelude::*;

const OPEN: House = House {
    centre: true,
    open: true,
    slot: Some(Slot::At(1_795_000_000_000)),
    copy: Some(Channel::Sms),
    answers: 2,
};
const CLOSED: House = House { open: false, ..OPEN };
const GREETED: Stage = Stage::Greeting { misses: 0 };
const TOLD: Stage = Stage::Message { repeats: 0, misses: 0 };

fn turn(stage: Stage, heard: &Heard, house: &House) -> Turn {
    match step(stage, heard, house) {
        Step::Say(turn) => turn,
        Step::Do(act) => panic!("{act:?}"),
    }
}

fn keys(turn: &Turn) -> String {
    turn.lines
        .iter()
        .filter_map(|line| match line {
            Line::Press(key) => Some(key.digit()),
            _ => None,
        })
        .collect()
}

#[test]
fn nothing_of_the_case_is_said_before_the_person_presses_2() {
    let first = turn(Stage::Answered, &Heard::Person, &OPEN);
    assert_eq!(first.lines[0], Line::Greeting);
    assert_eq!(keys(&first), "219", "hear it, a person, stop");
    assert_eq!(first.then, Then::Listen(GREETED));
    for heard in [Heard::Silence, Heard::Key('4'), Heard::Key('7'), Heard::Key('#')] {
        let next = turn(GREETED, &heard, &OPEN);
        assert!(!next.lines.contains(&Line::Message), "{heard:?}");
        assert_eq!(next.then, Then::Listen(Stage::Greeting { misses: 1 }), "{heard:?}");
    }
    let told = turn(GREETED, &Heard::Key('2'), &OPEN);
    assert_eq!((&told.lines[0], told.then), (&Line::Message, Then::Listen(TOLD)));
    assert_eq!(keys(&told), "451239", "the answers first, then the keys of every call");
}

#[test]
fn the_message_is_said_again_twice_at_most() {
    let mut stage = TOLD;
    for repeats in 1..=2 {
        let again = turn(stage, &Heard::Key('2'), &OPEN);
        assert_eq!(again.lines[0], Line::Message);
        stage = Stage::Message { repeats, misses: 0 };
        assert_eq!(again.then, Then::Listen(stage));
        assert_eq!(keys(&again).contains('2'), repeats < 2, "no key is offered that does nothing");
    }
    let enough = turn(stage, &Heard::Key('2'), &OPEN);
    assert!(!enough.lines.contains(&Line::Message));
    assert_eq!(enough.lines[0], Line::Unclear);
}

#[test]
fn silence_is_met_once_with_all_of_it_again_and_then_with_goodbye() {
    let again = turn(GREETED, &Heard::Silence, &OPEN);
    assert_eq!(again.lines[0], Line::Greeting);
    let over = turn(Stage::Greeting { misses: 1 }, &Heard::Silence, &OPEN);
    assert_eq!(over, Turn { lines: vec![Line::Goodbye], then: Then::HangUp });
    let again = turn(TOLD, &Heard::Silence, &OPEN);
    assert_eq!(again.lines[0], Line::Message);
    assert_eq!(again.then, Then::Listen(Stage::Message { repeats: 0, misses: 1 }));
}

#[test]
fn key_1_connects_in_the_hours_and_offers_a_call_back_outside_them() {
    for stage in [GREETED, TOLD] {
        let connected = turn(stage, &Heard::Key('1'), &OPEN);
        assert_eq!(connected.then, Then::Transfer);
        let offered = turn(stage, &Heard::Key('1'), &CLOSED);
        assert_eq!(offered.lines[0], Line::Closed);
        assert!(matches!(offered.then, Then::Listen(Stage::Offer { misses: 0, .. })));
    }
    let no_centre = House { centre: false, ..OPEN };
    assert_eq!(turn(TOLD, &Heard::Key('1'), &no_centre).lines[0], Line::Unclear);
    assert!(!keys(&turn(Stage::Answered, &Heard::Person, &no_centre)).contains('1'));
}

#[test]
fn who_finds_nobody_is_offered_a_call_back_which_key_1_takes() {
    let offered = turn(Stage::Transfer, &Heard::NobodyCame, &OPEN);
    assert_eq!(offered.lines[0], Line::NobodyFree);
    let slot = Slot::At(1_795_000_000_000);
    let stage = Stage::Offer { slot, misses: 0 };
    assert_eq!(offered.then, Then::Listen(stage));
    assert_eq!(step(stage, &Heard::Key('1'), &OPEN), Step::Do(Act::Book(slot)));
    let booked = turn(stage, &Heard::Done(Done::Booked(slot)), &OPEN);
    assert_eq!(booked.lines, [Line::Booked(slot), Line::Goodbye]);
    let gone = turn(stage, &Heard::Done(Done::SlotGone), &OPEN);
    assert_eq!(gone.then, Then::HangUp);
    let talked = turn(Stage::Transfer, &Heard::Talked, &OPEN);
    assert_eq!(talked, Turn { lines: vec![], then: Then::HangUp });
}

#[test]
fn key_9_stops_first_and_confirms_then_hangs_up_at_every_stage() {
    let slot = Slot::Soon;
    for stage in [Stage::Answered, GREETED, TOLD, Stage::Offer { slot, misses: 1 }] {
        assert_eq!(step(stage, &Heard::Key('9'), &OPEN), Step::Do(Act::Stop), "{stage:?}");
        let said = turn(stage, &Heard::Done(Done::Stopped { pending: true }), &OPEN);
        assert_eq!(said.lines, [Line::Stopped { pending: true }], "no menu, nobody to talk to");
        assert_eq!(said.then, Then::HangUp);
    }
}

#[test]
fn until_it_is_known_who_picked_up_only_who_calls_is_said() {
    let hello = turn(Stage::Answered, &Heard::Somebody, &OPEN);
    assert_eq!(hello, Turn { lines: vec![Line::Hello], then: Then::Listen(Stage::Answered) });
    assert_eq!(turn(Stage::Answered, &Heard::Silence, &OPEN).lines[0], Line::Greeting);
}

#[test]
fn a_machine_hears_who_called_and_a_fax_nothing() {
    for stage in [Stage::Answered, GREETED, TOLD] {
        let machine = turn(stage, &Heard::Machine, &OPEN);
        assert_eq!(machine, Turn { lines: vec![Line::Machine], then: Then::HangUp });
        assert_eq!(turn(stage, &Heard::Fax, &OPEN), Turn { lines: vec![], then: Then::HangUp });
    }
}

#[test]
fn keys_answer_only_what_was_heard_and_only_as_many_as_there_are() {
    assert_eq!(step(TOLD, &Heard::Key('5'), &OPEN), Step::Do(Act::Answer(1)));
    assert_eq!(turn(TOLD, &Heard::Key('6'), &OPEN).lines[0], Line::Unclear);
    let many = House { answers: 9, ..OPEN };
    assert_eq!(step(TOLD, &Heard::Key('8'), &many), Step::Do(Act::Answer(4)));
    assert_eq!(step(TOLD, &Heard::Key('9'), &many), Step::Do(Act::Stop), "never an answer");
}

#[test]
fn key_3_sends_it_in_writing_where_that_is_allowed() {
    assert_eq!(step(TOLD, &Heard::Key('3'), &OPEN), Step::Do(Act::Copy(Channel::Sms)));
    let none = House { copy: None, ..OPEN };
    assert_eq!(turn(TOLD, &Heard::Key('3'), &none).lines[0], Line::Unclear);
    assert!(!keys(&turn(GREETED, &Heard::Key('2'), &none)).contains('3'));
}

#[test]
fn how_far_a_call_came_is_read_off_what_was_said() {
    let of = |stage, heard| progress(&turn(stage, &heard, &OPEN));
    assert_eq!(of(Stage::Answered, Heard::Person), Progress::Greeted);
    assert_eq!(of(Stage::Answered, Heard::Somebody), Progress::Begun);
    assert_eq!(of(Stage::Answered, Heard::Machine), Progress::Machine);
    assert_eq!(of(GREETED, Heard::Key('2')), Progress::Reached);
    assert_eq!(of(GREETED, Heard::Key('1')), Progress::Reached, "they talk to a person");
    assert_eq!(of(GREETED, Heard::Done(Done::Stopped { pending: false })), Progress::Greeted);
    assert!(Progress::Machine > Progress::Greeted && Progress::Reached > Progress::Machine);
    for progress in Progress::ALL {
        assert_eq!(Progress::from_rank(progress.rank()), progress);
    }
}

#[test]
fn a_call_is_delivered_only_when_the_person_was_told() {
    use PickedUp::{Fax, Machine, Person};
    for (progress, by, told) in [
        (Progress::Reached, Some(Person), Ok(())),
        (Progress::Reached, None, Ok(())),
        (Progress::Copied, Some(Machine), Ok(())),
        (Progress::Greeted, Some(Person), Err("they hung up before the message")),
        (Progress::Machine, Some(Machine), Err(VOICEMAIL_LEFT)),
        (Progress::Machine, None, Err(VOICEMAIL_LEFT)),
        (Progress::None, Some(Machine), Err("a machine answered and heard no message")),
        (Progress::Greeted, Some(Fax), Err("answered by a fax machine")),
        (Progress::None, Some(Person), Err("they hung up before the message")),
        (Progress::None, None, Err("they hung up before the message")),
    ] {
        assert_eq!(outcome(progress, by), told, "{progress:?} {by:?}");
    }
}

#[test]
fn a_language_is_spoken_by_the_most_exact_voice_that_is_set() {
    let voice = |language: &str| Voice { language: language.into(), voice: Some("v".into()) };
    let speech = Speech(BTreeMap::from([
        ("fr".to_owned(), voice("fr-FR")),
        ("fr-CA".to_owned(), voice("fr-CA")),
    ]));
    assert_eq!(speech.of("fr-CA").language, "fr-CA");
    assert_eq!(speech.of("fr-BE").language, "fr-FR");
    assert_eq!(speech.of("de"), Voice { language: "de-DE".into(), voice: None });
    assert_eq!(speech.of("nl-BE").language, "nl-BE");
}

fn any_heard() -> impl Strategy<Value = Heard> {
    let keys = "0123456789*#".chars().map(Heard::Key).collect::<Vec<_>>();
    proptest::sample::select([keys, vec![Heard::Silence, Heard::NobodyCame]].concat())
}

proptest! {
    /// Whatever is pressed, in whichever order, the call ends, and says the message three
    /// times and its repetition after a silence at most.
    #[test]
    fn every_call_ends(pressed in proptest::collection::vec(any_heard(), 12)) {
        let (mut stage, mut heard, mut told) = (Stage::Answered, Heard::Person, 0);
        let mut pressed = pressed.into_iter();
        for _ in 0..12 {
            let turn = match step(stage, &heard, &OPEN) {
                Step::Say(turn) => turn,
                Step::Do(_) => return Ok(()), // every act is followed by hanging up
            };
            told += turn.lines.iter().filter(|line| **line == Line::Message).count();
            prop_assert!(told <= 4);
            match turn.then {
                Then::Listen(next) => stage = next,
                Then::Transfer => stage = Stage::Transfer,
                Then::HangUp | Then::Join => return Ok(()),
            }
            heard = pressed.next().expect("enough");
        }
        prop_assert!(false, "the call goes on at {stage:?}");
    }
}
