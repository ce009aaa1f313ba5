//! A customer and the addresses they can be reached at.

use std::collections::BTreeMap;
use std::fmt;

use phonenumber::metadata::DATABASE;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::channel::Channel;
use super::fault::{Fault, Fields, free_form, one_line};
use super::id::{CustomerId, MAX_ID_CHARS};
use super::preference::Preferences;
use super::time::Zones;

/// An address on one channel. `Display` and `Debug` mask it; [`Address::expose`] does not.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Address(String);

impl Address {
    /// Reads an address as it is stored: an e-mail address with its domain in A-labels
    /// (RFC 5890), a number in E.164 with its plus sign.
    ///
    /// # Errors
    /// A sentence for the caller.
    pub fn parse(channel: Channel, text: &str) -> Result<Self, String> {
        one_line(text, 320)?;
        match channel {
            Channel::Email => email(text).map(Self),
            Channel::Sms | Channel::Voice => phone(text).map(Self),
        }
    }

    /// The address itself, for the wire and the store; never for a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// An address read back from the store.
    #[must_use]
    pub const fn stored(text: String) -> Self {
        Self(text)
    }

    /// The country a number belongs to, as in ISO 3166: `GB`. `None` for e-mail, and for the
    /// numbers of no country.
    ///
    /// Countries that share a calling code are told apart by the whole number, which takes a
    /// while, unless the number may be one of the country `likely`: then it is.
    #[must_use]
    pub fn country(&self, likely: Option<&str>) -> Option<String> {
        let digits = self.0.strip_prefix('+')?;
        // Calling codes have one to three digits, and none begins with another (ITU-T E.164).
        let codes = (1..=3).filter_map(|length| digits.get(..length)?.parse::<u16>().ok());
        let mut regions = codes.filter_map(|code| DATABASE.region(&code));
        let regions = regions.next()?;
        if let Some(likely) = likely.filter(|likely| regions.contains(likely)) {
            return Some(likely.to_owned());
        }
        if let [only] = regions[..] {
            return Some(only.to_owned());
        }
        // The main country stands first; the reader does not place every number.
        let number = phonenumber::parse(None, &self.0).ok();
        let placed = number.and_then(|number| Some(number.country().id()?.as_ref().to_owned()));
        placed.or_else(|| regions.first().map(|main| (*main).to_owned()))
    }

    /// Does a number belong to this country, or to a dependency that shares its calling code
    /// (GB: GG, IM and JE, whose mobiles cannot be told apart for good)? Not so for +1 and +7,
    /// which several large countries share: there the whole number decides.
    #[must_use]
    pub fn is_of(&self, country: &str) -> bool {
        if self.country(None).as_deref() == Some(country) {
            return true;
        }
        let several = self.0.starts_with("+1") || self.0.starts_with("+7");
        !several && self.country(Some(country)).as_deref() == Some(country)
    }

    /// What two spellings of one address have in common, for suppression and look-up.
    #[must_use]
    pub fn compare_key(&self) -> String {
        self.0.to_lowercase()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask(&self.0))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `z***@e***.com`, `+44******456`.
fn mask(address: &str) -> String {
    if let Some((local, domain)) = address.rsplit_once('@') {
        let first = |text: &str| text.chars().next().map(String::from).unwrap_or_default();
        let top = domain.rsplit_once('.').map_or("", |(_, top)| top);
        return format!("{}***@{}***.{top}", first(local), first(domain));
    }
    let kept = address.len().saturating_sub(3);
    let head = kept.min(3);
    format!("{}{}{}", &address[..head], "*".repeat(kept - head), &address[kept..])
}

fn email(text: &str) -> Result<String, String> {
    let wrong = || "is no e-mail address; write one mailbox such as ada@example.com".to_owned();
    let (local, domain) = text.rsplit_once('@').ok_or_else(wrong)?;
    // One plain mailbox: no quoted local part, comment, list or route (RFC 5321 section 4.1.2).
    if local.contains(['"', '(', ')', ',', ';', ':', '<', '>', '[', ']', '\\', ' ', '@']) {
        return Err(wrong());
    }
    let domain = idna::domain_to_ascii_strict(domain).map_err(|_| wrong())?;
    if !domain.contains('.') || local.len() > 64 {
        return Err(wrong());
    }
    lettre::Address::new(local, &domain).map(|address| address.to_string()).map_err(|_| wrong())
}

fn phone(text: &str) -> Result<String, String> {
    let wrong = || "is no valid number; write it in E.164, such as +447911123456".to_owned();
    if !text.starts_with('+') || text.contains(['e', 'E', 'x', 'X', ';', ',']) {
        return Err(wrong());
    }
    let number = phonenumber::parse(None, text).map_err(|_| wrong())?;
    if let Some(kind) = costly(text, &number) {
        return Err(format!("is {kind}; nothing is sent there"));
    }
    if !phonenumber::is_valid(&number) || number.extension().is_some() {
        return Err(wrong());
    }
    Ok(number.format().mode(phonenumber::Mode::E164).to_string())
}

/// Calling codes of no country, dear to reach and liked by whoever lives on the difference
/// (ITU-T E.164, list of assigned codes).
const OF_NO_COUNTRY: [(&str, &str); 7] = [
    ("+870", "a satellite number"),
    ("+881", "a satellite number"),
    ("+882", "a number of an international network"),
    ("+883", "a number of an international network"),
    ("+878", "a number of an international network"),
    ("+808", "a shared-cost number"),
    ("+979", "a premium number"),
];

/// What makes a number dear, where anything does.
fn costly(text: &str, number: &phonenumber::PhoneNumber) -> Option<&'static str> {
    let digits: String = text.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
    if let Some((_, kind)) = OF_NO_COUNTRY.iter().find(|(code, _)| digits.starts_with(code)) {
        return Some(kind);
    }
    // All of area code 900 is premium, assigned or not (NANPA).
    let premium = digits.starts_with("+1900")
        || number.number_type(&DATABASE) == phonenumber::Type::PremiumRate;
    premium.then_some("a premium number")
}

