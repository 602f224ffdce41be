//! Durations and sizes for people.

/// A duration: `0.8 ms`, `34 ms`, `1.2 s`, `2 min 5 s`.
pub fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..10_000 => format!("{:.1} ms", micros as f64 / 1e3),
        10_000..1_000_000 => format!("{} ms", micros / 1_000),
        1_000_000..60_000_000 => format!("{:.1} s", micros as f64 / 1e6),
        _ if micros % 60_000_000 < 1_000_000 => format!("{} min", micros / 60_000_000),
        _ => format!("{} min {} s", micros / 60_000_000, micros / 1_000_000 % 60),
    }
}

/// A number of bytes: `512 B`, `1.1 MiB`.
pub fn bytes(count: u64) -> String {
    scaled(count, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"])
}

/// A count: `420`, `1.2 M`.
pub fn count(number: u64) -> String {
    scaled(number, 1000.0, &["", "k", "M", "G", "T"]).trim_end().to_owned()
}

fn scaled(number: u64, step: f64, units: &[&str]) -> String {
    let mut value = number as f64;
    let mut unit = 0;
    while value >= step && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    if unit == 0 || value >= 100.0 || value.fract() < 0.05 {
        format!("{value:.0} {}", units[unit])
    } else {
        format!("{value:.1} {}", units[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_well() {
        assert_eq!(duration(800), "800 µs");
        assert_eq!(duration(34_000), "34 ms");
        assert_eq!(duration(1_200_000), "1.2 s");
        assert_eq!(duration(125_000_000), "2 min 5 s");
        assert_eq!(duration(3_600_000_000), "60 min");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(256 << 20), "256 MiB");
        assert_eq!(bytes(1_153_434), "1.1 MiB");
        assert_eq!(count(20_000_000_000), "20 G");
        assert_eq!(count(420), "420");
    }
}
