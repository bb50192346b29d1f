//! What a table's description says besides the types of its columns: names, signs, character sets,
//! members. It is there as far as the server's `binlog_row_metadata` says.

use bytes::Bytes;

use super::Malformed;
use super::reader::Reader;

/// The fields that are read; others are left out.
mod field {
    pub(super) const SIGNS: u8 = 1;
    pub(super) const CHARSET_DEFAULT: u8 = 2;
    pub(super) const CHARSETS: u8 = 3;
    pub(super) const NAMES: u8 = 4;
    pub(super) const SETS: u8 = 5;
    pub(super) const ENUMS: u8 = 6;
    pub(super) const MEMBERS_CHARSET_DEFAULT: u8 = 10;
    pub(super) const MEMBERS_CHARSETS: u8 = 11;
}

/// See the module's documentation. Each list is of those columns that it concerns.
#[derive(Debug, Default)]
pub(super) struct Metadata<'m> {
    signs: &'m [u8],
    pub(super) names: Option<Vec<&'m str>>,
    pub(super) sets: Vec<Vec<Bytes>>,
    pub(super) enums: Vec<Vec<Bytes>>,
    texts: Collations,
    members: Collations,
}

/// The collations of those columns that have one.
#[derive(Debug, Default)]
enum Collations {
    #[default]
    Unknown,
    Each(Vec<u64>),
    /// One for all, except for some.
    Default(u64, Vec<(u64, u64)>),
}

impl<'m> Metadata<'m> {
    pub(super) fn read(bytes: &'m [u8]) -> Result<Self, Malformed> {
        let mut metadata = Self::default();
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            let which = reader.byte()?;
            let mut field = Reader::new(reader.counted()?);
            match which {
                field::SIGNS => metadata.signs = field.rest(),
                field::CHARSET_DEFAULT => metadata.texts = with_default(&mut field)?,
                field::CHARSETS => metadata.texts = of_each(&mut field)?,
                field::MEMBERS_CHARSET_DEFAULT => metadata.members = with_default(&mut field)?,
                field::MEMBERS_CHARSETS => metadata.members = of_each(&mut field)?,
                field::NAMES => metadata.names = Some(names(&mut field)?),
                field::SETS => metadata.sets = members(&mut field)?,
                field::ENUMS => metadata.enums = members(&mut field)?,
                _ => {}
            }
        }
        Ok(metadata)
    }

    /// Whether a column has no sign, by its place among the numbers.
    pub(super) fn is_unsigned(&self, among_numbers: usize) -> bool {
        let byte = self.signs.get(among_numbers / 8);
        byte.is_some_and(|byte| byte >> (7 - among_numbers % 8) & 1 == 1)
    }

    /// The collation of a column, by its place among the texts.
    pub(super) fn of_text(&self, among_texts: usize) -> Option<u64> {
        self.texts.get(among_texts)
    }

    /// The collation of a column's members, by its place among those that have some.
    pub(super) fn of_members(&self, among_them: usize) -> Option<u64> {
        self.members.get(among_them)
    }
}

impl Collations {
    fn get(&self, at: usize) -> Option<u64> {
        match self {
            Self::Unknown => None,
            Self::Each(all) => all.get(at).copied(),
            Self::Default(default, others) => {
                let other = others.iter().find(|(column, _)| *column == at as u64);
                Some(other.map_or(*default, |(_, collation)| *collation))
            }
        }
    }
}

fn of_each(field: &mut Reader<'_>) -> Result<Collations, Malformed> {
    let mut all = Vec::new();
    while !field.is_empty() {
        all.push(field.packed()?);
    }
    Ok(Collations::Each(all))
}

fn with_default(field: &mut Reader<'_>) -> Result<Collations, Malformed> {
    let default = field.packed()?;
    let mut others = Vec::new();
    while !field.is_empty() {
        others.push((field.packed()?, field.packed()?));
    }
    Ok(Collations::Default(default, others))
}

fn names<'m>(field: &mut Reader<'m>) -> Result<Vec<&'m str>, Malformed> {
    let mut names = Vec::new();
    while !field.is_empty() {
        let name = str::from_utf8(field.counted()?);
        names.push(name.map_err(|_| Malformed("a name isn't UTF-8"))?);
    }
    Ok(names)
}

fn members(field: &mut Reader<'_>) -> Result<Vec<Vec<Bytes>>, Malformed> {
    let mut columns = Vec::new();
    while !field.is_empty() {
        let mut members = Vec::new();
        for _ in 0..field.count()? {
            members.push(Bytes::copy_from_slice(field.counted()?));
        }
        columns.push(members);
    }
    Ok(columns)
}
