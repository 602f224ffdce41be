//! Reports as the programs write them.

use crate::{
    place::{Files, place},
    read,
    results::Results,
    summary::line,
};

/// Where the first failure is shown in a workspace with these files.
fn first_place(results: &Results, files: &[&str]) -> String {
    let files = Files::new(files.iter().map(|file| (*file).to_owned()));
    let place = place(results.failed.first().expect("a test failed"), &files);
    format!("{}:{}", place.file.as_deref().unwrap_or("-"), place.line.map_or("-".to_owned(), |line| line.to_string()))
}

#[test]
fn surefire_names_the_line_in_a_stack_trace_and_reruns_beside_it() {
    let results = read(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuite xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" name="com.acme.FooTest" time="1,234.5" tests="9" errors="0" skipped="1" failures="0">
  <properties><property name="java.version" value="21"/></properties>
  <testcase name="fails" classname="com.acme.FooTest" time="0.013">
    <failure message="expected:&lt;1&gt; but was:&lt;2&gt;" type="org.opentest4j.AssertionFailedError"><![CDATA[org.opentest4j.AssertionFailedError: expected:<1> but was:<2>
	at org.junit.jupiter.api.AssertionUtils.fail(AssertionUtils.java:55)
	at app//com.acme.FooTest$Inner.fails(FooTest.java:42)
	at java.base/java.util.ArrayList.forEach(ArrayList.java:1596)
]]></failure>
    <rerunFailure message="again" type="x"><stackTrace>again</stackTrace><system-out>x</system-out></rerunFailure>
  </testcase>
  <testcase name="passesAtLast" classname="com.acme.FooTest" time="0.2"><flakyFailure message="once" type="x"/></testcase>
  <testcase name="later" classname="com.acme.FooTest" time="0"><skipped message="not today"/></testcase>
  <testcase name="breaks" classname="com.acme.FooTest" time="0.1"><error type="java.lang.NullPointerException"/></testcase>
  <system-out>not <![CDATA[ <testcase name="of the log"/> ]]></system-out>
</testsuite>"#,
    );
    assert_eq!(line(&results.counts), "4 tests: 1 passed, 1 failed, 1 error, 1 skipped, 1 flaky in 313 ms");
    assert_eq!(results.failed[0].title(), "com.acme.FooTest › fails");
    assert_eq!(results.failed[0].reason(), "expected:<1> but was:<2>");
    assert_eq!(results.failed[1].reason(), "java.lang.NullPointerException");
    assert_eq!(results.flaky, ["com.acme.FooTest › passesAtLast"]);
    let files = ["src/test/java/com/acme/FooTest.java", "other/java/com/beta/FooTest.java", "lib/AssertionUtils.java"];
    assert_eq!(first_place(&results, &files), "src/test/java/com/acme/FooTest.java:42");
}

#[test]
fn pytest_names_the_line_in_the_text_and_the_file_by_the_class() {
    let results = read(
        r#"<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" errors="0" failures="1" skipped="1" tests="3" time="0.046" timestamp="2026-01-02T03:04:05" hostname="h"><testcase classname="tests.test_a" name="test_fails[1-x]" time="0.001"><failure message="AssertionError: assert 1 == 2">def test_fails():
&gt;       assert 1 == 2
E       assert 1 == 2

tests/test_a.py:5: AssertionError</failure></testcase><testcase classname="tests.test_a" name="test_skipped" time="0.000"><skipped type="pytest.skip" message="no">x</skipped></testcase><testcase classname="tests.test_a.TestB" name="test_setup" time="0.000"><error message="failed on setup with &quot;E&quot;">no line</error></testcase></testsuite></testsuites>"#,
    );
    assert_eq!(line(&results.counts), "3 tests: 0 passed, 1 failed, 1 error, 1 skipped in 1 ms");
    assert_eq!(first_place(&results, &["tests/test_a.py"]), "tests/test_a.py:5");
    // The job may have been in another folder.
    assert_eq!(first_place(&results, &["backend/tests/test_a.py", "web/test_a.py"]), "backend/tests/test_a.py:5");
    let mut only_class = results;
    only_class.failed.remove(0);
    assert_eq!(first_place(&only_class, &["tests/test_a.py"]), "tests/test_a.py:-");
}

#[test]
fn pytest_in_its_older_form_counts_lines_from_0() {
    let results = read(
        r#"<testsuite name="pytest"><testcase classname="test_a" file="test_a.py" line="3" name="t" time="0.1"><failure message="m"/></testcase></testsuite>"#,
    );
    assert_eq!(first_place(&results, &["test_a.py"]), "test_a.py:4");
}

