//! The plots of the report, as plain geometry for the template: units of an SVG 340 wide, which
//! a phone shows almost at its size.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::app::reports::silence::ROWS;

use super::figures::{Figures, Flow};

const WIDTH: f64 = 340.0;

/// Beside the bars: room for the name of the row, and for the number behind the bar.
const LABEL: f64 = 98.0;
const NUMBER: f64 = 44.0;

/// A pair of bars per row.
#[derive(Debug, Serialize)]
pub struct Bars {
    pub rows: Vec<BarRow>,
    pub height: f64,
}

#[derive(Debug, Serialize)]
pub struct BarRow {
    pub label: String,
    pub y: f64,
    pub bars: Vec<Bar>,
}

#[derive(Debug, Serialize)]
pub struct Bar {
    pub value: i64,
    pub y: f64,
    pub width: f64,
    /// Where its number stands.
    pub end: f64,
}

const BAR: f64 = 11.0;
const GAP: f64 = 8.0;

/// Rows of a name and its value in each version.
#[must_use]
pub fn bars(rows: Vec<(String, Vec<i64>)>) -> Bars {
    let most = rows.iter().flat_map(|(_, values)| values).copied().max().unwrap_or(0);
    let mut y = 0.0;
    let rows = rows
        .into_iter()
        .map(|(label, values)| {
            let top = y;
            let bar = |value| {
                let width = share(value, most) * (WIDTH - LABEL - NUMBER);
                let bar = Bar { value, y, width, end: LABEL + width + 4.0 };
                y += BAR;
                bar
            };
            let bars: Vec<Bar> = values.into_iter().map(bar).collect();
            let middle = f64::midpoint(top, y) + 4.0;
            y += GAP;
            BarRow { label, y: middle, bars }
        })
        .collect();
    Bars { rows, height: y }
}

#[allow(clippy::cast_precision_loss, reason = "a length for people")]
fn share(value: i64, most: i64) -> f64 {
    if most == 0 { 0.0 } else { value as f64 / most as f64 }
}

/// Messages of a customer's week; what is beyond a dozen is one row.
#[must_use]
pub fn per_week(versions: &[&Figures]) -> Bars {
    const MOST: i64 = 12;
    let longest = versions.iter().filter_map(|f| f.per_customer_week.keys().next_back()).max();
    let rows = (1..=longest.copied().unwrap_or(1).min(MOST)).map(|messages| {
        let count = |figures: &&Figures| {
            let weeks = figures.per_customer_week.iter();
            let fits = |n: &i64| if messages == MOST { *n >= MOST } else { *n == messages };
            weeks.filter(|(n, _)| fits(n)).map(|(_, weeks)| weeks).sum()
        };
        let more = if messages == MOST { " or more" } else { "" };
        (format!("{messages}{more}"), versions.iter().map(count).collect())
    });
    bars(rows.collect())
}

#[must_use]
pub fn latency(versions: &[&Figures]) -> Bars {
    let rows = versions[0].latency.iter().enumerate();
    let of = |n: usize| versions.iter().map(|figures| figures.latency[n].1).collect();
    bars(rows.map(|(n, (name, _))| ((*name).to_owned(), of(n))).collect())
}

/// From the first row that has a case to the last.
#[must_use]
pub fn silence(versions: &[&Figures]) -> Bars {
    let rows = ROWS.iter().enumerate().map(|(n, row)| {
        let label = match ROWS.get(n + 1) {
            Some(_) if *row == 1 => "1 day".to_owned(),
            Some(next) if *next == row + 1 => format!("{row} days"),
            Some(next) => format!("{row} to {} days", next - 1),
            None => format!("{row} or more"),
        };
        let count = |figures: &&Figures| figures.silence_days.get(row).copied().unwrap_or(0);
        (label, versions.iter().map(count).collect::<Vec<i64>>())
    });
    let is_empty = |(_, values): &(String, Vec<i64>)| values.iter().all(|value| *value == 0);
    let mut rows: Vec<(String, Vec<i64>)> = rows.skip_while(is_empty).collect();
    while rows.last().is_some_and(is_empty) {
        rows.pop();
    }
    bars(rows)
}

/// A square of the week: a weekday and an hour.
#[derive(Debug, Serialize)]
pub struct Cell {
    pub x: f64,
    pub y: f64,
    pub value: i64,
    /// How full its colour is, 0 to 1.
    pub fill: f64,
    pub title: String,
}

