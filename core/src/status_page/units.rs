//! Numbers, as people read them.

use super::html::Grouped;
use std::fmt::{self, Display};

/// A duration, in seconds.
pub(super) struct Seconds(pub(super) f64);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            seconds if seconds >= 10.0 => write!(f, "{seconds:.0} s"),
            seconds if seconds >= 1.0 => write!(f, "{} s", (seconds * 10.0).round() / 10.0),
            seconds if seconds >= 0.01 => write!(f, "{:.0} ms", seconds * 1e3),
            seconds => write!(f, "{} ms", (seconds * 1e4).round() / 10.0),
        }
    }
}

/// A number of bytes.
pub(super) struct Size(pub(super) u64);

impl Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
        if self.0 < 1024 {
            return write!(f, "{} bytes", self.0);
        }
        let mut size = self.0 as f64 / 1024.0;
        let mut units = UNITS.iter();
        let mut unit = units.next();
        while size >= 1023.95 {
            let Some(next) = units.next() else { break };
            (size, unit) = (size / 1024.0, Some(next));
        }
        write!(f, "{size:.1} {}", unit.copied().unwrap_or_default())
    }
}

/// A share, in percent.
pub(super) struct Percent(pub(super) u64, pub(super) u64);

impl Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Percent(_, 0) => f.write_str("–"),
            Percent(0, _) => f.write_str("0%"),
            Percent(part, whole) if part == whole => f.write_str("100%"),
            // Rounding must not turn some into none, or most into all.
            Percent(part, whole) => {
                let share = 100.0 * part as f64 / whole as f64;
                write!(f, "{:.1}%", share.clamp(0.1, 99.9))
            }
        }
    }
}

/// A number, with the noun for it.
pub(super) struct Counted(
    pub(super) u64,
    pub(super) &'static str,
    pub(super) &'static str,
);

impl Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.0 == 1 { self.1 } else { self.2 };
        write!(f, "{} {noun}", Grouped(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_rounded_without_a_lie() {
        let shown: Vec<String> = [
            (0, 0),
            (0, 9),
            (9, 9),
            (1, 100_000),
            (99_999, 100_000),
            (1, 3),
        ]
        .map(|(part, whole)| Percent(part, whole).to_string())
        .into();
        assert_eq!(shown, ["–", "0%", "100%", "0.1%", "99.9%", "33.3%"]);
        let shown: Vec<String> = [0.0004, 0.005, 0.0432, 0.25, 1.0, 2.5, 61.0]
            .map(|seconds| Seconds(seconds).to_string())
            .into();
        assert_eq!(
            shown,
            ["0.4 ms", "5 ms", "43 ms", "250 ms", "1 s", "2.5 s", "61 s"]
        );
        let shown: Vec<String> = [0, 1023, 1024, 1_048_575, 3_400_000, u64::MAX]
            .map(|bytes| Size(bytes).to_string())
            .into();
        assert_eq!(
            shown,
            [
                "0 bytes",
                "1023 bytes",
                "1.0 KiB",
                "1.0 MiB",
                "3.2 MiB",
                "16777216.0 TiB"
            ]
        );
    }
}
