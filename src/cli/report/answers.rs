use clap::Args;

use crate::app::reports::answers::{Question, report};
use crate::clock::Clock;

use super::super::{Context, ExitCode, Outcome, print};
use super::Days;

/// How questions were answered: ratings after an end, choices, confirmations
#[derive(Debug, Args)]
pub struct Answers {
    #[command(flatten)]
    period: Days,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Answers {
    pub async fn run(self, context: &Context) -> Outcome {
        let period = self.period.period()?;
        let settings = context.settings()?;
        let store = context.store(&settings).await?;
        let app = context.app(settings, Clock::System, store).await?;
        let live = app.engine.live.load();
        let questions = report(&app.engine.store, &live.rules.journeys, period).await?;
        if self.json {
            print::json(&questions)?;
        } else {
            show(&questions);
        }
        Ok(ExitCode::Done)
    }
}

fn show(questions: &[Question]) {
    if questions.is_empty() {
        println!("Nothing was asked. A notice asks a question with answers = [...].");
        return;
    }
    let rows = questions.iter().flat_map(|question| {
        let head = vec![
            question.message.clone(),
            String::new(),
            format!("{} of {}", question.answered, question.asked),
            format!("{:.1} %", question.rate * 100.0),
            question.mean_hours.map(|hours| format!("after {hours:.1} h")).unwrap_or_default(),
        ];
        let answers = question.answers.iter().map(|given| {
            vec![
                String::new(),
                given.answer.clone(),
                given.times.to_string(),
                format!("{:.1} %", given.share * 100.0),
                print::bar(given.share, 1.0),
            ]
        });
        std::iter::once(head).chain(answers)
    });
    println!("{}", print::table(&["question", "answer", "answered", "share", ""], rows));
}
