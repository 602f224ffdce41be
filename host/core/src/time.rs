//! Time as a value. Whoever needs the present takes it as an argument.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Milliseconds since 1970-01-01T00:00:00Z. In JSON it is RFC 3339 in UTC, such as `2026-11-21T08:00:00.000Z`; a number of
/// milliseconds is read, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The milliseconds from `earlier` to this time; zero if this time is before it.
    pub fn millis_since(self, earlier: Timestamp) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// This time and so many milliseconds more.
    pub fn plus_millis(self, millis: u64) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(millis).unwrap_or(i64::MAX)))
    }

    /// RFC 3339 in UTC with milliseconds, such as `2026-11-21T08:00:00.000Z`.
    pub fn to_rfc3339(self) -> String {
        self.as_calendar().map_or_else(|| format!("{} ms", self.0), |time| format!("{time:.3}"))
    }

    /// Reads RFC 3339 with any offset; what is finer than a millisecond is cut off.
    pub fn from_rfc3339(text: &str) -> Option<Timestamp> {
        let time: jiff::Timestamp = text.parse().ok()?;
        Some(Timestamp(time.as_nanosecond().div_euclid(1_000_000).try_into().ok()?))
    }

    fn as_calendar(self) -> Option<jiff::Timestamp> {
        jiff::Timestamp::from_millisecond(self.0).ok()
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.as_calendar() {
            Some(time) => serializer.collect_str(&format_args!("{time:.3}")),
            // No calendar goes so far.
            None => serializer.serialize_i64(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl de::Visitor<'_> for Reader {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time such as \"2026-11-21T08:00:00.000Z\", or milliseconds since 1970")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
        Timestamp::from_rfc3339(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_i64<E: de::Error>(self, millis: i64) -> Result<Timestamp, E> {
        Ok(Timestamp(millis))
    }

    fn visit_u64<E: de::Error>(self, millis: u64) -> Result<Timestamp, E> {
        i64::try_from(millis).map(Timestamp).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(millis), &self))
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date-time",
            "description": "A time: RFC 3339 in UTC with milliseconds.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_text_and_read_as_text_or_number() {
        let time = Timestamp(1_795_248_000_123);
        let text = serde_json::to_string(&time).unwrap();
        assert_eq!(text, "\"2026-11-21T08:00:00.123Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&text).unwrap(), time);
        assert_eq!(serde_json::from_str::<Timestamp>("1795248000123").unwrap(), time);
        assert_eq!(serde_json::from_str::<Timestamp>("\"2026-11-21T10:00:00.1239+02:00\"").unwrap(), time);
        assert_eq!(serde_json::from_str::<Timestamp>("-5").unwrap(), Timestamp(-5));
        let error = serde_json::from_str::<Timestamp>("\"tomorrow\"").unwrap_err().to_string();
        assert!(error.contains("tomorrow") && error.contains("2026-11-21T08:00:00.000Z"), "{error}");
        for bad in ["1.5", "null", "18446744073709551615", "[]"] {
            assert!(serde_json::from_str::<Timestamp>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_time_survives_json() {
        for millis in [i64::MIN, -1, 0, 1, 253_402_300_799_999, i64::MAX] {
            let text = serde_json::to_string(&Timestamp(millis)).unwrap();
            assert_eq!(serde_json::from_str::<Timestamp>(&text).unwrap(), Timestamp(millis), "{text}");
        }
    }
}
