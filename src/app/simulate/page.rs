//! The report as one HTML page: its own style, inline SVG, no script, nothing loaded from
//! anywhere. Each plot has a title, a description and its numbers as a table.

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

use crate::app::reports::cost::money;
use crate::domain::time::Instant;

use super::compare::Comparison;
use super::figures::{Figures, Period};
use super::plots::{self, WEEKDAYS};

const PAGE: &str = include_str!("../../../templates/reports/simulation.html");
const STYLE: &str = include_str!("../../../templates/reports/style.css");

/// What the report says beside the figures.
#[derive(Debug, Clone, Serialize)]
pub struct Heading {
    /// What each version is called, the published one first.
    pub names: Vec<String>,
    pub events: usize,
    pub from: Instant,
    pub to: Instant,
}

impl Heading {
    #[must_use]
    pub fn new(names: Vec<String>, events: usize, period: Period) -> Self {
        Self { names, events, from: period.from, to: period.to }
    }
}

/// Writes the page for one version, or for two and how they differ.
///
/// # Errors
/// When the template has a fault.
pub fn page(
    heading: &Heading,
    versions: &[&Figures],
    comparison: Option<&Comparison>,
) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_filter("day", |at: String| at.get(..10).unwrap_or(&at).to_owned());
    environment
        .add_filter("minute", |at: String| at.get(..16).unwrap_or(&at).replacen('T', " ", 1));
    environment.add_filter("n1", |number: f64| format!("{number:.1}"));
    environment.add_template("page", PAGE)?;
    let view = View {
        style: STYLE,
        heading,
        versions,
        comparison,
        costs: versions.iter().map(|f| money(&f.cost, &f.currency)).collect(),
        flows: versions.iter().map(|f| plots::flows(&f.flows)).collect(),
        weekdays: WEEKDAYS,
        hours: plots::hours(versions),
        per_week: plots::per_week(versions),
        latency: plots::latency(versions),
        silence: plots::silence(versions),
    };
    environment.get_template("page")?.render(minijinja::value::Serde(&view))
}

/// What the template sees.
#[derive(Serialize)]
struct View<'a> {
    style: &'static str,
    heading: &'a Heading,
    versions: &'a [&'a Figures],
    comparison: Option<&'a Comparison>,
    costs: Vec<String>,
    flows: Vec<plots::Flows>,
    weekdays: [&'static str; 7],
    hours: Vec<Vec<plots::Cell>>,
    per_week: plots::Bars,
    latency: plots::Bars,
    silence: plots::Bars,
}
