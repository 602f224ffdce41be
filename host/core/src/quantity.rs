//! Sizes, times, counts and digests in words for people: the same in messages, logs and on the terminal.

/// A number of bytes: `17 bytes`, `1.5 KiB`, `256 MiB`. A size without a decimal is exact, so that two that differ by a
/// little are not shown as the same.
pub fn bytes(count: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.iter().find(|(_, size)| count >= *size) {
        Some((unit, size)) if count.is_multiple_of(*size) => format!("{} {unit}", count / size),
        Some((unit, size)) => format!("{:.1} {unit}", count as f64 / *size as f64),
        None if count == 1 => "1 byte".to_owned(),
        None => format!("{count} bytes"),
    }
}

/// A time that was set, exactly: `24 h`, `60 min`, `90 s`, `1500 ms`.
pub fn duration_ms(millis: u64) -> String {
    match millis {
        0 => "0 s".to_owned(),
        _ if millis > 3_600_000 && millis.is_multiple_of(3_600_000) => format!("{} h", millis / 3_600_000),
        _ if millis.is_multiple_of(60_000) => format!("{} min", millis / 60_000),
        _ if millis.is_multiple_of(1_000) => format!("{} s", millis / 1_000),
        _ => format!("{millis} ms"),
    }
}

/// A time that was measured, in microseconds, with as many digits as matter: `800 µs`, `34 ms`, `1.2 s`, `2 min 5 s`.
pub fn measured_us(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..10_000 => format!("{:.1} ms", micros as f64 / 1e3),
        10_000..1_000_000 => format!("{} ms", micros / 1_000),
        1_000_000..60_000_000 => format!("{:.1} s", micros as f64 / 1e6),
        _ if micros % 60_000_000 < 1_000_000 => format!("{} min", micros / 60_000_000),
        _ => format!("{} min {} s", micros / 60_000_000, micros / 1_000_000 % 60),
    }
}

/// A large number: `420`, `1.2 M`, `20 G`.
pub fn count(number: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("T", 1_000_000_000_000), ("G", 1_000_000_000), ("M", 1_000_000), ("k", 1_000)];
    let Some((unit, size)) = UNITS.iter().find(|(_, size)| number >= *size) else { return number.to_string() };
    let value = number as f64 / *size as f64;
    if value >= 100.0 || value.fract() < 0.05 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// How many there are of something, whose plural ends in `s`: `1 line`, `2 lines`.
pub fn how_many(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// Bytes as hexadecimal digits, such as a digest.
pub fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well_and_two_that_differ_look_different() {
        assert_eq!([0, 1, 17, 1023].map(bytes), ["0 bytes", "1 byte", "17 bytes", "1023 bytes"]);
        assert_eq!([1536, 256 << 20, 3 << 40].map(bytes), ["1.5 KiB", "256 MiB", "3 TiB"]);
        assert_ne!(bytes(256 << 20), bytes((256 << 20) + 1));
    }

    #[test]
    fn a_time_that_was_set_is_exact() {
        assert_eq!(
            [0, 300, 1_500, 90_000, 3_600_000, 3_600_100].map(duration_ms),
            ["0 s", "300 ms", "1500 ms", "90 s", "60 min", "3600100 ms"]
        );
    }

    #[test]
    fn a_time_that_was_measured_has_the_digits_that_matter() {
        assert_eq!(
            [800, 1_500, 34_000, 1_200_000, 125_000_000, 3_600_000_000].map(measured_us),
            ["800 µs", "1.5 ms", "34 ms", "1.2 s", "2 min 5 s", "60 min"]
        );
    }

    #[test]
    fn counts_read_well() {
        assert_eq!([0, 420, 9_900, 1_234_567, 20_000_000_000].map(count), ["0", "420", "9.9 k", "1.2 M", "20 G"]);
        assert_eq!([0, 1, 2].map(|number| how_many(number, "stage")), ["0 stages", "1 stage", "2 stages"]);
    }

    #[test]
    fn bytes_become_two_digits_each() {
        assert_eq!(hexadecimal(&[0, 9, 0xab, 0xff]), "0009abff");
    }
}
