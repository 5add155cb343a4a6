//! The choice between the page and the report, by the header `Accept` (RFC 9110 section 12.5.1).

/// Whether a client prefers the page to the report. The report is the default: for a client that states no preference,
/// and for one that accepts neither.
pub(super) fn prefers_page(accept: &[u8]) -> bool {
    let accept = String::from_utf8_lossy(accept);
    quality(&accept, "text", "html") > quality(&accept, "application", "json")
}

/// The weight of a media type, in thousandths: that of the most specific range.
fn quality(accept: &str, kind: &str, subtype: &str) -> u16 {
    let ranges = accept.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let (of, sub) = parts.next()?.split_once('/')?;
        let is = |name: &str, wanted: &str| name.eq_ignore_ascii_case(wanted);
        let specificity = match (of, sub) {
            ("*", "*") => 1,
            (of, "*") if is(of, kind) => 2,
            (of, sub) if is(of, kind) && is(sub, subtype) => 3,
            _ => return None,
        };
        let weight = parts
            .filter_map(|part| part.split_once('='))
            .find(|(name, _)| is(name.trim(), "q"));
        // A range with an invalid weight counts as absent.
        let weight = weight.map_or(Some(1000), |(_, value)| thousandths(value.trim()))?;
        Some((specificity, weight))
    });
    ranges.max().map_or(0, |(_, weight)| weight)
}

fn thousandths(weight: &str) -> Option<u16> {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let is_valid = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" if is_valid => Some(fraction),
        "1" if is_valid && fraction == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_the_page() {
        for accept in [
            // Firefox, Chromium, Safari.
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,\
             application/signed-exchange;v=b3;q=0.7",
            "text/html",
            "TEXT/HTML; charset=utf-8",
            "text/*, application/json;q=0.999",
            "application/json;q=0, */*",
            "text/html;q=0.1, image/png",
        ] {
            assert!(prefers_page(accept.as_bytes()), "{accept}");
        }
    }

    #[test]
    fn programs_get_the_report() {
        for accept in [
            "",
            "*/*",
            "application/json",
            "application/json, text/html",
            "text/html;q=0.5, application/json;q=0.5",
            "text/html;q=0.8, */*;q=0.9",
            "application/json, text/*;q=0.9, */*;q=0.1",
            "text/html;q=0, */*",
            "text/html;q=0",
            "text/html;q=2",
            "text/html;q=0.1234",
            "text/html;q=.5",
            "text/html;q=",
            "text/html;q=-1",
            "text/htmlx, xtext/html, text",
            "image/png",
            ",;,/,",
            "\u{fffd}",
        ] {
            assert!(!prefers_page(accept.as_bytes()), "{accept}");
        }
        assert!(!prefers_page(b"\xff\xfe/html"));
    }

    #[test]
    fn the_most_specific_range_counts() {
        assert_eq!(
            quality("*/*;q=0.3, text/*;q=0.2, text/html;q=0.1", "text", "html"),
            100
        );
        assert_eq!(quality("text/html;q=0.25, text/*", "text", "html"), 250);
        assert_eq!(quality("text/html ; q=1.000", "text", "html"), 1000);
    }
}
