//! JSON Merge Patch (RFC 7396) on texts: what isn't patched stays as it was written, a number with
//! all its digits among it.
//!
//! A member that a patch removes from a **row** becomes `null` instead: a row has all its columns.
//! Within a column that holds a document, members are removed as the RFC says.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// How deep objects may lie in one another in a patch.
const DEPTH_MAX: usize = 32;

/// A patch that was read.
#[derive(Debug)]
pub(super) struct Patch(Box<RawValue>);

impl Patch {
    /// Reads a patch.
    ///
    /// # Errors
    ///
    /// A sentence, where it is no JSON or objects lie deeper than 32 in one another.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let raw: Box<RawValue> = serde_json::from_slice(text)
            .map_err(|error| format!("the patch isn't JSON: {error}"))?;
        check_depth(&raw, 0)?;
        Ok(Self(raw))
    }

    /// The row that it makes of this one.
    ///
    /// # Errors
    ///
    /// A sentence, where the patch is no object, or what is held is none: then it would replace the
    /// row by what is none.
    pub(super) fn apply_to_row(&self, row: &[u8]) -> Result<String, &'static str> {
        let row: &RawValue = serde_json::from_slice(row).map_err(|_| "what is held isn't JSON")?;
        if !is_object(row) {
            return Err("what is held is no object, so nothing can be merged with it");
        }
        if !is_object(&self.0) {
            return Err("a patch of a row is an object: PUT replaces all of it");
        }
        Ok(merge(Some(row), &self.0, Removed::IsNull))
    }
}

/// What becomes of a member that a patch removes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Removed {
    IsGone,
    IsNull,
}

/// What a patch makes of a value. Its depth was checked.
fn merge(target: Option<&RawValue>, patch: &RawValue, removed: Removed) -> String {
    let Some(changes) = members(patch) else { return patch.get().to_owned() };
    let held = target.and_then(members).unwrap_or_default();
    let mut merged: Vec<(String, Option<Cow<'_, str>>)> =
        held.iter().map(|(name, value)| (name.clone(), Some(value.get().into()))).collect();
    let places: HashMap<&str, usize> =
        held.iter().enumerate().map(|(at, (name, _))| (&**name, at)).collect();
    for (name, change) in &changes {
        let at = places.get(&**name).copied();
        match (at, change.get()) {
            (Some(at), "null") => {
                merged[at].1 = (removed == Removed::IsNull).then(|| "null".into());
            }
            (None, "null") => {}
            (Some(at), _) => {
                let value = merge(Some(held[at].1), change, Removed::IsGone);
                merged[at].1 = Some(value.into());
            }
            (None, _) => {
                merged.push((name.clone(), Some(merge(None, change, Removed::IsGone).into())));
            }
        }
    }
    let mut text = String::from("{");
    for (name, value) in merged.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        if text.len() > 1 {
            text.push(',');
        }
        // A string as JSON writes it.
        text.push_str(&serde_json::Value::String(name).to_string());
        text.push(':');
        text.push_str(&value);
    }
    text.push('}');
    text
}

fn check_depth(value: &RawValue, depth: usize) -> Result<(), String> {
    let Some(members) = members(value) else { return Ok(()) };
    if depth == DEPTH_MAX {
        return Err(format!("the patch has objects deeper than {DEPTH_MAX} in one another"));
    }
    members.iter().try_for_each(|(_, value)| check_depth(value, depth + 1))
}

fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

/// The members of an object in their order; of two with one name the last counts, where the
/// first stood. `None` of anything else.
fn members(value: &RawValue) -> Option<Vec<(String, &RawValue)>> {
    if !is_object(value) {
        return None;
    }
    serde_json::from_str(value.get()).ok().map(|Members(members)| members)
}

struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members: Vec<(String, &RawValue)> = Vec::new();
        // Where each name stands, so that many members cost no more than they are.
        let mut places = HashMap::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            match places.get(&name) {
                Some(&at) => {
                    let (_, before): &mut (String, &RawValue) = &mut members[at];
                    *before = value;
                }
                None => {
                    places.insert(name.clone(), members.len());
                    members.push((name, value));
                }
            }
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests;
