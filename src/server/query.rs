//! The query of a request, decoded once and strictly.
//!
//! - Names and values are valid UTF-8, no name comes twice but those of lists: what sits behind the gate decodes
//!   leniently and takes a repeated name for an absent one.
//! - `+` is a space, as in forms and as S3 reads it.

use percent_encoding::{NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

use super::limits::QUERY_PARAMETERS_MAX;
use super::refusal::Refusal;

/// Decoded parameters in the order of the request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    parameters: Vec<(String, String)>,
}

impl Query {
    /// Decodes what follows the `?`.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        Self::parse_with(text, &[])
    }

    /// The same where some names stand for lists and may come more than once.
    pub fn parse_with(text: &str, lists: &[&str]) -> Result<Self, Refusal> {
        let mut parameters: Vec<(String, String)> = Vec::new();
        for piece in text.split('&').filter(|piece| !piece.is_empty()) {
            if parameters.len() == QUERY_PARAMETERS_MAX {
                return Err(Refusal::invalid_argument("the query has too many parameters"));
            }
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            let is_repeated = parameters.iter().any(|(known, _)| *known == name);
            if is_repeated && !lists.contains(&name.as_str()) {
                return Err(Refusal::invalid_argument("a query parameter is repeated")
                    .with("ArgumentName", name));
            }
            parameters.push((name, value));
        }
        Ok(Self { parameters })
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Whether a parameter is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.parameters.is_empty()
    }

    /// All parameters in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Keeps those for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        self.parameters.retain(|(name, value)| keep(name, value));
    }

    /// The query written out again, percent-encoded.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (name, value) in self.iter() {
            if !text.is_empty() {
                text.push('&');
            }
            text.extend(utf8_percent_encode(name, NON_ALPHANUMERIC));
            text.push('=');
            text.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
        }
        text
    }
}

/// Whether a name in a query stands for a header of S3.
pub fn is_amz(name: &str) -> bool {
    name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("x-amz-"))
}

fn decode(text: &str) -> Result<String, Refusal> {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return Ok(text.to_owned());
    }
    if !escapes_are_whole(text) {
        return Err(Refusal::invalid_uri());
    }
    let spaced = text.replace('+', " ");
    let bytes: Vec<u8> = percent_decode(spaced.as_bytes()).collect();
    String::from_utf8(bytes).map_err(|_| Refusal::invalid_uri())
}

/// Whether each `%` is followed by two hex digits.
pub fn escapes_are_whole(text: &str) -> bool {
    let mut pieces = text.split('%');
    pieces.next();
    pieces.all(|piece| {
        piece.as_bytes().first().is_some_and(u8::is_ascii_hexdigit)
            && piece.as_bytes().get(1).is_some_and(u8::is_ascii_hexdigit)
    })
}

#[cfg(test)]
mod tests {
    use super::Query;

    #[test]
    fn parameters_are_decoded() {
        let query = Query::parse("list-type=2&prefix=a%2Fb+c&acl&x=%C3%A4&&e=").unwrap();
        let found: Vec<_> = query.iter().collect();
        assert_eq!(
            found,
            [("list-type", "2"), ("prefix", "a/b c"), ("acl", ""), ("x", "ä"), ("e", "")]
        );
        assert!(query.has("acl") && !query.has("ACL"));
        assert_eq!(Query::parse(&query.text()).unwrap(), query);
    }

    #[test]
    fn what_would_be_read_two_ways_is_refused() {
        for text in ["a=1&a=2", "a&%61", "a=%", "a=%2", "a=%zz", "a=%ff", "%ff=1"] {
            assert!(Query::parse(text).is_err(), "{text}");
        }
        assert!(Query::parse_with("a=1&a=2", &["a"]).is_ok());
        assert!(Query::parse_with("b=1&b=2", &["a"]).is_err());
        let many = vec!["a"; 100].join("=1&");
        assert!(Query::parse(&many).is_err());
    }
}
