//! A telephone at the other end of our calls, as Twilio and as Vonage have them: it asks for
//! what a call says, reads it as strictly as their manuals do (an unknown verb, a wrong
//! attribute, bad nesting or a text that is too long fails the test), presses keys, keeps
//! silent, is a machine, and reports what became of the call, signed.

use serde_json::{Value, json};

use super::twilio::{Request, sign};
use super::{TestApp, vonage};

/// Whose telephone it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Twilio,
    Vonage,
}

pub const BOTH: [By; 2] = [By::Twilio, By::Vonage];

/// The longest text one `<Say>` takes, and one `talk`, in characters.
const MAX_SAY: usize = 4_096;
const MAX_TALK: usize = 1_500;

/// What was heard in one turn, and how it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    pub said: String,
    /// The languages it was said in, with the voice where one is named.
    pub voices: Vec<(String, Option<String>)>,
    pub then: Next,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    Listen { url: String },
    Connect { to: String, hears: String, ended: String },
    End,
}

/// One call of ours.
pub struct Telephone<'a> {
    app: &'a TestApp,
    by: By,
    answer_url: String,
    status_url: String,
    id: String,
}

impl<'a> Telephone<'a> {
    /// The last call that Twilio's double, or Vonage's, was asked for.
    pub fn rings(app: &'a TestApp, by: By) -> Self {
        match by {
            By::Twilio => {
                let mut calls = app.twilio.taken().into_iter();
                let call = calls.rfind(|call| call.resource == "Calls").expect("a call");
                Self::by_twilio(app, &call)
            }
            By::Vonage => {
                let call = app.vonage.taken().pop().expect("a call");
                let url = |name: &str| call.body[name][0].as_str().expect(name).to_owned();
                let (answer_url, status_url) = (url("answer_url"), url("event_url"));
                Self { app, by, answer_url, status_url, id: call.uuid }
            }
        }
    }

    pub fn by_twilio(app: &'a TestApp, call: &Request) -> Self {
        Self {
            app,
            by: By::Twilio,
            answer_url: call.field("Url").to_owned(),
            status_url: call.field("StatusCallback").to_owned(),
            id: call.sid.clone(),
        }
    }

    /// Somebody picks up: `human`, `machine`, `fax` or `unknown`.
    pub async fn picked_up(&self, who: &str) -> Turn {
        match self.by {
            By::Twilio => {
                let answered_by = if who == "machine" { "machine_end_beep" } else { who };
                self.asks(&self.answer_url, &[("AnsweredBy", answered_by)], &json!({})).await
            }
            By::Vonage => {
                let first = self.asks(&self.answer_url, &[], &json!({})).await;
                let state = match who {
                    "machine" => json!({"status": "machine", "sub_state": "beep_start"}),
                    "human" => json!({"status": "human"}),
                    _ => return first,
                };
                // What the event is answered with takes the place of what is said.
                match self.event(&state).await {
                    Some(instead) => instead,
                    None => first,
                }
            }
        }
    }

    pub async fn press(&self, turn: &Turn, key: char) -> Turn {
        let Next::Listen { url } = &turn.then else { panic!("nobody listens: {turn:?}") };
        let digit = key.to_string();
        let body = json!({"dtmf": {"digits": digit, "timed_out": false}});
        self.asks(url, &[("Digits", digit.as_str())], &body).await
    }

    pub async fn keep_silent(&self, turn: &Turn) -> Turn {
        let Next::Listen { url } = &turn.then else { panic!("nobody listens: {turn:?}") };
        let body = json!({"dtmf": {"digits": "", "timed_out": true}});
        self.asks(url, &[("Digits", "")], &body).await
    }

    /// The other party picks up and hears this before the two are connected.
    pub async fn desk_hears(&self, turn: &Turn) -> Turn {
        let Next::Connect { hears, .. } = &turn.then else { panic!("nobody is called: {turn:?}") };
        self.asks(hears, &[], &json!({})).await
    }

    /// The call to the other party is over: `completed`, or `no-answer`.
    pub async fn desk_call_ended(&self, turn: &Turn, how: &str) -> Turn {
        let Next::Connect { ended, .. } = &turn.then else { panic!("nobody is called: {turn:?}") };
        let status = if how == "no-answer" { "unanswered" } else { how };
        self.asks(ended, &[("DialCallStatus", how)], &json!({"status": status})).await
    }

