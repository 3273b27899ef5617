//! Medians and spread.

/// What is quoted of many samples: never the mean, which one interruption decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The tenth percentile.
    pub p10: f64,
    /// The middle.
    pub median: f64,
    /// The ninetieth percentile.
    pub p90: f64,
    /// How many samples.
    pub n: usize,
}

impl Spread {
    /// `None` of no samples at all.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |share| quantile(&sorted, share);
        Some(Spread { p10: at(0.1)?, median: at(0.5)?, p90: at(0.9)?, n: sorted.len() })
    }
}

/// The median of these, or `None` of none.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    Spread::of(values).map(|spread| spread.median)
}

/// The value below which this share of sorted values lies: linear between the two
/// neighbours, as most tools have it.
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(below + (above - below) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_lies_between_neighbours() {
        let spread = Spread::of([5.0, 1.0, 4.0, 2.0, 3.0]).unwrap();
        assert_eq!((spread.p10, spread.median, spread.p90, spread.n), (1.4, 3.0, 4.6, 5));
        assert_eq!(median([1.0, 2.0]), Some(1.5));
        assert_eq!(median([7.0]), Some(7.0));
        assert_eq!(median([]), None);
    }
}
