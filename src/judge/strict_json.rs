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
    Object(Members<'a>),
}

/// The kept members of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Members<'a>(Vec<(&'static str, Value<'a>)>);

impl<'a> Members<'a> {
    /// The value of a guarded member, if present.
    pub(super) fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.0
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
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
