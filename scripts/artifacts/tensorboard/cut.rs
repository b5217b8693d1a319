//! Cut of the event files of a run at the checkpoint that it is resumed from.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

/// A tag that the events of iterations have, and those of intervals lack.
const OF_ITERATIONS: &[u8] = b"time/iterations";
/// Bytes before and after the data of a record.
const HEADER: usize = 12;
const FOOTER: usize = 4;

/// Cuts every event file of a folder after the events that were written up to the checkpoint at `step`. The event of the interval
/// `due`, which was still open then, came later. Half a record is dropped, and so is a file without scalars.
pub(super) fn cut_events(folder: &Path, step: u64, due: Option<u64>) -> anyhow::Result<()> {
    for path in event_files(folder)? {
        let cut = || -> std::io::Result<()> {
            let bytes = fs::read(&path)?;
            match kept(&bytes, step, due) {
                None => fs::remove_file(&path),
                Some(end) if end < bytes.len() => fs::OpenOptions::new().write(true).open(&path)?.set_len(end as u64),
                Some(_) => Ok(()),
            }
        };
        cut().with_context(|| format!("cutting {}", path.display()))?;
    }
    Ok(())
}

fn event_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let ours = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("events.out.tfevents.") && name.ends_with(".zerodte")
    };
    let entries = fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
    let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.with_context(|| format!("listing {}", folder.display()))?;
    paths.retain(ours);
    Ok(paths)
}

/// Returns the length of the part to keep; `None` if it holds no scalar.
fn kept(bytes: &[u8], step: u64, due: Option<u64>) -> Option<usize> {
    let (mut at, mut scalars) = (0, false);
    while let Some(data) = record(&bytes[at..]) {
        let Some((written, content)) = event(data) else { break };
        let of_iteration = data.windows(OF_ITERATIONS.len()).any(|part| part == OF_ITERATIONS);
        let later = written > step || due.is_some_and(|due| written >= due) && !of_iteration;
        if content == SUMMARY && later {
            break;
        }
        scalars |= content == SUMMARY;
        at += HEADER + data.len() + FOOTER;
    }
    scalars.then_some(at)
}

/// Returns the data of the first record; `None` for half a record.
fn record(bytes: &[u8]) -> Option<&[u8]> {
    let length = usize::try_from(u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?)).ok()?;
    let whole = bytes.get(..HEADER.checked_add(length)?.checked_add(FOOTER)?)?;
    Some(&whole[HEADER..HEADER + length])
}

/// Field `summary` of an event.
const SUMMARY: u8 = 5;

/// Returns step and kind of an event, as this program writes it: wall time, step, content.
fn event(data: &[u8]) -> Option<(u64, u8)> {
    let [0x09, _, _, _, _, _, _, _, _, 0x10, rest @ ..] = data else { return None };
    let (mut step, mut shift) = (0_u64, 0);
    for (index, byte) in rest.iter().enumerate().take(10) {
        step |= u64::from(byte & 0x7f).checked_shl(shift)?;
        shift += 7;
        if *byte < 0x80 {
            return Some((step, rest.get(index + 1)? >> 3));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::tensorboard::EventWriter;

    #[test]
    fn events_after_the_checkpoint_are_cut_and_half_a_record_too() {
        let folder = tempfile::tempdir().unwrap();
        let files = || event_files(folder.path()).unwrap();
        let bytes = || fs::read(&files()[0]).unwrap();
        let values = |tag: &str| vec![(tag.to_owned(), 1.0)];
        let mut writer = EventWriter::create(folder.path(), None).unwrap();
        let mut lengths = Vec::new();
        // The interval of 300 was open at the checkpoint of 320, after the iteration.
        for (step, tag) in [(100, "actions/a"), (160, "time/iterations"), (320, "time/iterations"), (300, "actions/a")]
        {
            writer.scalars(step, &values(tag)).unwrap();
            lengths.push(bytes().len());
        }
        fs::write(folder.path().join("events.out.tfevents.1.other"), "theirs").unwrap();
        let whole = bytes();
        cut_events(folder.path(), 320, None).unwrap();
        assert_eq!(bytes(), whole);
        cut_events(folder.path(), 320, Some(300)).unwrap();
        assert_eq!(bytes(), whole[..lengths[2]]);
        fs::write(&files()[0], &whole[..lengths[2] - 3]).unwrap();
        cut_events(folder.path(), 320, Some(300)).unwrap();
        assert_eq!(bytes(), whole[..lengths[1]]);
        cut_events(folder.path(), 50, None).unwrap();
        assert!(files().is_empty(), "a file without scalars");
        assert!(folder.path().join("events.out.tfevents.1.other").exists());
    }
}
