//! Dates, money, plurals and numbers as each language writes them, on the customer's clock.
//! The data is CLDR's, through ICU4X.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, RwLock};

use fixed_decimal::Decimal;
use icu::datetime::DateTimeFormatter;
use icu::datetime::fieldsets::{T, YMD, YMDT};
use icu::datetime::input::{Date, DateTime, Time};
use icu::locale::Locale;
use icu::plurals::{PluralCategory, PluralRules};
use icu_experimental::dimension::currency::CurrencyType;
use icu_experimental::dimension::currency::formatter::CurrencyFormatter;
use icu_experimental::dimension::currency::options::CurrencyFormatterOptions;
use jiff::civil;
use jiff::tz::TimeZone;
use minijinja::value::{Kwargs, Object};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use crate::domain::time::{Instant, local, parse_instant};

/// The name under which templates carry their language and zone.
pub const SETTING: &str = "_setting";

/// The formatters of one language, made once.
pub struct Language {
    locale: Locale,
    date: DateTimeFormatter<YMD>,
    time: DateTimeFormatter<T>,
    datetime: DateTimeFormatter<YMDT>,
    plural: PluralRules,
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Language({})", self.locale)
    }
}

impl Language {
    fn new(tag: &str) -> Self {
        let known = |locale: Locale| -> Option<Self> {
            Some(Self {
                date: DateTimeFormatter::try_new((&locale).into(), YMD::long()).ok()?,
                time: DateTimeFormatter::try_new((&locale).into(), T::hm()).ok()?,
                datetime: DateTimeFormatter::try_new((&locale).into(), YMD::long().with_time_hm())
                    .ok()?,
                plural: PluralRules::try_new_cardinal((&locale).into()).ok()?,
                locale,
            })
        };
        let wanted = Locale::try_from_str(tag).ok().and_then(known);
        wanted.or_else(|| known(icu::locale::locale!("en"))).expect("the compiled data has English")
    }
}

/// The languages seen so far.
#[derive(Debug, Clone, Default)]
pub struct Languages {
    known: Arc<RwLock<HashMap<String, Arc<Language>>>>,
}

impl Languages {
    #[must_use]
    pub fn get(&self, tag: &str) -> Arc<Language> {
        if let Some(known) = self.known.read().expect("no panic while held").get(tag) {
            return Arc::clone(known);
        }
        let language = Arc::new(Language::new(tag));
        let mut known = self.known.write().expect("no panic while held");
        Arc::clone(known.entry(tag.to_owned()).or_insert(language))
    }
}

/// What filters read: the language of the text and the customer's zone.
#[derive(Debug)]
pub struct Setting {
    pub language: Arc<Language>,
    pub zone: TimeZone,
}

impl Object for Setting {}

fn setting(state: &State<'_, '_>) -> Result<Arc<Setting>, Error> {
    state
        .lookup(SETTING)
        .and_then(|value| value.downcast_object::<Setting>())
        .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "no language is set here"))
}

fn wrong(filter: &str, value: &Value, expected: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("`{filter}` of {value:?}: expected {expected}"))
}

/// A moment on the customer's clock, from RFC 3339, a date, or a local date and time.
fn civil(filter: &str, value: &Value, zone: &TimeZone) -> Result<civil::DateTime, Error> {
    let expected = "an instant such as 2026-11-22T09:30:00Z or a date such as 2026-12-01";
    let text = value.as_str().ok_or_else(|| wrong(filter, value, expected))?;
    if let Ok(at) = parse_instant(text) {
        return Ok(local(at, zone).datetime());
    }
    if text.len() == 10
        && let Ok(date) = text.parse::<civil::Date>()
    {
        return Ok(date.to_datetime(civil::Time::midnight()));
    }
    text.parse().map_err(|_| wrong(filter, value, expected))
}

fn icu_datetime(at: civil::DateTime) -> DateTime<icu::calendar::Iso> {
    let part = |n: i8| u8::try_from(n).expect("never negative");
    let date = Date::try_new_iso(i32::from(at.year()), part(at.month()), part(at.day()));
    let time = Time::try_new(part(at.hour()), part(at.minute()), part(at.second()), 0);
    DateTime { date: date.expect("a civil date"), time: time.expect("a civil time") }
}

fn date(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    let setting = setting(state)?;
    let at = icu_datetime(civil("date", value, &setting.zone)?);
    Ok(first_of_month(&setting, &setting.language.date.format(&at).to_string()))
}

