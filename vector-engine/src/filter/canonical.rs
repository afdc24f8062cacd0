//! One byte form for filters that say the same in another order.
//!
//! | part | bytes |
//! |---|---|
//! | and, or | tag 1, 2; u32 count; per part, sorted, each once: u32 length, part |
//! | key | tag 3; u32 length, key; test |
//! | in, not in | tag 1, 2; u32 count; per value, sorted, each once: u32 length, value |
//! | compare | tag 3; u8 comparison; number |
//! | starts with | tag 4; u32 length, prefix |
//! | exists, missing | tag 5, 6 |
//! | value | as a term of columns: see `columns::term` |

use super::{Comparison, Literal, Node, Test};
use crate::columns::term;

pub(super) fn bytes(node: &Node) -> Vec<u8> {
    match node {
        Node::And(parts) => sorted(1, parts.iter().map(bytes)),
        Node::Or(parts) => sorted(2, parts.iter().map(bytes)),
        Node::Key { key, test } => {
            let mut out = vec![3];
            sized(&mut out, key.as_bytes());
            test_into(test, &mut out);
            out
        }
    }
}

fn test_into(test: &Test, out: &mut Vec<u8>) {
    let values = |literals: &[Literal]| literals.iter().map(|one| term::of(one.scalar())).collect();
    match test {
        Test::In(literals) => out.extend(sorted::<Vec<_>>(1, values(literals))),
        Test::NotIn(literals) => out.extend(sorted::<Vec<_>>(2, values(literals))),
        Test::Compare { comparison, with } => {
            out.push(3);
            out.push(match comparison {
                Comparison::Greater => 1,
                Comparison::GreaterOrEqual => 2,
                Comparison::Less => 3,
                Comparison::LessOrEqual => 4,
            });
            out.extend_from_slice(&with.sort_key());
        }
        Test::StartsWith(prefix) => {
            out.push(4);
            sized(out, prefix.as_bytes());
        }
        Test::Exists => out.push(5),
        Test::Missing => out.push(6),
    }
}

fn sorted<I: IntoIterator<Item = Vec<u8>>>(tag: u8, parts: I) -> Vec<u8> {
    let mut parts: Vec<Vec<u8>> = parts.into_iter().collect();
    parts.sort_unstable();
    parts.dedup();
    let mut out = vec![tag];
    out.extend_from_slice(&(parts.len() as u32).to_le_bytes());
    for part in &parts {
        sized(&mut out, part);
    }
    out
}

fn sized(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}
