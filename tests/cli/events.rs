//! Reader of TensorBoard event files, for comparisons of runs.

use std::{fs, path::Path};

/// The scalars of all event files of a run folder, in the order in which the files were started, without those that tell the time.
pub(crate) fn scalars(run: &Path) -> Vec<(u64, String, f32)> {
    let mut files: Vec<_> = fs::read_dir(run).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with("events.out.tfevents."));
    files.sort();
    files.iter().flat_map(|path| records(&fs::read(path).unwrap())).flat_map(|record| of_event(&record)).collect()
}

fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        found.push(bytes[12..12 + length].to_vec());
        bytes = &bytes[16 + length..];
    }
    found
}

fn of_event(record: &[u8]) -> Vec<(u64, String, f32)> {
    let fields = fields(record);
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    let step = fields.iter().find(|field| field.0 == 2).map_or(0, |field| number(&field.1));
    let summaries = fields.iter().filter(|field| field.0 == 5).flat_map(|field| self::fields(&field.1));
    let scalar = |(_, value): (u64, Vec<u8>)| {
        let parts = self::fields(&value);
        let tag = String::from_utf8(parts[0].1.clone()).unwrap();
        (step, tag, f32::from_le_bytes(parts[1].1.as_slice().try_into().unwrap()))
    };
    summaries.map(scalar).filter(|(_, tag, _)| !matches!(tag.as_str(), "time/fps" | "time/time_elapsed")).collect()
}

/// Reads a protobuf message into fields and payloads; a number is written as eight bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let length = match key & 7 {
            0 => {
                found.push((key >> 3, varint(&mut bytes).to_le_bytes().to_vec()));
                continue;
            }
            1 => 8,
            2 => varint(&mut bytes) as usize,
            5 => 4,
            other => panic!("wire type {other}"),
        };
        found.push((key >> 3, bytes[..length].to_vec()));
        bytes = &bytes[length..];
    }
    found
}

fn varint(bytes: &mut &[u8]) -> u64 {
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
