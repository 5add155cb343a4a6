//! Writes HTML. Markup is a constant of the program; everything else is escaped.

use std::fmt::{self, Display, Write};

#[derive(Default)]
pub(super) struct Html(String);

impl Html {
    pub(super) fn into_string(self) -> String {
        self.0
    }

    /// Writes markup.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Html {
        self.0.push_str(markup);
        self
    }

    /// Writes text, for an element or for an attribute in double quotes.
    pub(super) fn text(&mut self, text: impl Display) -> &mut Html {
        // Writing to a string cannot fail.
        let _ = write!(Escaping(&mut self.0), "{text}");
        self
    }

    /// Writes a cell with a number. Zero is shown faintly.
    pub(super) fn number(&mut self, number: u64) -> &mut Html {
        self.raw(if number == 0 {
            "<td class=\"n zero\">"
        } else {
            "<td class=n>"
        })
        .text(Grouped(number))
        .raw("</td>")
    }

    /// Writes a cell with a number that should be zero.
    pub(super) fn fault(&mut self, number: u64) -> &mut Html {
        match number {
            0 => self.number(0),
            _ => self
                .raw("<td class=\"n bad\">")
                .text(Grouped(number))
                .raw("</td>"),
        }
    }

    /// Writes a cell with a bar: the parts of a whole, in the colours of allowed and denied requests. The numbers
    /// themselves are in other cells.
    pub(super) fn bar(&mut self, [allowed, denied]: [u64; 2], whole: u64) -> &mut Html {
        let percent = |part: u64| {
            // The smallest part is still visible.
            let share = 100.0 * part as f64 / whole.max(1) as f64;
            if part == 0 { 0.0 } else { share.max(0.6) }
        };
        let (first, second) = (percent(allowed), percent(denied));
        self.raw("<td class=bar aria-hidden=true><svg width=100% height=8><rect class=yes width=\"")
            .text(format_args!("{first:.1}%"))
            .raw("\" height=8 /><rect class=no x=\"")
            .text(format_args!("{first:.1}%"))
            .raw("\" width=\"")
            .text(format_args!("{second:.1}%"))
            .raw("\" height=8 /></svg></td>")
    }
}

/// A number with its thousands separated.
pub(super) struct Grouped(pub(super) u64);

impl Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.char_indices() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_char(',')?;
            }
            f.write_char(digit)?;
        }
        Ok(())
    }
}

/// Escapes markup. Control characters, and characters that reorder or hide text, become U+FFFD.
struct Escaping<'o>(&'o mut String);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c if is_deceptive(c) => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str) -> String {
        let mut html = Html::default();
        html.text(text);
        html.into_string()
    }

    #[test]
    fn no_text_is_markup() {
        assert_eq!(
            escaped("<script>alert('1')</script>&\"x\""),
            "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;x&quot;"
        );
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            let shown = escaped(&c.to_string());
            let is_plain = shown
                .chars()
                .all(|c| !matches!(c, '<' | '>' | '"' | '\'') && !c.is_control());
            let is_entity = shown.starts_with('&') && shown.ends_with(';');
            assert!(
                is_plain && (is_entity || !shown.contains('&')),
                "{c:?}: {shown}"
            );
        }
    }

    #[test]
    fn characters_that_deceive_the_reader_are_replaced() {
        assert_eq!(
            escaped("a\u{202e}b\0c\u{1b}[2J\u{85}\u{200b}"),
            "a\u{fffd}b\u{fffd}c\u{fffd}[2J\u{fffd}\u{fffd}"
        );
        assert_eq!(escaped("überall 東京"), "überall 東京");
    }

    #[test]
    fn thousands_are_separated() {
        let shown: Vec<String> = [0, 999, 1000, 1_234_567, u64::MAX]
            .map(|number| Grouped(number).to_string())
            .into();
        assert_eq!(
            shown,
            [
                "0",
                "999",
                "1,000",
                "1,234,567",
                "18,446,744,073,709,551,615"
            ]
        );
    }
}
