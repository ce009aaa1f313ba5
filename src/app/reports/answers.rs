//! How questions were answered: each message that asks one, with how often it was asked and
//! what customers said.

use serde::Serialize;

use crate::planning::journey::Journeys;
use crate::store::answers::Answered;
use crate::store::balance::Period;
use crate::store::{Result, Store};

use super::share;

/// One answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Given {
    pub answer: String,
    pub times: i64,
    /// Of all answers to this question, from 0 to 1.
    pub share: f64,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Question {
    /// `return/how-did-we-do`
    pub message: String,
    pub asked: i64,
    pub answered: i64,
    /// `answered` of `asked`, from 0 to 1.
    pub rate: f64,
    /// From the hand-over to the answer, on average.
    pub mean_hours: Option<f64>,
    /// In the order of the journey; those it no longer has come last.
    pub answers: Vec<Given>,
}

/// Sums up what was asked in a period, by the questions of the journeys in force.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn report(store: &Store, journeys: &Journeys, period: Period) -> Result<Vec<Question>> {
    Ok(questions(&store.answered(period).await?, journeys))
}

fn questions(rows: &[Answered], journeys: &Journeys) -> Vec<Question> {
    let of_one = rows.chunk_by(|a, b| (&a.case_type, &a.notice) == (&b.case_type, &b.notice));
    of_one.filter_map(|rows| question(rows, journeys)).collect()
}

fn question(rows: &[Answered], journeys: &Journeys) -> Option<Question> {
    let Answered { case_type, notice, .. } = rows.first()?;
    let journey = journeys.get(case_type);
    let offered = journey.and_then(|journey| journey.notice(notice));
    let offered = offered.map(|notice| notice.answers.clone()).unwrap_or_default();
    let given: Vec<_> =
        rows.iter().filter_map(|row| Some((row.answer.as_ref()?, row.times))).collect();
    if offered.is_empty() && given.is_empty() {
        return None;
    }
    let asked = rows.iter().map(|row| row.times).sum();
    let answered = given.iter().map(|(_, times)| times).sum();
    let times =
        |name: &String| given.iter().find(|(known, _)| *known == name).map_or(0, |(_, n)| *n);
    let former = given.iter().map(|(name, _)| *name).filter(|name| !offered.contains(*name));
    let answers = offered.iter().chain(former).map(|name| Given {
        answer: name.clone(),
        times: times(name),
        share: share(times(name), answered),
    });
    let waited_ms: i64 = rows
        .iter()
        .filter_map(|row| row.answer.as_ref().and(row.mean_ms).map(|mean_ms| mean_ms * row.times))
        .sum();
    Some(Question {
        message: format!("{case_type}/{notice}"),
        asked,
        answered,
        rate: share(answered, asked),
        mean_hours: (answered > 0).then(|| share(waited_ms, answered) / 3_600_000.0),
        answers: answers.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planning::testing::rules;

    fn row(notice: &str, answer: Option<&str>, times: i64, mean_h: i64) -> Answered {
        Answered {
            case_type: "return".into(),
            notice: notice.into(),
            answer: answer.map(str::to_owned),
            times,
            mean_ms: answer.map(|_| mean_h * 3_600_000),
        }
    }

    #[test]
    fn a_question_lists_every_answer_it_offers_and_those_it_used_to() {
        let rules = rules(
            r#"
case_type = "return"
states = ["closed"]
final = ["closed"]
[[notice]]
id = "how-did-we-do"
on = { state = "closed", after = "1 day" }
topic = "survey"
answers = ["well", "badly"]
[[notice]]
id = "closed"
on = { state = "closed" }
"#,
        );
        let rows = [
            row("closed", None, 40, 0),
            row("how-did-we-do", None, 6, 0),
            row("how-did-we-do", Some("so so"), 1, 2),
            row("how-did-we-do", Some("well"), 3, 6),
        ];
        let [question] = &questions(&rows, &rules.journeys)[..] else { panic!("one question") };
        assert_eq!((question.asked, question.answered), (10, 4));
        assert!((question.rate - 0.4).abs() < 1e-9);
        assert_eq!(question.mean_hours, Some(5.0));
        let answers: Vec<_> =
            question.answers.iter().map(|given| (given.answer.as_str(), given.times)).collect();
        assert_eq!(answers, [("well", 3), ("badly", 0), ("so so", 1)]);
    }
}
