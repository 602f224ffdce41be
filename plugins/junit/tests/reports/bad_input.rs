//! What is no report, or a hostile one. Each is refused with a sentence, or bounded.

use crate::{
    annotation::{ANNOTATIONS_MAX, annotations},
    place::Files,
    read, read_in_pieces, refused, report,
    results::{FAILURES_MAX, Results},
    summary::{SUMMARY_BYTES_MAX, markdown},
};

#[test]
fn malformed_xml_is_told_with_line_and_column() {
    let table = [
        (
            "<testsuite>\n  <testcase name=\"a\"></testcas>\n</testsuite>",
            "2:22: expected `</testcase>`, but `</testcas>` was found",
        ),
        ("<testsuite>\n  <testcase name=a/>\n</testsuite>", "2:3: an attribute is malformed: "),
        ("<testsuite>\n  <testcase name='a/>\n</testsuite>", "2:3: attribute value not closed"),
        ("<testsuite></testsuite></testsuite>", "1:24: close tag `</testsuite>` does not match any open tag"),
        ("<testsuite></testsuite>\n<testsuite/>", "2:1: a second root element begins here: a report has one"),
        ("<testsuite></testsuite>\nDone.", "1:24: it is not XML: after the end of the root element stands `Done.`"),
        (
            "<testsuite><testcase><failure>a & b</failure></testcase></testsuite>",
            "1:31: an `&` begins no reference here",
        ),
        ("<testsuite><testcase name='&nbsp;'/></testsuite>", "1:12: the entity `&nbsp;` is not one of XML's five"),
        ("<testsuite><testcase><failure>&#xZ;</failure></testcase></testsuite>", "1:31: `&#xZ;` is not the number"),
        ("<testsuite>< testcase/></testsuite>", "1:12: this tag has no name"),
        ("<![CDATA[x]]><testsuite/>", "1:1: a document type or a CDATA section cannot stand here"),
        ("<testsuite><!TESTCASE></testsuite>", "1:12: unknown or missed symbol in markup"),
    ];
    for (text, expected) in table {
        let told = refused(text.as_bytes());
        assert!(told.starts_with(expected), "{text}\n{told}");
    }
}

#[test]
fn a_report_that_was_cut_off_says_where_and_keeps_what_stands_before() {
    let whole = "<testsuite>\n<testcase name='a'><failure/></testcase>\n<testcase name='b'>\n<system-out>x";
    let (results, broken) = read_in_pieces(whole.as_bytes(), 7);
    let broken = broken.expect("it is cut off");
    assert_eq!(broken.reason, "it ends inside of `<system-out>`, which begins on line 4");
    assert_eq!(broken.position.map(|at| (at.line, at.column)), Some((4, 14)));
    assert_eq!((results.counts.failed, results.failed.len()), (1, 1));
    for (tail, expected) in [
        ("<system-out><![CDATA[ab]]", "this CDATA section does not end before the end of the file"),
        ("<!-- ab --", "this comment does not end before the end of the file"),
        ("<?xml-x ", "this processing instruction does not end before the end of the file"),
        ("<testcase nam", "tag not closed: `>` not found before end of input"),
        ("<testcase name='x", "attribute value not closed: `'` not found before end of input"),
        ("<failure>&am", "an `&` begins no reference here"),
        ("<", "tag not closed"),
    ] {
        let told = refused(format!("<testsuite>\n<testcase>{tail}").as_bytes());
        assert!(told.starts_with("2:") && told.contains(expected), "{tail}\n{told}");
    }
}

#[test]
fn entities_of_a_document_type_are_refused_and_nothing_is_expanded() {
    let bomb = "<?xml version=\"1.0\"?>\n<!DOCTYPE testsuites [\n <!ENTITY a \"aaaaaaaaaa\">\n <!ENTITY b \"&a;&a;&a;&a;\">\n]>\n<testsuites>&b;</testsuites>";
    assert!(refused(bomb.as_bytes()).starts_with("2:1: its document type declares entities"));
    let file = "<!DOCTYPE x [<!entity % x SYSTEM \"file:///etc/passwd\">]><testsuites/>";
    assert!(refused(file.as_bytes()).starts_with("1:1: its document type declares entities"));
    // A document type alone is fetched from nowhere and does no harm.
    read("<!DOCTYPE testsuites SYSTEM \"https://example.com/junit.dtd\"><testsuites/>");
    let long = format!("<!DOCTYPE x [{}", "<!ELEMENT a ANY>".repeat(10_000));
    assert_eq!(refused(long.as_bytes()), "1:1: this document type is too long");
}

