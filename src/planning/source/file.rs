//! Reading a source's file: its signature, its states, its mappings, and where each fault stands.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use crate::domain::signature::{Encoding, Part, Scheme, Signed, parts};
use crate::domain::{Finding, Span};

use super::expression::Expression;
use super::{Map, ProfileMap, Source, State};

type Text = Spanned<String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSource {
    signature: Spanned<RawSignature>,
    #[serde(default)]
    states: BTreeMap<String, Spanned<toml::Value>>,
    #[serde(default)]
    ignore_when: Vec<Text>,
    map: Vec<Spanned<RawMap>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSignature {
    kind: Text,
    header: Option<Text>,
    encoding: Option<Text>,
    prefix: Option<String>,
    signed: Option<Text>,
    timestamp_header: Option<Text>,
    nonce_header: Option<Text>,
    tolerance: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMap {
    when: Option<Text>,
    each: Option<Text>,
    id: Option<Text>,
    source: Option<Text>,
    case: Option<Text>,
    case_type: Option<Text>,
    customer: Option<Text>,
    customer_of: Option<Text>,
    remember: Option<Text>,
    state: Option<Text>,
    event: Option<Text>,
    version: Option<Text>,
    occurred_at: Option<Text>,
    #[serde(default)]
    facts: BTreeMap<String, Text>,
    profile: Option<RawProfile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProfile {
    name: Option<Text>,
    locale: Option<Text>,
    time_zone: Option<Text>,
    email: Option<Text>,
    sms: Option<Text>,
    voice: Option<Text>,
    verified: Option<Text>,
    #[serde(default)]
    attributes: BTreeMap<String, Text>,
}

/// How far a moment may lie from our clock, where the file does not say.
const TOLERANCE_S: i64 = 300;

/// Reads and cross-checks one file, named `<name>.toml`. A source comes back only when nothing
/// is wrong with it.
#[must_use]
pub fn read(name: &str, file: &str, text: &str) -> (Option<Source>, Vec<Finding>) {
    let text: Arc<str> = Arc::from(text);
    let raw: RawSource = match toml::from_str(&text) {
        Ok(raw) => raw,
        Err(error) => {
            let mut finding = Finding::error(file, &text, error.message());
            if let Some(span) = error.span() {
                finding = finding.at(span);
            }
            return (None, vec![finding]);
        }
    };
    let mut reader = Reader { file, text: Arc::clone(&text), findings: Vec::new() };
    let signature = reader.signature(raw.signature);
    let states = raw.states.into_iter().map(|(name, state)| {
        let span = state.span();
        let state = match state.into_inner() {
            toml::Value::String(state) if !state.is_empty() => State::Is(state),
            toml::Value::Boolean(false) => State::OfNoInterest,
            _ => {
                reader.fault(span, "is a state of the journey, or false for one of no interest");
                State::OfNoInterest
            }
        };
        (name, state)
    });
    let states: BTreeMap<String, State> = states.collect();
    let ignore_when = raw.ignore_when.iter().filter_map(|text| reader.expression(text)).collect();
    let maps = raw.map.into_iter().map(|map| reader.map(map)).collect();
    if !reader.findings.is_empty() {
        return (None, reader.findings);
    }
    let Some(signature) = signature else { return (None, reader.findings) };
    let file = file.to_owned();
    let source = Source { name: name.to_owned(), file, text, signature, states, ignore_when, maps };
    (Some(source), reader.findings)
}

struct Reader<'a> {
    file: &'a str,
    text: Arc<str>,
    findings: Vec<Finding>,
}

impl Reader<'_> {
    fn fault(&mut self, span: Range<usize>, why: impl Into<String>) {
        self.findings.push(Finding::error(self.file, &self.text, why).at(span));
    }

    fn expression(&mut self, text: &Text) -> Option<Expression> {
        match Expression::compile(text.get_ref(), text.span(), &self.text) {
            Ok(expression) => Some(expression),
            Err((span, why)) => {
                self.fault(span, why);
                None
            }
        }
    }

    fn optional(&mut self, text: Option<&Text>) -> Option<Expression> {
        self.expression(text?)
    }

    fn all(&mut self, texts: BTreeMap<String, Text>) -> BTreeMap<String, Expression> {
        let compiled = texts
            .into_iter()
            .filter_map(|(name, text)| self.expression(&text).map(|expression| (name, expression)));
        compiled.collect()
    }

    fn map(&mut self, raw: Spanned<RawMap>) -> Map {
        // The header of the table is what a fault of the whole points at.
        let span = raw.span().start..raw.span().start + "[[map]]".len();
        let raw = raw.into_inner();
        let missing = |what: &str| format!("this [[map]] has no `{what}`");
        if raw.case.is_some() {
            if raw.case_type.is_none() {
                self.fault(span.clone(), missing("case_type"));
            }
            if raw.state.is_none() && raw.event.is_none() {
                self.fault(span.clone(), missing("state` or `event"));
            }
            if raw.customer.is_none() && raw.customer_of.is_none() {
                self.fault(span.clone(), missing("customer` or `customer_of"));
            }
        } else {
            let of_event = [
                &raw.id,
                &raw.source,
                &raw.case_type,
                &raw.state,
                &raw.event,
                &raw.version,
                &raw.occurred_at,
            ];
            let of_event: Vec<Range<usize>> =
                of_event.into_iter().flatten().chain(raw.facts.values()).map(Text::span).collect();
            if let Some(span) = of_event.into_iter().next() {
                self.fault(span, "belongs to an event, and this [[map]] has no `case`");
            }
            if raw.customer.is_none() {
                self.fault(span.clone(), missing("customer"));
            } else if raw.profile.is_none() && raw.remember.is_none() {
                self.fault(span.clone(), missing("case`, `profile` or `remember"));
            }
        }
        Map {
            when: self.optional(raw.when.as_ref()),
            each: self.optional(raw.each.as_ref()),
            id: self.optional(raw.id.as_ref()),
            source: self.optional(raw.source.as_ref()),
            case: self.optional(raw.case.as_ref()),
            case_type: self.optional(raw.case_type.as_ref()),
            customer: self.optional(raw.customer.as_ref()),
            customer_of: self.optional(raw.customer_of.as_ref()),
            remember: self.optional(raw.remember.as_ref()),
            state: self.optional(raw.state.as_ref()),
            event: self.optional(raw.event.as_ref()),
            version: self.optional(raw.version.as_ref()),
            occurred_at: self.optional(raw.occurred_at.as_ref()),
            facts: self.all(raw.facts),
            profile: raw.profile.map(|profile| self.profile(profile)),
        }
    }

    fn profile(&mut self, raw: RawProfile) -> ProfileMap {
        ProfileMap {
            name: self.optional(raw.name.as_ref()),
            locale: self.optional(raw.locale.as_ref()),
            time_zone: self.optional(raw.time_zone.as_ref()),
            email: self.optional(raw.email.as_ref()),
            sms: self.optional(raw.sms.as_ref()),
            voice: self.optional(raw.voice.as_ref()),
            verified: self.optional(raw.verified.as_ref()),
            attributes: self.all(raw.attributes),
        }
    }

    fn signature(&mut self, raw: Spanned<RawSignature>) -> Option<Scheme> {
        let raw = raw.into_inner();
        let kind = raw.kind.get_ref().as_str();
        let of_hmac =
            [&raw.encoding, &raw.signed, &raw.timestamp_header, &raw.nonce_header, &raw.tolerance];
        if kind != "hmac-sha256"
            && let Some(text) = of_hmac.into_iter().flatten().next()
        {
            self.fault(text.span(), "belongs to kind = \"hmac-sha256\"");
        }
        match kind {
            "bearer" | "basic" => {
                if let Some(header) = &raw.header {
                    let why = format!("kind = {kind:?} is always in the header Authorization");
                    self.fault(header.span(), why);
                }
                Some(if kind == "basic" { Scheme::Basic } else { Scheme::Bearer })
            }
            "header" | "hmac-sha256" => {
                let Some(header) = &raw.header else {
                    self.fault(raw.kind.span(), format!("kind = {kind:?} needs `header`"));
                    return None;
                };
                let header = self.header(header)?;
                if kind == "header" {
                    Some(Scheme::Header(header))
                } else {
                    self.signed(&raw, header)
                }
            }
            other => {
                let why = format!(
                    "{other:?} is no kind of signature; there are \"hmac-sha256\", \"bearer\", \"basic\" and \"header\""
                );
                self.fault(raw.kind.span(), why);
                None
            }
        }
    }

    /// Headers are compared in lower case.
    fn header(&mut self, text: &Text) -> Option<String> {
        let name = text.get_ref();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if name.is_empty() || !name.bytes().all(allowed) {
            self.fault(text.span(), "is no name of a header");
            return None;
        }
        Some(name.to_lowercase())
    }

    fn signed(&mut self, raw: &RawSignature, header: String) -> Option<Scheme> {
        let encoding = match raw.encoding.as_ref().map(|text| (text.get_ref().as_str(), text)) {
            None | Some(("base64", _)) => Encoding::Base64,
            Some(("hex", _)) => Encoding::Hex,
            Some((_, text)) => {
                self.fault(text.span(), "is \"base64\" or \"hex\"");
                return None;
            }
        };
        let signed = match &raw.signed {
            None => parts("{body}"),
            Some(text) => parts(text.get_ref()),
        };
        let place = raw.signed.as_ref().map_or_else(|| raw.kind.span(), Text::span);
        let parts = signed.map_err(|why| self.fault(place.clone(), why)).ok()?;
        let mut beside = |name: &str, part, text: &Option<Text>, place: Range<usize>| {
            let signed = parts.contains(&part);
            match text {
                Some(text) if !signed => {
                    self.fault(text.span(), format!("is not signed: `signed` has no {{{name}}}"));
                    None
                }
                Some(text) => self.header(text),
                None if signed => {
                    self.fault(place, format!("signs {{{name}}} and needs {name}_header"));
                    None
                }
                None => None,
            }
        };
        let timestamp_header =
            beside("timestamp", Part::Timestamp, &raw.timestamp_header, place.clone());
        let nonce_header = beside("nonce", Part::Nonce, &raw.nonce_header, place);
        let tolerance_s = match &raw.tolerance {
            None => TOLERANCE_S,
            Some(text) => match text.get_ref().parse() {
                Ok(Span::Minutes(n @ 1..)) => i64::from(n) * 60,
                Ok(Span::Hours(n @ 1..=24)) => i64::from(n) * 3_600,
                _ => {
                    self.fault(text.span(), "is some minutes, or up to 24 hours: \"5 minutes\"");
                    return None;
                }
            },
        };
        let prefix = raw.prefix.clone().unwrap_or_default();
        Some(Scheme::HmacSha256(Signed {
            header,
            encoding,
            prefix,
            parts,
            timestamp_header,
            nonce_header,
            tolerance_s,
        }))
    }
}
