//! One page: cases by who calls whom, and each failure with its frames.

use std::collections::{BTreeMap, BTreeSet};

use super::{Report, escape, reason};
use crate::expected::Verdict;

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;margin:2em;color:#222}table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:.2em .6em}\
th{background:#f4f4f4;text-align:left}td.passed{background:#d9f0d9}td.failed{background:#f7c6c6}td.known{background:#fbe6b5}td.unsupported{background:#eee;color:#777}\
pre{background:#f7f7f7;padding:.8em;overflow-x:auto;font-size:12px}";

pub fn page(report: &Report<'_>) -> String {
    let columns: BTreeSet<String> = report.findings.iter().map(super::Finding::who).collect();
    let mut cells: BTreeMap<(&str, String), super::Count> = BTreeMap::new();
    for (finding, verdict) in report.each() {
        cells.entry((&finding.case, finding.who())).or_default().add(verdict);
    }
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Thornback conformance</title><style>{STYLE}</style>\n<h1>Thornback conformance</h1>\n\
         <p>{} templates, profile {}. A cell counts the instances that passed, of those that ran; what an SDK does not claim is grey.</p>\n<table><tr><th>case</th>",
        report.templates,
        escape(report.profile),
    );
    for column in &columns {
        html += &format!("<th>{}</th>", escape(&column.replace("->", "→")));
    }
    html += "</tr>\n";
    let cases: BTreeSet<&str> = report.findings.iter().map(|finding| finding.case.as_str()).collect();
    for case in cases {
        html += &format!("<tr><th>{}</th>", escape(case));
        for column in &columns {
            let Some(count) = cells.get(&(case, column.clone())) else {
                html += "<td></td>";
                continue;
            };
            let ran = count.passed + count.failed + count.expected;
            let class = match (count.failed, count.expected, ran) {
                (1.., _, _) => "failed",
                (0, 1.., _) => "known",
                (0, 0, 0) => "unsupported",
                _ => "passed",
            };
            let text = if ran == 0 { "–".to_owned() } else { format!("{}/{ran}", count.passed) };
            html += &format!("<td class=\"{class}\">{text}</td>");
        }
        html += "</tr>\n";
    }
    html += "</table>\n";
    for complaint in report.complaints {
        html += &format!("<p>List of known failures: {}</p>\n", escape(complaint));
    }
    for (finding, verdict) in report.each() {
        if matches!(verdict, Verdict::Failed | Verdict::ExpectedFailure) {
            let kind = if verdict == Verdict::Failed { "failed" } else { "known failure" };
            html += &format!(
                "<h3>{} · {} · {} · {kind}</h3>\n<p>{}</p>\n<pre>{}</pre>\n",
                escape(&finding.instance),
                escape(&finding.who().replace("->", "→")),
                escape(&finding.carrier),
                escape(&reason(finding)),
                escape(&finding.trace.join("\n")),
            );
        }
    }
    html + "</html>\n"
}
