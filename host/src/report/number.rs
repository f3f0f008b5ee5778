//! Numbers as people read them.

/// What stands for a number that is none.
const NONE: &str = "–";

/// `1234567` as `1,234,567`.
pub fn count(value: usize) -> String {
    let digits = value.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Three significant digits: `7930000` as `7.93 M`. Values below a thousand stay whole.
pub fn compact(value: usize) -> String {
    let (scaled, unit) = match value {
        0..1_000 => return value.to_string(),
        1_000..999_500 => (value as f64 / 1e3, "k"),
        999_500..999_500_000 => (value as f64 / 1e6, "M"),
        _ => (value as f64 / 1e9, "G"),
    };
    format!("{scaled:.*} {unit}", three_digits(scaled))
}

/// Bytes in units of 1024: `12288` as `12.0 KiB`.
pub fn bytes(value: usize) -> String {
    const KIB: f64 = 1024.0;
    let value = value as f64;
    if value < KIB {
        format!("{value} B")
    } else if value < KIB * 999.5 {
        let scaled = value / KIB;
        format!("{scaled:.*} KiB", three_digits(scaled))
    } else {
        let scaled = value / KIB / KIB;
        format!("{scaled:.*} MiB", three_digits(scaled))
    }
}

/// A share of 1 as a percentage with one decimal, without its sign.
pub fn percent(share: f64) -> String {
    fixed(share * 100.0, 1)
}

/// A difference of shares in points, signed: `0.032` as `+3.2`.
pub fn points(difference: f64) -> String {
    let text = percent(difference.abs());
    match text.as_str() {
        NONE | "0.0" => text,
        _ if difference < 0.0 => format!("−{text}"),
        _ => format!("+{text}"),
    }
}

/// A value with that many decimals.
pub fn fixed(value: f64, decimals: usize) -> String {
    if value.is_finite() {
        format!("{value:.decimals$}")
    } else {
        NONE.to_owned()
    }
}

/// A value with about four digits, for text beside a plot.
pub fn short(value: f64) -> String {
    let decimals = match value.abs() {
        0.0..10.0 => 3,
        10.0..100.0 => 2,
        100.0..1000.0 => 1,
        _ => 0,
    };
    fixed(value, decimals)
}

fn three_digits(scaled: f64) -> usize {
    match scaled {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(compact(999), "999");
        assert_eq!(compact(7_930_000), "7.93 M");
        assert_eq!(compact(26_671_104), "26.7 M");
        assert_eq!(compact(999_499), "999 k");
        assert_eq!(compact(999_500), "1.00 M");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(12_288), "12.0 KiB");
        assert_eq!(bytes(1 << 20), "1.00 MiB");
        assert_eq!(percent(0.61749), "61.7");
        assert_eq!(percent(f64::NAN), "–");
        assert_eq!(points(0.0321), "+3.2");
        assert_eq!(points(-0.0321), "−3.2");
        assert_eq!(points(-0.0001), "0.0");
        assert_eq!(points(f64::NAN), "–");
        assert_eq!(short(1.23456), "1.235");
        assert_eq!(short(854.21), "854.2");
    }
}
