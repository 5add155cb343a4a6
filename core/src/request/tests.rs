use super::args::ArgNames;
use super::credentials::MAX_LEN;
use super::extract::{Places, Presented, ascii, basic_alone, extract, header_decides};
use super::scratch::{Scratch, ScratchBuffer};
use super::span::Span;
use super::*;
use crate::cause::Cause;
use crate::config::Encoding;

fn all() -> Places {
    Places {
        host: false,
        own: None,
        header: true,
        query: true,
        body: true,
        bearer: false,
        headers: Some(["x-id".to_owned(), "x-secret".to_owned()]),
        is_rare: true,
        basic_encoding: Encoding::Raw,
        args: ArgNames::new(&[], &[]),
        max_body_bytes: 64,
    }
}

fn basic(pair: &str) -> Vec<u8> {
    use base64::Engine as _;
    format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(pair)
    )
    .into_bytes()
}

fn found(request: &Request<'_>) -> Result<(String, String, Source), Cause> {
    let mut room = ScratchBuffer::new();
    let mut scratch = Scratch::new(&mut room);
    extract(&all(), request, &mut scratch).map(|found| match found {
        Presented::Pair(pair) => (
            ascii(pair.client_id).to_owned(),
            ascii(pair.client_secret).to_owned(),
            pair.source,
        ),
        Presented::Token(token) => panic!("a token: {token}"),
    })
}

fn header(value: &[u8]) -> Result<(String, String, Source), Cause> {
    found(&Request {
        authorization: Some(value),
        ..Request::default()
    })
}

fn query(query: &str) -> Result<(String, String, Source), Cause> {
    found(&Request {
        query: Some(query.as_bytes()),
        ..Request::default()
    })
}

fn json(body: &str) -> Result<(String, String, Source), Cause> {
    let content_type = Some(b"application/json".as_slice());
    found(&Request {
        method: b"POST",
        content_type,
        body: Some(body.as_bytes()),
        ..Request::default()
    })
}

fn pair(id: &str, secret: &str, source: Source) -> Result<(String, String, Source), Cause> {
    Ok((id.to_owned(), secret.to_owned(), source))
}

#[test]
fn basic_is_parsed_strictly() {
    assert_eq!(
        header(&basic("id:secret")),
        pair("id", "secret", Source::Header)
    );
    assert_eq!(
        header(&basic("id:se:cret")),
        pair("id", "se:cret", Source::Header)
    );
    assert_eq!(
        header(b"bAsIc   aWQ6c2VjcmV0"),
        pair("id", "secret", Source::Header)
    );
    assert_eq!(
        header(b" \tBasic aWQ6c2VjcmV0\t "),
        pair("id", "secret", Source::Header)
    );
    for malformed in [
        "Basic aWQ6c2Vjc mV0",
        "Basic aWQ6c2VjcmU",
        "Basic aWQ6c2VjcmU==",
        "Basic id:secret",
        "Basic aWQ6c2VjcmU=x",
        "Basic aWQ6_-8=",
        "Basic aWQ6c2VjcmV0\r\n",
        "Basic aWQ6c2VjcmV0\x0c",
    ] {
        assert_eq!(
            header(malformed.as_bytes()),
            Err(Cause::MalformedBasic),
            "{malformed}"
        );
    }
    for empty in ["nocolon", ":secret", "id:", ":", ""] {
        assert_eq!(
            header(&basic(empty)),
            Err(Cause::EmptyCredential),
            "{empty}"
        );
    }
}

#[test]
fn other_schemes_are_not_credentials() {
    for other in [
        "Bearer abc",
        "Basically aWQ6c2VjcmV0",
        "",
        "Digest username=x",
    ] {
        assert_eq!(
            header(other.as_bytes()),
            Err(Cause::NoCredentials),
            "{other}"
        );
    }
}

#[test]
fn basic_is_not_percent_decoded() {
    assert_eq!(
        header(&basic("a%2B:b+c%zz")),
        pair("a%2B", "b+c%zz", Source::Header)
    );
}

