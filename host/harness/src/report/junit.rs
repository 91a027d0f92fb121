//! Test reports in JUnit's XML, for CI systems.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::{FileReport, TestReport};

/// Returns a report with a suite for each file, a case for each test, and one case for errors of a whole
/// file.
///
/// # Errors
/// If the report cannot be written as XML.
pub fn junit(report: &TestReport) -> Result<String, String> {
    let mut xml = Report::new("klaxon test");
    xml.add_test_suites(report.files.iter().map(suite));
    xml.to_string().map_err(|error| error.to_string())
}

fn suite(file: &FileReport) -> TestSuite {
    let path = file.path.display().to_string();
    let mut suite = TestSuite::new(&path);
    for case in &file.cases {
        let status = if case.passed() {
            TestCaseStatus::success()
        } else {
            let texts = case.failures.iter().map(|one| format!("{}\n{}", one.message, one.details));
            let first = case.failures.first().map_or("", |failure| failure.message.as_str());
            failed(first, &texts.collect::<Vec<_>>().join("\n"))
        };
        let mut case = TestCase::new(plain(&case.name), status);
        case.set_classname(&path);
        suite.add_test_case(case);
    }
    if let Some(error) = &file.error {
        suite.add_test_case(TestCase::new(
            "the file can be run",
            failed("it cannot", &error.message),
        ));
    }
    if let Some(coverage) = file.coverage.as_ref().filter(|one| !one.suffices()) {
        let message = format!("not said: {}", coverage.missing.join(", "));
        suite.add_test_case(TestCase::new("enough codes are covered", failed(&message, "")));
    }
    suite
}

fn failed(message: &str, text: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(plain(message)).set_description(plain(text));
    status
}

/// Replaces the two characters that XML 1.0 forbids and the writer does not remove.
fn plain(text: &str) -> String {
    text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}
