//! Training curves as TensorBoard reads them: a file of events, each framed as a TFRecord.
//!
//! A record is its length (u64), the length's checksum (u32), the bytes, and their checksum (u32),
//! little-endian. The checksum is CRC-32C, rotated and offset, so that a checksum of data that
//! holds checksums is no weaker. The file is a function of the training's [`Record`]s alone.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use crc::{CRC_32_ISCSI, Crc};
use prost::Message;

use super::metrics::{Measures, Record};
use crate::files;

/// What TensorBoard knows the format by.
const VERSION: &str = "brain.Event:2";

static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// `tensorflow.Event`, as far as scalars need it.
#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

/// `tensorflow.Summary`.
#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

/// `tensorflow.Summary.Value`, of a scalar.
#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// Writes the events of all records anew: a resumed training forgets what came after its
/// checkpoint.
pub fn rewrite(path: &Path, records: &[Record]) -> Result<()> {
    let began = match records.first() {
        Some(first) => first.ended - first.seconds,
        None => now(),
    };
    let version = Event {
        wall_time: began,
        file_version: Some(VERSION.to_owned()),
        ..Event::default()
    };
    let mut bytes = framed(&version);
    bytes.extend(records.iter().flat_map(|record| framed(&event(record))));
    files::write(path, &bytes)
}

/// Adds the events of a record.
pub fn append(path: &Path, record: &Record) -> Result<()> {
    files::append(path, &framed(&event(record)))
}

/// Seconds since 1970.
pub fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

fn event(record: &Record) -> Event {
    let scalar = |tag: String, value: f64| Value {
        tag,
        simple_value: Some(value as f32),
    };
    let named = |part: &'static str, measures: &Measures| {
        let scalar = |(name, &value): (&String, &f64)| scalar(format!("{part}/{name}"), value);
        measures.iter().map(scalar).collect::<Vec<_>>()
    };
    let mut value = vec![
        scalar("epoch".to_owned(), record.epoch as f64),
        scalar("rate".to_owned(), record.rate),
        scalar("seconds".to_owned(), record.seconds),
    ];
    value.extend(named("train", &record.train));
    value.extend(named("val", &record.val));
    Event {
        wall_time: record.ended,
        step: record.step as i64,
        summary: Some(Summary { value }),
        ..Event::default()
    }
}

fn framed(event: &Event) -> Vec<u8> {
    let data = event.encode_to_vec();
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend(length);
    record.extend(masked(&length).to_le_bytes());
    record.extend(&data);
    record.extend(masked(&data).to_le_bytes());
    record
}

fn masked(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: usize) -> Record {
        Record {
            epoch,
            step: 40 * epoch,
            rate: 0.01,
            train: Measures::from([("loss".to_owned(), 0.5)]),
            val: Measures::from([("top1".to_owned(), 0.0)]),
            seconds: 2.0,
            waiting: 0.0,
            ended: 1e9 + epoch as f64,
        }
    }

    /// CRC-32C of these digits is 0xe306_9283 (the algorithm's published check value).
    #[test]
    fn checksums_are_masked_as_in_a_record() {
        assert_eq!(masked(b"123456789"), 0xc78a_b0e5);
    }

    #[test]
    fn records_added_one_by_one_or_together_make_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let [one, all] = ["one", "all"].map(|name| folder.path().join(name));
        let records: Vec<_> = (1..4).map(record).collect();
        rewrite(&one, &records[..1]).unwrap();
        for record in &records[1..] {
            append(&one, record).unwrap();
        }
        rewrite(&all, &records).unwrap();
        let bytes = files::read(&one).unwrap();
        assert_eq!(bytes, files::read(&all).unwrap());

        let mut rest = &bytes[..];
        let mut events = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<8>() {
            let data = &after[4..][..u64::from_le_bytes(*length) as usize];
            events.push(Event::decode(data).unwrap());
            rest = &after[4 + data.len() + 4..];
        }
        assert_eq!(events[0].file_version.as_deref(), Some(VERSION));
        assert_eq!(events[0].wall_time, 1e9 - 1.0);
        let steps: Vec<_> = events[1..].iter().map(|event| event.step).collect();
        assert_eq!(steps, [40, 80, 120]);
        let last = events[3].summary.as_ref().unwrap();
        // A zero is written, not left out.
        let top1 = last.value.iter().find(|value| value.tag == "val/top1");
        assert_eq!(top1.unwrap().simple_value, Some(0.0));
    }
}