/// French writes the first of a month as an ordinal, which CLDR's long form leaves out.
fn first_of_month(setting: &Setting, text: &str) -> String {
    let french = setting.language.locale.id.language.as_str() == "fr";
    match text.strip_prefix("1 ").filter(|_| french) {
        Some(rest) => format!("1er {rest}"),
        None => text.to_owned(),
    }
}

fn time(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    let setting = setting(state)?;
    let at = icu_datetime(civil("time", value, &setting.zone)?);
    Ok(setting.language.time.format(&at).to_string())
}

fn datetime(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    let setting = setting(state)?;
    Ok(written(&setting, civil("datetime", value, &setting.zone)?))
}

fn written(setting: &Setting, at: civil::DateTime) -> String {
    let at = icu_datetime(at);
    first_of_month(setting, &setting.language.datetime.format(&at).to_string())
}

impl Setting {
    /// A moment as the filter `datetime` writes it.
    #[must_use]
    pub fn datetime(&self, at: Instant) -> String {
        written(self, local(at, &self.zone).datetime())
    }
}

fn money(state: &State<'_, '_>, value: &Value, currency: &str) -> Result<String, Error> {
    let setting = setting(state)?;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let expected = "a number or decimal text such as \"49.90\"";
    let mut amount =
        Decimal::try_from_str(text.trim()).map_err(|_| wrong("money", value, expected))?;
    let unknown = || wrong("money", &Value::from(currency), "a currency such as EUR");
    if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_alphabetic()) {
        return Err(unknown());
    }
    let code: CurrencyType = currency
        .to_lowercase()
        .parse::<icu::locale::extensions::unicode::Value>()
        .ok()
        .and_then(|value| CurrencyType::try_from(&value).ok())
        .ok_or_else(unknown)?;
    amount.pad_end(-minor_digits(currency));
    let formatter = CurrencyFormatter::try_new_symbol(
        (&setting.language.locale).into(),
        code,
        CurrencyFormatterOptions::default(),
    )
    .map_err(|_| unknown())?;
    Ok(formatter.format_fixed_decimal(&amount).to_string())
}

