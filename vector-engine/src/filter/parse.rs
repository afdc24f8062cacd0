//! A filter from JSON.
//!
//! The service says "Invalid filter" and no more, whatever is wrong; what follows that is ours.

use serde_json::{Map, Value};

use super::{Comparison, Filter, FilterLimits, Literal, Node, Test};
use crate::metadata::{Number, Scalar};
use crate::{Error, Result};

pub(super) fn parse(document: &Value, limits: &FilterLimits) -> Result<Filter> {
    let mut parser = Parser { limits: *limits, constraints: 0 };
    let root = parser.object(document, 0)?;
    Ok(Filter { root, constraints: parser.constraints })
}

struct Parser {
    limits: FilterLimits,
    constraints: usize,
}

fn invalid(why: impl std::fmt::Display) -> Error {
    Error::Invalid(format!("Invalid filter: {why}"))
}

/// One part as itself, more joined.
fn joined(mut parts: Vec<Node>, join: fn(Vec<Node>) -> Node) -> Node {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            join(parts)
        }
        None => join(parts),
    }
}

impl Parser {
    /// All entries of an object hold.
    fn object(&mut self, value: &Value, depth: usize) -> Result<Node> {
        let Value::Object(map) = value else {
            return Err(invalid("a filter must be an object"));
        };
        if map.is_empty() {
            return Err(invalid("a filter must name at least one key"));
        }
        let mut parts = Vec::with_capacity(map.len());
        for (key, value) in map {
            match key.as_str() {
                "$and" => {
                    for part in self.filters(key, value, depth)? {
                        match part {
                            Node::And(inner) => parts.extend(inner),
                            other => parts.push(other),
                        }
                    }
                }
                "$or" => parts.push(joined(self.filters(key, value, depth)?, Node::Or)),
                operator if operator.starts_with('$') => {
                    return Err(invalid(format_args!(
                        "'{operator}' cannot stand where a key does"
                    )));
                }
                _ => self.key(key, value, &mut parts)?,
            }
        }
        Ok(joined(parts, Node::And))
    }

    fn filters(&mut self, operator: &str, value: &Value, depth: usize) -> Result<Vec<Node>> {
        if depth == self.limits.depth {
            return Err(invalid(format_args!("$and and $or must be nested at most {depth} deep")));
        }
        match value {
            Value::Array(filters) if !filters.is_empty() => {
                filters.iter().map(|filter| self.object(filter, depth + 1)).collect()
            }
            _ => Err(invalid(format_args!("{operator} must have a non-empty array of filters"))),
        }
    }

    /// The tests of one key, all of which hold.
    fn key(&mut self, key: &str, value: &Value, parts: &mut Vec<Node>) -> Result<()> {
        let Value::Object(operators) = value else {
            let literal = self.literal(key, "$eq", value)?;
            parts.push(Node::Key { key: key.to_owned(), test: Test::In(vec![literal]) });
            return Ok(());
        };
        self.operators(key, operators, parts)
    }

    fn operators(
        &mut self,
        key: &str,
        operators: &Map<String, Value>,
        parts: &mut Vec<Node>,
    ) -> Result<()> {
        if operators.is_empty() {
            return Err(invalid(format_args!("key '{key}' must have at least one operator")));
        }
        for (operator, value) in operators {
            let test = match operator.as_str() {
                "$eq" => Test::In(vec![self.literal(key, operator, value)?]),
                "$ne" => Test::NotIn(vec![self.literal(key, operator, value)?]),
                "$in" => Test::In(self.literals(key, operator, value)?),
                "$nin" => Test::NotIn(self.literals(key, operator, value)?),
                "$gt" => self.compare(key, operator, value, Comparison::Greater)?,
                "$gte" => self.compare(key, operator, value, Comparison::GreaterOrEqual)?,
                "$lt" => self.compare(key, operator, value, Comparison::Less)?,
                "$lte" => self.compare(key, operator, value, Comparison::LessOrEqual)?,
                "$startsWith" => {
                    self.count()?;
                    match value {
                        Value::String(prefix) => Test::StartsWith(prefix.clone()),
                        _ => return Err(takes(key, operator, "a string")),
                    }
                }
                "$exists" => {
                    self.count()?;
                    match value {
                        Value::Bool(true) => Test::Exists,
                        Value::Bool(false) => Test::Missing,
                        _ => return Err(takes(key, operator, "a boolean")),
                    }
                }
                _ => {
                    return Err(invalid(format_args!(
                        "key '{key}' has the unknown operator '{operator}'"
                    )));
                }
            };
            parts.push(Node::Key { key: key.to_owned(), test });
        }
        Ok(())
    }

    fn count(&mut self) -> Result<()> {
        if self.constraints == self.limits.constraints {
            return Err(invalid(format_args!(
                "a filter must have at most {} constraints",
                self.limits.constraints
            )));
        }
        self.constraints += 1;
        Ok(())
    }

    fn literal(&mut self, key: &str, operator: &str, value: &Value) -> Result<Literal> {
        self.count()?;
        Scalar::from_json(value)
            .map(Literal::from)
            .ok_or_else(|| takes(key, operator, "a string, number or boolean"))
    }

    fn literals(&mut self, key: &str, operator: &str, value: &Value) -> Result<Vec<Literal>> {
        let none = || takes(key, operator, "a non-empty array of strings, numbers and booleans");
        let Value::Array(values) = value else { return Err(none()) };
        if values.is_empty() {
            return Err(none());
        }
        let mut literals = Vec::new();
        for value in values {
            self.count()?;
            literals.push(Scalar::from_json(value).map(Literal::from).ok_or_else(none)?);
        }
        Ok(literals)
    }

    fn compare(
        &mut self,
        key: &str,
        operator: &str,
        value: &Value,
        comparison: Comparison,
    ) -> Result<Test> {
        self.count()?;
        let number = match value {
            Value::Number(number) => Number::from_json(number),
            _ => None,
        };
        let with = number.ok_or_else(|| takes(key, operator, "a number"))?;
        Ok(Test::Compare { comparison, with })
    }
}

fn takes(key: &str, operator: &str, what: &str) -> Error {
    invalid(format_args!("{operator} of key '{key}' must have {what}"))
}
