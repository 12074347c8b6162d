//! One pass over a document, exactly as RFC 8259 and `serde_json` have it, that keeps what a shape asks for.
//!
//! It says yes or no and not why: [`why`](super::why) does, of what was refused.

use super::guard::{Glance, bit_of};
use super::text::Name;
use super::why::repeated;
use super::{Keep, Members, Object, Shape, StrictLimits, Value};
use std::borrow::Cow;

/// Reads one strict JSON object, or nothing.
pub(super) fn scan<'a>(
    bytes: &'a [u8],
    shape: &'static Shape,
    limits: StrictLimits,
) -> Option<Members<'a>> {
    // Here, once. A byte-order mark is no white space and so is refused below.
    let text = std::str::from_utf8(bytes).ok()?;
    let mut scanner = Scanner {
        text,
        at: 0,
        depth_left: limits.depth.min(DEEPEST),
        members_left: limits.members,
        names: Vec::with_capacity(USUAL_NAMES),
        unescaped: Vec::new(),
        kept: Members::of(shape),
    };
    if scanner.next_token() != b'{' {
        return None;
    }
    scanner.object(shape)?;
    scanner.next_token();
    scanner.rest().is_empty().then_some(scanner.kept)
}

/// `serde_json` refuses what is deeper.
const DEEPEST: usize = 127;

/// Room for the names of the objects that are open at a time.
const USUAL_NAMES: usize = 32;

/// Members of one object up to which each new name is compared with those before; beyond it they are sorted in the end.
const FEW: usize = 32;

/// Longer numbers are shown to `serde_json`: below this no number is out of a double's range, which ends beyond 1e308.
const PLAIN_NUMBER_BYTES: usize = 200;
const PLAIN_EXPONENT_DIGITS: usize = 2;

pub(super) struct Scanner<'a> {
    pub(super) text: &'a str,
    /// What is looked at next.
    pub(super) at: usize,
    depth_left: usize,
    members_left: usize,
    /// The names so far of every object that is open, outermost first.
    names: Vec<Name>,
    /// Names that were escaped, which is rare.
    pub(super) unescaped: Vec<String>,
    kept: Members<'a>,
}

/// The names of one object, as far as they are known.
struct Seen {
    /// Where they begin.
    first: usize,
    /// A bit for each; most names that are new have one of their own.
    bits: u64,
}

impl<'a> Scanner<'a> {
    /// What is not passed yet.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// The byte so far ahead; NUL, which is nowhere allowed, at the end.
    #[inline]
    pub(super) fn byte_after(&self, skipped: usize) -> u8 {
        let byte = self.text.as_bytes().get(self.at.wrapping_add(skipped));
        byte.copied().unwrap_or_default()
    }

    /// The next byte, which is passed.
    pub(super) fn take(&mut self) -> Option<u8> {
        let byte = self.text.as_bytes().get(self.at).copied();
        self.pass(1);
        byte
    }

    /// No document is so long that this could wrap around.
    #[inline]
    pub(super) const fn pass(&mut self, bytes: usize) {
        self.at = self.at.wrapping_add(bytes);
    }

    /// The next byte that is no white space. It is not passed.
    #[inline]
    fn next_token(&mut self) -> u8 {
        let byte = self.byte_after(0);
        if byte > b' ' {
            return byte;
        }
        self.token_behind_space()
    }