/// Digits after the decimal point (ISO 4217, the currencies that differ from two).
fn minor_digits(currency: &str) -> i16 {
    match currency.to_uppercase().as_str() {
        "JPY" | "KRW" | "CLP" | "VND" | "ISK" | "XAF" | "XOF" | "XPF" | "PYG" | "UGX" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

/// `{{ n|plural(one="parcel", other="parcels") }}`: the form of the language, without the number.
#[allow(clippy::needless_pass_by_value, reason = "the engine hands keyword arguments over")]
fn plural(state: &State<'_, '_>, value: &Value, forms: Kwargs) -> Result<String, Error> {
    let setting = setting(state)?;
    let n = i64::try_from(value.clone()).map_err(|_| wrong("plural", value, "a whole number"))?;
    let name = match setting.language.plural.category_for(n.unsigned_abs()) {
        PluralCategory::Zero => "zero",
        PluralCategory::One => "one",
        PluralCategory::Two => "two",
        PluralCategory::Few => "few",
        PluralCategory::Many => "many",
        PluralCategory::Other => "other",
    };
    let other: String = forms.get("other")?;
    let known = ["zero", "one", "two", "few", "many"];
    let mut chosen = other;
    for form in known {
        let text: Option<String> = forms.get(form)?;
        if form == name
            && let Some(text) = text
        {
            chosen = text;
        }
    }
    forms.assert_all_used()?;
    Ok(chosen)
}

fn phone(value: &Value) -> Result<String, Error> {
    let expected = "a number such as +442079460001";
    let text = value.as_str().ok_or_else(|| wrong("phone", value, expected))?;
    let number = phonenumber::parse(None, text).map_err(|_| wrong("phone", value, expected))?;
    Ok(number.format().mode(phonenumber::Mode::International).to_string())
}

/// A number to call, digit by digit, for a voice.
#[must_use]
pub fn spoken_number(number: &str) -> String {
    phonenumber::parse(None, number).map_or_else(
        |_| spelled(&Value::from(number)),
        |number| {
            let written = number.format().mode(phonenumber::Mode::International).to_string();
            spelled(&Value::from(written))
        },
    )
}

/// Letters and digits one by one, for a voice: `R-1001` → `R, 1, 0, 0, 1`; `+44 20` → `plus 4,
/// 4, 2, 0`, a word that the languages share.
fn spelled(value: &Value) -> String {
    let text = value.to_string();
    let parts: Vec<String> =
        text.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_uppercase().collect()).collect();
    let plus = if text.starts_with('+') { "plus " } else { "" };
    format!("{plus}{}", parts.join(", "))
}

/// Adds the filters that messages and layouts may use.
pub fn add_filters(environment: &mut Environment<'_>) {
    environment.add_filter("date", date);
    environment.add_filter("time", time);
    environment.add_filter("datetime", datetime);
    environment.add_filter("money", money);
    environment.add_filter("plural", plural);
    environment.add_filter("phone", phone);
    environment.add_filter("spelled", spelled);
}

/// The languages to look a text up in, best first: `fr-FR`, `fr`, the default.
#[must_use]
pub fn fallback_chain(tag: &str, default: &str) -> Vec<String> {
    let mut chain = vec![tag.to_owned()];
    let mut rest = tag;
    while let Some((shorter, _)) = rest.rsplit_once('-') {
        chain.push(shorter.to_owned());
        rest = shorter;
    }
    if !chain.iter().any(|known| known == default) {
        chain.push(default.to_owned());
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Zones;

    fn render(template: &str, locale: &str, zone: &str) -> Result<String, Error> {
        let mut environment = Environment::new();
        add_filters(&mut environment);
        let setting = Setting {
            language: Languages::default().get(locale),
            zone: Zones::bundled().get(zone).expect("zone"),
        };
        environment
            .render_str(template, minijinja::context! { _setting => Value::from_object(setting) })
    }

    #[test]
    fn dates_and_times_are_written_as_the_language_does_on_the_customers_clock() {
        let at = "{{ '2026-11-30T23:30:00Z'|datetime }}";
        for (locale, zone, text) in [
            ("en-GB", "Europe/London", "30 November 2026 at 23:30"),
            ("en-US", "America/New_York", "November 30, 2026 at 6:30 PM"),
            ("de-DE", "Europe/Berlin", "1. Dezember 2026 um 00:30"),
            ("fr-FR", "Europe/Paris", "1er décembre 2026 à 00:30"),
        ] {
            let got = render(at, locale, zone).expect(locale).replace('\u{202f}', " ");
            assert_eq!(got, text, "{locale}");
        }
        assert_eq!(
            render("{{ '2026-12-01'|date }}", "en-GB", "Pacific/Apia").expect("a date"),
            "1 December 2026"
        );
        assert!(render("{{ 'soon'|date }}", "en-GB", "UTC").is_err());
    }

    #[test]
    fn money_takes_numbers_and_decimal_text() {
        for (template, locale, text) in [
            ("{{ '49.90'|money('EUR') }}", "en-GB", "€49.90"),
            ("{{ 49.9|money('EUR') }}", "de-DE", "49,90\u{a0}€"),
            ("{{ 1234|money('GBP') }}", "en-GB", "£1,234.00"),
            ("{{ 500|money('JPY') }}", "en-GB", "JP¥500"),
        ] {
            assert_eq!(render(template, locale, "UTC").expect(template), text, "{template}");
        }
        assert!(render("{{ 'a lot'|money('EUR') }}", "en-GB", "UTC").is_err());
        assert!(render("{{ 1|money('EURO') }}", "en-GB", "UTC").is_err());
    }

    #[test]
    fn plurals_follow_the_language() {
        for (n, text) in [(1, "day"), (2, "days"), (0, "days")] {
            let template = format!("{{{{ {n}|plural(one='day', other='days') }}}}");
            assert_eq!(render(&template, "en-GB", "UTC").expect("plural"), text);
        }
        assert_eq!(
            render(
                "{{ 22|plural(one='dzień', few='dni', many='dni!', other='dnia') }}",
                "pl",
                "UTC"
            )
            .expect("plural"),
            "dni"
        );
        assert!(render("{{ 1|plural(one='day') }}", "en-GB", "UTC").is_err(), "other is required");
    }

    #[test]
    fn a_language_is_looked_up_from_the_most_particular_to_the_default() {
        assert_eq!(fallback_chain("fr-FR", "en"), ["fr-FR", "fr", "en"]);
        assert_eq!(fallback_chain("en-GB", "en"), ["en-GB", "en"]);
        assert_eq!(fallback_chain("zh-Hant-TW", "en"), ["zh-Hant-TW", "zh-Hant", "zh", "en"]);
    }
}
