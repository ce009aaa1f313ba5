//! A journey as a picture: its states, what is said in each and when, by which channels, and
//! where a customer hears nothing; with what happened on the arrows.

mod traffic;

use minijinja::{AutoEscape, Environment};
use serde::Serialize;

use crate::planning::journey::{CronZone, Journey, Notice, Trigger};

use traffic::Traffic;
pub use traffic::{Month, last_month};

const PICTURE: &str = include_str!("../../templates/reports/journey.svg");
const PAGE: &str = include_str!("../../templates/reports/journey.html");
const STYLE: &str = include_str!("../../templates/reports/style.css");

/// A journey, drawn up.
#[derive(Debug, Serialize)]
pub struct JourneyMap {
    pub case_type: String,
    /// How often another word is promised.
    pub promise: Option<String>,
    pub states: Vec<StateRow>,
    /// What is said whatever the state: facts, silence, the calendar, named events.
    pub any_state: Vec<NoticeRow>,
    pub arrows: Vec<Arrow>,
    pub height: i64,
}

#[derive(Debug, Serialize)]
pub struct StateRow {
    pub name: String,
    pub is_final: bool,
    /// How often a case entered it, where that is known.
    pub entered: Option<i64>,
    pub notices: Vec<NoticeRow>,
    /// Nothing is said because a case enters it.
    pub unsaid: bool,
    pub y: i64,
    pub height: i64,
}

#[derive(Debug, Serialize)]
pub struct NoticeRow {
    pub id: String,
    /// In words: when, how often, by which channels.
    pub words: String,
    /// How often it was told, where that is known.
    pub told: Option<i64>,
    pub y: i64,
}

/// A move from one state to another.
#[derive(Debug, Serialize)]
pub struct Arrow {
    pub from: String,
    pub to: String,
    /// How many cases took it; `None` where only the order of the rules is known.
    pub count: Option<i64>,
    pub path: String,
    /// Where its number stands.
    pub x: i64,
    pub y: i64,
}

/// Units of the picture: a row, and where the boxes begin.
const ROW: i64 = 17;
const LEFT: i64 = 120;

/// The most arrows that are drawn: the busiest.
const MAX_ARROWS: usize = 40;

/// Draws up one journey.
#[must_use]
pub fn map(journey: &Journey, traffic: Option<&Traffic>) -> JourneyMap {
    let mut y = 8;
    let row = |notice: &Notice, y: &mut i64| {
        let top = *y;
        *y += ROW;
        let told = traffic.map(|traffic| traffic.told.get(&notice.id).copied().unwrap_or(0));
        NoticeRow { id: notice.id.clone(), words: words(notice), told, y: top }
    };
    let mut states = Vec::with_capacity(journey.states.len());
    for name in &journey.states {
        let top = y;
        y += ROW;
        let said = journey.notices.iter().filter(|notice| notice.is_sent());
        let said = said.filter(|n| matches!(&n.on, Trigger::State { state, .. } if state == name));
        let notices: Vec<NoticeRow> = said.map(|notice| row(notice, &mut y)).collect();
        let unsaid = notices.is_empty();
        y += if unsaid { ROW } else { 0 } + 8;
        states.push(StateRow {
            name: name.clone(),
            is_final: journey.is_final(Some(name)),
            entered: traffic.map(|traffic| traffic.entered.get(name).copied().unwrap_or(0)),
            notices,
            unsaid,
            y: top,
            height: y - top,
        });
        y += 10;
    }
    y += ROW;
    let others = journey.notices.iter().filter(|notice| notice.is_sent());
    let others = others.filter(|notice| !matches!(notice.on, Trigger::State { .. }));
    let any_state: Vec<NoticeRow> = others.map(|notice| row(notice, &mut y)).collect();
    let arrows = arrows(journey, traffic, &states);
    JourneyMap {
        case_type: journey.case_type.clone(),
        promise: journey.promise.map(|every| every.to_string()),
        states,
        any_state,
        arrows,
        height: y + ROW,
    }
}

fn arrows(journey: &Journey, traffic: Option<&Traffic>, states: &[StateRow]) -> Vec<Arrow> {
    let mut moves: Vec<(&str, &str, Option<i64>)> = if let Some(traffic) = traffic {
        let moves = traffic.moves.iter();
        moves.map(|((from, to), count)| (from.as_str(), to.as_str(), Some(*count))).collect()
    } else {
        let pairs = journey.order.iter().flat_map(|chain| chain.windows(2));
        pairs.map(|pair| (pair[0].as_str(), pair[1].as_str(), None)).collect()
    };
    moves.sort_by_key(|(from, to, count)| (std::cmp::Reverse(*count), *from, *to));
    moves.truncate(MAX_ARROWS);
    let place = |name: &str| states.iter().position(|state| state.name == name);
    let arrow = |(from, to, count): (&str, &str, Option<i64>)| {
        let (a, b) = (place(from)?, place(to)?);
        // Out of the lower part of a box, into the upper part of another.
        let (y1, y2) = (states[a].y + states[a].height - 8, states[b].y + 10);
        let away = i64::try_from(a.abs_diff(b)).unwrap_or(0).min(12);
        let x = LEFT - 14 - away * 8;
        Some(Arrow {
            from: from.to_owned(),
            to: to.to_owned(),
            count,
            path: format!("M{LEFT} {y1}C{x} {y1} {x} {y2} {LEFT} {y2}"),
            x: LEFT - (LEFT - x) * 3 / 4 - 2,
            y: i64::midpoint(y1, y2),
        })
    };
    moves.into_iter().filter_map(arrow).collect()
}

