//! Where values lie on paper, and which of them are labelled.

/// A linear map from values to positions.
#[derive(Clone, Copy)]
pub struct Scale {
    values: (f64, f64),
    positions: (f64, f64),
}

impl Scale {
    /// The map that takes the ends of `values` to the ends of `positions`.
    pub fn new(values: (f64, f64), positions: (f64, f64)) -> Self {
        Self { values, positions }
    }

    /// The position of a value.
    pub fn at(self, value: f64) -> f64 {
        let share = (value - self.values.0) / (self.values.1 - self.values.0);
        self.positions.0 + share * (self.positions.1 - self.positions.0)
    }
}

/// Round values between two ends.
pub struct Axis {
    /// The ends of the axis; not equal.
    pub ends: (f64, f64),
    step: f64,
}

impl Axis {
    /// An axis that ends on round values and covers all finite `values`; with `from_zero` it
    /// starts at 0 or below. Without finite values it goes from 0 to 1.
    pub fn covering(values: impl Iterator<Item = f64>, from_zero: bool) -> Self {
        let (mut low, mut high) = range(values).unwrap_or((0.0, 1.0));
        if from_zero {
            low = low.min(0.0);
        }
        if low == high {
            let room = if high == 0.0 { 1.0 } else { high.abs() * 0.1 };
            (low, high) = (if from_zero { low } else { low - room }, high + room);
        }
        let step = round_step((high - low) / 5.0);
        let ends = ((low / step).floor() * step, (high / step).ceil() * step);
        Self { ends, step }
    }

    /// An axis that ends where the finite `values` end, and labels whole numbers alone.
    pub fn whole(values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = range(values).unwrap_or((0.0, 1.0));
        if low == high {
            (low, high) = (low - 1.0, high + 1.0);
        }
        let step = round_step((high - low) / 5.0).max(1.0);
        Self {
            ends: (low, high),
            step,
        }
    }

    /// The values to label, in order.
    pub fn ticks(&self) -> impl Iterator<Item = f64> {
        // Multiples of the step, so that they do not add up rounding; the slack keeps an end
        // that is a multiple but for rounding.
        let slack = 1e-6;
        let first = (self.ends.0 / self.step - slack).ceil() as i64;
        let last = (self.ends.1 / self.step + slack).floor() as i64;
        (first..=last).map(|multiple| multiple as f64 * self.step)
    }

    /// A tick as text, with the decimals that the step has.
    pub fn label(&self, value: f64) -> String {
        let (unit, suffix) = match self.ends.0.abs().max(self.ends.1.abs()) {
            1e9.. => return format!("{value:.1e}"),
            1e6.. => (1e6, "M"),
            1e4.. => (1e3, "k"),
            _ => (1.0, ""),
        };
        let decimals = -(self.step / unit).log10().floor();
        if decimals > 4.0 {
            return format!("{value:.0e}");
        }
        format!("{:.*}{suffix}", decimals.max(0.0) as usize, value / unit)
    }
}

/// The smallest and the largest finite value.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|v| v.is_finite()).fold(None, |range, value| {
        let (low, high) = range.unwrap_or((value, value));
        Some((f64::min(low, value), f64::max(high, value)))
    })
}

/// The smallest 1, 2 or 5 times a power of ten that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powi(step.log10().floor() as i32);
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|factor| factor * power >= step * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks().map(|tick| axis.label(tick)).collect()
    }

    #[test]
    fn ticks_are_round_and_cover() {
        let loss = Axis::covering([1.31, 2.29, f64::NAN].into_iter(), false);
        assert_eq!(
            labels(&loss),
            ["1.2", "1.4", "1.6", "1.8", "2.0", "2.2", "2.4"]
        );
        let accuracy = Axis::covering([12.0, 61.7].into_iter(), true);
        assert_eq!(labels(&accuracy), ["0", "20", "40", "60", "80"]);
        let small = Axis::covering([0.0, 0.3].into_iter(), true);
        assert_eq!(labels(&small), ["0.0", "0.1", "0.2", "0.3"]);
        let large = Axis::covering([0.0, 40_000.0].into_iter(), true);
        assert_eq!(labels(&large), ["0k", "10k", "20k", "30k", "40k"]);
    }

    #[test]
    fn epochs_are_whole() {
        assert_eq!(
            labels(&Axis::whole([1.0, 2.0, 3.0].into_iter())),
            ["1", "2", "3"]
        );
        assert_eq!(
            labels(&Axis::whole([1.0, 40.0].into_iter())),
            ["10", "20", "30", "40"]
        );
        assert_eq!(labels(&Axis::whole([1.0].into_iter())), ["0", "1", "2"]);
    }

    #[test]
    fn nothing_to_cover_is_no_failure() {
        for values in [
            vec![],
            vec![f64::NAN],
            vec![0.0],
            vec![5.0, 5.0],
            vec![1e300],
        ] {
            for from_zero in [false, true] {
                let axis = Axis::covering(values.iter().copied(), from_zero);
                assert!(axis.ends.0 < axis.ends.1, "{values:?}");
                assert!((2..8).contains(&labels(&axis).len()), "{values:?}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_loss_has_a_few_ticks_that_cover_it(a in -1e12..1e12, width in 1e-6..1e12) {
            let axis = Axis::covering([a, a + width].into_iter(), false);
            let ticks: Vec<f64> = axis.ticks().collect();
            let slack = 1e-6 * axis.step;
            proptest::prop_assert!((2..=12).contains(&ticks.len()), "{ticks:?}");
            proptest::prop_assert!(ticks[0] <= a + slack);
            proptest::prop_assert!(ticks[ticks.len() - 1] >= a + width - slack);
        }
    }

    #[test]
    fn scales_map_ends_to_ends() {
        let scale = Scale::new((1.0, 3.0), (100.0, 0.0));
        assert_eq!([1.0, 2.0, 3.0].map(|v| scale.at(v)), [100.0, 50.0, 0.0]);
    }
}