#[test]
fn latin_1_is_read_and_other_encodings_are_refused() {
    let latin = b"<?xml version=\"1.0\" encoding='ISO-8859-1'?><testsuite><testcase name=\"caf\xe9\"><failure/></testcase></testsuite>";
    for length in [1, 7, 1000] {
        let (results, broken) = read_in_pieces(latin, length);
        assert_eq!((broken, results.failed[0].name.as_str()), (None, "café"));
    }
    let utf16: Vec<u8> = "\u{feff}<testsuite/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(refused(&utf16), "it is written in UTF-16; UTF-8 and ISO-8859-1 can be read");
    let without_mark: Vec<u8> = "<testsuite/>".encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(refused(&without_mark), "it is written in UTF-16; UTF-8 and ISO-8859-1 can be read");
    let told = refused(b"<?xml version=\"1.0\" encoding=\"windows-1252\"?><testsuite/>");
    assert_eq!(told, "1:1: its encoding is `windows-1252`; UTF-8 and ISO-8859-1 can be read");
}

#[test]
fn bytes_that_are_no_utf_8_become_a_sign_of_it() {
    let (results, broken) = read_in_pieces(
        b"<testsuite><testcase name='\xff\xc3'><failure>\xe2\x82</failure></testcase></testsuite>",
        1 << 20,
    );
    assert_eq!(broken, None);
    assert_eq!(results.failed[0].name, "\u{fffd}\u{fffd}");
    assert_eq!(results.failed[0].text, "\u{fffd}");
}

#[test]
fn odd_bytes_are_one_warning_for_each_report_that_says_where_the_first_is() {
    let warnings = |bytes: &[u8]| {
        let (results, broken) = read_in_pieces(bytes, 5);
        assert_eq!(broken, None);
        assert_eq!(results.counts.passed, 1);
        let marked = annotations(&results, &Files::default());
        assert!(marked.iter().all(|annotation| !annotation.is_error));
        marked.into_iter().map(|marked| (marked.place.line.unwrap(), marked.message)).collect::<Vec<_>>()
    };
    let printed = |bytes: &[u8]| {
        let ends: [&[u8]; 2] = [
            b"<testsuite>\n<testcase name='\xc3\xa4\t'>\r\n<system-out>12345678",
            b"</system-out></testcase></testsuite>",
        ];
        [ends[0], bytes, ends[1]].concat()
    };
    assert_eq!(warnings(&printed(b"fine \xe2\x9c\x93")), []);
    let [(line, message)] = &warnings(&printed(b"\n\x08 and \xff \x1b[31m"))[..] else { panic!("one warning") };
    assert_eq!((*line, message.contains("a control character that XML forbids (U+0008)")), (4, true), "{message}");
    let [(line, message)] = &warnings(&printed(b"\xff\xfe\n\x00"))[..] else { panic!("one warning") };
    assert_eq!((*line, message.contains("a byte that is not UTF-8 (0xFF)")), (3, true), "{message}");
    let latin = [b"<?xml version='1.0' encoding='latin1'?>", &printed(b"\xff\n\x07")[..]].concat();
    let [(line, message)] = &warnings(&latin)[..] else { panic!("one warning") };
    assert_eq!((*line, message.contains("U+0007")), (4, true), "{message}");
}

#[test]
fn what_is_no_report_says_what_it_is() {
    assert_eq!(refused(b""), "it is empty: did the program end before it wrote its report?");
    assert_eq!(refused(b" \n\t "), "it holds no element");
    assert_eq!(
        refused(b"<!DOCTYPE html>\n<html><head><meta charset=utf-8><title>404</title>"),
        "it is no JUnit report: its root element is `<html>`, not `<testsuites>` or `<testsuite>`"
    );
    assert!(refused(b"<coverage line-rate=\"0.9\"/>").contains("its root element is `<coverage>`"));
    assert_eq!(
        refused(b"{\"numFailedTests\": 1, \"success\": false}"),
        "1:1: it is not XML: it begins with `{\"numFailedTests\": 1`"
    );
    assert!(refused(b"\x7fELF\x02\x01").starts_with("1:1: it is not XML"));
    assert!(refused(&[0; 2000]).starts_with("1:1: it is not XML"));
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let mut first = true;
    let pieces = || match std::mem::take(&mut first) {
        true => Ok(b"<testsuite><system-out>xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx".repeat(30)),
        false => Err("the disk is gone".to_owned()),
    };
    let broken = report::read("r", pieces, &mut Results::default()).expect_err("the second piece fails");
    assert_eq!(broken.reason, "the disk is gone");
}

