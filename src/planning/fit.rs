//! Which channel suits which message: what a notice needs against what a channel can do.

use std::str::FromStr;

use crate::domain::Channel;

/// What a notice needs of its channel, beyond reaching the customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelNeed {
    /// Nobody else should see or hear it.
    Private,
    /// An answer can come back the same way.
    TwoWay,
    /// More than a few sentences: tables, links, details to keep.
    Rich,
    /// Noticed within minutes.
    Urgent,
    /// Bad news, or a long wait: warmer than a text.
    Emotional,
}

/// One table: what each channel can do. A text shows on a locked screen, a call may be
/// answered by anybody; nobody looks into their mailbox every minute; a text is too short for
/// bad news.
const TABLE: [(ChannelNeed, &str, [Channel; 2]); 5] = [
    (ChannelNeed::Private, "private", [Channel::Email, Channel::Email]),
    (ChannelNeed::TwoWay, "two_way", [Channel::Sms, Channel::Voice]),
    (ChannelNeed::Rich, "rich", [Channel::Email, Channel::Email]),
    (ChannelNeed::Urgent, "urgent", [Channel::Sms, Channel::Voice]),
    (ChannelNeed::Emotional, "emotional", [Channel::Voice, Channel::Email]),
];

impl ChannelNeed {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        TABLE.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    #[must_use]
    pub fn is_met_by(self, channel: Channel) -> bool {
        TABLE.iter().any(|row| row.0 == self && row.2.contains(&channel))
    }
}

impl FromStr for ChannelNeed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        TABLE.iter().find(|row| row.1 == text).map(|row| row.0).ok_or_else(|| {
            let names: Vec<&str> = TABLE.iter().map(|row| row.1).collect();
            format!("{text:?} is no need of a notice; use {}", names.join(", "))
        })
    }
}

/// The needs a channel leaves unmet.
#[must_use]
pub fn unmet(needs: &[ChannelNeed], channel: Channel) -> Vec<ChannelNeed> {
    needs.iter().copied().filter(|need| !need.is_met_by(channel)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_need_has_a_name_and_a_channel_that_meets_it() {
        for (need, name, _) in TABLE {
            assert_eq!(name.parse(), Ok(need));
            assert_eq!(need.as_str(), name);
            assert!(Channel::ALL.iter().any(|channel| need.is_met_by(*channel)), "{name}");
        }
        assert_eq!(
            unmet(&[ChannelNeed::Private, ChannelNeed::Urgent], Channel::Email),
            [ChannelNeed::Urgent]
        );
        assert!("pretty".parse::<ChannelNeed>().is_err());
    }
}
