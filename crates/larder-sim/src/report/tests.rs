//! What the reports say, and that a page needs nothing but itself.

use std::num::NonZero;

use super::*;
use crate::{Bounds, Contender, Op, Recorder, Request, Study};

/// A study of a loop over four keys at two sizes, with sizes of values or without.
fn with_report(size: Option<u32>, check: impl Fn(&Report<'_>)) {
    let mut recorder = Recorder::new(Bounds::default());
    for at in 0..4000 {
        let key = crate::request::numbered(at % 4);
        recorder.push(&Request { op: Op::Read, size, ..Request::read(key) });
    }
    let requests = recorder.finish(1.0, None);
    let contenders: Vec<Contender> = vec![Contender::Belady, "lru".parse().unwrap()];
    let sizes = match size {
        None => vec![Size::Part(0.5), Size::Entries(4)],
        Some(size) => vec![Size::Bytes(u64::from(size) * 2), Size::Bytes(u64::from(size) * 4)],
    };
    let study = Study { sizes, contenders };
    let results = study.run(&requests, NonZero::<usize>::MIN, &|_| {});
    let names = vec!["a <b> & \"c\".csv".to_owned()];
    let facts = Facts::of(&requests, names, "csv, gzip".to_owned(), 3);
    check(&Report { facts: &facts, results: &results, curves: Some(&results) });
}

fn text(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_table_has_sizes_down_and_policies_across() {
    with_report(None, |report| {
        let report = Report { curves: None, ..*report };
        assert_eq!(
            text(|out| report.table(out)),
            "a <b> & \"c\".csv
csv, gzip, 4,000 requests, 4 keys, 3 bad lines left out

hit ratio, %  belady     lru
2 (50 %)        50.0     0.0
4               99.9    99.9
"
        );
    });
}

#[test]
fn a_trace_with_sizes_has_byte_hit_ratios_and_no_bound() {
    with_report(Some(512), |report| {
        let table = text(|out| report.table(out));
        for part in ["byte hit ratio, %", "\n1KiB", "\n2KiB", "belady: no bound for entries of"] {
            assert!(table.contains(part), "{part:?} in {table}");
        }
    });
}

#[test]
fn csv_has_a_line_for_each_policy_at_each_size() {
    with_report(None, |report| {
        let csv = text(|out| report.csv(out));
        let lines: Vec<_> = csv.lines().collect();
        assert_eq!(lines.len(), 1 + 4 + 4);
        let columns = lines[0].split(',').count();
        assert!(lines.iter().all(|line| line.split(',').count() == columns), "{csv}");
        let first = "sizes,belady,2,entries,1,4000,1998,0.499500,0,0,0.000000,";
        assert!(lines[1].starts_with(first), "{csv}");
        assert!(lines[8].starts_with("curve,lru,4,entries,1,4000,3996,0.999000,"), "{csv}");
    });
}

#[test]
fn json_is_one_object() {
    with_report(None, |report| {
        let json = text(|out| report.json(out));
        let object: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(object["trace"]["names"][0], "a <b> & \"c\".csv");
        assert_eq!(object["trace"]["bad_lines"], 3);
        assert_eq!(object["sizes"].as_array().unwrap().len(), 4);
        assert_eq!(object["sizes"][1]["policy"], "lru");
        assert_eq!(object["sizes"][3]["hit_ratio"], 0.999);
        assert_eq!(object["curve"], object["sizes"]);
        let report = Report { curves: None, ..*report };
        let json = text(|out| report.json(out));
        let object: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert!(object["curve"].is_null());
    });
}

#[test]
fn a_page_needs_nothing_but_itself() {
    with_report(Some(100), |report| {
        let html = text(|out| report.html(out));
        assert!(html.contains("<h1>a &lt;b&gt; &amp; &quot;c&quot;.csv</h1>"), "{html}");
        assert_eq!(html.matches("<svg").count(), 2);
        assert_eq!(html.matches("</svg>").count(), 2);
        assert_eq!(html.matches("<polyline").count(), 4);
        assert!(html.contains("prefers-color-scheme: dark"));
        for outside in ["http", "src=", "href", "@import", "url(", "<script", "<link"] {
            assert!(!html.contains(outside), "{outside}");
        }
        assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
    });
}

#[test]
fn a_page_of_a_single_size_is_drawn() {
    with_report(None, |report| {
        let mut results = report.results.clone();
        results.rows.truncate(1);
        let report = Report { results: &results, curves: None, ..*report };
        let html = text(|out| report.html(out));
        assert!(html.contains("<circle") && !html.contains("NaN"), "{html}");
    });
}

#[test]
fn numbers_are_short() {
    assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    let shorts = [0.2, 10.0, 100.0, 2.71999, 0.012345].map(significant);
    assert_eq!(shorts, ["0.2", "10", "100", "2.72", "0.0123"]);
    assert_eq!([1, 1536, 64 << 20, 5 << 40].map(bytes), ["1B", "1.5KiB", "64MiB", "5TiB"]);
}