#[test]
fn elements_nested_without_end_are_refused() {
    let told = refused("<testsuite>".repeat(100_000).as_bytes());
    assert_eq!(told, "1:11001: its elements are nested more than 1000 deep");
    read(&format!("{}{}", "<testsuite>".repeat(1000), "</testsuite>".repeat(1000)));
}

#[test]
fn huge_parts_are_cut_or_refused() {
    let long = "x".repeat(300_000);
    let results = read(&format!(
        "<testsuite name='{long}'><testcase name='{long}' classname='{long}'><failure message='&lt;{long}&lt;'>{long}&amp;{long}</failure>\
         <system-out>{long}</system-out></testcase></testsuite>"
    ));
    let failed = &results.failed[0];
    assert_eq!((failed.name.len(), failed.class_name.len(), failed.suite.len()), (1024, 1024, 1024));
    assert_eq!((failed.message.len(), failed.text.len()), (4096, 16384));
    let huge = format!("<testsuite><testcase name='{}'/></testsuite>", "x".repeat(9 << 20));
    assert_eq!(refused(huge.as_bytes()), "1:12: this tag is too long");
    let many: String = (0..100_000).map(|number| format!(" a{number}='1'")).collect();
    read(&format!("<testsuite name='n'{many}><testcase/></testsuite>"));
    assert_eq!(refused(format!("<{}/>", "x".repeat(2000)).as_bytes()), "1:1: this tag has a name that is too long");
}

#[test]
fn of_ten_thousand_failures_the_first_are_marked_and_the_others_counted() {
    let case = "<testcase classname='C' name='t' time='0.001'><failure message='m'>at x (src/a.js:3:1)\n".to_owned()
        + &"line of a stack trace\n".repeat(40)
        + "</failure></testcase>";
    let results = read(&format!("<testsuite name='s'>{}</testsuite>", case.repeat(10_000)));
    assert_eq!((results.counts.failed, results.failed.len()), (10_000, FAILURES_MAX));
    let files = Files::new(["src/a.js".to_owned()]);
    let marked = annotations(&results, &files);
    assert_eq!(marked.len(), ANNOTATIONS_MAX);
    assert_eq!(marked[998].place.line, Some(3));
    assert_eq!(marked[999].message, "9001 more failed tests are not marked: a step marks 1000 places at most");
    let page = markdown(&results, &files);
    assert!(page.len() <= SUMMARY_BYTES_MAX, "{}", page.len());
    assert!(page.contains("and 9700 more failed tests"), "{}", &page[page.len() - 500..]);
}

#[test]
fn a_thousand_failures_are_all_marked() {
    let results = read(&format!("<testsuite>{}</testsuite>", "<testcase><error/></testcase>".repeat(1000)));
    let marked = annotations(&results, &Files::default());
    assert_eq!(marked.len(), 1000);
    assert!(marked[999].message.starts_with("a test without a name ended with an error"));
}

#[test]
fn many_long_failures_and_suites_leave_the_summary_bounded() {
    let name = "`|<&*".repeat(200);
    let name = name.replace('&', "&amp;").replace('<', "&lt;");
    let suite = format!(
        "<testsuite name='{name}'><testcase name='{name}' time='1'><failure message='{name}'>{}</failure></testcase></testsuite>",
        "`".repeat(5000)
    );
    let results = read(&format!("<testsuites>{}</testsuites>", suite.repeat(3000)));
    let page = markdown(&results, &Files::default());
    assert!(page.len() <= SUMMARY_BYTES_MAX, "{}", page.len());
    assert!(page.contains("and 2900 more suites"), "the suites that are not kept are counted too");
}
