//! The layouts of each channel, and the few words of the frame in each language.
//!
//! Escaping happens here and only here: a layout ending in `.html` escapes what it prints.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use serde::{Deserialize, Serialize};

use crate::domain::Message;
use crate::domain::preference::Need;

use super::locale::{Setting, add_filters, fallback_chain};
use super::message::{Links, RenderError, Scene, Sender};
use super::{Company, RiderWords};

/// Steps one layout may take.
const FUEL: u64 = 100_000;

/// The one layout that is escaped: the mail's HTML.
pub(super) const EMAIL_HTML: &str = "email.html";

/// The layouts of all channels.
#[derive(Debug, Clone)]
pub struct Presentation {
    pub(super) environment: Arc<Environment<'static>>,
    words: BTreeMap<String, Words>,
    /// The same, as templates see them.
    values: BTreeMap<String, Value>,
    default_locale: String,
    /// The parts a text message should keep to, and those it may take at most.
    pub(super) max_parts: u32,
    pub(super) most_parts: u32,
}

/// The frame's own words, in one language. `templates/channels/words.toml`.
pub type Words = BTreeMap<String, String>;

/// The sources of a presentation, by file name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Layouts {
    pub email_mjml: String,
    pub email_txt: String,
    pub sms_txt: String,
    pub voice_txt: String,
    pub words_toml: String,
}

/// What a layout shows besides the message.
#[derive(Debug, Clone)]
pub struct Frame<'a> {
    pub message: &'a Message,
    pub scene: &'a Scene<'a>,
    /// What earlier messages, replaced by this one, would have said.
    pub earlier: &'a [String],
    /// The code that verifies the message.
    pub code: &'a str,
    /// Can the customer reply to a text?
    pub replies: bool,
    /// No case details where somebody else may look.
    pub discreet: bool,
    pub company: Company<'a>,
    /// What the person needs beyond the words.
    pub needs: &'a [Need],
    /// How many that ride along are only counted.
    pub left_out: usize,
    /// How long a call back takes now, in minutes: the shortest and the longest.
    pub wait_min: Option<(i64, i64)>,
}

impl Frame<'_> {
    /// What is said besides, or, in a digest, everything that is said.
    fn items(&self) -> Vec<RiderWords> {
        let own = self.company.digest.then(|| RiderWords {
            subject: self.message.subject.clone(),
            changed: self.message.changed.clone(),
            action: self.message.action.clone(),
            case_id: self.scene.case.id.0.clone(),
        });
        own.into_iter().chain(self.company.words.iter().cloned()).collect()
    }
}