    fn token_behind_space(&mut self) -> u8 {
        loop {
            let byte = self.byte_after(0);
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return byte;
            }
            self.pass(1);
            // Mostly spaces follow, since lines are indented: up to seven of them in one look.
            if let Some(eight) = self.rest().first_chunk() {
                let others = u64::from_le_bytes(*eight) ^ u64::from_le_bytes([b' '; 8]);
                let spaces = (others | 1 << 56).trailing_zeros() >> 3;
                self.pass(usize::try_from(spaces).unwrap_or_default());
            }
        }
    }

    /// A value that is kept.
    fn value(&mut self, keep: Keep) -> Option<Value<'a>> {
        match self.next_token() {
            b'"' => {
                self.pass(1);
                self.string().map(Value::Text)
            }
            b'{' => match keep {
                Keep::Inside(shape) => self.object(shape).map(Value::Object),
                Keep::Leaf | Keep::Each(_) | Keep::Name => {
                    self.check_object()?;
                    Some(Value::Object(Object::UNKEPT))
                }
            },
            b'[' => self.list().map(Value::List),
            b't' => self.word(b"true").map(|()| Value::Bool(true)),
            b'f' => self.word(b"false").map(|()| Value::Bool(false)),
            b'n' => self.word(b"null").map(|()| Value::Null),
            b'-' | b'0'..=b'9' => self.number(true).map(Value::Number),
            _ => None,
        }
    }

    /// A value that is only checked.
    fn check(&mut self) -> Option<()> {
        match self.next_token() {
            b'"' => {
                self.pass(1);
                self.check_string()
            }
            b'{' => self.check_object(),
            b'[' => self.check_list(),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            b'-' | b'0'..=b'9' => self.number(false).map(|_| ()),
            _ => None,
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        let stands = self.rest().starts_with(word);
        self.pass(word.len());
        stands.then_some(())
    }

    /// Passes the opening bracket or brace; says whether the very next token is the closing one.
    #[inline]
    fn enter(&mut self, closing: u8) -> Option<bool> {
        self.depth_left = self.depth_left.checked_sub(1)?;
        self.pass(1);
        Some(self.next_token() == closing)
    }

    /// Passes a comma, or the closing bracket or brace; says whether there is more.
    #[inline]
    fn goes_on(&mut self, closing: u8) -> Option<bool> {
        let token = self.next_token();
        if token == b',' {
            self.pass(1);
            return Some(true);
        }
        (token == closing).then_some(false)
    }

    #[inline]
    fn leave(&mut self) {
        self.depth_left = self.depth_left.wrapping_add(1);
        self.pass(1);
    }

    fn list(&mut self) -> Option<Vec<Value<'a>>> {
        let mut kept = Vec::new();
        if !self.enter(b']')? {
            loop {
                let item = self.value(Keep::Leaf)?;
                if kept.len() < 2 {
                    kept.push(item);
                }
                if !self.goes_on(b']')? {
                    break;
                }
            }
        }
        self.leave();
        Some(kept)
    }

    fn check_list(&mut self) -> Option<()> {
        if !self.enter(b']')? {
            loop {
                self.check()?;
                if !self.goes_on(b']')? {
                    break;
                }
            }
        }
        self.leave();
        Some(())
    }

    /// An object of whose members some are kept.
    fn object(&mut self, shape: &'static Shape) -> Option<Object> {
        let object = self.kept.open(shape);
        if !self.enter(b'}')? {
            let mut seen = self.nothing_seen();
            let mut known = 0_u64;
            loop {
                let name = self.name()?;
                let found = match shape.glance(name.word, name.length) {
                    // Each of these names has a bit of its own.
                    Glance::Known(number, keep) => {
                        let bit = 1_u64.wrapping_shl(u32::try_from(number).ok()?);
                        if known & bit != 0 {
                            return None;
                        }
                        known |= bit;
                        Some((number, keep))
                    }
                    Glance::Other => {
                        self.remember(name, &mut seen)?;
                        None
                    }
                    Glance::Unclear => {
                        self.remember(name, &mut seen)?;
                        shape.look(self.text_of(name))?
                    }
                };
                self.colon()?;
                match found {
                    None | Some((_, Keep::Name)) => self.check()?,
                    Some((_, Keep::Each(shape))) => self.check_each(shape)?,
                    Some((number, keep)) => {
                        let value = self.value(keep)?;
                        self.kept.keep(object, number, value);
                    }
                }
                if !self.goes_on(b'}')? {
                    break;
                }
            }
            self.close(&seen)?;
        }
        self.leave();
        Some(object)
    }

    /// An object, or a list of them, whose names are guarded.
    fn check_each(&mut self, shape: &'static Shape) -> Option<()> {
        match self.next_token() {
            b'{' => return self.check_object_of(Some(shape)),
            b'[' => {}
            _ => return self.check(),
        }
        if !self.enter(b']')? {
            loop {
                match self.next_token() {
                    b'{' => self.check_object_of(Some(shape))?,
                    _ => self.check()?,
                }
                if !self.goes_on(b']')? {
                    break;
                }
            }
        }
        self.leave();
        Some(())
    }

    fn check_object(&mut self) -> Option<()> {
        self.check_object_of(None)
    }

    #[inline(always)]
    fn check_object_of(&mut self, shape: Option<&'static Shape>) -> Option<()> {
        if !self.enter(b'}')? {
            let mut seen = self.nothing_seen();
            loop {
                let name = self.name()?;
                self.remember(name, &mut seen)?;
                if let Some(shape) = shape
                    && let Glance::Unclear = shape.glance(name.word, name.length)
                {
                    shape.look(self.text_of(name))?;
                }
                self.colon()?;
                self.check()?;
                if !self.goes_on(b'}')? {
                    break;
                }
            }
            self.close(&seen)?;
        }
        self.leave();
        Some(())
    }

    const fn nothing_seen(&self) -> Seen {
        Seen {
            first: self.names.len(),
            bits: 0,
        }
    }

    /// The name of the next member.
    #[inline(always)]
    fn name(&mut self) -> Option<Name> {
        if self.next_token() != b'"' {
            return None;
        }
        self.pass(1);
        self.members_left = self.members_left.checked_sub(1)?;
        self.rest_of_name()
    }

    #[inline(always)]
    fn colon(&mut self) -> Option<()> {
        if self.next_token() != b':' {
            return None;
        }
        self.pass(1);
        // Mostly there is one space or none.
        if self.byte_after(0) == b' ' {
            self.pass(1);
        }
        Some(())
    }

    /// Notes a name, unless it stood there before.
    #[inline(always)]
    fn remember(&mut self, name: Name, seen: &mut Seen) -> Option<()> {
        let bit = bit_of(name.word);
        if seen.bits & bit != 0 && self.is_repeated(seen, name) {
            return None;
        }
        seen.bits |= bit;
        self.names.push(name);
        Some(())
    }

    /// Whether a name stood among the few before; of many, [`close`](Self::close) finds out.
    fn is_repeated(&self, seen: &Seen, name: Name) -> bool {
        let before = self.names.get(seen.first..).unwrap_or_default();
        before.len() <= FEW
            && before.iter().any(|other| {
                other.word == name.word
                    && other.length == name.length
                    && self.text_of(*other) == self.text_of(name)
            })
    }

    /// Forgets the names of an object, where none of them occurs twice.
    #[inline]
    fn close(&mut self, seen: &Seen) -> Option<()> {
        if self.names.len().wrapping_sub(seen.first) > FEW {
            let names = self.names.get(seen.first..)?.iter();
            let mut names: Vec<_> = names
                .map(|name| Cow::Borrowed(self.text_of(*name)))
                .collect();
            if repeated(&mut names).is_some() {
                return None;
            }
        }
        self.names.truncate(seen.first);
        Some(())
    }

    /// A number; what it is worth only where it is kept.
    fn number(&mut self, keep: bool) -> Option<f64> {
        let start = self.at;
        if self.byte_after(0) == b'-' {
            self.pass(1);
        }
        if self.byte_after(0) == b'0' {
            self.pass(1);
        } else {
            self.digits()?;
        }
        if self.byte_after(0) == b'.' {
            self.pass(1);
            self.digits()?;
        }
        let mut exponent = 0;
        if matches!(self.byte_after(0), b'e' | b'E') {
            self.pass(1);
            if matches!(self.byte_after(0), b'+' | b'-') {
                self.pass(1);
            }
            exponent = self.digits()?;
        }
        let number = self.text.get(start..self.at)?;
        if keep || number.len() > PLAIN_NUMBER_BYTES || exponent > PLAIN_EXPONENT_DIGITS {
            return serde_json::from_str(number).ok();
        }
        Some(0.0)
    }

    /// How many digits follow: at least one.
    fn digits(&mut self) -> Option<usize> {
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit());
        let count = digits.count();
        self.pass(count);
        (count > 0).then_some(count)
    }
}
