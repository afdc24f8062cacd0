//! Answers as they go out.

use http::{Method, Response, StatusCode, header};

use super::{of_handler, of_refusal};
use crate::server::gate::Case;
use crate::server::operations::OPERATIONS;
use crate::server::refusal::Refusal;
use crate::server::request_id::RequestIds;
use crate::server::target::Target;

fn case(method: Method) -> Case {
    Case {
        id: RequestIds::default().take(),
        method,
        path: "/b/a%26b".into(),
        peer: std::net::Ipv4Addr::LOCALHOST.into(),
        target: Target::parse("/b/a%26b%01", None, &[]).unwrap(),
        principal: None,
        operation: None,
        wants_rdma: false,
    }
}

fn response(status: u16, body: &str) -> Response<s3s::Body> {
    Response::builder()
        .status(status)
        .header(header::CONTENT_LENGTH, body.len())
        .header(header::CONTENT_TYPE, "application/xml")
        .header("x-amz-delete-marker", "true")
        .body(s3s::Body::from(body.to_owned()))
        .unwrap()
}

fn text(response: &Response<s3s::Body>) -> String {
    String::from_utf8(response.body().bytes().unwrap().to_vec()).unwrap()
}

#[test]
fn errors_get_their_full_body() {
    let case = case(Method::GET);
    let bare = response(404, "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code></Error>");
    let answer = of_handler(bare, &case);
    let body = text(&answer);
    for part in [
        "<Code>NoSuchKey</Code>",
        "<Message>The specified key does not exist.</Message>",
        "<Resource>/b/a%26b</Resource>",
        "<BucketName>b</BucketName>",
        "<Key>a&amp;b\u{fffd}</Key>",
        &format!("<RequestId>{}</RequestId>", case.id.text()),
        &format!("<HostId>{}</HostId>", case.id.extended()),
    ] {
        assert!(body.contains(part), "{body} lacks {part}");
    }
    let headers = answer.headers();
    assert_eq!(headers["x-amz-request-id"], case.id.text());
    assert_eq!(headers["x-amz-id-2"], case.id.extended());
    assert_eq!(headers["server"], "Lodestore");
    assert_eq!(headers["content-type"], "application/xml");
    assert_eq!(headers["content-length"], body.len().to_string());
    assert_eq!(headers["x-amz-delete-marker"], "true");
}

#[test]
fn a_handlers_message_is_kept() {
    let given = "<Error><Code>InvalidArgument</Code><Message>a &lt; b</Message></Error>";
    let body = text(&of_handler(response(400, given), &case(Method::PUT)));
    assert!(body.contains("<Message>a &lt; b</Message>"), "{body}");
    let body = text(&of_handler(response(503, ""), &case(Method::PUT)));
    assert!(body.contains("<Code>ServiceUnavailable</Code>"), "{body}");
}

#[test]
fn what_must_have_no_body_has_none() {
    let error = "<Error><Code>NoSuchBucket</Code></Error>";
    let head = of_handler(response(404, error), &case(Method::HEAD));
    assert_eq!(text(&head), "");
    assert!(!head.headers().contains_key(header::CONTENT_LENGTH));
    assert!(!head.headers().contains_key(header::CONTENT_TYPE));
    assert_eq!(head.headers()["x-amz-error-code"], "NoSuchBucket");
    for status in [204, 304] {
        let answer = of_handler(response(status, error), &case(Method::GET));
        assert_eq!(text(&answer), "");
        assert!(!answer.headers().contains_key(header::CONTENT_LENGTH));
        assert_eq!(answer.headers()["x-amz-delete-marker"], "true");
    }
    let head = of_handler(response(200, "12345"), &case(Method::HEAD));
    assert_eq!(
        (text(&head).as_str(), &head.headers()["content-length"]),
        ("", &"5".parse().unwrap())
    );
}

#[test]
fn refusals_show_their_details_and_decline_rdma() {
    let refusal = Refusal::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", "no");
    let case = Case { wants_rdma: true, ..case(Method::PUT) };
    let answer = of_refusal(refusal.with("HeadersNotSigned", "a, <b>"), &case);
    assert_eq!(answer.status(), 501);
    assert_eq!(answer.headers()["x-amz-rdma-reply"], "501");
    assert!(text(&answer).contains("<HeadersNotSigned>a, &lt;b&gt;</HeadersNotSigned>"));
}

#[test]
fn the_etag_of_attributes_is_unquoted() {
    let mut case = case(Method::GET);
    case.operation = OPERATIONS.iter().position(|row| row.name == "GetObjectAttributes");
    for quote in ["&quot;", "\""] {
        let body = format!("<A><ETag>{quote}abc-2{quote}</ETag><X>\"</X></A>");
        let answer = of_handler(response(200, &body), &case);
        assert_eq!(text(&answer), "<A><ETag>abc-2</ETag><X>\"</X></A>");
        assert_eq!(answer.headers()["content-length"], text(&answer).len().to_string());
    }
    let plain = "<A><ETag>abc</ETag></A>";
    assert_eq!(text(&of_handler(response(200, plain), &case)), plain);
}