impl Presentation {
    /// Compiles the layouts: MJML becomes HTML once, here.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn load(
        layouts: &Layouts,
        default_locale: &str,
        (max_parts, most_parts): (u32, u32),
    ) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|name| {
            if name == EMAIL_HTML { AutoEscape::Html } else { AutoEscape::None }
        });
        environment.set_fuel(Some(FUEL));
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.expect("valid"));
        add_filters(&mut environment);
        environment.add_filter("lines", lines);
        environment.add_filter("excerpt", excerpt);
        environment.add_filter("one_line", |text: &str| {
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        });
        let html = super::email::compile(&layouts.email_mjml)?;
        for (name, source) in [
            (EMAIL_HTML, &html),
            ("email.txt", &layouts.email_txt),
            ("sms.txt", &layouts.sms_txt),
            ("voice.txt", &layouts.voice_txt),
        ] {
            environment
                .add_template_owned(name, source.clone())
                .map_err(|error| format!("templates/channels/{name}: {error}"))?;
        }
        for block in super::voice::BLOCKS {
            if !layouts.voice_txt.contains(&format!("{{% block {block} %}}")) {
                return Err(format!(
                    "templates/channels/voice.txt has no {{% block {block} %}}; a call is made of {}",
                    super::voice::BLOCKS.join(", ")
                ));
            }
        }
        let words: BTreeMap<String, Words> = toml::from_str(&layouts.words_toml)
            .map_err(|error| format!("templates/channels/words.toml: {error}"))?;
        if !words.contains_key(default_locale) {
            return Err(format!(
                "templates/channels/words.toml has no words for the default language {default_locale:?}"
            ));
        }
        let values = words.iter().map(|(locale, words)| (locale.clone(), words_value(words)));
        let (values, environment) = (values.collect(), Arc::new(environment));
        let default_locale = default_locale.to_owned();
        Ok(Self { environment, words, values, default_locale, max_parts, most_parts })
    }

    /// The subject of a message: its own, or that of the digest, or one that tells nothing.
    #[must_use]
    pub fn subject(&self, frame: &Frame<'_>) -> String {
        let words = self.words(&frame.message.locale);
        let word = |name: &str| words.get(name).cloned().unwrap_or_default();
        if frame.discreet {
            word("discreet_subject")
        } else if frame.company.digest {
            let count = frame.company.words.len() + frame.left_out + 1;
            word("digest_subject").replace("{count}", &count.to_string())
        } else {
            frame.message.subject.clone()
        }
    }

    /// How long a call back takes, in a language: "about 5 to 10 minutes".
    #[must_use]
    pub fn wait(&self, locale: &str, (shortest, longest): (i64, i64)) -> Option<String> {
        let key = if shortest == longest { "wait_about" } else { "wait_range" };
        let text = self.words(locale).get(key)?.replace("{shortest}", &shortest.to_string());
        Some(text.replace("{longest}", &longest.to_string()))
    }

    /// The frame's words in the language of the message.
    #[must_use]
    pub fn words(&self, locale: &str) -> &Words {
        fallback_chain(locale, &self.default_locale)
            .iter()
            .find_map(|locale| self.words.get(locale))
            .expect("the default language has words")
    }

    fn words_value(&self, locale: &str) -> Value {
        fallback_chain(locale, &self.default_locale)
            .iter()
            .find_map(|locale| self.values.get(locale).cloned())
            .expect("the default language has words")
    }

    /// The names that the layout of a text uses: `message.changed`, `links.verify`.
    #[must_use]
    pub fn sms_variables(&self) -> BTreeSet<String> {
        let layout = self.environment.get_template("sms.txt").expect("compiled at load");
        layout.undeclared_variables(true).into_iter().collect()
    }

    pub(super) fn context(&self, frame: &Frame<'_>, setting: Setting) -> Value {
        let scene = frame.scene;
        let profile = &scene.customer.profile;
        minijinja::context! {
            message => Serde(frame.message),
            earlier => Serde(frame.earlier),
            subject => self.subject(frame),
            // Inside the message nobody looks over a shoulder.
            heading => self.subject(&Frame { discreet: false, ..frame.clone() }),
            items => Serde(frame.items()),
            digest => frame.company.digest,
            left_out => frame.left_out,
            first => frame.company.first,
            large_print => frame.needs.contains(&Need::LargePrint),
            case_id => scene.case.id.as_str(),
            name => profile.name.as_str(),
            sender => Serde::<&Sender>(scene.sender),
            links => Serde::<&Links>(scene.links),
            code => frame.code,
            replies => frame.replies,
            discreet => frame.discreet,
            wait => frame.wait_min.and_then(|wait| self.wait(&frame.message.locale, wait)),
            locale => frame.message.locale.as_str(),
            words => self.words_value(&frame.message.locale),
            _setting => Value::from_object(setting),
        }
    }

    /// Renders these blocks of a layout, in their order.
    pub(super) fn render_blocks<const N: usize>(
        &self,
        name: &str,
        blocks: [&str; N],
        context: Value,
    ) -> Result<[String; N], RenderError> {
        let faulty = |error: minijinja::Error| RenderError::Faulty {
            name: format!("templates/channels/{name}"),
            detail: error.to_string(),
        };
        let layout = self.environment.get_template(name).map_err(faulty)?;
        let mut captured = layout.render_captured(context).map_err(faulty)?;
        let mut rendered = [const { String::new() }; N];
        captured.with_state_mut(|state| {
            for (block, text) in blocks.into_iter().zip(&mut rendered) {
                *text = state.render_block(block).map_err(faulty)?;
            }
            Ok(rendered)
        })
    }

    pub(super) fn render(&self, name: &str, context: Value) -> Result<String, RenderError> {
        let faulty = |error: minijinja::Error| RenderError::Faulty {
            name: format!("templates/channels/{name}"),
            detail: error.to_string(),
        };
        self.environment.get_template(name).and_then(|t| t.render(context)).map_err(faulty)
    }
}

fn words_value(words: &Words) -> Value {
    Value::from(Serde(words))
}

/// The beginning of a text, at most 90 characters, ending with a whole word: what an inbox
/// shows beside the subject.
fn excerpt(text: &str) -> String {
    let mut taken = String::new();
    for word in text.split_whitespace() {
        if taken.chars().count() + word.chars().count() >= 90 {
            taken.push('…');
            break;
        }
        if !taken.is_empty() {
            taken.push(' ');
        }
        taken.push_str(word);
    }
    taken
}

/// The lines of a text, without empty ones.
fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}