    async fn asks(&self, url: &str, fields: &[(&str, &str)], body: &Value) -> Turn {
        let (status, said) = self.posts(url, fields, body).await;
        assert_eq!(status, 200, "{url}: {said}");
        match self.by {
            By::Twilio => read_twiml(&said),
            By::Vonage => read_ncco(&serde_json::from_str(&said).expect("an NCCO")),
        }
    }

    /// Posts as the provider does; what is answered, whatever it is.
    pub async fn posts(&self, url: &str, fields: &[(&str, &str)], body: &Value) -> (u16, String) {
        let public_url = &self.app.app.settings.http.public_url;
        let path = url.strip_prefix(public_url.as_str()).expect("our address");
        match self.by {
            By::Twilio => {
                let fields = [&[("CallSid", self.id.as_str())], fields].concat();
                self.app.post_form(path, &fields, Some(sign(url, &fields))).await
            }
            By::Vonage => {
                let mut body = body.clone();
                body["uuid"] = self.id.as_str().into();
                vonage::post_signed(self.app, path, &body).await
            }
        }
    }

    /// An event of Vonage, and the turn it is answered with.
    async fn event(&self, body: &Value) -> Option<Turn> {
        let (status, said) = self.posts(&self.status_url, &[], body).await;
        assert!((200..300).contains(&status), "{status} {said}");
        (status == 200).then(|| read_ncco(&serde_json::from_str(&said).expect("an NCCO")))
    }

    /// Reports what became of the call: `initiated`, `completed`, `busy`, `no-answer`,
    /// `failed`; and who picked up.
    pub async fn reports(&self, status: &str, answered_by: Option<&str>) {
        let vonage = match status {
            "no-answer" => "unanswered",
            "initiated" => "started",
            other => other,
        };
        let mut fields = vec![("CallStatus", status)];
        fields.extend(answered_by.map(|by| ("AnsweredBy", by)));
        let (status, said) =
            self.posts(&self.status_url, &fields, &json!({"status": vonage})).await;
        assert_eq!(status, 204, "{said}");
    }
}

/// Reads TwiML as Twilio's manual has it.
pub fn read_twiml(text: &str) -> Turn {
    let document = roxmltree::Document::parse(text).unwrap_or_else(|why| panic!("{why}: {text}"));
    let root = document.root_element();
    attributes(&root, "Response", &[]);
    let mut turn = Turn { said: String::new(), voices: Vec::new(), then: Next::End };
    let mut over = false;
    for verb in root.children() {
        assert!(verb.is_element(), "text between verbs: {text}");
        assert!(!over, "{:?} is never reached: {text}", verb.tag_name());
        match verb.tag_name().name() {
            "Say" | "Pause" => spoken(&verb, &mut turn),
            "Gather" => {
                let known = [
                    "input",
                    "numDigits",
                    "timeout",
                    "finishOnKey",
                    "actionOnEmptyResult",
                    "method",
                    "action",
                ];
                attributes(&verb, "Gather", &known);
                for (name, value) in [
                    ("input", "dtmf"),
                    ("numDigits", "1"),
                    ("actionOnEmptyResult", "true"),
                    ("method", "POST"),
                    ("finishOnKey", ""),
                ] {
                    assert_eq!(verb.attribute(name), Some(value), "{name}: {text}");
                }
                let timeout: u8 = verb.attribute("timeout").expect("timeout").parse().expect("s");
                assert!((1..=10).contains(&timeout));
                verb.children().for_each(|child| spoken(&child, &mut turn));
                turn.then = Next::Listen { url: verb.attribute("action").expect("action").into() };
                over = true;
            }
            "Dial" => {
                attributes(&verb, "Dial", &["timeout", "method", "action"]);
                let mut children = verb.children();
                let number = children.next().expect("somebody to dial");
                assert!(children.next().is_none(), "one number: {text}");
                attributes(&number, "Number", &["url", "method"]);
                let to = number.text().expect("a number");
                assert!(to.starts_with('+') && to[1..].bytes().all(|b| b.is_ascii_digit()), "{to}");
                turn.then = Next::Connect {
                    to: to.to_owned(),
                    hears: number.attribute("url").unwrap_or_default().into(),
                    ended: verb.attribute("action").expect("action").into(),
                };
                over = true;
            }
            "Hangup" => {
                attributes(&verb, "Hangup", &[]);
                assert!(!verb.has_children());
                over = true;
            }
            other => panic!("<{other}> is no verb we know: {text}"),
        }
    }
    turn
}