/// When a notice is said, how often, and by which channels.
fn words(notice: &Notice) -> String {
    let mut words = vec![match &notice.on {
        Trigger::State { after: None, .. } => "at once".to_owned(),
        Trigger::State { after: Some(span), .. } => format!("after {span}"),
        Trigger::Fact { fact, offset } => format!("{offset} “{fact}”"),
        Trigger::Event { event } => format!("when “{event}” happens"),
        Trigger::Silence { after } => format!("after {after} of silence"),
        Trigger::Cron { cron, zone } => match zone {
            CronZone::Customer => format!("at {} for the customer", cron.source),
            CronZone::Named(zone) => format!("at {} in {zone}", cron.source),
        },
    }];
    if let Some(window) = notice.window {
        words.push(window.to_string());
    }
    if let Some(repeat) = notice.repeat {
        words.push(format!("again every {}, {} times at most", repeat.every, repeat.at_most));
    }
    let channels: Vec<&str> = notice.channels.iter().map(|channel| channel.as_str()).collect();
    words.push(format!("by {}", channels.join(", ")));
    if let Some(escalate) = notice.escalate {
        words.push(format!("the next channel after {}", escalate.after));
    }
    words.join("; ")
}

impl JourneyMap {
    /// For the terminal.
    #[must_use]
    pub fn text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = format!("{}\n", self.case_type);
        if let Some(promise) = &self.promise {
            let _ = writeln!(text, "  promised: another word every {promise}");
        }
        let count = |count: Option<i64>| count.map(|n| format!("  [{n}]")).unwrap_or_default();
        for state in &self.states {
            let end = if state.is_final { " (the end)" } else { "" };
            let _ = writeln!(text, "  {}{end}{}", state.name, count(state.entered));
            for notice in &state.notices {
                let _ = writeln!(text, "    {}: {}{}", notice.id, notice.words, count(notice.told));
            }
            if state.unsaid {
                let _ = writeln!(text, "    nothing is said");
            }
            for arrow in self.arrows.iter().filter(|arrow| arrow.from == state.name) {
                let _ = writeln!(text, "    → {}{}", arrow.to, count(arrow.count));
            }
        }
        if !self.any_state.is_empty() {
            let _ = writeln!(text, "  in any of these states");
        }
        for notice in &self.any_state {
            let _ = writeln!(text, "    {}: {}{}", notice.id, notice.words, count(notice.told));
        }
        text
    }

    /// One SVG document, readable in dark and light.
    ///
    /// # Errors
    /// When the template has a fault.
    pub fn svg(&self) -> Result<String, minijinja::Error> {
        self.draw(true)
    }

    /// The same for a page whose stylesheet has its colours.
    ///
    /// # Errors
    /// When the template has a fault.
    pub fn picture(&self) -> Result<String, minijinja::Error> {
        self.draw(false)
    }

    fn draw(&self, styled: bool) -> Result<String, minijinja::Error> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.add_template("picture", PICTURE)?;
        let map = minijinja::Value::from(minijinja::value::Serde(self));
        environment.get_template("picture")?.render(minijinja::context! { styled, ..map })
    }
}

/// The maps on one page, each with its words beneath.
///
/// # Errors
/// When the template has a fault.
pub fn page(maps: &[JourneyMap]) -> Result<String, minijinja::Error> {
    #[derive(Serialize)]
    struct Shown<'a> {
        case_type: &'a str,
        picture: String,
        text: String,
    }
    #[derive(Serialize)]
    struct View<'a> {
        style: &'static str,
        maps: Vec<Shown<'a>>,
    }
    let shown = |map: &'_ JourneyMap| -> Result<(String, String), minijinja::Error> {
        Ok((map.svg()?, map.text()))
    };
    let mut all = Vec::with_capacity(maps.len());
    for map in maps {
        let (picture, text) = shown(map)?;
        all.push(Shown { case_type: &map.case_type, picture, text });
    }
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_template("page", PAGE)?;
    let view = View { style: STYLE, maps: all };
    environment.get_template("page")?.render(minijinja::value::Serde(&view))
}
