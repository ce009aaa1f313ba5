//! The customer's pages as files: templates, the words of each language and the stylesheet,
//! from the folder of the settings or from the copies in the binary. Read once, at start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use icu::locale::{LanguageIdentifier, LocaleDirectionality};
use jiff::tz::TimeZone;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use sha2::{Digest, Sha256};

use crate::config::Settings;
use crate::render::locale::{Languages, SETTING, Setting, add_filters, fallback_chain};

use super::content::{BUILT_IN_TEMPLATES, ContentError};

/// Steps one page may take.
const FUEL: u64 = 2_000_000;

/// The words of the pages in one language.
pub type Words = BTreeMap<String, String>;

/// The pages, ready to be filled.
#[derive(Debug, Clone)]
pub struct Pages {
    environment: Arc<Environment<'static>>,
    words: Arc<BTreeMap<String, Words>>,
    languages: Languages,
    default_locale: String,
    /// The stylesheet.
    pub style: Arc<str>,
    /// The hash of the words, kept with each choice made on them.
    pub text_version: String,
    sender: String,
    phone: Option<String>,
}

/// For whom a page is written.
#[derive(Debug, Clone)]
pub struct Reader {
    /// BCP 47.
    pub locale: String,
    pub zone: TimeZone,
}

impl Pages {
    /// Reads and checks the files.
    ///
    /// # Errors
    /// Which file cannot be read, is no template, or lacks words that the default language has.
    pub fn load(settings: &Settings) -> Result<Self, ContentError> {
        let folder = BUILT_IN_TEMPLATES.get_dir("centre").expect("shipped");
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.set_auto_escape_callback(|name| {
            let is_html = name.rsplit_once('.').is_some_and(|(_, ending)| ending == "html");
            if is_html { AutoEscape::Html } else { AutoEscape::None }
        });
        environment.set_fuel(Some(FUEL));
        add_filters(&mut environment);
        environment.add_filter("fill", fill);
        let mut words = BTreeMap::new();
        let mut style = String::new();
        let mut hasher = Sha256::new();
        let own = settings.templates.dir.join("centre");
        for name in names(folder, &own) {
            let path = own.join(&name);
            let shipped = folder.get_file(folder.path().join(&name));
            let text = match (std::fs::read_to_string(&path), shipped) {
                (Ok(text), _) => text,
                (Err(error), Some(file)) if error.kind() == std::io::ErrorKind::NotFound => {
                    file.contents_utf8().expect("shipped files are UTF-8").to_owned()
                }
                (Err(error), _) => {
                    return Err(ContentError(format!("{}: {error}", path.display())));
                }
            };
            let wrong = |why: &dyn std::fmt::Display| {
                ContentError(format!("templates/centre/{name}: {why}"))
            };
            if let Some(locale) =
                name.strip_prefix("words.").and_then(|name| name.strip_suffix(".toml"))
            {
                hasher.update(text.as_bytes());
                let read: Words = toml::from_str(&text).map_err(|error| wrong(&error))?;
                words.insert(locale.to_owned(), read);
            } else if name == "style.css" {
                style = text;
            } else {
                environment
                    .add_template_owned(name.clone(), text)
                    .map_err(|error| wrong(&error))?;
            }
        }
        complete(&words)?;
        Ok(Self {
            environment: Arc::new(environment),
            words: Arc::new(words),
            languages: Languages::default(),
            default_locale: settings.locales.default.clone(),
            style: style.into(),
            text_version: data_encoding::HEXLOWER.encode(&hasher.finalize()[..8]),
            sender: settings.sender.name.clone(),
            phone: settings.sender.phone.clone(),
        })
    }

    /// The words in a language, or the nearest there is.
    #[must_use]
    pub fn words(&self, locale: &str) -> &Words {
        fallback_chain(locale, &self.default_locale)
            .iter()
            .find_map(|locale| self.words.get(locale))
            .or_else(|| self.words.get("en"))
            .expect("English is shipped")
    }

    /// One word or sentence.
    #[must_use]
    pub fn word(&self, locale: &str, key: &str) -> String {
        self.words(locale).get(key).cloned().unwrap_or_default()
    }

    /// The languages there are words in.
    pub fn locales(&self) -> impl Iterator<Item = &str> {
        self.words.keys().map(String::as_str)
    }

