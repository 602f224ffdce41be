//! When a schedule starts the next run: five fields of cron in a time zone. No clock is read: time comes in as a value.
//!
//! Where clocks are put back, a time of the day comes once, not twice; where they are put forward, one that is left out comes
//! as much later. A schedule for every hour keeps its distances instead.

use cronexpr::{Crontab, FallbackTimezoneOption, ParseOptions, parse_crontab_with};
use jiff::tz::TimeZone;

use crate::{diagnostic::nearest, time::Timestamp};

/// The time zone of a schedule that does not name one.
pub const UTC: &str = "UTC";

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// It has not five fields.
    #[error("it has {0} fields, not 5")]
    Fields(usize),
    /// One field cannot be read.
    #[error("the {name} `{field}` is not right, it goes from {least} to {most}")]
    Field {
        /// Which one.
        name: &'static str,
        /// What it holds.
        field: String,
        /// Its least value.
        least: u32,
        /// Its greatest value.
        most: u32,
    },
    /// There is no such day, as of February 30th.
    #[error("no day is like that")]
    Never,
    /// The time zone is not known.
    #[error("there is no time zone `{name}`{}", suggestion.as_ref().map_or(String::new(), |near| format!("; did you mean `{near}`?")))]
    TimeZone {
        /// What was written.
        name: String,
        /// What it looks like.
        suggestion: Option<String>,
    },
}

