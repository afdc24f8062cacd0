//! The columns of a file: what lies in them, and at which levels.
//!
//! A column is a field of the root. One with a number, a text or the like in each row is a leaf;
//! a list is a group, with its items one or two levels below it, or a leaf that repeats.

use std::io::Read;

use super::thrift::{Kind, Thrift};

/// Groups and leaves of a file; the widest tables have thousands.
const ELEMENTS_MAX: u64 = 65_536;

/// A column, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) form: Form,
}

/// What a row has in a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// One value or a list of them.
    Leaf(Leaf),
    /// What cannot be a key, a vector or metadata, in words.
    Other(&'static str),
}

/// Values in one chunk of each row group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leaf {
    /// Its place among the chunks of a row group.
    pub(super) place: usize,
    pub(super) physical: Physical,
    pub(super) meaning: Meaning,
    pub(super) shape: Shape,
}

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Physical {
    Boolean,
    Int32,
    Int64,
    Int96,
    Float,
    Double,
    Bytes,
    Fixed(usize),
}

/// What values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Boolean,
    Signed,
    Unsigned,
    Half,
    Single,
    Double,
    Text,
    /// Bytes of a fixed length.
    Block,
    /// What is none of these, as one and as many.
    Other(&'static str, &'static str),
}

/// How many values a row has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One; it may be null.
    One { nullable: bool },
    /// A list; it may be null, and so may its items.
    List { nullable: bool, items_nullable: bool },
}

impl Physical {
    /// Bytes of a value; none: values differ, or take a bit.
    pub(super) fn bytes(self) -> Option<usize> {
        match self {
            Self::Int32 | Self::Float => Some(4),
            Self::Int64 | Self::Double => Some(8),
            Self::Int96 => Some(12),
            Self::Fixed(bytes) => Some(bytes),
            Self::Boolean | Self::Bytes => None,
        }
    }
}

impl Meaning {
    fn nouns(self) -> (&'static str, &'static str) {
        match self {
            Self::Boolean => ("a boolean", "booleans"),
            Self::Signed | Self::Unsigned => ("a whole number", "whole numbers"),
            Self::Half | Self::Single | Self::Double => ("a number", "numbers"),
            Self::Text => ("a text", "texts"),
            Self::Block => ("bytes of a fixed length", "bytes of a fixed length"),
            Self::Other(one, many) => (one, many),
        }
    }
}

impl Shape {
    /// The level of a value that is there.
    pub(super) fn definition_max(self) -> u32 {
        match self {
            Self::One { nullable } => u32::from(nullable),
            Self::List { nullable, items_nullable } => {
                u32::from(nullable) + 1 + u32::from(items_nullable)
            }
        }
    }

    /// The level of an item that goes on with a list.
    pub(super) fn repetition_max(self) -> u32 {
        match self {
            Self::One { .. } => 0,
            Self::List { .. } => 1,
        }
    }
}

impl Form {
    /// What it is, in words.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Other(what) => (*what).to_owned(),
            Self::Leaf(Leaf { meaning, shape: Shape::One { .. }, .. }) => {
                meaning.nouns().0.to_owned()
            }
            Self::Leaf(Leaf { meaning, shape: Shape::List { .. }, .. }) => {
                format!("a list of {}", meaning.nouns().1)
            }
        }
    }
}

/// A group or a leaf as the footer has it; they are in the order of a walk from the root, each
/// group before what is in it.
#[derive(Debug, Default)]
struct Element {
    name: String,
    /// Of a leaf.
    physical: Option<Physical>,
    repetition: i32,
    children: u64,
    /// The older way to say what it is, and the newer one.
    converted: Option<i32>,
    logical: Option<Logical>,
}

/// A logical type: its number, and of whole numbers whether they have no sign.
#[derive(Debug, Clone, Copy)]
struct Logical {
    id: i16,
    unsigned: bool,
}

const OPTIONAL: i32 = 1;
const REPEATED: i32 = 2;

