//! Who may call: bearer tokens, of which only the hashes are known here.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The shop's back end: orders and payments.
    Shop,
    /// An operator who looks.
    Viewer,
    /// An operator who looks and acts.
    Operator,
}

impl Role {
    /// Whether a caller of this role may do what asks for `needed`.
    pub const fn allows(self, needed: Self) -> bool {
        match self {
            Self::Shop => matches!(needed, Self::Shop),
            Self::Viewer => matches!(needed, Self::Viewer),
            Self::Operator => matches!(needed, Self::Viewer | Self::Operator),
        }
    }

    /// Its name in `API_TOKENS`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shop => "shop",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        match word {
            "shop" => Some(Self::Shop),
            "viewer" => Some(Self::Viewer),
            "operator" => Some(Self::Operator),
            _ => None,
        }
    }
}

/// Somebody whose token was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The token's name; goes into logs and audit rows.
    pub name: Arc<str>,
    /// What the caller may do.
    pub role: Role,
}

/// The tokens of everybody who may call, as `API_TOKENS` gives them.
#[derive(Clone)]
pub struct Tokens(Arc<[Entry]>);

struct Entry {
    caller: Caller,
    hash: [u8; 32],
}

impl Tokens {
    /// Whose token it is. Takes the same time whichever it is, and as long when it is nobody's.
    pub fn recognise(&self, token: &str) -> Option<Caller> {
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let mut found = u32::MAX;
        for (index, entry) in (0u32..).zip(self.0.iter()) {
            found.conditional_assign(&index, entry.hash.ct_eq(&hash));
        }
        let entry = self.0.get(usize::try_from(found).ok()?)?;
        Some(entry.caller.clone())
    }
}

impl Tokens {
    /// The names of all of them.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter().map(|entry| &entry.caller.name)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|entry| &entry.caller))
            .finish()
    }
}

/// Why `API_TOKENS` cannot be used. Tells the position, never what stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokensError {
    /// There is none: nobody could call.
    #[error("must name at least one token")]
    Empty,
    /// Not of the form `name:role:hash`.
    #[error("entry {0} is not name:role:sha256-hex")]
    Malformed(usize),
    /// The role is not one of the three.
    #[error("entry {0} has a role other than shop, viewer or operator")]
    UnknownRole(usize),
    /// The hash does not have 64 hexadecimal digits.
    #[error("entry {0} does not end in the SHA-256 of a token, 64 hexadecimal digits")]
    NotAHash(usize),
    /// The name or the hash stands in an earlier entry: whose token would it be?
    #[error("entry {0} repeats the name or the token of another")]
    Repeated(usize),
}

impl FromStr for Tokens {
    type Err = TokensError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut entries: Vec<Entry> = Vec::new();
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        for (position, part) in (1..).zip(parts) {
            let entry = entry(part, position)?;
            let repeats =
                |other: &Entry| other.caller.name == entry.caller.name || other.hash == entry.hash;
            if entries.iter().any(repeats) {
                return Err(TokensError::Repeated(position));
            }
            entries.push(entry);
        }
        match entries.is_empty() {
            true => Err(TokensError::Empty),
            false => Ok(Self(entries.into())),
        }
    }
}

fn entry(part: &str, position: usize) -> Result<Entry, TokensError> {
    let malformed = TokensError::Malformed(position);
    let (name, rest) = part.split_once(':').ok_or(malformed)?;
    let (role, hash) = rest.split_once(':').ok_or(malformed)?;
    if name.is_empty() {
        return Err(malformed);
    }
    let role = Role::parse(role).ok_or(TokensError::UnknownRole(position))?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(hash, &mut bytes).map_err(|_| TokensError::NotAHash(position))?;
    Ok(Entry {
        caller: Caller {
            name: name.into(),
            role,
        },
        hash: bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry_of(name: &str, role: &str, token: &str) -> String {
        format!("{name}:{role}:{}", hex::encode(Sha256::digest(token)))
    }

    #[test]
    fn a_token_is_recognised_by_its_hash_wherever_it_stands() {
        let text = [
            entry_of("web", "shop", "one"),
            entry_of("ana", "viewer", "two"),
            entry_of("budi", "operator", "three"),
        ]
        .join(", ");
        let tokens: Tokens = text.parse().unwrap();
        for (token, name, role) in [
            ("one", "web", Role::Shop),
            ("two", "ana", Role::Viewer),
            ("three", "budi", Role::Operator),
        ] {
            let caller = tokens.recognise(token).unwrap();
            assert_eq!((&*caller.name, caller.role), (name, role));
        }
        for unknown in ["", "four", &hex::encode(Sha256::digest("one"))] {
            assert_eq!(tokens.recognise(unknown), None);
        }
    }

    #[test]
    fn an_operator_may_look_and_nobody_else_may_act() {
        use Role::{Operator, Shop, Viewer};
        let may = |role: Role| [Shop, Viewer, Operator].map(|needed| role.allows(needed));
        assert_eq!(may(Shop), [true, false, false]);
        assert_eq!(may(Viewer), [false, true, false]);
        assert_eq!(may(Operator), [false, true, true]);
    }

    #[test]
    fn what_cannot_be_used_is_refused_without_repeating_it() {
        let good = entry_of("web", "shop", "one");
        let hash = "a".repeat(64);
        let cases = [
            (String::new(), TokensError::Empty),
            (" , ".to_owned(), TokensError::Empty),
            ("web:shop".to_owned(), TokensError::Malformed(1)),
            (format!(":shop:{hash}"), TokensError::Malformed(1)),
            (format!("{good},x:boss:{hash}"), TokensError::UnknownRole(2)),
            (
                format!("{good},x:shop:{}", &hash[1..]),
                TokensError::NotAHash(2),
            ),
            (
                format!("{good},web:viewer:{hash}"),
                TokensError::Repeated(2),
            ),
            (
                format!("{good},{}", good.replace("web", "x")),
                TokensError::Repeated(2),
            ),
        ];
        for (text, expected) in cases {
            let error = text.parse::<Tokens>().unwrap_err();
            assert_eq!(error, expected);
            assert!(!error.to_string().contains("web"));
        }
        let shown = format!("{:?}", good.parse::<Tokens>().unwrap());
        assert!(
            shown.contains("web") && !shown.contains(&good[9..]),
            "{shown}"
        );
    }
}