/// The fields with the names that messages give them, and their values.
const FIELDS: [(&str, u32, u32); 5] =
    [("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("day of the week", 0, 7)];

/// The first time of the schedule after a time.
///
/// # Errors
/// The schedule or the time zone cannot be read, or no day is like that.
pub fn next(cron: &str, timezone: &str, after: Timestamp) -> Result<Timestamp, ScheduleError> {
    let zone = zone(timezone)?;
    let written: Vec<&str> = cron.split_whitespace().collect();
    let every_hour = written.get(1).is_some_and(|hours| hours.starts_with('*'));
    let crontab = read(&written)?;
    let after_time = jiff::Timestamp::from_millisecond(after.0).map_err(|_| ScheduleError::Never)?;
    if every_hour {
        return next_by_distance(&written, &zone, timezone, after_time);
    }
    // The hands of the clock as if they never jumped; then the moment at which the zone's clocks show them.
    let mut hands = after_time.to_zoned(zone.clone()).datetime();
    loop {
        let shown = hands.to_zoned(TimeZone::UTC).map_err(|_| ScheduleError::Never)?;
        hands = crontab.find_next(shown.timestamp()).map_err(|_| ScheduleError::Never)?.datetime();
        let moment = hands.to_zoned(zone.clone()).map_err(|_| ScheduleError::Never)?.timestamp();
        if moment > after_time {
            return Ok(Timestamp(moment.as_millisecond()));
        }
    }
}

/// Is it a schedule that will ever start a run?
///
/// # Errors
/// Those of [`next`].
pub fn check(cron: &str, timezone: &str) -> Result<(), ScheduleError> {
    next(cron, timezone, Timestamp(0)).map(drop)
}

/// The name of a time zone as it is to be written, if there is one of this name.
///
/// # Errors
/// There is none.
pub fn check_timezone(name: &str) -> Result<(), ScheduleError> {
    zone(name).map(drop)
}

fn next_by_distance(
    written: &[&str],
    zone: &TimeZone,
    timezone: &str,
    after: jiff::Timestamp,
) -> Result<Timestamp, ScheduleError> {
    let name = zone.iana_name().unwrap_or(timezone);
    let crontab = parse_crontab_with(&format!("{} {name}", written.join(" ")), ParseOptions::default());
    let crontab = crontab.map_err(|_| ScheduleError::Never)?;
    let next = crontab.find_next(after).map_err(|_| ScheduleError::Never)?;
    Ok(Timestamp(next.timestamp().as_millisecond()))
}

/// The schedule as if it were in UTC.
fn read(written: &[&str]) -> Result<Crontab, ScheduleError> {
    if written.len() != FIELDS.len() {
        return Err(ScheduleError::Fields(written.len()));
    }
    let parse = |text: &str| {
        let mut options = ParseOptions::default();
        options.fallback_timezone_option = FallbackTimezoneOption::UTC;
        parse_crontab_with(text, options)
    };
    parse(&written.join(" ")).map_err(|_| {
        // The same with all other fields free tells which one it is.
        let is_wrong = |position: usize| {
            let alone: Vec<&str> = (0..FIELDS.len()).map(|at| if at == position { written[at] } else { "*" }).collect();
            parse(&alone.join(" ")).is_err()
        };
        let position = (0..FIELDS.len()).find(|position| is_wrong(*position)).unwrap_or(0);
        let (name, least, most) = FIELDS[position];
        ScheduleError::Field { name, field: written[position].to_owned(), least, most }
    })
}

fn zone(name: &str) -> Result<TimeZone, ScheduleError> {
    TimeZone::get(name).map_err(|_| {
        let known: Vec<String> = jiff::tz::db().available().map(|name| name.as_str().to_owned()).collect();
        let suggestion = nearest(name, known.iter().map(String::as_str));
        ScheduleError::TimeZone { name: name.to_owned(), suggestion: suggestion.map(str::to_owned) }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_rfc3339(text).unwrap()
    }

    #[track_caller]
    fn check_next(cron: &str, timezone: &str, after: &str, expected: &str) {
        assert_eq!(next(cron, timezone, at(after)).unwrap().to_rfc3339(), at(expected).to_rfc3339());
    }

    #[test]
    fn the_next_time_is_after_the_given_one() {
        check_next("0 3 * * *", UTC, "2026-11-21T02:59:59.999Z", "2026-11-21T03:00:00Z");
        check_next("0 3 * * *", UTC, "2026-11-21T03:00:00Z", "2026-11-22T03:00:00Z");
        check_next("*/15 * * * *", UTC, "2026-11-21T03:07:00Z", "2026-11-21T03:15:00Z");
        check_next("0 9 * * 1-5", UTC, "2026-11-21T10:00:00Z", "2026-11-23T09:00:00Z");
        check_next("0 9 * * MON", UTC, "2026-11-21T10:00:00Z", "2026-11-23T09:00:00Z");
        check_next("0 0 29 2 *", UTC, "2026-11-21T10:00:00Z", "2028-02-29T00:00:00Z");
        check_next("0 3 * * *", "Europe/Berlin", "2026-11-21T00:00:00Z", "2026-11-21T02:00:00Z");
        check_next("30 9 * * *", "Asia/Kolkata", "2026-11-21T00:00:00Z", "2026-11-21T04:00:00Z");
    }

    #[test]
    fn a_time_of_the_day_comes_once_where_clocks_are_put_back() {
        // On 2026-10-25 at 3:00 the clocks of Berlin go back to 2:00.
        check_next("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z");
        check_next("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z");
        check_next("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", "2026-10-26T01:30:00Z");
        check_next("30 * * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z");
    }

    #[test]
    fn a_time_that_is_left_out_comes_later() {
        // On 2026-03-29 at 2:00 the clocks of Berlin go to 3:00.
        check_next("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z");
        check_next("30 2 * * *", "Europe/Berlin", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z");
    }

    #[test]
    fn what_is_no_schedule_is_told_in_our_words() {
        let problem = |cron: &str, zone: &str| next(cron, zone, Timestamp(0)).unwrap_err().to_string();
        assert_eq!(problem("61 * * * *", UTC), "the minute `61` is not right, it goes from 0 to 59");
        assert_eq!(problem("0 0 * 13 *", UTC), "the month `13` is not right, it goes from 1 to 12");
        assert_eq!(problem("0 0 * * 8", UTC), "the day of the week `8` is not right, it goes from 0 to 7");
        assert_eq!(problem("0 9-8 * * *", UTC), "the hour `9-8` is not right, it goes from 0 to 23");
        assert_eq!(problem("* * * *", UTC), "it has 4 fields, not 5");
        assert_eq!(problem("0 3 * * * UTC", UTC), "it has 6 fields, not 5");
        assert_eq!(problem("@daily", UTC), "it has 1 fields, not 5");
        assert_eq!(problem("0 0 30 2 *", UTC), "no day is like that");
        let problem = problem("0 3 * * *", "Europe/Berln");
        assert_eq!(problem, "there is no time zone `Europe/Berln`; did you mean `Europe/Berlin`?");
        assert!(check_timezone("Nowhere/At all").is_err() && check_timezone("UTC").is_ok());
    }

    proptest! {
        #[test]
        fn times_go_forward_in_every_zone(
            start in 1_000_000_000_000i64..2_000_000_000_000,
            cron in prop_oneof![Just("30 2 * * *"), Just("*/7 * * * *"), Just("0 0,1,2,3 * * *"), Just("15 1-3 * * 0")],
            zone in prop_oneof![Just("UTC"), Just("Europe/Berlin"), Just("America/New_York"), Just("Australia/Lord_Howe")],
        ) {
            let mut time = Timestamp(start);
            for _ in 0..20 {
                let later = next(cron, zone, time).unwrap();
                prop_assert!(later > time);
                prop_assert_eq!(later.0 % 60_000, 0);
                time = later;
            }
        }

        #[test]
        fn no_text_makes_it_panic(cron in "[0-9*/,# LWH@a-z-]{0,30}", zone in "[A-Za-z/_ ]{0,12}") {
            let _ = next(&cron, &zone, Timestamp(1_700_000_000_000));
            let _ = next(&cron, UTC, Timestamp(1_700_000_000_000));
        }
    }
}