#[test]
fn jest_names_the_file_in_an_attribute_and_the_line_in_the_text() {
    let results = read(
        "<testsuites name=\"jest tests\" tests=\"1\" failures=\"1\" time=\"0.832\"><testsuite name=\"math\" failures=\"1\" tests=\"1\">\
         <testcase classname=\"math adds\" name=\"math adds\" time=\"0.004\" file=\"src/math.test.js\"><failure>Error: \u{1b}[2mexpect(\u{1b}[22m3\u{1b}[2m)\u{1b}[22m\n    \
         at Object.toBe (/home/ci/work/node_modules/expect/index.js:7:1)\n    at Object.&lt;anonymous&gt; (/home/ci/work/src/math.test.js:5:17)</failure></testcase></testsuite></testsuites>",
    );
    assert_eq!(results.failed[0].title(), "math adds", "class and name are the same");
    assert_eq!(results.failed[0].reason(), "Error: expect(3)");
    assert_eq!(first_place(&results, &["src/math.test.js", "index.js"]), "src/math.test.js:5");
}

#[test]
fn gotestsum_names_the_file_only_and_the_package_says_the_folder() {
    let results = read(
        r#"<?xml version="1.0"?><testsuites tests="2" failures="1" errors="0" time="0.1"><testsuite tests="2" failures="1" time="0.004000" name="example.com/app/store"><properties><property name="go.version" value="go1.27"></property></properties><testcase classname="example.com/app/store" name="TestGet" time="0.000000"></testcase><testcase classname="example.com/app/store" name="TestPut/empty_key" time="0.000000"><failure message="Failed" type="">=== RUN   TestPut/empty_key
    put_test.go:12: got 1, want 2
--- FAIL: TestPut/empty_key (0.00s)
</failure></testcase></testsuite></testsuites>"#,
    );
    assert_eq!(line(&results.counts), "2 tests: 1 passed, 1 failed in 0 ms");
    assert_eq!(first_place(&results, &["cache/put_test.go", "store/put_test.go"]), "store/put_test.go:12");
    assert_eq!(first_place(&results, &["a/put_test.go", "b/put_test.go"]), "-:-", "either could be meant");
}

#[test]
fn nextest_names_the_line_of_the_panic() {
    let results = read(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="2" failures="1" errors="0" uuid="1" timestamp="2026-01-02T03:04:05.000+00:00" time="0.015">
    <testsuite name="acme::api" tests="2" disabled="0" errors="0" failures="1">
        <testcase name="parse::fails" classname="acme::api" timestamp="2026-01-02T03:04:05.000+00:00" time="0.004">
            <failure message="thread &apos;parse::fails&apos; panicked at src/parse.rs:12:9" type="test failure with exit code 101">thread &apos;parse::fails&apos; (7) panicked at src/parse.rs:12:9:
assertion `left == right` failed
stack backtrace:
   0: std::panicking::begin_panic_handler
             at /rustc/0123/library/std/src/panicking.rs:665:5</failure>
            <rerunFailure timestamp="2026-01-02T03:04:05.000+00:00" time="0.004" message="m" type="t"/>
            <system-out>running 1 test</system-out>
        </testcase>
        <testcase name="flaky" classname="acme::api" time="0.004"><flakyFailure message="m" type="t"/></testcase>
    </testsuite>
</testsuites>"#,
    );
    assert_eq!(line(&results.counts), "2 tests: 1 passed, 1 failed, 1 flaky in 8 ms");
    assert_eq!(results.failed[0].reason(), "assertion `left == right` failed");
    assert_eq!(first_place(&results, &["api/src/parse.rs", "std/src/panicking.rs"]), "api/src/parse.rs:12");
}

#[test]
fn googletest_tells_in_attributes_what_was_not_run() {
    let results = read(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="3" failures="1" disabled="1" errors="0" time="0.01" name="AllTests">
  <testsuite name="Sum" tests="3" failures="1" disabled="1" skipped="1" errors="0" time="0.01">
    <testcase name="Wrong" file="/build/src/sum_test.cc" line="7" status="run" result="completed" time="0." classname="Sum">
      <failure message="/build/src/sum_test.cc:9&#x0A;Expected equality" type=""><![CDATA[/build/src/sum_test.cc:9
Expected equality]]></failure>
    </testcase>
    <testcase name="DISABLED_Later" status="notrun" result="suppressed" time="0." classname="Sum" />
    <testcase name="Skips" status="run" result="skipped" time="0." classname="Sum"><skipped message="m"/></testcase>
  </testsuite>
</testsuites>"#,
    );
    assert_eq!(line(&results.counts), "3 tests: 0 passed, 1 failed, 2 skipped in 0 ms");
    assert_eq!(first_place(&results, &["src/sum_test.cc"]), "src/sum_test.cc:7");
}