#[test]
fn a_query_is_decoded_exactly_once() {
    assert_eq!(
        query("client_id=a%2Bb&client_secret=c+d%2525"),
        pair("a+b", "c d%25", Source::Query)
    );
    assert_eq!(
        query("x=1&client_secret=s&client%5Fid=i"),
        pair("i", "s", Source::Query)
    );
    for malformed in [
        "client_id=a%zz&client_secret=b",
        "client_id=a&client_secret=b%2",
        "client_id=%u0041&client_secret=b",
    ] {
        assert_eq!(
            query(malformed),
            Err(Cause::MalformedParameter),
            "{malformed}"
        );
    }
    // Not a separator: this is one parameter, "x".
    assert_eq!(
        query("x=1;client_id=a;client_secret=b"),
        Err(Cause::NoCredentials)
    );
    // Another parameter that does not decode is ignored.
    assert_eq!(
        query("q=100%&client_id=a&client_secret=b"),
        pair("a", "b", Source::Query)
    );
}

#[test]
fn credentials_in_two_places_are_refused_even_when_equal() {
    let authorization = basic("id:secret");
    let form = b"client_id=id&client_secret=secret".as_slice();
    let both = Request {
        authorization: Some(&authorization),
        query: Some(form),
        ..Request::default()
    };
    assert_eq!(found(&both), Err(Cause::TwoPlaces));
    let content_type = Some(b"application/x-www-form-urlencoded".as_slice());
    let body = Request {
        method: b"POST",
        content_type,
        body: Some(form),
        ..Request::default()
    };
    assert_eq!(
        found(&Request {
            query: Some(form),
            ..body
        }),
        Err(Cause::TwoPlaces)
    );
    assert_eq!(
        found(&Request {
            authorization: Some(&authorization),
            ..body
        }),
        Err(Cause::TwoPlaces)
    );
    assert_eq!(found(&body), pair("id", "secret", Source::Body));
}

