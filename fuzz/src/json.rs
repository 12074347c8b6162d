//! Readers of JSON that keep every member in order, so that duplicates can be looked for, and that look members up as different
//! kinds of readers do.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// A document with every member in order, duplicates and all.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    Other,
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    /// Reads a document.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// Whether some object, at any depth, has a name twice.
    pub fn repeats_a_name(&self) -> bool {
        match self {
            Self::Other | Self::Text(_) => false,
            Self::List(items) => items.iter().any(Self::repeats_a_name),
            Self::Object(members) => {
                let mut names: Vec<_> = members.iter().map(|(name, _)| name).collect();
                names.sort_unstable();
                names.windows(2).any(|pair| pair[0] == pair[1])
                    || members.iter().any(|(_, value)| value.repeats_a_name())
            }
        }
    }

    /// How many containers lie in one another.
    pub fn depth(&self) -> usize {
        let deepest = match self {
            Self::Other | Self::Text(_) => return 0,
            Self::List(items) => items.iter().map(Self::depth).max(),
            Self::Object(members) => members.iter().map(|(_, value)| value.depth()).max(),
        };
        deepest.unwrap_or(0) + 1
    }

    /// How many members all its objects have together.
    pub fn members(&self) -> usize {
        match self {
            Self::Other | Self::Text(_) => 0,
            Self::List(items) => items.iter().map(Self::members).sum(),
            Self::Object(members) => members.iter().map(|(_, value)| value.members() + 1).sum(),
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Tree;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Other)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
                Ok(Tree::Other)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
                Ok(Tree::Other)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
                Ok(Tree::Other)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
                Ok(Tree::Other)
            }
            fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
                Ok(Tree::Text(text.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
                let mut list = vec![];
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Tree::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut members = vec![];
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Tree::Object(members))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// How some reader looks a member up.
#[derive(Clone, Copy, Debug)]
pub enum Reader {
    FirstWins,
    LastWins,
    CaseInsensitive,
    SnakeTolerant,
}

pub const READERS: [Reader; 4] = [
    Reader::FirstWins,
    Reader::LastWins,
    Reader::CaseInsensitive,
    Reader::SnakeTolerant,
];

impl Reader {
    fn member<'t>(self, tree: &'t Tree, name: &str) -> Option<&'t Tree> {
        let Tree::Object(members) = tree else {
            return None;
        };
        let fold = |text: &str| text.to_lowercase();
        let bare = |text: &str| fold(text).replace(['_', '-'], "");
        let mut hits = members.iter().filter(|(own, _)| match self {
            Self::FirstWins | Self::LastWins => own == name,
            Self::CaseInsensitive => fold(own) == fold(name),
            Self::SnakeTolerant => {
                bare(own) == bare(name) || (name == "from" && bare(own) == "fromproperty")
            }
        });
        let hit = match self {
            Self::FirstWins => hits.next(),
            Self::LastWins | Self::CaseInsensitive | Self::SnakeTolerant => hits.next_back(),
        };
        hit.map(|(_, value)| value)
    }

    /// The text at a path, where there is one.
    pub fn text(self, tree: &Tree, path: &[&str]) -> Option<String> {
        let found = path
            .iter()
            .try_fold(tree, |tree, name| self.member(tree, name))?;
        match found {
            Tree::Text(text) => Some(text.clone()),
            Tree::Other | Tree::List(_) | Tree::Object(_) => None,
        }
    }
}
