//! Second readers of the formats that the library reads: written apart from it, plain, and not fast.

use std::ops::Range;

/// Decodes base64 of either alphabet as RFC 4648 demands of a strict decoder: canonical, and padded if `is_padded`.
pub(super) fn base64(text: &[u8], digits: &[u8; 64], is_padded: bool) -> Option<Vec<u8>> {
    let body = if is_padded {
        if !text.len().is_multiple_of(4) {
            return None;
        }
        let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
        text.get(..text.len() - padding).filter(|_| padding <= 2)?
    } else {
        text
    };
    if body.len() % 4 == 1 {
        return None;
    }
    let mut values = Vec::new();
    for byte in body {
        values.push(digits.iter().position(|digit| digit == byte)? as u32);
    }
    let mut out = Vec::new();
    for group in values.chunks(4) {
        let mut bits = 0;
        for at in 0..4 {
            bits = bits << 6 | group.get(at).copied().unwrap_or(0);
        }
        let bytes = group.len() * 6 / 8;
        let all = [bits >> 16, bits >> 8, bits].map(|byte| byte as u8);
        // The bits after the last byte are zero.
        if all[bytes..].iter().any(|&byte| byte != 0) {
            return None;
        }
        out.extend_from_slice(&all[..bytes]);
    }
    Some(out)
}

pub(super) const STANDARD: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
pub(super) const URL_SAFE: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Decodes base64 as the most lenient decoders do: of both alphabets at once, without all other characters, and without
/// a look at the last bits.
pub(super) fn lenient_base64(text: &[u8]) -> Vec<u8> {
    let mut kept: Vec<u8> = text
        .iter()
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            byte => *byte,
        })
        .filter(|byte| STANDARD.contains(byte))
        .collect();
    let mut out = Vec::new();
    if kept.len() % 4 == 1 {
        kept.pop();
    }
    for group in kept.chunks(4) {
        let value = |at: usize| {
            let byte = group.get(at).copied().unwrap_or(b'A');
            STANDARD
                .iter()
                .position(|digit| *digit == byte)
                .unwrap_or(0) as u32
        };
        let bits = value(0) << 18 | value(1) << 12 | value(2) << 6 | value(3);
        let all = [bits >> 16, bits >> 8, bits].map(|byte| byte as u8);
        out.extend_from_slice(&all[..group.len() * 6 / 8]);
    }
    out
}

/// A member of a JSON object.
pub(super) struct Member<'b> {
    /// `None`: it has half of a surrogate pair, which is no character.
    pub(super) name: Option<String>,
    pub(super) value: &'b [u8],
    /// From the quotation mark of the name to the end of the value.
    pub(super) range: Range<usize>,
}

impl Member<'_> {
    /// The value, if it is a string of characters.
    pub(super) fn text(&self) -> Option<String> {
        let mut reader = Json {
            text: self.value,
            at: 0,
        };
        reader.string().flatten()
    }

    pub(super) fn is(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name)
    }
}

/// The members of a body that is one JSON object (RFC 8259), in their order; `None` for any other body.
pub(super) fn members(body: &[u8]) -> Option<Vec<Member<'_>>> {
    str::from_utf8(body).ok()?;
    let mut reader = Json { text: body, at: 0 };
    reader.space();
    let members = reader.object()?;
    reader.space();
    (reader.at == body.len()).then_some(members)
}

/// Reads JSON by its grammar.
struct Json<'b> {
    text: &'b [u8],
    at: usize,
}

impl<'b> Json<'b> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn take(&mut self, wanted: &str) -> Option<()> {
        let is_here = self.text[self.at..].starts_with(wanted.as_bytes());
        is_here.then(|| self.at += wanted.len())
    }

    fn value(&mut self) -> Option<()> {
        match self.peek()? {
            b'{' => self.object().map(drop),
            b'[' => self.array(),
            b'"' => self.string().map(drop),
            b't' => self.take("true"),
            b'f' => self.take("false"),
            b'n' => self.take("null"),
            _ => self.number(),
        }
    }

    fn object(&mut self) -> Option<Vec<Member<'b>>> {
        let mut members = Vec::new();
        self.take("{")?;
        self.space();
        if self.take("}").is_some() {
            return Some(members);
        }
        loop {
            self.space();
            let start = self.at;
            let name = self.string()?;
            self.space();
            self.take(":")?;
            self.space();
            let value = self.at;
            self.value()?;
            members.push(Member {
                name,
                value: &self.text[value..self.at],
                range: start..self.at,
            });
            self.space();
            if self.take("}").is_some() {
                return Some(members);
            }
            self.take(",")?;
        }
    }

    fn array(&mut self) -> Option<()> {
        self.take("[")?;
        self.space();
        if self.take("]").is_some() {
            return Some(());
        }
        loop {
            self.space();
            self.value()?;
            self.space();
            if self.take("]").is_some() {
                return Some(());
            }
            self.take(",")?;
        }
    }

    /// A string: its characters, if all of it are characters.
    fn string(&mut self) -> Option<Option<String>> {
        let mut units = Vec::new();
        self.take("\"")?;
        loop {
            match self.peek()? {
                b'"' => break,
                0..=0x1f => return None,
                b'\\' => {
                    self.at += 1;
                    units.push(self.escape()?);
                }
                _ => {
                    let rest = &self.text[self.at..];
                    let end = rest
                        .iter()
                        .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
                    let run = &rest[..end.unwrap_or(rest.len())];
                    units.extend(str::from_utf8(run).ok()?.encode_utf16());
                    self.at += run.len();
                }
            }
        }
        self.at += 1;
        Some(String::from_utf16(&units).ok())
    }

    fn escape(&mut self) -> Option<u16> {
        let byte = self.peek()?;
        self.at += 1;
        Some(match byte {
            b'"' | b'\\' | b'/' => byte.into(),
            b'b' => 8,
            b'f' => 12,
            b'n' => 10,
            b'r' => 13,
            b't' => 9,
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4)?;
                self.at += 4;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?
            }
            _ => return None,
        })
    }

    fn number(&mut self) -> Option<()> {
        let _ = self.take("-");
        if self.take("0").is_none() {
            self.digits()?;
        }
        if self.take(".").is_some() {
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}
