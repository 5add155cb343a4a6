//! Dates.

use std::fmt::{self, Display};

/// A time in seconds since the Unix epoch, as `2026-11-28 12:00:00 UTC`.
#[derive(Clone, Copy)]
pub(super) struct Utc(pub(super) u64);

impl Utc {
    /// `2026-11-28`.
    pub(super) fn date(self) -> String {
        let (year, month, day) = date(self.0 / 86_400);
        format!("{year}-{month:02}-{day:02}")
    }

    /// `12:00:00`.
    pub(super) fn time(self) -> String {
        let second = self.0 % 86_400;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        format!("{hour:02}:{minute:02}:{second:02}")
    }
}

impl Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} UTC", self.date(), self.time())
    }
}

/// The date of a day since 1970-01-01: in years that begin with March, a leap day is the last day.
fn date(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468; // since 0000-03-01
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let is_next_year = month >= 10;
    (
        400 * era + year + u64::from(is_next_year),
        if is_next_year { month - 9 } else { month + 3 },
        day_of_month,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_that_of_the_http_library() {
        // Every day from 1970 to 2400, at a time of its own.
        for day in 0..157_000_u64 {
            let seconds = day * 86_400 + day * 7_919 % 86_400;
            let shown = Utc(seconds).to_string();
            let imf = httpdate::fmt_http_date(
                std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds),
            );
            let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
            let month = months.find(&imf[8..11]).unwrap() / 3 + 1;
            let expected = format!(
                "{}-{month:02}-{} {} UTC",
                &imf[12..16],
                &imf[5..7],
                &imf[17..25]
            );
            assert_eq!(shown, expected);
        }
    }

    #[test]
    fn the_latest_time_has_a_date_too() {
        assert_eq!(Utc(951_827_696).to_string(), "2000-02-29 12:34:56 UTC");
        assert!(Utc(u64::MAX).date().starts_with("584554051"));
    }
}