/// Reads the list of elements.
pub(super) fn read<R: Read>(input: &mut Thrift<R>) -> Result<Vec<Column>, String> {
    let (count, kind) = input.items()?;
    if kind != Kind::Structure {
        return Err("its schema is no list of structures".to_owned());
    }
    if count > ELEMENTS_MAX {
        return Err(format!("a schema of {count} parts; at most {ELEMENTS_MAX}"));
    }
    let elements = (0..count).map(|_| element(input)).collect::<Result<Vec<_>, _>>()?;
    columns(&elements)
}

fn element<R: Read>(input: &mut Thrift<R>) -> Result<Element, String> {
    let mut element = Element::default();
    let (mut kind, mut bytes) = (None, None);
    let mut last = 0;
    while let Some(field) = input.field(&mut last)? {
        match (field.id, field.kind) {
            (1, Kind::Int) => kind = Some(input.int()?),
            (2, Kind::Int) => bytes = Some(input.int()?),
            (3, Kind::Int) => element.repetition = input.int()?,
            (4, Kind::Binary) => element.name = input.text()?,
            (5, Kind::Int) => {
                let children = input.int()?;
                element.children = u64::try_from(children)
                    .map_err(|_| format!("a group of {children} columns"))?;
            }
            (6, Kind::Int) => element.converted = Some(input.int()?),
            (10, Kind::Structure) => element.logical = logical(input)?,
            (_, kind) => input.skip(kind)?,
        }
    }
    element.physical = kind.map(|kind| physical(kind, bytes)).transpose()?;
    Ok(element)
}

/// A union: the one field that it has says what it is.
fn logical<R: Read>(input: &mut Thrift<R>) -> Result<Option<Logical>, String> {
    let mut logical = None;
    let mut last = 0;
    while let Some(field) = input.field(&mut last)? {
        let mut unsigned = false;
        match (field.id, field.kind) {
            (10, Kind::Structure) => {
                let mut last = 0;
                while let Some(field) = input.field(&mut last)? {
                    unsigned |= field.id == 2 && field.kind == Kind::False;
                    input.skip(field.kind)?;
                }
            }
            (_, kind) => input.skip(kind)?,
        }
        logical = Some(Logical { id: field.id, unsigned });
    }
    Ok(logical)
}

fn physical(kind: i32, bytes: Option<i32>) -> Result<Physical, String> {
    Ok(match kind {
        0 => Physical::Boolean,
        1 => Physical::Int32,
        2 => Physical::Int64,
        3 => Physical::Int96,
        4 => Physical::Float,
        5 => Physical::Double,
        6 => Physical::Bytes,
        7 => {
            let bytes = bytes.unwrap_or_default();
            let length = usize::try_from(bytes).ok().filter(|length| *length > 0);
            Physical::Fixed(length.ok_or(format!("values of {bytes} bytes"))?)
        }
        other => return Err(format!("values of kind {other} are not known")),
    })
}

fn columns(elements: &[Element]) -> Result<Vec<Column>, String> {
    let root = elements.first().ok_or("it has no columns")?;
    let (mut at, mut place) = (1, 0);
    let mut columns = Vec::new();
    for _ in 0..root.children {
        let parts = subtree(elements, at).ok_or("its schema ends too soon")?;
        let leaves = parts.iter().filter(|part| part.physical.is_some()).count();
        let name = parts.first().map(|part| part.name.clone()).unwrap_or_default();
        columns.push(Column { name, form: form(parts, place) });
        (at, place) = (at + parts.len(), place + leaves);
    }
    Ok(columns)
}

/// An element with all that is below it.
fn subtree(elements: &[Element], at: usize) -> Option<&[Element]> {
    let from = elements.get(at..)?;
    let (mut missing, mut count) = (1_u64, 0);
    while missing > 0 {
        let element = from.get(count)?;
        let children = if element.physical.is_some() { 0 } else { element.children };
        (missing, count) = (missing - 1 + children, count + 1);
    }
    from.get(..count)
}

