//! A message as its readers get it, on every channel it is used on, with its sample values.

use serde::Serialize;

use crate::app::content::Compiled;
use crate::domain::message::{Encoding, Shaped};

/// A message on one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preview {
    pub channel: &'static str,
    /// Which of its samples, counted from 1.
    pub sample: usize,
    /// The words, for people to read.
    pub text: String,
    /// Of a text: its parts, and how it goes over the air.
    pub parts: Option<u32>,
    pub encoding: Option<&'static str>,
    /// There is a page to look at besides.
    pub has_html: bool,
}

/// How a message reads in one language.
#[must_use]
pub fn previews(compiled: &Compiled, message: &str, locale: &str) -> Vec<Preview> {
    let readings = compiled.readings.iter();
    let wanted = readings.filter(|reading| reading.message == message && reading.locale == locale);
    wanted
        .map(|reading| {
            let (parts, encoding) = match &reading.shaped {
                Shaped::Sms(sms) => {
                    let name = match sms.counted.encoding {
                        Encoding::Gsm7 => "GSM-7",
                        Encoding::Ucs2 => "UCS-2",
                    };
                    (Some(sms.counted.parts), Some(name))
                }
                Shaped::Email(_) | Shaped::Voice(_) => (None, None),
            };
            Preview {
                channel: reading.channel.as_str(),
                sample: reading.sample + 1,
                text: reading.shaped.words(),
                parts,
                encoding,
                has_html: matches!(reading.shaped, Shaped::Email(_)),
            }
        })
        .collect()
}

/// The mail of one sample (counted from 1) as HTML.
#[must_use]
pub fn html<'c>(
    compiled: &'c Compiled,
    message: &str,
    locale: &str,
    sample: usize,
) -> Option<&'c str> {
    compiled.readings.iter().find_map(|reading| match &reading.shaped {
        Shaped::Email(mail)
            if reading.message == message
                && reading.locale == locale
                && reading.sample + 1 == sample =>
        {
            Some(mail.html.as_str())
        }
        _ => None,
    })
}
