//! Moving the file: every byte of it through each transport, verified at the receiver.
//!
//! The file goes in slices, each through all transports before the next. A slice is
//! moved with its checksum computed at the receiver. Some are moved again with each
//! line merely touched, and through the raw stream too, between the same two probes.

use std::time::{Duration, Instant};

use annulus_measure::pair::Proof;
use annulus_measure::placement::Placement;
use annulus_measure::sample::Samples;
use annulus_measure::table::{Table, figure};
use annulus_measure::{Error, Kind, Lane, Pair};

use super::progress::Progress;
use super::source::{SLICE, Source, size};
use super::{Failure, ROWS, Where, percent, spoilt, typical};

/// Bytes in a message.
const MESSAGE: usize = 64 << 10;

/// The raw stream's lane; the rows' lanes follow it.
const RAW: usize = 0;

/// From here on slices are moved once each, and here a huge file is cut short.
const SAMPLING: Duration = Duration::from_secs(10);
const MOVING: Duration = Duration::from_secs(17);

/// Every so many slices show the raw partner.
const STRIDE: u64 = 4;

/// A sleeping transport is shown for comparison: a part of the file will do.
const SLEEPING_SLICES: u64 = 32;

/// This part's lanes.
pub fn lanes() -> Vec<Lane> {
    let rows = ROWS.iter().map(|row| row.lane(MESSAGE));
    std::iter::once(Lane::new(Kind::Raw, MESSAGE)).chain(rows).collect()
}

/// What one transport did: nanoseconds for a slice.
#[derive(Default)]
struct Moved {
    checked: Samples<f64>,
    /// Beside the raw stream's.
    touched: Samples<(f64, f64)>,
    bytes: u64,
}

impl Moved {
    fn move_on(
        &mut self,
        pair: &mut Pair,
        lane: usize,
        slice: &[u8],
        beside_raw: bool,
    ) -> Result<(), Error> {
        if slice.len() < SLICE {
            // Too short to say how fast, but part of the file.
            verified(pair, lane, slice, Proof::Checksum)?;
        } else {
            self.checked.take(pair, |pair| verified(pair, lane, slice, Proof::Checksum))?;
        }
        if beside_raw && slice.len() == SLICE {
            self.touched.take(pair, |pair| {
                let raw = verified(pair, RAW, slice, Proof::LineSum)?;
                Ok((verified(pair, lane, slice, Proof::LineSum)?, raw))
            })?;
        }
        self.bytes += slice.len() as u64;
        Ok(())
    }

    fn met(&self) -> impl Iterator<Item = (Placement, f64)> {
        self.checked.met().chain(self.touched.met())
    }

    /// The share of the samples not used in a report on this placement.
    fn outside(&self, placement: Placement) -> f64 {
        let [checked, touched] = [self.checked.taken() as f64, self.touched.taken() as f64];
        let unused =
            self.checked.outside(placement) * checked + self.touched.outside(placement) * touched;
        unused / (checked + touched).max(1.0)
    }

    /// The share of those used that other programs had a part in.
    fn interrupted(&self, placement: Placement) -> f64 {
        self.checked.interrupted(placement).max(self.touched.interrupted(placement))
    }
}

/// What all did.
pub struct Report(Vec<Moved>);

/// Moves the file through each transport.
pub fn measure(
    pair: &mut Pair,
    source: &Source,
    progress: &mut Progress,
) -> Result<Report, Failure> {
    let mut moved: Vec<Moved> = ROWS.iter().map(|_| Moved::default()).collect();
    if source.is_empty() {
        return Ok(Report(moved));
    }
    progress.begin("Moving the file", source.slices());
    let mut slice = Vec::new();
    source.read(0, &mut slice).map_err(Failure::File)?;
    for lane in RAW..=RAW + ROWS.len() {
        // Brings the pages in.
        verified(pair, lane, &slice, Proof::LineSum)?;
    }
    let start = Instant::now();
    for index in 0..source.slices() {
        if start.elapsed() > MOVING {
            break;
        }
        source.read(index, &mut slice).map_err(Failure::File)?;
        let beside_raw = index % STRIDE == 0 && start.elapsed() < SAMPLING;
        for (number, (row, moved)) in ROWS.iter().zip(&mut moved).enumerate() {
            if row.blocking && (!beside_raw || index >= STRIDE * SLEEPING_SLICES) {
                continue;
            }
            moved.move_on(pair, RAW + 1 + number, &slice, beside_raw)?;
        }
        progress.at(index + 1);
    }
    Ok(Report(moved))
}

/// Moves a slice and compares the receiver's proof with the bytes sent.
fn verified(pair: &mut Pair, lane: usize, slice: &[u8], proof: Proof) -> Result<f64, Error> {
    let (nanos, found) = pair.file(lane, slice, proof)?;
    let expected = proof.of(slice);
    if found == expected { Ok(nanos) } else { Err(Error::Checksum { found, expected }) }
}

impl Report {
    /// Says so if the time was over before the file was.
    fn cut_short(&self, source: &Source) -> String {
        let moved = self.0.first().map_or(0, |first| first.bytes);
        if moved == source.total() {
            return String::new();
        }
        let (moved, total) = (size(moved), size(source.total()));
        format!(
            "The time was over before the file was: only the first {moved} of {total} were moved.\n"
        )
    }

    /// The table, for the placement met most.
    pub fn report(&self, source: &Source) -> String {
        if source.is_empty() {
            return format!("{source} is empty: there is nothing to move.\n");
        }
        let placement = Where::most(self.0.iter().flat_map(Moved::met));
        let heading =
            ["the file", "GB/s", "x raw", "with checksum", "x raw", "verified", "thrown away"];
        let mut table = Table::new(heading);
        let mut raws = Vec::new();
        for (row, moved) in ROWS.iter().zip(&self.0) {
            let touched = || moved.touched.of(placement.main).map(|sample| sample.value);
            let checked = typical(moved.checked.of(placement.main).map(|sample| sample.value));
            let raw = typical(touched().map(|(_, raw)| raw));
            raws.extend(touched().map(|(_, raw)| raw));
            table.row([
                row.name.to_owned(),
                figure(rate(typical(touched().map(|(touched, _)| touched)))),
                figure(typical(touched().map(|(touched, raw)| raw / touched))),
                figure(rate(checked)),
                figure(raw / checked),
                size(moved.bytes),
                percent(moved.outside(placement.main)),
            ]);
        }
        let raw = figure(rate(typical(raws)));
        format!(
            "{source}, in messages of 64 KiB.\n{placement}\n\n{table}\n\
             raw: two memcpy through a bare ring of 64 KiB chunks, {raw} GB/s. Without the \
             checksum the receiver\ntouches each cache line once; with it, it computes XXH3 of \
             all bytes, which equalled the sender's.\n{}{}",
            self.cut_short(source),
            spoilt(self.0.iter().map(|moved| moved.interrupted(placement.main)))
        )
    }
}

/// GB/s from nanoseconds for a slice.
fn rate(nanos: f64) -> f64 {
    SLICE as f64 / nanos
}
