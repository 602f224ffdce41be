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
        let masker = masker(&[&value]);
        for text in escaped {
            prop_assert!(masker.text(&format!("<{text}>")).contains(MASK), "{} shows {}", text, value);
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
