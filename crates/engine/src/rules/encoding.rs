//! Unicode encodings of files in the working tree.

use crate::{Error, Result};

/// The encoding of a file in the working tree, when it is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Encoding {
    /// Bytes in a unit: 2 or 4.
    wide: bool,
    order: Order,
}

/// The order of bytes, and the byte order mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Big,
    Little,
    /// The content starts with a mark, which decides.
    Marked,
    /// As `Marked`, and little-endian when written.
    MarkedLittle,
}

const INVALID: Error = Error::Unsupported("content that is invalid in its working-tree-encoding");

impl Encoding {
    /// The encoding of this name; `None` for UTF-8, which needs no conversion.
    pub(super) fn named(name: &[u8]) -> Result<Option<Self>> {
        let name = name.to_ascii_uppercase();
        let of = |wide, order| Ok(Some(Self { wide, order }));
        match &*name {
            b"" | b"UTF-8" | b"UTF8" => Ok(None),
            b"UTF-16" => of(false, Order::Marked),
            b"UTF-16BE" => of(false, Order::Big),
            b"UTF-16LE" => of(false, Order::Little),
            b"UTF-16LE-BOM" => of(false, Order::MarkedLittle),
            b"UTF-32" => of(true, Order::Marked),
            b"UTF-32BE" => of(true, Order::Big),
            b"UTF-32LE" => of(true, Order::Little),
            _ => Err(Error::Unsupported("this working-tree-encoding")),
        }
    }

    /// The content in UTF-8. A mark is required or prohibited as git does.
    pub(super) fn decode(self, content: &[u8]) -> Result<Vec<u8>> {
        let marks: [&[u8]; 2] = if self.wide { [&[0, 0, 0xfe, 0xff], &[0xff, 0xfe, 0, 0]] } else { [&[0xfe, 0xff], &[0xff, 0xfe]] };
        let mark = marks.iter().position(|mark| content.starts_with(mark));
        let (big, skipped) = match (self.order, mark) {
            (Order::Big, None) => (true, 0),
            (Order::Little, None) => (false, 0),
            (Order::Marked | Order::MarkedLittle, Some(at)) => (at == 0, marks[0].len()),
            _ => return Err(INVALID),
        };
        let content = content.get(skipped..).unwrap_or_default();
        let text: Option<String> = if self.wide {
            let (units, rest) = content.as_chunks::<4>();
            let read = |unit: &[u8; 4]| if big { u32::from_be_bytes(*unit) } else { u32::from_le_bytes(*unit) };
            units.iter().map(|unit| char::from_u32(read(unit))).collect::<Option<_>>().filter(|_| rest.is_empty())
        } else {
            let (units, rest) = content.as_chunks::<2>();
            let read = |unit: &[u8; 2]| if big { u16::from_be_bytes(*unit) } else { u16::from_le_bytes(*unit) };
            char::decode_utf16(units.iter().map(read)).collect::<Result<_, _>>().ok().filter(|_| rest.is_empty())
        };
        text.map(String::into_bytes).ok_or(INVALID)
    }

    /// UTF-8 content in this encoding. A mark is written in the order of this machine, unless the name decides.
    pub(super) fn encode(self, content: &[u8]) -> Result<Vec<u8>> {
        let text = str::from_utf8(content).map_err(|_| INVALID)?;
        let big = match self.order {
            Order::Big => true,
            Order::Little | Order::MarkedLittle => false,
            Order::Marked => cfg!(target_endian = "big"),
        };
        let mark = matches!(self.order, Order::Marked | Order::MarkedLittle).then_some('\u{feff}');
        let mut out = Vec::with_capacity(content.len() * 2 + 4);
        for letter in mark.into_iter().chain(text.chars()) {
            if self.wide {
                let unit = u32::from(letter);
                out.extend_from_slice(&if big { unit.to_be_bytes() } else { unit.to_le_bytes() });
            } else {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(&if big { unit.to_be_bytes() } else { unit.to_le_bytes() });
                }
            }
        }
        Ok(out)
    }
}
