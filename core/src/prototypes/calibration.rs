//! How likely a frame is of none of the classes.

use super::ONE;

/// The log-odds that a frame is of none of the classes, as a linear function of its similarity to
/// the nearest class and of the frames which that class was taught, fitted on classes that the
/// encoder was not trained on (logistic regression; Platt, 1999). For a frame with similarity s,
/// to a class of n frames, the log-odds are
///
/// ```text
/// bias + similarity × s + frames / n
/// ```
///
/// where a few frames leave the class's mean uncertain, and its own frames less similar to it. They
/// hold where as many frames are of none of the classes as of one; otherwise the logarithm of that
/// ratio comes on top of the bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calibration {
    /// In [`NAT`](Self::NAT)s.
    pub bias: i32,
    /// In [`NAT`](Self::NAT)s.
    pub similarity: i32,
    /// In [`NAT`](Self::NAT)s.
    pub frames: i32,
}

impl Calibration {
    /// What stands for 1 in log-odds.
    pub const NAT: i32 = 1 << 12;

    /// The probability × [`ONE`] for a similarity × [`ONE`] to a class of so many frames.
    pub fn probability(&self, similarity: i32, frames: u16) -> i32 {
        // 2³¹ × 2¹⁵ and less: nothing overflows.
        let by_similarity = i64::from(self.similarity) * i64::from(similarity) / i64::from(ONE);
        let by_frames = self
            .frames
            .checked_div(i32::from(frames))
            .unwrap_or(self.frames);
        logistic(i64::from(self.bias) + by_similarity + i64::from(by_frames))
    }
}

const NAT: i32 = Calibration::NAT;

/// Log-odds between two entries of the table.
const STEP: u32 = NAT as u32 / 4;

/// [`ONE`] / (1 + e⁻ˣ) for x = 0, ¼, ½ … 8.
static LOGISTIC: [u16; 33] = [
    16384, 18421, 20397, 22255, 23955, 25471, 26790, 27917, 28862, 29644, 30282, 30799, 31214,
    31545, 31807, 32015, 32179, 32307, 32408, 32487, 32549, 32597, 32635, 32664, 32687, 32705,
    32719, 32730, 32738, 32745, 32750, 32754, 32757,
];

/// [`ONE`] / (1 + e⁻ˣ) for log-odds x, by straight lines between the entries of the table: at most
/// 0.001 off, and that of ±8 beyond.
fn logistic(log_odds: i64) -> i32 {
    let distance = log_odds.unsigned_abs().min(8 * NAT as u64) as u32;
    let at = |index: u32| i32::from(LOGISTIC.get(index as usize).copied().unwrap_or(32757));
    let (index, rest) = (distance / STEP, (distance % STEP) as i32);
    let (low, high) = (at(index), at(index + 1));
    let probability = low + (high - low) * rest / STEP as i32;
    if log_odds < 0 {
        ONE - probability
    } else {
        probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logistic_function_is_within_a_thousandth() {
        for log_odds in -10 * NAT..10 * NAT {
            let exact = 1.0 / (1.0 + libm::exp(-f64::from(log_odds) / f64::from(NAT)));
            let ours = f64::from(logistic(i64::from(log_odds))) / f64::from(ONE);
            assert!(
                (ours - exact).abs() < 1e-3,
                "{log_odds}: {ours}, not {exact}"
            );
        }
    }

    #[test]
    fn the_logistic_function_grows_and_is_symmetric() {
        for log_odds in 0..10 * i64::from(NAT) {
            assert!(logistic(log_odds + 1) >= logistic(log_odds));
            assert_eq!(logistic(-log_odds), ONE - logistic(log_odds));
        }
        assert_eq!(logistic(i64::from(i32::MAX) * 3), 32757);
    }
}