    /// The language a browser asks for, or the default (RFC 9110 section 12.5.4; the order
    /// stands for the weights, as browsers write it).
    #[must_use]
    pub fn negotiate(&self, accepted: &str) -> String {
        let tags = accepted.split(',').filter_map(|part| part.split(';').next());
        tags.map(str::trim)
            .find(|tag| {
                let language = tag.split('-').next().unwrap_or(tag);
                self.words.contains_key(*tag) || self.words.contains_key(language)
            })
            .map_or_else(|| self.default_locale.clone(), str::to_owned)
    }

    /// Fills a page.
    ///
    /// # Errors
    /// What a changed template uses that is not there.
    pub fn render(&self, name: &str, reader: &Reader, values: Value) -> Result<String, String> {
        let setting =
            Setting { language: self.languages.get(&reader.locale), zone: reader.zone.clone() };
        let frame = context! {
            lang => reader.locale.as_str(),
            dir => direction(&reader.locale),
            words => Serde(self.words(&reader.locale)),
            sender => self.sender.as_str(),
            phone => self.phone.as_deref(),
            zone => reader.zone.iana_name(),
        };
        let setting = BTreeMap::from([(SETTING, Value::from_object(setting))]);
        // What a page need not say.
        let bare = context! { said => Vec::<Value>::new(), signed_in => false, help => false, page => "", base => "/centre", viewing => () };
        let page = self.environment.get_template(name);
        page.and_then(|page| {
            page.render(context! { ..values, ..frame, ..Value::from(setting), ..bare })
        })
        .map_err(|error| format!("templates/centre/{name}: {error:#}"))
    }
}

/// The files there are: those that ship, and the words of further languages.
fn names(shipped: &include_dir::Dir<'_>, own: &std::path::Path) -> BTreeSet<String> {
    let shipped = shipped.files().filter_map(|file| file.path().file_name()?.to_str());
    let mut names: BTreeSet<String> = shipped.map(str::to_owned).collect();
    let more = std::fs::read_dir(own).into_iter().flatten().flatten();
    let more = more.filter_map(|entry| entry.file_name().into_string().ok());
    let is_words = |name: &String| {
        name.strip_prefix("words.").is_some_and(|rest| rest.strip_suffix(".toml").is_some())
    };
    names.extend(more.filter(is_words));
    names
}

/// `ltr` or `rtl`, from the script of the language (CLDR).
fn direction(locale: &str) -> &'static str {
    let right_to_left = LanguageIdentifier::try_from_str(locale)
        .is_ok_and(|id| LocaleDirectionality::new_extended().is_right_to_left(&id));
    if right_to_left { "rtl" } else { "ltr" }
}

/// Puts values into the holes of a sentence: `"by {channel}"|fill(channel="text")`.
#[allow(clippy::needless_pass_by_value, reason = "the engine hands keyword arguments over")]
fn fill(text: &str, values: minijinja::value::Kwargs) -> Result<String, minijinja::Error> {
    let mut filled = text.to_owned();
    for name in values.args() {
        let value: Value = values.get(name)?;
        filled = filled.replace(&format!("{{{name}}}"), &value.to_string());
    }
    Ok(filled)
}

/// Every language has every word that English has, and no other.
fn complete(words: &BTreeMap<String, Words>) -> Result<(), ContentError> {
    let Some(english) = words.get("en") else {
        return Err(ContentError("templates/centre/words.en.toml is not there".into()));
    };
    for (locale, known) in words {
        let missing = english.keys().find(|key| !known.contains_key(*key));
        let unknown = known.keys().find(|key| !english.contains_key(*key));
        if let Some(key) = missing {
            return Err(ContentError(format!("templates/centre/words.{locale}.toml lacks {key}")));
        }
        if let Some(key) = unknown {
            let why = format!("templates/centre/words.{locale}.toml: {key} is used nowhere");
            return Err(ContentError(why));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_turn_round_for_languages_written_from_right_to_left() {
        for (locale, turned) in [("en-GB", "ltr"), ("de", "ltr"), ("ar", "rtl"), ("he-IL", "rtl")] {
            assert_eq!(direction(locale), turned, "{locale}");
        }
    }

    #[test]
    fn a_language_without_a_word_is_named() {
        let words = |keys: &[&str]| -> Words {
            keys.iter().map(|key| ((*key).to_owned(), String::new())).collect()
        };
        let both = |de: &[&str]| {
            BTreeMap::from([("en".into(), words(&["a", "b"])), ("de".into(), words(de))])
        };
        assert!(complete(&both(&["a", "b"])).is_ok());
        let why = complete(&both(&["a"])).expect_err("b is missing").to_string();
        assert_eq!(why, "templates/centre/words.de.toml lacks b");
        assert!(complete(&both(&["a", "b", "c"])).is_err());
    }
}