pub const WEEKDAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Messages per weekday and hour, on one scale for all versions.
#[must_use]
pub fn hours(versions: &[&Figures]) -> Vec<Vec<Cell>> {
    const SIDE: f64 = 12.5;
    let most = versions.iter().flat_map(|f| f.by_hour.iter().flatten()).copied().max().unwrap_or(0);
    let cells = |figures: &&Figures| {
        let mut cells = Vec::with_capacity(7 * 24);
        let (mut y, left) = (0.0, WIDTH - 24.0 * SIDE);
        for (day, hours) in WEEKDAYS.iter().zip(&figures.by_hour) {
            let mut x = left;
            for (hour, value) in hours.iter().enumerate() {
                // The root shows the few beside the many.
                let fill = share(*value, most).sqrt();
                let title = format!("{day} {hour:02}:00: {value}");
                cells.push(Cell { x, y, value: *value, fill, title });
                x += SIDE;
            }
            y += SIDE;
        }
        cells
    };
    versions.iter().map(cells).collect()
}

/// Notices on the left, what became of them on the right, and bands between them.
#[derive(Debug, Serialize)]
pub struct Flows {
    pub height: f64,
    pub left: Vec<Node>,
    pub right: Vec<Node>,
    pub bands: Vec<Band>,
}

#[derive(Debug, Serialize)]
pub struct Node {
    pub label: String,
    /// The label without its case type.
    pub short: String,
    pub count: i64,
    pub y: f64,
    pub height: f64,
}

#[derive(Debug, Serialize)]
pub struct Band {
    /// The outline, in SVG path words.
    pub path: String,
    pub title: String,
    /// Was the customer told?
    pub told: bool,
}

/// Room for a name, however thin its node.
const NODE_GAP: f64 = 15.0;

#[must_use]
pub fn flows(flows: &[Flow]) -> Flows {
    const FLOWING: f64 = 160.0;
    let total: i64 = flows.iter().map(|flow| flow.count).sum();
    let tall = |count: i64| share(count, total) * FLOWING;
    let nodes = |name: &dyn Fn(&Flow) -> &str| {
        let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
        for flow in flows {
            *counts.entry(name(flow)).or_default() += flow.count;
        }
        let mut counts: Vec<(&str, i64)> = counts.into_iter().collect();
        counts.sort_by_key(|(name, count)| (-count, *name));
        let mut y = 0.0;
        let node = |(name, count): (&str, i64)| {
            let height = tall(count).max(1.0);
            let short = name.rsplit('/').next().unwrap_or(name).to_owned();
            let node = Node { label: name.to_owned(), short, count, y, height };
            y += height + NODE_GAP;
            node
        };
        counts.into_iter().map(node).collect::<Vec<Node>>()
    };
    let (left, right) = (nodes(&|flow| &flow.notice), nodes(&|flow| &flow.outcome));
    let mut tops: BTreeMap<(bool, &str), f64> = BTreeMap::new();
    tops.extend(left.iter().map(|node| ((true, node.label.as_str()), node.y)));
    tops.extend(right.iter().map(|node| ((false, node.label.as_str()), node.y)));
    let mut bands = Vec::new();
    for from in &left {
        for to in &right {
            let found = |flow: &&Flow| flow.notice == from.label && flow.outcome == to.label;
            let Some(flow) = flows.iter().find(found) else { continue };
            let width = tall(flow.count);
            let mut take = |side, name| {
                let top = tops.get_mut(&(side, name)).expect("every end has a node");
                let y = *top;
                *top += width;
                y
            };
            let (a, b) = (take(true, from.label.as_str()), take(false, to.label.as_str()));
            bands.push(Band {
                path: band(a, b, width.max(0.5)),
                title: format!("{}: {} {}", flow.notice, flow.count, flow.outcome),
                told: flow.outcome.starts_with("told"),
            });
        }
    }
    let bottom = |nodes: &[Node]| nodes.last().map_or(0.0, |node| node.y + node.height);
    let height = bottom(&left).max(bottom(&right)) + NODE_GAP;
    Flows { height, left, right, bands }
}

/// A band from the left nodes at `a` to the right ones at `b`.
fn band(a: f64, b: f64, width: f64) -> String {
    const FROM: f64 = 140.0;
    const TO: f64 = 226.0;
    let middle = f64::midpoint(FROM, TO);
    let (c, d) = (a + width, b + width);
    format!(
        "M{FROM} {a:.1}C{middle} {a:.1} {middle} {b:.1} {TO} {b:.1}V{d:.1}C{middle} {d:.1} {middle} {c:.1} {FROM} {c:.1}Z"
    )
}