/// An address of a customer, and what we know about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactPoint {
    pub channel: Channel,
    pub address: Address,
    #[serde(default)]
    pub verified: bool,
    /// Why the address must not be used, where it must not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<String>,
}

/// What a provider's refusal says about an address. The first two close it at once, the others
/// once they were said often enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressFault {
    /// Nobody can be reached there.
    Unusable,
    /// Perhaps nobody can be reached there.
    Doubtful,
    /// It takes no more for now.
    Full,
    /// Its owner has told the carrier to let nothing of ours through.
    OptedOut,
}

/// A customer as decisions read them.
#[derive(Debug, Clone, PartialEq)]
pub struct Customer {
    pub id: CustomerId,
    pub profile: Profile,
    /// What the customer chose themselves: centre, one-click, STOP, an agent for them.
    pub chosen: Preferences,
    /// What a case system told.
    pub imported: Preferences,
    /// What holds: the choices, filled from imports.
    pub preferences: Preferences,
    pub contact_points: Vec<ContactPoint>,
    pub erased: bool,
    /// Bumped by everything consent reads.
    pub revision: i64,
}

impl Customer {
    /// A customer as a case system tells them who has chosen nothing themselves yet.
    #[must_use]
    pub fn imported(record: CustomerRecord) -> Self {
        let chosen = Preferences::default();
        Self {
            id: record.id,
            profile: record.profile,
            preferences: Preferences::effective(&chosen, &record.preferences),
            chosen,
            imported: record.preferences,
            contact_points: record.contact_points,
            erased: false,
            revision: 1,
        }
    }
}

/// Who the customer is, as the case system tells it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    pub name: String,
    /// BCP 47; `None` means the default of the settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// IANA; `None` means the default of the settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Value>,
}

/// A customer as a case system sends them.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomerRecord {
    pub id: CustomerId,
    pub profile: Profile,
    pub contact_points: Vec<ContactPoint>,
    pub preferences: Preferences,
}

/// The most addresses one customer may have.
const MAX_CONTACT_POINTS: usize = 20;

impl CustomerRecord {
    /// Reads a customer; `id` is the one in the path, where there is one.
    ///
    /// # Errors
    /// Every fault, with pointers into `value`.
    pub fn from_json(value: &Value, id: Option<&str>, zones: &Zones) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let record = Self::read(value, id, zones, &mut faults);
        match record {
            Some(record) if faults.is_empty() => Ok(record),
            _ => Err(faults),
        }
    }

    fn read(
        value: &Value,
        path_id: Option<&str>,
        zones: &Zones,
        faults: &mut Vec<Fault>,
    ) -> Option<Self> {
        let mut fields = Fields::of(value, "", faults)?;
        let id = match path_id {
            Some(path_id) => {
                if let Err(why) = one_line(path_id, MAX_ID_CHARS) {
                    fields.fault("id", format!("in the path {why}"));
                }
                if fields.text("id", MAX_ID_CHARS).is_some_and(|id| id != path_id) {
                    fields.fault("id", format!("differs from the one in the path, {path_id:?}"));
                }
                Some(path_id.to_owned())
            }
            None => fields.required_text("id", MAX_ID_CHARS),
        };
        let name = fields.required_text("name", 200);
        let locale = fields.parse("locale", parse_locale);
        let time_zone = fields.parse("time_zone", |name| zones.get(name).map(|_| name.to_owned()));
        let pointer = fields.pointer("attributes");
        let attributes = fields.object("attributes");
        let attributes =
            attributes.map(|map| free_form(map, &pointer, fields.faults())).unwrap_or_default();
        let contact_points = read_contact_points(&mut fields);
        let pointer = fields.pointer("preferences");
        let preferences = match fields.value("preferences") {
            Some(value) => Preferences::from_json(value, &pointer, fields.faults()),
            None => Some(Preferences::default()),
        };
        fields.refuse_unknown();
        Some(Self {
            id: CustomerId(id?),
            profile: Profile { name: name?, locale, time_zone, attributes },
            contact_points,
            preferences: preferences?,
        })
    }
}

