//! A TensorBoard event file of scalars: length-prefixed, checksummed protobuf records.
//!
//! # Source
//! `tensorflow/core/lib/io/record_writer.cc` (framing, masked CRC-32C) and `tensorflow/core/util/event.proto` (fields).

mod cut;

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
};

use anyhow::Context as _;
use ppo_agent::protobuf::Message;

use crate::output::clock;

/// Writer of a TensorBoard event file.
#[derive(Debug)]
pub struct EventWriter {
    file: File,
}

impl EventWriter {
    /// Creates `events.out.tfevents.<seconds>.zerodte` in the folder. For a resumed run, `resumed_at` is its
    /// first step: from there on TensorBoard discards the points of earlier files in the folder.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(folder: &Path, resumed_at: Option<u64>) -> anyhow::Result<Self> {
        let seconds = clock::unix_seconds() as u64;
        // Two runs within the same second get a file each.
        let open = |n: u64| {
            let name = format!("events.out.tfevents.{}.zerodte", seconds + n);
            OpenOptions::new().write(true).create_new(true).open(folder.join(name))
        };
        let file = (0..60).find_map(|n| open(n).ok()).map_or_else(|| open(60), Ok);
        let mut writer =
            Self { file: file.with_context(|| format!("creating TensorBoard events in {}", folder.display()))? };
        let now = clock::unix_seconds();
        writer.record(event(now, 0).text(3, "brain.Event:2"))?;
        if let Some(step) = resumed_at {
            writer.record(event(now, step).message(7, &Message::default().integer(1, 1)))?;
        }
        Ok(writer)
    }

    /// Cuts the files of the folder at the checkpoint of `step`, and starts another. The interval `due` was still open at that step.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn resume(folder: &Path, step: u64, due: Option<u64>) -> anyhow::Result<Self> {
        cut::cut_events(folder, step, due)?;
        Self::create(folder, Some(step + 1))
    }

    /// Writes scalars of one step; values that are not finite are left out.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn scalars(&mut self, step: u64, values: &[(String, f64)]) -> anyhow::Result<()> {
        let finite = values.iter().filter(|(_, value)| value.is_finite());
        let values: Vec<Message> = finite.map(|(tag, value)| scalar(tag, *value as f32)).collect();
        self.record(event(clock::unix_seconds(), step).message(5, &Message::default().messages(1, &values)))
    }

    fn record(&mut self, event: Message) -> anyhow::Result<()> {
        self.file.write_all(&framed(&event.into_bytes())).context("writing TensorBoard events")
    }
}

/// Frames a record: length, its checksum, data, its checksum.
fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked_crc32c(&length).to_le_bytes(), data, &masked_crc32c(data).to_le_bytes()].concat()
}

/// `Event { 1: double wall_time, 2: int64 step, … }`
fn event(wall_time: f64, step: u64) -> Message {
    Message::default().double(1, wall_time).integer(2, step)
}

/// `Summary.Value { 1: string tag, 2: float simple_value }`
fn scalar(tag: &str, value: f32) -> Message {
    Message::default().text(1, tag).float(2, value)
}

/// Returns the masked CRC-32C (Castagnoli) of the record format: rotated, plus a constant.
fn masked_crc32c(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 })
    });
    (!crc).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_matches_the_published_check_value() {
        // The check value of CRC-32C is 0xe3069283 for "123456789".
        assert_eq!(masked_crc32c(b"123456789"), 0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8));
    }

    /// Reads a protobuf message into (field, wire type, payload).
    fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, Vec<u8>)> {
        fn read_varint(bytes: &mut &[u8]) -> u64 {
            let (mut value, mut shift) = (0, 0);
            loop {
                let byte = bytes[0];
                *bytes = &bytes[1..];
                value |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    return value;
                }
            }
        }
        let mut out = Vec::new();
        while !bytes.is_empty() {
            let key = read_varint(&mut bytes);
            let length = match key & 7 {
                0 => {
                    out.push((key >> 3, 0, read_varint(&mut bytes).to_le_bytes().to_vec()));
                    continue;
                }
                1 => 8,
                2 => read_varint(&mut bytes) as usize,
                5 => 4,
                other => panic!("wire type {other}"),
            };
            out.push((key >> 3, key & 7, bytes[..length].to_vec()));
            bytes = &bytes[length..];
        }
        out
    }

    fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            assert_eq!(bytes[8..12], masked_crc32c(&bytes[..8]).to_le_bytes());
            let data = &bytes[12..12 + length];
            assert_eq!(bytes[12 + length..16 + length], masked_crc32c(data).to_le_bytes());
            out.push(data.to_vec());
            bytes = &bytes[16 + length..];
        }
        out
    }

    #[test]
    fn written_events_parse_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(folder.path(), Some(300)).unwrap();
        let values =
            [("train/loss".to_owned(), 0.25), ("train/nan".to_owned(), f64::NAN), ("time/fps".to_owned(), 1e6)];
        writer.scalars(70_000, &values).unwrap();
        let path = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        assert!(path.to_string_lossy().contains("events.out.tfevents."));
        let events: Vec<_> = records(&std::fs::read(path).unwrap()).iter().map(|record| fields(record)).collect();
        assert_eq!(events[0][2], (3, 2, b"brain.Event:2".to_vec()));
        assert_eq!(events[1][1], (2, 0, 300_u64.to_le_bytes().to_vec()));
        assert_eq!(events[1][2], (7, 2, vec![8, 1]));
        let wall_time = f64::from_le_bytes(events[2][0].2.as_slice().try_into().unwrap());
        assert!(wall_time > 1.6e9);
        assert_eq!(events[2][1], (2, 0, 70_000_u64.to_le_bytes().to_vec()));
        let scalars: Vec<_> = fields(&events[2][2].2).iter().map(|(_, _, value)| fields(value)).collect();
        assert_eq!(scalars.len(), 2);
        assert_eq!(scalars[0], [(1, 2, b"train/loss".to_vec()), (2, 5, 0.25_f32.to_le_bytes().to_vec())]);
        assert_eq!(scalars[1][1].2, 1e6_f32.to_le_bytes());
    }
}
