//! Where our record of who refuses messages and the carrier's differ. The carrier lets nothing
//! through to those it holds; those only we hold are kept out by us alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use serde::Serialize;

use crate::domain::Channel;
use crate::domain::customer::Address;
use crate::domain::time::Instant;
use crate::store::consent::STOP_AT_CARRIER;
use crate::store::{Result, Store};

/// The names a column of addresses may have.
const COLUMNS: [&str; 5] = ["address", "phone", "phone_number", "number", "to"];

/// What a carrier's list says.
#[derive(Debug, Default)]
pub struct CarrierList {
    pub addresses: Vec<Address>,
    /// Lines that hold no address: their number, and why.
    pub invalid: Vec<BadLine>,
}

#[derive(Debug, Clone, Serialize)]
pub struct BadLine {
    pub line: u64,
    pub reason: String,
}

/// One address of which we and the carrier say different things.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    pub address: String,
    pub kind: DriftKind,
    /// When it was refused here, where it was.
    pub since_ms: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftKind {
    /// The carrier refuses it, and we would still send.
    NotStoppedHere,
    /// We refuse it, and the carrier does not know.
    NotStoppedAtCarrier,
}

/// Reads a CSV with a header; one column holds addresses.
///
/// # Errors
/// When it cannot be read or has no such column.
pub fn read_list(file: impl Read, channel: Channel) -> std::result::Result<CarrierList, String> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
    let header = reader.headers().map_err(|error| error.to_string())?;
    let is_address =
        |name: &str| COLUMNS.contains(&name.trim().to_lowercase().replace(' ', "_").as_str());
    let column = header
        .iter()
        .position(is_address)
        .ok_or_else(|| format!("line 1: no column is named {}", COLUMNS.join(", ")))?;
    let mut list = CarrierList::default();
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let line = record.position().map_or(0, csv::Position::line);
        match Address::parse(channel, record.get(column).unwrap_or_default().trim()) {
            Ok(address) => list.addresses.push(address),
            Err(reason) => list.invalid.push(BadLine { line, reason }),
        }
    }
    Ok(list)
}

/// Compares the carrier's list with ours at `now`.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn drift(
    store: &Store,
    channel: Channel,
    list: &CarrierList,
    now: Instant,
) -> Result<Vec<Drift>> {
    let ours: BTreeMap<String, i64> = store
        .stopped(channel, now)
        .await?
        .into_iter()
        .map(|stopped| (stopped.address, stopped.since_ms))
        .collect();
    let theirs: BTreeSet<String> = list.addresses.iter().map(Address::compare_key).collect();
    let here = theirs.iter().filter(|address| !ours.contains_key(*address)).map(|address| Drift {
        address: address.clone(),
        kind: DriftKind::NotStoppedHere,
        since_ms: None,
    });
    let there =
        ours.iter().filter(|(address, _)| !theirs.contains(*address)).map(|(address, since_ms)| {
            Drift {
                address: address.clone(),
                kind: DriftKind::NotStoppedAtCarrier,
                since_ms: Some(*since_ms),
            }
        });
    Ok(here.chain(there).collect())
}

/// Takes over what only the carrier knows, as the customers' own word. Answers how many.
///
/// # Errors
/// `Unavailable` when the store is away; what was taken over before stays.
pub async fn take_over(
    store: &Store,
    channel: Channel,
    drift: &[Drift],
    now: Instant,
) -> Result<usize> {
    let missing = drift.iter().filter(|drift| drift.kind == DriftKind::NotStoppedHere);
    let mut taken_over = 0;
    for drift in missing {
        let address = Address::stored(drift.address.clone());
        let why = "the carrier's list of opt-outs";
        store.suppress(channel, &address, why, STOP_AT_CARRIER, now).await?;
        taken_over += 1;
    }
    Ok(taken_over)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_a_column_of_addresses_and_names_the_lines_that_hold_none() {
        let text = "Date,Phone Number\n2026-11-01,+44 7911 123456\n2026-11-02,nobody\n";
        let list = read_list(text.as_bytes(), Channel::Sms).expect("a list");
        let read: Vec<&str> = list.addresses.iter().map(Address::expose).collect();
        assert_eq!(read, ["+447911123456"]);
        assert_eq!(list.invalid.len(), 1);
        assert_eq!(list.invalid[0].line, 3);
        let why = read_list("a,b\n1,2\n".as_bytes(), Channel::Sms).expect_err("no such column");
        assert!(why.starts_with("line 1: no column is named address"), "{why}");
    }
}
