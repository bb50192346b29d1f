//! The page of requirements: made from what the tests say of themselves, so that it names no test
//! that isn't there.

use larder_test::assert_page;

const SOURCES: [&str; 15] = [
    include_str!("no_vary_search.rs"),
    include_str!("rfc9110.rs"),
    include_str!("rfc9110_dates.rs"),
    include_str!("rfc9110_partial.rs"),
    include_str!("rfc9110_writes.rs"),
    include_str!("rfc9111.rs"),
    include_str!("rfc9111_age.rs"),
    include_str!("rfc9111_control.rs"),
    include_str!("rfc9111_invalidation.rs"),
    include_str!("rfc9111_partial.rs"),
    include_str!("rfc9111_reuse.rs"),
    include_str!("rfc9111_validation.rs"),
    include_str!("rfc9213.rs"),
    include_str!("rfc9875.rs"),
    include_str!("rfcs_beside.rs"),
];

/// The tests of the layer; those that name an RFC or a draft hold it to a requirement too.
const LAYER: [&str; 13] = [
    include_str!("../layer/coalescing.rs"),
    include_str!("../layer/conditions.rs"),
    include_str!("../layer/fields.rs"),
    include_str!("../layer/invalidation.rs"),
    include_str!("../layer/parts.rs"),
    include_str!("../layer/passing.rs"),
    include_str!("../layer/posting.rs"),
    include_str!("../layer/ranges.rs"),
    include_str!("../layer/reusing.rs"),
    include_str!("../layer/searching.rs"),
    include_str!("../layer/storing.rs"),
    include_str!("../layer/turns.rs"),
    include_str!("../layer/variants.rs"),
];

const HEAD: &str = "# HTTP caching: requirements and their tests

<!-- Generated from the tests by `UPDATE_DOCS=1 cargo test -p larder-http reference`. -->

What `larder-http` decides, and what its layer does by that ([HTTP responses](concepts/http.md)), by the
sections of the RFCs, and the test that holds it to each. Where an RFC leaves a choice, the decisions [0027](decisions/0027-http-semantics.md) and
[0040](decisions/0040-partial-responses.md) say which one was made.

| RFC | section | requirement | test |
|---|---|---|---|
";

/// The RFC or draft, the section, the requirement and the name of each test of a file.
fn rows(source: &str) -> Vec<(String, Vec<u32>, String, String)> {
    let lines: Vec<&str> = source.lines().collect();
    let is_requirement =
        |line: &str| line.starts_with("/// RFC ") || line.starts_with("/// draft-");
    let asynchronous = |at: usize| lines[at] == "#[tokio::test]" && is_requirement(lines[at - 1]);
    let tests = (1..lines.len()).filter(|&at| lines[at] == "#[test]" || asynchronous(at));
    tests
        .map(|at| {
            let said = lines[at - 1].strip_prefix("/// ").expect("a test names its RFC or draft");
            let (place, requirement) = said.split_once(": ").expect("a requirement");
            let (document, section) = place.split_once(" §").expect("a section");
            let document = document.strip_prefix("RFC ").unwrap_or(document);
            let section =
                section.split('.').map(|part| part.parse().expect("written in a test")).collect();
            let name = lines[at + 1].strip_prefix("async ").unwrap_or(lines[at + 1]);
            let name = name.strip_prefix("fn ").expect("written in a test");
            let name = name.trim_end_matches("() {");
            (document.to_owned(), section, requirement.to_owned(), name.to_owned())
        })
        .collect()
}

#[test]
fn the_reference_names_every_requirement() {
    let mut rows: Vec<_> = SOURCES.iter().chain(&LAYER).flat_map(|source| rows(source)).collect();
    rows.sort();
    let mut page = HEAD.to_owned();
    for (document, section, requirement, test) in rows {
        let section: Vec<_> = section.iter().map(u32::to_string).collect();
        page += &format!("| {document} | {} | {requirement} | `{test}` |\n", section.join("."));
    }
    assert_page("http-caching.md", &page, "larder-http");
}
