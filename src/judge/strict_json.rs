//! JSON that every reader reads the same way, or not at all.
//!
//! One pass over the bytes that borrows from them ([`scanner`]). It refuses what readers are known to disagree on (duplicate names at
//! any depth, spelling variants of guarded names, unpaired surrogates, byte-order marks) and bounds depth, member count and name
//! length. It keeps only the members a [`Shape`] asks for; the rest is checked and dropped.
//!
//! What it refuses is read once more, by `serde_json`, for the words in which to say why ([`why`]). Wherever assertions are on (tests,
//! fuzzing), that one reads everything, and both have to find the same.

mod guard;
mod scanner;
mod text;
mod why;

use guard::Guard;
use std::borrow::Cow;

/// How large a document may be in ways that bytes do not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrictLimits {
    /// Nested containers; the root object is 1. At most 120.
    pub depth: usize,
    /// Object members in the whole document.
    pub members: usize,
}

/// `serde_json` itself stops at 128 nested containers; a larger limit could not be kept.
pub const MAX_DEPTH: usize = 120;

const MAX_NAME_BYTES: usize = 1024;

/// Which members of an object are kept, and how closely its names are guarded.
#[derive(Debug)]
pub(super) struct Shape {
    /// The guarded names, spelled as they must be.
    pub keep: &'static [(&'static str, Keep)],
    /// Whether names that another reader could take for a guarded one are refused.
    pub names: Names,
}

impl Shape {
    /// These members, and nobody may imitate their names.
    pub(super) const fn guarded(keep: &'static [(&'static str, Keep)]) -> Self {
        Self {
            keep,
            names: Names::Guarded(Guard::over(keep)),
        }
    }
}

/// What is kept of a guarded member.
#[derive(Clone, Copy, Debug)]
pub(super) enum Keep {
    /// The value; of an object, only that it is one.
    Leaf,
    /// The members of an object that this shape asks for.
    Inside(&'static Shape),
    /// Nothing; of an object, or of each in a list, the names are guarded as this shape says.
    Each(&'static Shape),
    /// Nothing: only the name is guarded.
    Name,
}

/// How the names of one object are compared with the guarded ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each shape, and all are static"
)]
pub(super) enum Names {
    /// Byte for byte; other names are nobody's business.
    Exact,
    /// As [`Names::Exact`], and a name that differs only in case, `_` or `-`, that is not ASCII, or that some reader treats as
    /// an instruction (`$ref`, `__proto__`) is refused.
    Guarded(Guard),
}

/// A kept value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Any number.
    Number(f64),
    /// A string after unescaping.
    Text(Cow<'a, str>),
    /// At most the first two elements: enough to tell one from many.
    List(Vec<Value<'a>>),
    /// An object.
    Object(Object),
}

/// The members of a document that are kept, those of all its objects in one piece of memory.
#[derive(Clone, Debug)]
pub(super) struct Members<'a> {
    shape: &'static Shape,
    /// For each object that was asked to look inside, a place for each member of its shape. The root comes first.
    values: Vec<Option<Value<'a>>>,
}

/// Where the members of an object are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Object(usize);

impl Object {
    const ROOT: Self = Self(0);
    /// One of which nothing is kept.
    const UNKEPT: Self = Self(usize::MAX);
}

impl<'a> Members<'a> {
    fn of(shape: &'static Shape) -> Self {
        const USUAL_PLACES: usize = 32;
        Self {
            shape,
            values: Vec::with_capacity(USUAL_PLACES),
        }
    }

    /// Places for the members of one more object.
    #[inline]
    fn open(&mut self, shape: &Shape) -> Object {
        let object = Object(self.values.len());
        self.values.extend(shape.keep.iter().map(|_| None));
        object
    }

    #[inline]
    fn keep(&mut self, object: Object, number: usize, value: Value<'a>) {
        if let Some(place) = self.values.get_mut(object.0.saturating_add(number)) {
            *place = Some(value);
        }
    }

    /// The value of a member of the root, if present.
    pub(super) fn get(&self, name: &str) -> Option<&Value<'a>> {
        let mut known = self.shape.keep.iter();
        let number = known.position(|(known, _)| *known == name)?;
        self.root().get(number)
    }

    /// The root.
    pub(super) const fn root(&self) -> Inside<'_, 'a> {
        self.inside(Object::ROOT)
    }

    /// An object of this document.
    pub(super) const fn inside(&self, object: Object) -> Inside<'_, 'a> {
        Inside {
            members: self,
            object,
        }
    }
}

/// Two documents of one shape are the same where the same is kept of them.
impl PartialEq for Members<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

/// The kept members of one object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inside<'m, 'a> {
    pub(super) members: &'m Members<'a>,
    object: Object,
}

impl<'m, 'a> Inside<'m, 'a> {
    /// The value of a member by its [`number`], if present.
    #[inline]
    pub(super) fn get(self, number: usize) -> Option<&'m Value<'a>> {
        let place = self.object.0.checked_add(number)?;
        self.members.values.get(place)?.as_ref()
    }
}

/// The number of a member. For the compiler, which refuses a name that is none of them.
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the compiler runs this, and would refuse a wrong index"
)]
pub(super) const fn number(keep: &[(&str, Keep)], name: &str) -> usize {
    let mut number = 0;
    loop {
        assert!(number < keep.len(), "no such member");
        let (known, name) = (keep[number].0.as_bytes(), name.as_bytes());
        let mut at = 0;
        while at < name.len() && at < known.len() && known[at] == name[at] {
            at += 1;
        }
        if at == name.len() && at == known.len() {
            return number;
        }
        number += 1;
    }
}

/// Why a document was refused. The text is for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not one strict UTF-8 JSON object.
    Malformed(String),
    /// Readers could disagree.
    Ambiguous(String),
    /// Too deep, too many members, or a name too long.
    TooComplex(String),
}

/// Reads one strict JSON object.
///
/// # Errors
/// See [`Refusal`].
pub(super) fn read<'a>(
    bytes: &'a [u8],
    shape: &'static Shape,
    limits: StrictLimits,
) -> Result<Members<'a>, Refusal> {
    read_or_none(bytes, shape, limits).ok_or_else(|| why::refusal(bytes, shape, limits))
}

/// As [`read`], for whoever does not say why: what strangers send is not read twice.
pub(super) fn read_or_none<'a>(
    bytes: &'a [u8],
    shape: &'static Shape,
    limits: StrictLimits,
) -> Option<Members<'a>> {
    let read = scanner::scan(bytes, shape, limits);
    debug_assert_eq!(
        read,
        why::read(bytes, shape, limits).ok(),
        "both readers find the same"
    );
    read
}

#[cfg(test)]
mod tests;
