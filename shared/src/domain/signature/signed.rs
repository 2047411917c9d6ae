//! The one borrowed partial parse that verification needs, and the comparison.
//!
//! Everything else in the body is walked over without being kept. Nothing is allocated unless a
//! field is written with escapes.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use sha2::{Digest, Sha512};
use subtle::{Choice, ConstantTimeEq};

use super::super::json::Skipped;
use super::{ServerKeys, VerifyError};

/// The fields that a signature is made of, and the signature.
pub(super) struct SignedFields<'a> {
    /// In the order in which they are hashed.
    pub(super) inputs: [Cow<'a, str>; 3],
    signature: Cow<'a, str>,
    merchant: Merchant<'a>,
}

/// Whom a notification says it is for.
enum Merchant<'a> {
    /// It does not say.
    Absent,
    /// By its name.
    Named(Cow<'a, str>),
    /// By something that is not a name: no labelled key can be meant.
    Nameless,
}

impl<'a> SignedFields<'a> {
    /// Finds the fields in a body.
    pub(super) fn read(body: &'a [u8], names: [&'static str; 3]) -> Result<Self, VerifyError> {
        // The parser does not check the encoding of what it skips.
        let text = std::str::from_utf8(body).map_err(|_| VerifyError::NotJson)?;
        let [first, second, third] = names;
        let wanted = [first, second, third, "signature_key", "merchant_id"];
        let mut parser = serde_json::Deserializer::from_str(text);
        let found = Fields(&wanted)
            .deserialize(&mut parser)
            .map_err(|_| VerifyError::NotJson)?;
        parser.end().map_err(|_| VerifyError::NotJson)?;
        if let Some(name) = found.repeated {
            return Err(VerifyError::RepeatedField { name });
        }
        let [a, b, c, signature, merchant] = found.values;
        Ok(Self {
            signature: signature.text("signature_key")?,
            inputs: [a.text(first)?, b.text(second)?, c.text(third)?],
            merchant: match merchant {
                Value::Absent => Merchant::Absent,
                Value::Text(name) => Merchant::Named(name),
                Value::NotText => Merchant::Nameless,
            },
        })
    }

    /// Compares with the signatures that our keys make. Every key that may speak for the merchant
    /// is tried, without stopping at the first that matches.
    pub(super) fn check(&self, keys: &ServerKeys) -> Result<(), VerifyError> {
        let mut claimed = [0_u8; 64];
        hex::decode_to_slice(self.signature.as_bytes(), &mut claimed)
            .map_err(|_| VerifyError::SignatureMismatch)?;
        let mut common = Sha512::new();
        for input in &self.inputs {
            common.update(input.as_bytes());
        }
        let mut matched = Choice::from(0);
        for key in keys
            .iter()
            .filter(|key| self.may_be_meant(key.merchant_id()))
        {
            let ours = common.clone().chain_update(key.secret()).finalize();
            matched |= ours.as_slice().ct_eq(&claimed);
        }
        if bool::from(matched) {
            Ok(())
        } else {
            Err(VerifyError::SignatureMismatch)
        }
    }

    fn may_be_meant(&self, label: Option<&str>) -> bool {
        match (label, &self.merchant) {
            (None, _) | (Some(_), Merchant::Absent) => true,
            (Some(label), Merchant::Named(name)) => label == name,
            (Some(_), Merchant::Nameless) => false,
        }
    }
}

/// What was found under a name.
#[derive(Default)]
enum Value<'a> {
    #[default]
    Absent,
    Text(Cow<'a, str>),
    NotText,
}

impl<'a> Value<'a> {
    fn text(self, name: &'static str) -> Result<Cow<'a, str>, VerifyError> {
        match self {
            Self::Absent => Err(VerifyError::MissingField { name }),
            Self::NotText => Err(VerifyError::FieldNotText { name }),
            Self::Text(text) => Ok(text),
        }
    }
}

/// Reads one object and keeps the values of these names.
struct Fields<'n>(&'n [&'static str; 5]);

#[derive(Default)]
struct Found<'a> {
    values: [Value<'a>; 5],
    repeated: Option<&'static str>,
}

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Found<'de>, A::Error> {
        let mut found = Found::default();
        let mut seen = [false; 5];
        while let Some(index) = entries.next_key_seed(Key(self.0))? {
            let Some(index) = index else {
                entries.next_value::<Skipped>()?;
                continue;
            };
            if std::mem::replace(&mut seen[index], true) {
                found.repeated = Some(self.0[index]);
            }
            found.values[index] = entries.next_value()?;
        }
        Ok(found)
    }
}

/// Turns a key into its place among the wanted names.
struct Key<'n>(&'n [&'static str; 5]);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Option<usize>, E> {
        if key.as_bytes().contains(&0) {
            return Err(E::custom("a NUL character"));
        }
        Ok(self.0.iter().position(|name| *name == key))
    }
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value<'de>, E> {
        if text.as_bytes().contains(&0) {
            return Err(E::custom("a NUL character"));
        }
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Absent)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::NotText)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value<'de>, E> {
        Ok(Value::NotText)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value<'de>, E> {
        Ok(Value::NotText)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value<'de>, E> {
        Ok(Value::NotText)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value<'de>, A::Error> {
        while items.next_element::<Skipped>()?.is_some() {}
        Ok(Value::NotText)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value<'de>, A::Error> {
        while entries.next_entry::<Skipped, Skipped>()?.is_some() {}
        Ok(Value::NotText)
    }
}
