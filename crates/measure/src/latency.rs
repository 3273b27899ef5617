//! Latencies of single events, for percentiles: an HDR histogram of nanoseconds.

use hdrhistogram::Histogram;

/// Latencies to three digits, up to a minute.
#[derive(Clone, Debug)]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Latency {
        let minute = 60_000_000_000;
        Latency(Histogram::new_with_bounds(1, minute, 3).expect("valid bounds"))
    }
}

impl Latency {
    /// Of these, in nanoseconds.
    pub fn of(nanos: &[f64]) -> Latency {
        let mut latency = Latency::default();
        latency.record_all(nanos);
        latency
    }

    /// Records these, in nanoseconds.
    pub fn record_all(&mut self, nanos: &[f64]) {
        for nanos in nanos {
            self.0.saturating_record(nanos.round().max(1.0) as u64);
        }
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that this percentage of the records does not exceed.
    pub fn percentile(&self, percent: f64) -> f64 {
        if self.0.is_empty() { f64::NAN } else { self.0.value_at_percentile(percent) as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_count_all_records() {
        assert!(Latency::default().percentile(50.0).is_nan());
        let mut some = Latency::of(&[100.0; 90]);
        some.record_all(&[5000.0; 10]);
        assert_eq!(some.count(), 100);
        assert_eq!(some.percentile(50.0), 100.0);
        assert!((some.percentile(99.0) - 5000.0).abs() < 5.0);
    }
}