#[test]
fn ctest_has_the_reason_in_what_was_printed() {
    let results = read(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="Linux-c++" tests="3" failures="1" disabled="1" skipped="0" hostname="" time="0" timestamp="2026-01-02T03:04:05">
	<testcase name="unit" classname="unit" time="0.5" status="fail">
		<failure message="Failed"/>
		<properties/>
		<system-out>running
src/unit.cpp:33: check failed: a == b
</system-out>
	</testcase>
	<testcase name="off" classname="off" time="0" status="disabled"><skipped message="Disabled"/></testcase>
	<testcase name="absent" classname="absent" time="0" status="notrun"><skipped message="Unable to find executable"/></testcase>
</testsuite>"#,
    );
    assert_eq!(line(&results.counts), "3 tests: 0 passed, 1 failed, 2 skipped in 500 ms");
    assert_eq!(first_place(&results, &["src/unit.cpp"]), "src/unit.cpp:33");
}

#[test]
fn phpunit_nests_suites_and_writes_absolute_paths() {
    let results = read(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="/builds/acme/phpunit.xml" tests="3" assertions="3" errors="0" failures="1" skipped="0" time="0.03">
    <testsuite name="unit" tests="3" time="0.03">
      <testsuite name="Acme\Tests\FooTest" file="/builds/acme/tests/FooTest.php" tests="3" time="0.03">
        <testcase name="testOne" file="/builds/acme/tests/FooTest.php" line="12" class="Acme\Tests\FooTest" classname="Acme.Tests.FooTest" assertions="1" time="0.01">
          <failure type="PHPUnit\Framework\ExpectationFailedException">Acme\Tests\FooTest::testOne
Failed asserting that false is true.

/builds/acme/tests/FooTest.php:15</failure>
        </testcase>
        <testsuite name="Acme\Tests\FooTest::testData" tests="2" time="0.02">
          <testcase name="testData with data set #0" assertions="1" time="0.01"/>
          <testcase name="testData with data set #1" assertions="1" time="0.01"/>
        </testsuite>
      </testsuite>
    </testsuite>
  </testsuite>
</testsuites>"#,
    );
    assert_eq!(line(&results.counts), "3 tests: 2 passed, 1 failed in 30 ms");
    let suites: Vec<(&str, u32)> =
        results.suites.iter().map(|suite| (suite.name.as_str(), suite.counts.tests())).collect();
    assert_eq!(suites, [("Acme\\Tests\\FooTest::testData", 2), ("Acme\\Tests\\FooTest", 1)]);
    assert_eq!(first_place(&results, &["tests/FooTest.php", "FooTest.php"]), "tests/FooTest.php:12");
}

#[test]
fn numbers_in_attributes_are_not_believed_but_a_contradiction_is_told() {
    let results = read(
        r#"<testsuites tests="100" failures="50"><testsuite tests="-3" failures="x"><testcase name="a"/></testsuite></testsuites>"#,
    );
    assert_eq!(line(&results.counts), "1 test: 1 passed in 0 ms");
    assert_eq!(results.remarks, ["report.xml speaks of 50 failures in its attributes, but no test in it says so"]);
}

#[test]
fn attributes_may_be_missing_and_elements_unknown() {
    let results = read(
        "<testsuite><testcase/><testcase name='' time='soon'><failure/><unknown><failure/></unknown></testcase>\
         <testcase classname='C' time='-1'><testcase><failure/></testcase></testcase><other><testcase/></other></testsuite>",
    );
    assert_eq!(line(&results.counts), "3 tests: 2 passed, 1 failed in 0 ms");
    assert_eq!(results.failed[0].title(), "a test without a name");
    assert_eq!(results.failed[0].reason(), "the report gives no reason");
    assert_eq!(results.suites[0].name, "report.xml", "a suite without a name has that of its report");
}

#[test]
fn a_suite_that_fails_outside_of_its_tests_counts_as_a_test() {
    let results = read(
        "<testsuites><testsuite name='s'><testcase name='a'/><error message='no database'/></testsuite></testsuites>",
    );
    assert_eq!(line(&results.counts), "2 tests: 1 passed, 1 error in 0 ms");
    assert_eq!((results.failed[0].title(), results.failed[0].reason()), ("s".to_owned(), "no database".to_owned()));
}

#[test]
fn the_time_of_a_suite_counts_where_its_tests_have_none() {
    let results = read(
        "<testsuites time='9'><testsuite name='s' time='2.5'><testcase name='a'/></testsuite><testsuite time='7'><testcase time='0,5'/></testsuite></testsuites>",
    );
    assert_eq!(results.counts.seconds, 3.0);
}

#[test]
fn a_report_without_tests_is_a_report() {
    for text in [
        "<testsuites/>",
        "<testsuite tests='0'></testsuite>",
        "\u{feff}<?xml version='1.0'?>\n<!-- none -->\n<testsuites>\n</testsuites>\n",
    ] {
        assert_eq!(line(&read(text).counts), "no tests");
    }
}