/// Reads a BCP 47 language tag and gives its canonical form.
///
/// # Errors
/// A sentence for the caller.
pub fn parse_locale(text: &str) -> Result<String, String> {
    icu::locale::Locale::try_from_str(text)
        .map(|locale| locale.to_string())
        .map_err(|_| format!("{text:?} is no language tag, such as en-GB"))
}

fn read_contact_points(fields: &mut Fields<'_>) -> Vec<ContactPoint> {
    let mut points: Vec<ContactPoint> = Vec::new();
    let pointer = fields.pointer("contact_points");
    let Some(items) = fields.list("contact_points") else { return points };
    if items.len() > MAX_CONTACT_POINTS {
        fields.fault("contact_points", format!("holds more than {MAX_CONTACT_POINTS} addresses"));
        return points;
    }
    for (index, item) in items.iter().enumerate() {
        let Some(mut point) = Fields::of(item, &format!("{pointer}/{index}"), fields.faults())
        else {
            continue;
        };
        point.require("channel");
        point.require("address");
        let channel = point.parse("channel", str::parse::<Channel>);
        let address = point
            .parse("address", |text| channel.map(|c| Address::parse(c, text)).transpose())
            .flatten();
        let verified = point.boolean("verified").unwrap_or(false);
        point.refuse_unknown();
        if let (Some(channel), Some(address)) = (channel, address) {
            points.push(ContactPoint { channel, address, verified, suppressed: None });
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_belongs_to_the_country_of_its_code_and_where_several_share_it_to_the_likely_one() {
        for (number, likely, country) in [
            ("+4930123456", None, Some("DE")),
            ("+442079460001", None, Some("GB")),
            ("+442079460001", Some("GB"), Some("GB")),
            ("+12125550123", None, Some("US")),
            ("+14165550123", None, Some("CA")),
            ("+14165550123", Some("FR"), Some("CA")),
            ("+14165550123", Some("US"), Some("US")),
            ("+390212345678", None, Some("IT")),
        ] {
            let address = Address::stored(number.to_owned());
            assert_eq!(address.country(likely).as_deref(), country, "{number} {likely:?}");
        }
        assert_eq!(Address::stored("ada@example.com".into()).country(Some("GB")), None);
    }

    #[test]
    fn an_address_is_one_plain_mailbox_or_one_valid_number() {
        let parse = |channel, text: &str| {
            Address::parse(channel, text).map(|address| address.expose().to_owned()).ok()
        };
        for (channel, text, stored) in [
            (Channel::Email, "Ada@Example.com", Some("Ada@example.com")),
            (Channel::Email, "ada@bücher.example", Some("ada@xn--bcher-kva.example")),
            (Channel::Email, "a@b,c@d", None),
            (Channel::Email, "\"a@b\"@example.com", None),
            (Channel::Email, "a@b>\r\nRCPT TO:<x>", None),
            (Channel::Email, "ada", None),
            (Channel::Email, "ada@localhost", None),
            (Channel::Sms, "+44 7911 123456", Some("+447911123456")),
            (Channel::Voice, "+442079460001", Some("+442079460001")),
            (Channel::Sms, "07911123456", None),
            (Channel::Sms, "+12", None),
            (Channel::Sms, "+447911123456;ext=5", None),
        ] {
            assert_eq!(parse(channel, text).as_deref(), stored, "{text:?}");
        }
        let long = format!("{}@example.com", "a".repeat(400));
        assert_eq!(parse(Channel::Email, &long), None);
    }

    #[test]
    fn addresses_are_masked_wherever_they_are_printed() {
        let email = Address::parse(Channel::Email, "zoe@example.com").expect("valid");
        let phone = Address::parse(Channel::Sms, "+447911123456").expect("valid");
        assert_eq!(format!("{email} {phone}"), "z***@e***.com +44*******456");
        assert_eq!(format!("{email:?}"), "z***@e***.com");
    }

    #[test]
    fn a_customer_is_refused_with_a_pointer_per_fault() {
        let value = serde_json::json!({
            "name": "A\r\nBcc: x@y.z", "locale": "english", "time_zone": "Europe/Londn",
            "contact_points": [{"channel": "email", "address": "nobody"}, {"channel": "fax", "address": "1"}],
            "preferences": {"quiet_hours": "late"}
        });
        let faults =
            CustomerRecord::from_json(&value, Some("C-1"), &Zones::bundled()).expect_err("faults");
        let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            [
                "/name",
                "/locale",
                "/time_zone",
                "/contact_points/0/address",
                "/contact_points/1/channel",
                "/preferences/quiet_hours"
            ]
        );
    }
}
