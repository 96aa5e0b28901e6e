//! Numbers and texts as a page shows them.

/// A number with five significant digits, without zeros at its end.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .to_owned();
    }
    let size = value.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    if !(1e-4..1e6).contains(&size) {
        let text = format!("{value:.4e}");
        return match text.split_once('e') {
            Some((digits, exponent)) => format!("{}e{exponent}", without_zeros(digits)),
            None => text,
        };
    }
    let decimals = (4 - size.log10().floor() as i32).max(0) as usize;
    without_zeros(&format!("{value:.decimals$}")).to_owned()
}

fn without_zeros(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

/// A count with its thousands apart.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number of bytes.
pub(crate) fn bytes(value: u64) -> String {
    let value = value as f64;
    match value {
        _ if value >= 1024_f64.powi(3) => format!("{:.2} GiB", value / 1024_f64.powi(3)),
        _ if value >= 1024_f64.powi(2) => format!("{:.0} MiB", value / 1024_f64.powi(2)),
        _ => format!("{:.0} KiB", value / 1024.0),
    }
}

/// A time.
pub(crate) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return number(seconds);
    }
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 { format!("{hours} h {minutes:02} min") } else { format!("{minutes} min {seconds:02} s") }
}

/// A text of at most `longest` characters; what is longer ends in an ellipsis.
pub(crate) fn short(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_they_may_be() {
        for (value, text) in [
            (0.0, "0"),
            (2.0, "2"),
            (-1.5, "-1.5"),
            (123.456_789, "123.46"),
            (99_999.96, "100000"),
            (0.000_123_456, "0.00012346"),
            (1e-5, "1e-5"),
            (1.25e9, "1.25e9"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::MIN_POSITIVE, "2.2251e-308"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([2048, 5 << 20, 3 << 29].map(bytes), ["2 KiB", "5 MiB", "1.50 GiB"]);
        assert_eq!([5.04, 65.0, 7384.0].map(duration), ["5.0 s", "1 min 05 s", "2 h 03 min"]);
        assert_eq!([short("añb", 2), short("añb", 3)], ["añ…", "añb"]);
    }
}
