//! A cursor over the bytes of an index file.

use gix::{ObjectId, bstr::ByteSlice, hash::Kind};

/// The bytes that are left. Each method takes some from the front, and returns `None` if too few are left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// The bytes before the next zero byte, which is taken too.
    pub(super) fn until_zero(&mut self) -> Option<&'a [u8]> {
        let end = self.0.find_byte(0)?;
        let taken = self.take(end)?;
        self.u8()?;
        Some(taken)
    }

    pub(super) fn id(&mut self, kind: Kind) -> Option<ObjectId> {
        match kind {
            Kind::Sha1 => self.array().map(ObjectId::Sha1),
            _ => self.take(kind.len_in_bytes()).and_then(|bytes| ObjectId::try_from(bytes).ok()),
        }
    }

    /// A number in groups of seven bits, as in packs: each further group adds one.
    pub(super) fn offset(&mut self) -> Option<usize> {
        let mut byte = self.u8()?;
        let mut value = usize::from(byte & 0x7f);
        while byte & 0x80 != 0 {
            byte = self.u8()?;
            value = value.checked_add(1)?.checked_mul(0x80)?.checked_add(usize::from(byte & 0x7f))?;
        }
        Some(value)
    }

    /// A decimal number with an optional sign.
    pub(super) fn decimal(&mut self) -> Option<i32> {
        let is_negative = self.0.first() == Some(&b'-');
        if is_negative {
            self.u8()?;
        }
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut value = 0_i32;
        for byte in self.take(digits)? {
            value = value.checked_mul(10)?.checked_add(i32::from(byte - b'0'))?;
        }
        Some(if is_negative { -value } else { value })
    }
}
