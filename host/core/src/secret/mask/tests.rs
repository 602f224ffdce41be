//! Stories and properties of masking.

use proptest::prelude::*;

use super::*;

fn masker(values: &[&str]) -> Masker {
    let values: Vec<SecretValue> = values.iter().map(|value| SecretValue::new(*value).unwrap()).collect();
    Masker::new(&values)
}

#[test]
fn a_value_is_found_in_its_usual_encodings() {
    let value = "pa ss/wo<rd>&'é\"1";
    let masker = masker(&[value]);
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let leaks = [
        value.to_owned(),
        base64(value),
        base64(&format!("x{value}")),
        base64(&format!("me:{value}\n")),
        base64(&format!("xyz{value} and more")),
        base64::engine::general_purpose::URL_SAFE.encode(format!("?{value}?")),
        "pa%20ss%2Fwo%3Crd%3E%26%27%C3%A9%221".to_owned(),
        "pa+ss%2Fwo%3Crd%3E%26%27%C3%A9%221".to_owned(),
        "pa%20ss%2fwo%3crd%3e%26%27%c3%a9%221".to_owned(),
        serde_json::json!({ "token": value }).to_string(),
        "pa ss/wo\\u003crd\\u003e\\u0026'é\\\"1".to_owned(),
        "pa ss/wo<rd>&'\\u00e9\\\"1".to_owned(),
        value.bytes().map(|byte| format!("{byte:02x}")).collect(),
        "'pa ss/wo<rd>&'\\''é\"1'".to_owned(),
        "'pa ss/wo<rd>&'\"'\"'é\"1'".to_owned(),
        "pa\\ ss/wo\\<rd\\>\\&\\'é\\\"1".to_owned(),
        "'pa ss/wo<rd>&\\'é\"1'".to_owned(),
        "\"pa ss/wo<rd>&'é\\\"1\"".to_owned(),
        "'pa ss/wo<rd>&\\'é\\\"1'".to_owned(),
        "pa ss/wo&lt;rd&gt;&amp;&#39;é&quot;1".to_owned(),
        "pa ss/wo&lt;rd&gt;&amp;&#x27;é&quot;1".to_owned(),
        "pa ss/wo&lt;rd&gt;&amp;&#39;é&#34;1".to_owned(),
        "pa ss/wo&lt;rd&gt;&amp;&apos;é&quot;1".to_owned(),
        "pa ss/wo&lt;rd&gt;&amp;&#039;é&quot;1".to_owned(),
        "pa ss/wo&lt;rd&gt;&amp;'é\"1".to_owned(),
        "pa ss/wo&lt;rd>&amp;'é&quot;1".to_owned(),
    ];
    for leak in leaks {
        let masked = masker.text(&leak);
        assert!(masked.contains(MASK), "{leak} became {masked}");
        assert!(masked.len() < leak.len() && !masked.contains("ss"), "{leak} became {masked}");
    }
    assert_eq!(masker.text("nothing to see"), "nothing to see");
}

#[test]
fn a_value_with_backslashes_and_line_breaks_is_found_as_programs_print_it() {
    let value = "C:\\key $HOME\n`two`\tthree";
    let masker = masker(&[value]);
    for leak in [
        r"C:\\key $HOME\n`two`\tthree",
        "C:\\\\key \\$HOME\n\\`two\\`\tthree",
        "C:\\\\key\\ \\$HOME",
        &format!("{value:?}"),
    ] {
        let masked = masker.text(leak);
        assert!(masked.contains(MASK) && !masked.contains("key"), "{leak} became {masked}");
    }
}