fn form(parts: &[Element], place: usize) -> Form {
    let leaf = |element: &Element, physical, shape| {
        Form::Leaf(Leaf { place, physical, meaning: meaning(element, physical), shape })
    };
    let nullable = parts.first().is_some_and(|outer| outer.repetition == OPTIONAL);
    match parts {
        [one @ Element { physical: Some(physical), repetition: REPEATED, .. }] => {
            leaf(one, *physical, Shape::List { nullable: false, items_nullable: false })
        }
        [one @ Element { physical: Some(physical), .. }] => {
            leaf(one, *physical, Shape::One { nullable })
        }
        [outer, ..] if outer.repetition == REPEATED => Form::Other("a list of structures"),
        [outer, ..] if outer.is(MAP) => Form::Other("a map"),
        [outer, ..] if outer.is(VARIANT) => Form::Other("a variant"),
        [outer, ..] if !outer.is(LIST) => Form::Other("a structure"),
        // Items right below the list, as older writers have it.
        [_, item @ Element { physical: Some(physical), repetition: REPEATED, .. }] => {
            leaf(item, *physical, Shape::List { nullable, items_nullable: false })
        }
        [outer, group, item @ Element { physical: Some(physical), .. }]
            if group.repetition == REPEATED
                && item.repetition != REPEATED
                && group.name != "array"
                && group.name.strip_suffix("_tuple") != Some(&outer.name) =>
        {
            let items_nullable = item.repetition == OPTIONAL;
            leaf(item, *physical, Shape::List { nullable, items_nullable })
        }
        [_, _, item, ..] if item.is(LIST) || item.repetition == REPEATED => {
            Form::Other("a list of lists")
        }
        _ => Form::Other("a list of structures"),
    }
}

/// Numbers of a converted and a logical type that are one.
type Annotation = (i32, i16);
const MAP: Annotation = (1, 2);
const LIST: Annotation = (3, 3);
const VARIANT: Annotation = (-1, 16);

impl Element {
    fn is(&self, (converted, logical): Annotation) -> bool {
        match self.logical {
            Some(there) => there.id == logical,
            None => self.converted == Some(converted),
        }
    }
}

fn meaning(element: &Element, physical: Physical) -> Meaning {
    // Where both are there, the newer one counts.
    let (converted, logical) = match element.logical {
        Some(logical) => (-1, logical),
        None => (element.converted.unwrap_or(-1), Logical { id: 0, unsigned: false }),
    };
    match (physical, converted, logical.id) {
        (_, 5, _) | (_, _, 5) => Meaning::Other("a decimal", "decimals"),
        (_, 6, _) | (_, _, 6) => Meaning::Other("a date", "dates"),
        (_, 7 | 8, _) | (_, _, 7) => Meaning::Other("a time of day", "times of day"),
        (_, 9 | 10, _) | (_, _, 8) => Meaning::Other("a timestamp", "timestamps"),
        (_, 21, _) => Meaning::Other("an interval", "intervals"),
        (_, _, 11) => Meaning::Other("always null", "nulls"),
        (_, 20, _) | (_, _, 13) => Meaning::Other("BSON", "BSON"),
        (_, _, 17 | 18) => Meaning::Other("a shape", "shapes"),
        (Physical::Fixed(_), _, 14) => Meaning::Other("a UUID", "UUIDs"),
        (Physical::Fixed(2), _, 15) => Meaning::Half,
        (Physical::Fixed(_), _, _) => Meaning::Block,
        (Physical::Bytes, 0 | 4 | 19, _) | (Physical::Bytes, _, 1 | 4 | 12) => Meaning::Text,
        (Physical::Bytes, _, _) => Meaning::Other("bytes", "bytes"),
        (Physical::Int96, _, _) => Meaning::Other("a timestamp", "timestamps"),
        (Physical::Boolean, _, _) => Meaning::Boolean,
        (Physical::Int32 | Physical::Int64, 11..=14, _) => Meaning::Unsigned,
        (Physical::Int32 | Physical::Int64, _, _) => match logical.unsigned {
            true => Meaning::Unsigned,
            false => Meaning::Signed,
        },
        (Physical::Float, _, _) => Meaning::Single,
        (Physical::Double, _, _) => Meaning::Double,
    }
}