fn attributes(node: &roxmltree::Node<'_, '_>, name: &str, known: &[&str]) {
    assert_eq!(node.tag_name().name(), name, "where it does not belong");
    for attribute in node.attributes() {
        assert!(known.contains(&attribute.name()), "{name} has no {:?}", attribute.name());
    }
}

fn spoken(node: &roxmltree::Node<'_, '_>, turn: &mut Turn) {
    if node.tag_name().name() == "Pause" {
        attributes(node, "Pause", &["length"]);
        return;
    }
    attributes(node, "Say", &["language", "voice"]);
    let mut text = String::new();
    for part in node.descendants().skip(1) {
        if part.is_element() {
            attributes(&part, "prosody", &["rate"]);
        } else {
            text.push_str(part.text().unwrap_or_default());
        }
    }
    let text = text.trim();
    assert!((1..=MAX_SAY).contains(&text.chars().count()), "{} characters", text.len());
    let language = node.attribute("language").expect("a language");
    assert!(language.contains('-'), "{language} has no region");
    turn.voices.push((language.to_owned(), node.attribute("voice").map(str::to_owned)));
    turn.said.push_str(text);
    turn.said.push('\n');
}

/// Reads an NCCO as Vonage's reference has it.
pub fn read_ncco(ncco: &Value) -> Turn {
    let mut turn = Turn { said: String::new(), voices: Vec::new(), then: Next::End };
    for action in ncco.as_array().expect("a list of actions") {
        assert_eq!(turn.then, Next::End, "{action} is never reached");
        let known: &[&str] = match action["action"].as_str().expect("an action") {
            "talk" => {
                let text = action["text"].as_str().expect("a text");
                assert!((1..=MAX_TALK).contains(&text.chars().count()), "{} long", text.len());
                let language = action["language"].as_str().expect("a language").to_owned();
                let style = action.get("style").map(|style| style.as_u64().expect("a number"));
                turn.voices.push((language, style.map(|style| style.to_string())));
                // Vonage reads a text in <speak> as SSML, and that alone.
                match text.strip_prefix("<speak>") {
                    Some(_) => {
                        let ssml = roxmltree::Document::parse(text).expect("SSML");
                        for node in ssml.root_element().descendants().skip(1) {
                            assert!(node.is_text() || node.tag_name().name() == "prosody");
                            turn.said
                                .push_str(node.text().filter(|_| node.is_text()).unwrap_or(""));
                        }
                    }
                    None => turn.said.push_str(text),
                }
                turn.said.push('\n');
                &["action", "text", "bargeIn", "language", "style"]
            }
            "input" => {
                assert_eq!(action["type"], json!(["dtmf"]));
                let dtmf = &action["dtmf"];
                assert!((0..=10).contains(&dtmf["timeOut"].as_i64().expect("timeOut")));
                assert!((1..=20).contains(&dtmf["maxDigits"].as_i64().expect("maxDigits")));
                only(dtmf, &["timeOut", "maxDigits", "submitOnHash"]);
                turn.then = Next::Listen { url: address(&action["eventUrl"]) };
                &["action", "type", "dtmf", "eventUrl", "eventMethod"]
            }
            "connect" => {
                assert_eq!(action["eventType"], "synchronous", "else the answer is not read");
                let endpoint = &action["endpoint"][0];
                assert_eq!(endpoint["type"], "phone");
                only(endpoint, &["type", "number", "onAnswer"]);
                let to = endpoint["number"].as_str().expect("a number");
                assert!(to.bytes().all(|b| b.is_ascii_digit()), "E.164 without its plus: {to}");
                assert!((1..=120).contains(&action["timeout"].as_i64().expect("timeout")));
                turn.then = Next::Connect {
                    to: format!("+{to}"),
                    hears: endpoint["onAnswer"]["url"].as_str().unwrap_or_default().to_owned(),
                    ended: address(&action["eventUrl"]),
                };
                &["action", "endpoint", "from", "timeout", "eventType", "eventUrl", "eventMethod"]
            }
            other => panic!("{other} is no action we know"),
        };
        only(action, known);
    }
    turn
}

fn only(value: &Value, known: &[&str]) {
    for name in value.as_object().expect("an object").keys() {
        assert!(known.contains(&name.as_str()), "{name} in {value}");
    }
}

fn address(value: &Value) -> String {
    let list = value.as_array().expect("a list of one address");
    assert_eq!(list.len(), 1);
    list[0].as_str().expect("an address").to_owned()
}
