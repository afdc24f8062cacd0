//! The grammar of a vector bucket's policy: whether a text is a policy at all. Nothing evaluates it
//! yet.

use serde_json::{Map, Value};

use super::error::{Failure, Result};
use super::limits::{Limits, POLICY_STATEMENTS_MAX};

const VERSIONS: [&str; 2] = ["2012-10-17", "2008-10-17"];
const STATEMENT_KEYS: [&str; 9] = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];

/// Refuses a text that is no resource policy.
pub(super) fn check(text: &str, limits: &Limits) -> Result<()> {
    if text.len() > limits.policy_bytes {
        let most = limits.policy_bytes;
        return Err(refused(&format!("Policy must have at most {most} bytes")));
    }
    let policy: Value = serde_json::from_str(text).map_err(|_| refused("Policy is not JSON"))?;
    grammar(&policy).map_err(|why| refused(&format!("Policy is not valid: {why}")))
}

fn refused(why: &str) -> Failure {
    Failure::field("policy", why)
}

fn grammar(policy: &Value) -> Result<(), String> {
    let policy = policy.as_object().ok_or("it is not an object")?;
    known(policy, &["Version", "Id", "Statement"])?;
    match policy.get("Version") {
        None => {}
        Some(Value::String(version)) if VERSIONS.contains(&version.as_str()) => {}
        Some(_) => return Err("Version is not 2012-10-17 or 2008-10-17".into()),
    }
    if policy.get("Id").is_some_and(|id| !id.is_string()) {
        return Err("Id is not a string".into());
    }
    match policy.get("Statement") {
        Some(Value::Array(statements)) if statements.len() <= POLICY_STATEMENTS_MAX => {
            statements.iter().try_for_each(statement)
        }
        Some(Value::Array(_)) => Err("Statement has too many items".into()),
        Some(one) => statement(one),
        None => Err("Statement is required".into()),
    }
}

fn statement(statement: &Value) -> Result<(), String> {
    let statement = statement.as_object().ok_or("a statement is not an object")?;
    known(statement, &STATEMENT_KEYS)?;
    if statement.get("Sid").is_some_and(|sid| !sid.is_string()) {
        return Err("Sid is not a string".into());
    }
    match statement.get("Effect").and_then(Value::as_str) {
        Some("Allow" | "Deny") => {}
        _ => return Err("Effect is not Allow or Deny".into()),
    }
    let principal = either(statement, "Principal", "NotPrincipal")?;
    let fits = match principal {
        Value::String(all) => all == "*",
        Value::Object(kinds) => {
            !kinds.is_empty()
                && kinds.iter().all(|(kind, who)| {
                    ["AWS", "Service", "Federated", "CanonicalUser"].contains(&kind.as_str())
                        && texts(who, |text| !text.is_empty())
                })
        }
        _ => false,
    };
    if !fits {
        return Err("a principal is not valid".into());
    }
    let action = |text: &str| {
        text == "*"
            || text
                .split_once(':')
                .is_some_and(|(service, name)| service == "s3vectors" && !name.is_empty())
    };
    if !texts(either(statement, "Action", "NotAction")?, action) {
        return Err("an action is not one of s3vectors".into());
    }
    let resource = |text: &str| text == "*" || text.starts_with("arn:");
    if !texts(either(statement, "Resource", "NotResource")?, resource) {
        return Err("a resource is not an ARN".into());
    }
    statement.get("Condition").map_or(Ok(()), condition)
}

fn condition(condition: &Value) -> Result<(), String> {
    let scalar = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    let values = |value: &Value| match value {
        Value::Array(items) => items.iter().all(scalar),
        one => scalar(one),
    };
    let keys = |block: &Value| block.as_object().is_some_and(|keys| keys.values().all(values));
    let fits = condition.as_object().is_some_and(|blocks| blocks.values().all(keys));
    if fits { Ok(()) } else { Err("Condition is not valid".into()) }
}

/// The value of one of two elements that exclude each other.
fn either<'a>(
    statement: &'a Map<String, Value>,
    first: &str,
    second: &str,
) -> Result<&'a Value, String> {
    match (statement.get(first), statement.get(second)) {
        (Some(value), None) | (None, Some(value)) => Ok(value),
        _ => Err(format!("a statement needs either {first} or {second}")),
    }
}

/// Whether a value is a text, or a list of some, that `fits`.
fn texts(value: &Value, fits: impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => fits(text),
        Value::Array(items) => {
            !items.is_empty() && items.iter().all(|item| item.as_str().is_some_and(&fits))
        }
        _ => false,
    }
}

fn known(object: &Map<String, Value>, names: &[&str]) -> Result<(), String> {
    match object.keys().find(|key| !names.contains(&key.as_str())) {
        Some(_) => Err("an element is not known".into()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Limits, check};

    const STATEMENT: &str = r#""Effect":"Allow","Principal":{"AWS":"arn:aws:iam::1:root"},
        "Action":"s3vectors:*","Resource":"arn:aws:s3vectors:r:1:bucket/abc""#;

    fn verdict(text: &str) -> Result<(), String> {
        check(text, &Limits::default()).map_err(|failure| failure.message)
    }

    #[test]
    fn policies_are_accepted() {
        for text in [
            format!(r#"{{"Version":"2012-10-17","Statement":[{{{STATEMENT}}}]}}"#),
            format!(r#"{{"Statement":{{{STATEMENT},"Sid":"a"}}}}"#),
            r#"{"Statement":[]}"#.to_owned(),
            r#"{"Id":"x","Statement":[{"Effect":"Deny","NotPrincipal":"*","NotAction":["s3vectors:GetVectors"],
                "NotResource":["*"],"Condition":{"StringLike":{"aws:username":["a","b"]},"Bool":{"aws:SecureTransport":false}}}]}"#
                .to_owned(),
        ] {
            assert_eq!(verdict(&text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        let with = |rest: &str| format!(r#"{{"Statement":[{{{STATEMENT}{rest}}}]}}"#);
        for text in [
            String::new(),
            "x".into(),
            "[]".into(),
            "{}".into(),
            r#"{"Version":"2020-01-01","Statement":[]}"#.into(),
            r#"{"Statement":[],"Extra":1}"#.into(),
            r#"{"Statement":"x"}"#.into(),
            with(r#","Unknown":1"#),
            with(r#","NotAction":"s3vectors:*""#),
            with(r#","Condition":[]"#),
            with(r#","Condition":{"Bool":{"a":{}}}"#),
            with("").replace("Allow", "allow"),
            with("").replace("s3vectors:*", "s3:GetObject"),
            with("").replace("\"s3vectors:*\"", "[]"),
            with("").replace("\"arn:aws:s3vectors:r:1:bucket/abc\"", "\"abc\""),
            with("").replace("{\"AWS\":\"arn:aws:iam::1:root\"}", "\"me\""),
            with("").replace("\"Principal\":{\"AWS\":\"arn:aws:iam::1:root\"},", ""),
            format!("{}{}", "[".repeat(1000), "]".repeat(1000)),
            format!(r#"{{"Id":"{}","Statement":[]}}"#, "x".repeat(20 << 10)),
        ] {
            let shown = &text[..text.len().min(100)];
            assert!(verdict(&text).is_err(), "{shown}");
        }
    }
}