#[test]
fn a_repeated_parameter_is_refused_in_every_spelling() {
    for again in [
        "client_id=b",
        "client%5Fid=b",
        "CLIENT_ID=b",
        "client_id[]=b",
        "client_id%5B0%5D=b",
        "client_secret[averylongindex]=b",
        "client%5fsecret%5baverylongindex]=b",
    ] {
        let input = format!("client_id=a&client_secret=s&{again}");
        assert_eq!(query(&input), Err(Cause::RepeatedParameter), "{input}");
    }
    for name in ["client_id", "client_secret"] {
        let long = "x".repeat(MAX_LEN);
        let input = format!("client_id=a&client_secret=s&{name}={long}");
        assert_eq!(query(&input), Err(Cause::RepeatedParameter), "{name}");
    }
    assert_eq!(
        query("CLIENT_ID=application&x=1"),
        Err(Cause::NoCredentials)
    );
    assert_eq!(
        json(r#"{"client_id":"a","client_id":"a","client_secret":"b"}"#),
        Err(Cause::RepeatedParameter)
    );
}

#[test]
fn half_a_pair_is_refused() {
    assert_eq!(query("client_id=a"), Err(Cause::IncompletePair));
    assert_eq!(json(r#"{"client_secret":"a"}"#), Err(Cause::IncompletePair));
    assert_eq!(
        query("client_id=a&client_secret"),
        Err(Cause::EmptyCredential)
    );
}

#[test]
fn only_printable_ascii_is_accepted() {
    for byte in 0u8..=255 {
        let expect = if (0x20..=0x7e).contains(&byte) {
            None
        } else {
            Some(Cause::InvalidCharacters)
        };
        assert_eq!(
            query(&format!("client_id=a%{byte:02x}b&client_secret=s")).err(),
            expect,
            "{byte:#x} in the id"
        );
        assert_eq!(
            query(&format!("client_id=a&client_secret=s%{byte:02X}")).err(),
            expect,
            "{byte:#x} in the secret"
        );
    }
    assert_eq!(
        json("{\"client_id\":\"\\u0000\",\"client_secret\":\"s\"}"),
        Err(Cause::InvalidCharacters)
    );
}

#[test]
fn a_body_that_is_not_an_object_holds_no_credentials() {
    for body in [
        "null",
        "[1]",
        "\"client_id\"",
        "5",
        "",
        "{",
        r#"{"client_id":"a","client_secret":"b"} x"#,
        "{\"client_id\":\"\u{0}",
    ] {
        assert_eq!(json(body), Err(Cause::NoCredentials), "{body}");
    }
    let deep = format!("{{\"a\":{}", "[".repeat(60));
    assert_eq!(json(&deep), Err(Cause::NoCredentials));
    assert_eq!(
        json(r#"{"client_id":5,"client_secret":"b"}"#),
        Err(Cause::MalformedParameter)
    );
    assert_eq!(
        json(r#"{"client_id":"\u0061","client_secret":"b"}"#),
        pair("a", "b", Source::Body)
    );
}

#[test]
fn a_body_over_the_limit_is_ignored() {
    let body = format!(
        r#"{{"client_id":"a","client_secret":"b","x":"{}"}}"#,
        "x".repeat(64)
    );
    assert_eq!(json(&body), Err(Cause::NoCredentials));
}

#[test]
fn bodies_of_methods_without_content_are_ignored() {
    let body = b"client_id=a&client_secret=b".as_slice();
    let content_type = Some(b"application/x-www-form-urlencoded".as_slice());
    for (method, expect) in [
        ("POST", true),
        ("PUT", true),
        ("PATCH", true),
        ("GET", false),
        ("HEAD", false),
        ("DELETE", false),
        ("post", false),
    ] {
        let request = Request {
            method: method.as_bytes(),
            content_type,
            body: Some(body),
            ..Request::default()
        };
        assert_eq!(found(&request).is_ok(), expect, "{method}");
    }
}

#[test]
fn a_disabled_place_is_not_searched() {
    let places = Places {
        query: false,
        ..all()
    };
    let request = Request {
        query: Some(b"client_id=a&client_secret=b"),
        ..Request::default()
    };
    assert_eq!(
        extract(
            &places,
            &request,
            &mut Scratch::new(&mut ScratchBuffer::new())
        )
        .err(),
        Some(Cause::NoCredentials)
    );
}

/// No place at all.
fn none() -> Places {
    Places {
        header: false,
        query: false,
        body: false,
        headers: None,
        is_rare: false,
        ..all()
    }
}

fn named_headers() -> Places {
    Places {
        headers: all().headers,
        is_rare: true,
        ..none()
    }
}

#[test]
fn a_gate_exchanges_the_pairs_of_each_place() {
    let bearer = Places {
        bearer: true,
        is_rare: true,
        ..none()
    };
    assert!(!none().exchanges() && !bearer.exchanges());
    for places in [
        Places {
            header: true,
            ..none()
        },
        Places {
            query: true,
            ..none()
        },
        Places {
            body: true,
            ..none()
        },
        named_headers(),
        Places {
            host: true,
            ..none()
        },
        Places {
            own: Some("id".to_owned()),
            ..none()
        },
    ] {
        assert!(places.exchanges(), "{places:?}");
    }
}

#[test]
fn requests_are_not_searched_if_the_pair_comes_from_elsewhere() {
    assert!(all().are_searched());
    let host = Places {
        host: true,
        ..none()
    };
    let own = Places {
        own: Some("id".to_owned()),
        ..none()
    };
    assert!(!host.are_searched() && !own.are_searched());
}

#[test]
fn the_text_of_basic_suffices_only_if_nothing_else_counts() {
    let text = b"aWQ6c2VjcmV0".as_slice();
    let places = || Places {
        headers: None,
        is_rare: false,
        ..all()
    };
    let request = || Request {
        authorization: Some(b"Basic aWQ6c2VjcmV0"),
        ..Request::default()
    };
    let alone = |places: &Places, request: &Request<'_>| {
        let mut room = ScratchBuffer::new();
        let found = basic_alone(places, request, &mut Scratch::new(&mut room));
        found.map(<[u8]>::to_vec)
    };
    let suffices = Some(text.to_vec());
    assert_eq!(alone(&places(), &request()), suffices);
    for other in [
        Places {
            header: false,
            ..places()
        },
        Places {
            is_rare: true,
            ..places()
        },
        Places {
            args: ArgNames::new(&["audience".to_owned()], &[]),
            ..places()
        },
        Places {
            basic_encoding: Encoding::Form,
            ..places()
        },
    ] {
        assert_eq!(alone(&other, &request()), None, "{other:?}");
    }
    let form = Some(b"application/x-www-form-urlencoded".as_slice());
    let long = basic(&format!("id:{}", "s".repeat(MAX_LEN)));
    for (other, expected) in [
        (
            Request {
                credentials: Some((b"id", b"secret")),
                ..request()
            },
            None,
        ),
        (
            Request {
                method: b"POST",
                content_type: form,
                body: Some(b"x=1"),
                ..request()
            },
            None,
        ),
        (
            Request {
                method: b"GET",
                content_type: form,
                body: Some(b"x=1"),
                ..request()
            },
            suffices.clone(),
        ),
        (
            Request {
                query: Some(b"x=1"),
                ..request()
            },
            suffices.clone(),
        ),
        (
            Request {
                query: Some(b"client_id=id&client_secret=secret"),
                ..request()
            },
            None,
        ),
        (
            Request {
                query: Some(b"client_id=id"),
                ..request()
            },
            None,
        ),
        (
            Request {
                authorization: Some(&long),
                ..request()
            },
            None,
        ),
    ] {
        assert_eq!(alone(&places(), &other), expected, "{other:?}");
    }
    let no_query = Places {
        query: false,
        ..places()
    };
    let other = Request {
        query: Some(b"client_id=id&client_secret=secret"),
        ..request()
    };
    assert_eq!(alone(&no_query, &other), suffices);
}

#[test]
fn a_header_decides_if_it_is_a_place_and_no_argument_counts() {
    let header = || Places {
        header: true,
        ..none()
    };
    let bearer = || Places {
        bearer: true,
        is_rare: true,
        ..none()
    };
    let with = |authorization: &'static [u8]| Request {
        authorization: Some(authorization),
        ..Request::default()
    };
    let (basic, token) = (with(b"Basic x"), with(b"Bearer x"));
    let named = |client_id, client_secret| Request {
        headers: CredentialHeaders {
            client_id,
            client_secret,
            repeated: false,
        },
        ..Request::default()
    };
    let half = Some(b"x".as_slice());
    let callers = || ArgNames::new(&["audience".to_owned()], &[]);
    for (places, request, expected) in [
        (header(), basic, true),
        (header(), token, false),
        (header(), Request::default(), false),
        (bearer(), token, true),
        (bearer(), basic, false),
        (named_headers(), named(half, None), true),
        (named_headers(), named(None, half), true),
        (named_headers(), named(None, None), false),
        (named_headers(), basic, false),
        (none(), named(half, half), false),
        (none(), basic, false),
        (none(), token, false),
        (
            Places {
                args: callers(),
                ..header()
            },
            basic,
            false,
        ),
        (
            Places {
                args: ArgNames::new(&[], &["audience".to_owned()]),
                ..header()
            },
            basic,
            true,
        ),
    ] {
        let decides = header_decides(&places, &request);
        assert_eq!(decides, expected, "{places:?} {request:?}");
    }
}

#[test]
fn a_body_at_the_limit_is_searched() {
    let body = r#"{"client_id":"a","client_secret":"b"}"#;
    let at = |max_body_bytes| {
        let places = Places {
            max_body_bytes,
            ..all()
        };
        let request = Request {
            method: b"POST",
            content_type: Some(b"application/json"),
            body: Some(body.as_bytes()),
            ..Request::default()
        };
        extract(
            &places,
            &request,
            &mut Scratch::new(&mut ScratchBuffer::new()),
        )
        .is_ok()
    };
    assert!(at(body.len()));
    assert!(!at(body.len() - 1));
}

#[test]
fn a_pair_of_the_host_is_limited_and_complete() {
    let (id, secret) = ("i".repeat(1000), "s".repeat(MAX_LEN));
    let host = |id: &str, secret: &str| {
        found(&Request {
            credentials: Some((id.as_bytes(), secret.as_bytes())),
            ..Request::default()
        })
    };
    let rest = MAX_LEN - id.len();
    assert!(host(&id, &secret[..rest]).is_ok());
    assert_eq!(host(&id, &secret[..rest + 1]), Err(Cause::TooLong));
    assert_eq!(host("", "s"), Err(Cause::EmptyCredential));
    assert_eq!(host("i", ""), Err(Cause::EmptyCredential));
    // The id is judged before the secret.
    assert_eq!(host("\n", ""), Err(Cause::InvalidCharacters));
}

#[test]
fn arguments_count_for_the_limit_of_a_pair() {
    let places = Places {
        args: ArgNames::new(&[], &["x_tenant".to_owned()]),
        ..all()
    };
    let (secret, tenant) = ("s".repeat(MAX_LEN - 102), "t".repeat(101));
    let with = |tenant: &str| {
        let args = [tenant.as_bytes()];
        let request = Request {
            credentials: Some((b"id", secret.as_bytes())),
            args: &args,
            ..Request::default()
        };
        extract(
            &places,
            &request,
            &mut Scratch::new(&mut ScratchBuffer::new()),
        )
        .err()
    };
    assert_eq!(with(&tenant[..100]), None);
    assert_eq!(with(&tenant), Some(Cause::TooLong));
}

#[test]
fn an_oversized_pair_is_refused() {
    // Basic's colon is part of neither half.
    let fits = format!("id:{}", "s".repeat(MAX_LEN - 2));
    assert!(header(&basic(&fits)).is_ok());
    assert_eq!(header(&basic(&format!("{fits}s"))), Err(Cause::TooLong));
    let fits = format!("client_id=a&client_secret={}", "s".repeat(MAX_LEN - 1));
    assert!(query(&fits).is_ok());
    assert_eq!(query(&format!("{fits}s")), Err(Cause::TooLong));
    assert_eq!(query(&format!("{fits}ss")), Err(Cause::TooLong));
}

#[test]
fn two_long_pairs_are_two_places() {
    let secret = "s".repeat(MAX_LEN - 100);
    let authorization = basic(&format!("id:{secret}"));
    let query = format!("client_id=id&client_secret={secret}");
    let both = Request {
        authorization: Some(&authorization),
        query: Some(query.as_bytes()),
        ..Request::default()
    };
    assert_eq!(found(&both), Err(Cause::TwoPlaces));
}

#[test]
fn a_bearer_token_has_at_most_16384_bytes() {
    let header = |len: usize| format!("Bearer {}", "a".repeat(len));
    let longest = header(16_384);
    let token = basic::bearer(longest.as_bytes());
    assert_eq!(token, Ok(longest.strip_prefix("Bearer ")));
    let longer = header(16_385);
    assert_eq!(basic::bearer(longer.as_bytes()), Err(Cause::TokenInvalid));
}

#[test]
fn every_written_byte_is_wiped() {
    let mut buffer = ScratchBuffer::new();
    let refused = |scratch: &mut Scratch<'_>| {
        let value = [Ok(b's'), Err(Cause::InvalidCharacters)];
        assert!(scratch.push(value.into_iter()).is_err());
    };
    let abandoned = |scratch: &mut Scratch<'_>| {
        assert!(scratch.push([Ok(b's'), Ok(b't')].into_iter()).is_ok());
        scratch.rewind(0);
    };
    let filled = |scratch: &mut Scratch<'_>| {
        let fill = |free: &mut [u8]| {
            free.fill(b's');
            Ok::<_, Cause>(free.len())
        };
        assert!(scratch.fill(fill).is_ok());
    };
    let filled_in_vain = |scratch: &mut Scratch<'_>| {
        let fill = |free: &mut [u8]| {
            free.fill(b's');
            Err(Cause::TooLong)
        };
        assert!(scratch.fill(fill).is_err());
    };
    let writers: [&dyn Fn(&mut Scratch<'_>); 4] = [&refused, &abandoned, &filled, &filled_in_vain];
    for write in writers {
        let mut scratch = Scratch::new(&mut buffer);
        assert!(!scratch.is_written());
        write(&mut scratch);
        assert!(scratch.is_written());
        drop(scratch);
        let scratch = Scratch::new(&mut buffer);
        let whole = Span {
            start: 0,
            end: MAX_LEN + 1,
        };
        assert!(scratch.of(whole).iter().all(|byte| *byte == 0));
    }
}

#[test]
fn debug_shows_no_content() {
    let request = Request {
        method: b"POST",
        authorization: Some(b"Basic c2VjcmV0"),
        query: Some(b"client_secret=s3cret"),
        body: Some(b"client_secret=s3cret"),
        credentials: Some((b"id", b"s3cret")),
        headers: CredentialHeaders {
            client_secret: Some(b"s3cret"),
            ..CredentialHeaders::default()
        },
        ..Request::default()
    };
    let shown = format!("{request:?}");
    assert!(
        !shown.contains("s3cret") && !shown.contains("c2VjcmV0"),
        "{shown}"
    );
}

#[test]
fn body_kind_is_the_media_type_alone() {
    assert_eq!(
        BodyKind::of(Some(b"Application/JSON; charset=utf-8")),
        Some(BodyKind::Json)
    );
    assert_eq!(
        BodyKind::of(Some(b"application/x-www-form-urlencoded")),
        Some(BodyKind::Form)
    );
    assert_eq!(BodyKind::of(Some(b"application/jsonp")), None);
    assert_eq!(BodyKind::of(Some(b"multipart/form-data; boundary=x")), None);
    assert_eq!(BodyKind::of(None), None);
}
