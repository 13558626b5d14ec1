//! JUnit's XML, for continuous integration.

use super::{Report, escape, reason};
use crate::expected::Verdict;

pub fn document(report: &Report<'_>) -> String {
    let count =
        |wanted: &[Verdict]| report.verdicts.iter().filter(|verdict| wanted.contains(verdict)).count();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"thornback-conformance {}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">\n",
        escape(report.profile),
        report.findings.len(),
        count(&[Verdict::Failed]),
        count(&[Verdict::Unsupported, Verdict::ExpectedFailure]),
    );
    for (finding, verdict) in report.each() {
        xml += &format!(
            "<testcase classname=\"{}\" name=\"{} ({})\"",
            escape(&finding.who()),
            escape(&finding.instance),
            escape(&finding.carrier)
        );
        match verdict {
            Verdict::Passed => xml += "/>\n",
            Verdict::Failed => {
                xml += &format!(
                    "><failure message=\"{}\">{}</failure></testcase>\n",
                    escape(&reason(finding)),
                    escape(&finding.trace.join("\n"))
                );
            }
            Verdict::Unsupported => {
                xml += &format!("><skipped message=\"{}\"/></testcase>\n", escape(&reason(finding)))
            }
            Verdict::ExpectedFailure => {
                xml += &format!("><skipped message=\"known: {}\"/></testcase>\n", escape(&reason(finding)))
            }
        }
    }
    xml + "</testsuite>\n</testsuites>\n"
}
