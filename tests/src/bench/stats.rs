//! Percentiles and medians.

use std::time::Duration;

/// What a round of requests or publishes gave.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Round {
    pub(super) per_s: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

impl Round {
    /// From latencies in microseconds that were seen within `took`.
    pub(super) fn of(mut micros: Vec<u32>, took: Duration) -> Self {
        micros.sort_unstable();
        Self {
            per_s: micros.len() as f64 / took.as_secs_f64(),
            p50_ms: percentile(&micros, 0.50) / 1e3,
            p99_ms: percentile(&micros, 0.99) / 1e3,
        }
    }

    /// The median of several rounds, figure by figure.
    pub(super) fn median(rounds: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(&rounds.iter().map(figure).collect::<Vec<_>>());
        Self {
            per_s: of(|round| round.per_s),
            p50_ms: of(|round| round.p50_ms),
            p99_ms: of(|round| round.p99_ms),
        }
    }
}

/// Of sorted values; 0 when there are none.
pub(super) fn percentile<T: Copy + Into<f64>>(sorted: &[T], which: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let index = (last as f64 * which).round() as usize;
    sorted.get(index).map_or(0.0, |value| (*value).into())
}

/// Of values in any order; 0 when there are none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    match (sorted.get(sorted.len() / 2), sorted.len() % 2) {
        (None, _) => 0.0,
        (Some(middle), 1) => *middle,
        (Some(middle), _) => (middle + sorted[sorted.len() / 2 - 1]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_and_medians_are_those_of_the_values() {
        let values: Vec<u32> = (1..=101).collect();
        assert_eq!(percentile(&values, 0.5), 51.0);
        assert_eq!(percentile(&values, 0.99), 100.0);
        assert_eq!(percentile::<u32>(&[], 0.5), 0.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