#[test]
fn a_value_in_a_url_is_found_whatever_the_encoder_keeps() {
    let masker = masker(&["Tr0ub&dor 3", "p/a#ss wo?rd"]);
    for leak in [
        "Tr0ub&dor%203",      // the host in a path
        "Tr0ub%26dor+3",      // a form
        "p/a%23ss%20wo%3Frd", // the host in a path
        "p/a#ss%20wo?rd",     // JavaScript's `encodeURI`
        "p%2Fa%23ss%20wo%3Frd",
        "p%2fa%23ss%20wo%3frd",
        "p%2Fa%23ss+wo%3Frd",
        "p%2fa%23ss+wo%3frd", // `curl --data-urlencode`
    ] {
        assert_eq!(masker.text(&format!("GET /{leak}/x")), "GET /***/x", "{leak}");
    }
}

#[test]
fn a_value_beyond_ascii_is_found_as_programs_escape_it() {
    let masker = masker(&["pässwört/€", "smile 😀 please"]);
    for (leak, masked) in [
        (r"'p\xe4ssw\xf6rt/\u20ac'", "'***'"),                       // `ascii()` of Python
        (r"b'p\xc3\xa4ssw\xc3\xb6rt/\xe2\x82\xac'", "b'***'"),       // `bytes` of Python
        (r"$'p\303\244ssw\303\266rt/\342\202\254'", "$'***'"),       // `printf %q` of bash
        (r#"{"t":"p\u00e4ssw\u00f6rt/\u20ac"}"#, r#"{"t":"***"}"#),  // `json.dumps` of Python
        (r#"{"t":"p\u00E4ssw\u00F6rt/\u20AC"}"#, r#"{"t":"***"}"#),  // JSON of .NET
        (r#"{"t":"p\u00e4ssw\u00f6rt\/\u20ac"}"#, r#"{"t":"***"}"#), // `json_encode` of PHP
        (r"'smile \U0001f600 please'", "'***'"),                     // `ascii()` of Python
        (r#"{"t":"smile \ud83d\ude00 please"}"#, r#"{"t":"***"}"#),  // `json.dumps` of Python
        (r"b'smile \xf0\x9f\x98\x80 please'", "b'***'"),             // `bytes` of Python
    ] {
        assert_eq!(masker.text(leak), masked, "{leak}");
    }
}

/// As a tool breaks what it encoded.
fn in_lines(encoded: &str, width: usize) -> Vec<&str> {
    encoded.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect()
}

#[test]
fn each_line_of_a_long_encoding_is_found_alone() {
    // 2245 bytes: 40 lines of `base64`, 47 of `openssl base64`, 75 of `xxd -p`, and the last of each is a long one.
    let value: String = (0..449).map(|number| format!("{number:05}")).collect();
    let masker = masker(&[&value]);
    for end in ["", "\n"] {
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{value}{end}"));
        let digits = hexadecimal(format!("{value}{end}").as_bytes());
        for (text, width) in [(&encoded, 76), (&encoded, 64), (&digits, 60)] {
            let lines = in_lines(text, width);
            let (last, full) = lines.split_last().unwrap();
            for line in full {
                assert_eq!(masker.text(&format!("12:00 {line}")), "12:00 ***");
            }
            assert!(masker.text(last).starts_with(MASK), "{last} is shown");
        }
    }
}

#[test]
fn a_long_value_needs_one_more_form_for_each_line_of_its_encodings() {
    // 3000 bytes: 53 lines of `base64`, 63 of `openssl base64`, 100 of `xxd -p`.
    let value: String = (0..600).map(|number| format!("{number:05}")).collect();
    let count = forms(&value).len();
    assert!(count <= 10 + 53 + 63 + 100, "{count}");
}

#[test]
fn a_plain_value_needs_no_more_forms_than_before() {
    // Letters and digits look the same in JSON, HTML, URLs and shells: what is left is base64 and hexadecimal.
    assert!(forms("abcdefgh12345678").len() <= 10, "{}", forms("abcdefgh12345678").len());
}

#[test]
fn each_line_of_a_key_is_masked_alone() {
    let masker = masker(&["-----BEGIN KEY-----\nAAAABBBBCCCC\nDDDDEEEEFFFF\n-----END KEY-----\n"]);
    assert_eq!(masker.text("line: DDDDEEEEFFFF."), "line: ***.");
}

#[test]
fn secrets_that_overlap_leave_nothing() {
    let masker = masker(&["abcdefgh", "efghijkl", "abcdefghijklmnop"]);
    assert_eq!(masker.text("<abcdefghijkl>"), "<***>");
    assert_eq!(masker.text("<abcdefghijklmnop>"), "<***>");
    assert_eq!(masker.text("abcdefgabcdefgh"), "abcdefg***");
}

#[test]
fn json_is_masked_in_names_texts_and_numbers() {
    let masker = masker(&["12345678", "hunter22"]);
    let json = serde_json::json!({ "a": ["hunter22!", 12345678, 1.5, null, true], "hunter22": {} });
    assert_eq!(masker.json(json), serde_json::json!({ "a": ["***!", "***", 1.5, null, true], "***": {} }));
}

#[test]
fn only_what_may_become_a_secret_is_held_back() {
    let masker = masker(&["hunter22"]);
    let mut stream = MaskStream::default();
    assert_eq!(stream.push(&masker, b"Password: "), b"Password: ");
    assert!(!stream.is_holding());
    assert_eq!(stream.push(&masker, b"it is hunt"), b"it is ");
    assert_eq!(stream.push(&masker, b"ing"), b"hunting");
    assert_eq!(stream.push(&masker, b"hun"), b"");
    assert_eq!(stream.push(&masker, b"ter22!"), b"***!");
    assert_eq!(stream.push(&masker, b"hunter"), b"");
    assert_eq!(stream.end(&masker), b"hunter");
}

#[test]
fn a_secret_of_one_letter_over_and_over_is_held_in_bounds() {
    let masker = masker(&["aaaaaaaa"]);
    let mut stream = MaskStream::default();
    let mut out = Vec::new();
    for _ in 0..10_000 {
        out.extend(stream.push(&masker, b"aaaaaaaaaaaaa"));
        assert!(stream.held.len() < 64, "{}", stream.held.len());
    }
    out.extend(stream.push(&masker, b"b"));
    out.extend(stream.end(&masker));
    assert_eq!(out, b"***b");
}

proptest! {
    /// However a text is cut, what comes out is the same, and no secret is in it.
    #[test]
    fn the_borders_of_chunks_do_not_matter(
        pieces in prop::collection::vec(prop_oneof!["[abc]{0,9}", Just("abcabc".to_owned()), Just("bcabca".to_owned())], 0..12),
        cuts in prop::collection::vec(0usize..120, 0..10),
    ) {
        let masker = masker(&["abcabc", "bcabcab", "cccccc"]);
        let text: String = pieces.concat();
        let whole = masker.text(&text).into_owned();
        let mut borders: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).chain([0, text.len()]).collect();
        borders.sort_unstable();
        let mut stream = MaskStream::default();
        let mut out = Vec::new();
        for pair in borders.windows(2) {
            out.extend(stream.push(&masker, &text.as_bytes()[pair[0]..pair[1]]));
        }
        out.extend(stream.end(&masker));
        let out = String::from_utf8(out).unwrap();
        for secret in ["abcabc", "bcabcab", "cccccc"] {
            prop_assert!(!out.contains(secret), "{text} became {out}");
        }
        prop_assert_eq!(out, whole);
    }

    /// Whatever characters a value has, none of the usual ways to escape it shows it.
    #[test]
    fn an_escaped_value_is_found(value in "[ -~]{6,30}") {
        prop_assume!(value.trim().len() >= SECRET_BYTES_MIN);
        let each = |escape: &dyn Fn(char) -> String| value.chars().map(escape).collect::<String>();
        let as_is = |character: char| character.to_string();
        let backslash_before = |special: &str, character: char| {
            if special.contains(character) { format!("\\{character}") } else { character.to_string() }
        };
        let escaped = [
            each(&|c| match c { '&' => "&amp;".into(), '<' => "&lt;".into(), '>' => "&gt;".into(), _ => as_is(c) }),
            each(&|c| match c {
                '&' => "&amp;".into(), '<' => "&lt;".into(), '>' => "&gt;".into(),
                '"' => "&quot;".into(), '\'' => "&#39;".into(), _ => as_is(c),
            }),
            each(&|c| backslash_before("\\'", c)),
            each(&|c| backslash_before("\\\"", c)),
            each(&|c| backslash_before("\\'\"", c)),
            each(&|c| backslash_before("\"\\$`", c)),
            format!("{value:?}"),
            serde_json::Value::from(value.as_str()).to_string(),
            value.replace('\'', "'\\''"),
        ];
        let percent_encoded = ["-_.~", "-_.~/:@!$&'()*+,;=", "-_.!~*'()", "-_.!~*'();,/?:@&=+$#", "*-._", "-_.~/"]
            .into_iter()
            .flat_map(|kept| [(kept, false), (kept, true)])
            .flat_map(|(kept, is_lower)| ["%20", "+"].map(|space| each(&|c: char| match c {
                ' ' => space.into(),
                _ if c.is_ascii_alphanumeric() || kept.contains(c) => as_is(c),
                _ if is_lower => format!("%{:02x}", u32::from(c)),
                _ => format!("%{:02X}", u32::from(c)),
            })));
        let masker = masker(&[&value]);
        for text in escaped.into_iter().chain(percent_encoded) {
            prop_assert!(masker.text(&format!("<{text}>")).contains(MASK), "{} shows {}", text, value);
        }
    }

    /// Whatever a value holds beyond ASCII, escaping it does not show it.
    #[test]
    fn a_value_escaped_to_ascii_is_found(value in "[a-z\\\\' äÿ€語😀]{6,20}") {
        prop_assume!(value.trim().len() >= SECRET_BYTES_MIN);
        let value = value.trim();
        let each = |escape: &dyn Fn(char) -> String| -> String {
            value.chars().map(|c| match c { '\\' => "\\\\".into(), '\'' => "\\'".into(), _ => escape(c) }).collect()
        };
        let each_byte = |escape: &dyn Fn(u8) -> String| {
            each(&|c: char| if c.is_ascii() { c.into() } else { c.to_string().bytes().map(escape).collect() })
        };
        let escaped = [
            each(&|c: char| match u32::from(c) {
                _ if c.is_ascii() => c.into(),
                number if number < 0x100 => format!("\\x{number:02x}"),
                number if number < 0x10000 => format!("\\u{number:04x}"),
                number => format!("\\U{number:08x}"),
            }),
            each_byte(&|byte| format!("\\x{byte:02x}")),
            each_byte(&|byte| format!("\\{byte:03o}")),
        ];
        let masker = masker(&[value]);
        for text in escaped {
            let masked = masker.text(&format!("<{text}>")).into_owned();
            prop_assert!(masked == "<***>", "{text} of {value} became {masked}");
        }
    }

    /// However long a value is, what `base64`, `openssl base64` and `xxd -p` print of it shows no more than its end and the
    /// line break that `echo` adds.
    #[test]
    fn an_encoding_in_lines_is_found(value in "[!-~]{20,200}", end in "\n?") {
        let masker = masker(&[&value]);
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{value}{end}"));
        let digits = hexadecimal(format!("{value}{end}").as_bytes());
        for (text, width) in [(&encoded, 76), (&encoded, 64), (&digits, 60)] {
            let masked = masker.text(&in_lines(text, width).join("\n")).replace(MASK, "").replace('\n', "");
            prop_assert!(masked.len() <= 4, "{masked} of {value} is shown");
        }
    }

    /// Whatever surrounds a value before it is encoded, its base64 gives nothing away.
    #[test]
    fn base64_at_any_offset_is_found(before in ".{0,7}", value in "[ -~]{8,40}", after in ".{0,7}") {
        prop_assume!(value.trim().len() >= SECRET_BYTES_MIN);
        let masker = masker(&[&value]);
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{before}{value}{after}"));
        prop_assert!(masker.text(&encoded).contains(MASK));
    }
}
