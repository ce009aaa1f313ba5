//! The story of the demo: what happens in the shop, and what its customers do.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::time::{Instant, from_ms, parse_instant};
use crate::domain::{CaseEvent, Channel};
use crate::store::intake::Incoming;

const STORY: &str = include_str!("../../../config/demo/story.jsonl");

/// Who tells of the cases.
const SOURCE: &str = "shop";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    says: String,
    event: Option<Value>,
    at: Option<String>,
    customer: Option<String>,
    chooses: Option<Chooses>,
    answers: Option<Answers>,
}

/// A choice of channels, best first.
#[derive(Debug, Clone, Deserialize)]
pub struct Chooses {
    pub channel_order: Vec<Channel>,
}

/// An answer to the last question.
#[derive(Debug, Clone, Deserialize)]
pub struct Answers {
    pub answer: String,
    pub by: By,
}

/// By which way a customer answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    Link,
    Text,
}

/// What a customer does.
#[derive(Debug, Clone)]
pub enum Deed {
    Chooses(Chooses),
    Answers(Answers),
}

/// Something a customer does, and when.
#[derive(Debug, Clone)]
pub struct Action {
    pub at: Instant,
    pub customer: String,
    pub says: String,
    pub deed: Deed,
}

/// The whole story, in its order.
#[derive(Debug, Clone, Default)]
pub struct Story {
    pub events: Vec<Incoming>,
    /// What the narrator says to each event, by its id.
    pub says: std::collections::HashMap<String, String>,
    pub actions: std::collections::VecDeque<Action>,
}

impl Story {
    /// Reads the story in the binary.
    #[must_use]
    pub fn read() -> Self {
        let mut story = Self::default();
        for (n, line) in STORY.lines().enumerate() {
            let line: Line = serde_json::from_str(line).expect("the story is a constant");
            if let Some(mut event) = line.event {
                let id = format!("shop-{:02}", n + 1);
                event["id"] = Value::from(id.as_str());
                event["source"] = Value::from(SOURCE);
                let far_ahead = from_ms(4_102_444_800_000);
                let read = CaseEvent::from_json(&event, "", far_ahead).expect("a good event");
                story.events.push(Incoming::new(read, &event));
                story.says.insert(id, line.says);
            } else {
                let at = parse_instant(&line.at.unwrap_or_default()).expect("an instant");
                let deed = match (line.chooses, line.answers) {
                    (Some(chooses), None) => Deed::Chooses(chooses),
                    (None, Some(answers)) => Deed::Answers(answers),
                    _ => panic!("line {} of the story does one thing", n + 1),
                };
                let customer = line.customer.unwrap_or_default();
                story.actions.push_back(Action { at, customer, says: line.says, deed });
            }
        }
        story
    }
}
