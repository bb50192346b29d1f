//! `/metrics` as a scraper reads it, strictly: what this reader doesn't understand fails a test.
//!
//! The format is OpenMetrics 1.0. The reader is the test's own and shares nothing with the
//! library that writes the page.

use std::collections::{BTreeMap, HashMap, HashSet};

use larder_test::Larder;

use crate::support::admin;

/// A page of metrics.
#[derive(Debug)]
pub(crate) struct Page {
    text: String,
    samples: Vec<Sample>,
    kinds: HashMap<String, String>,
}

#[derive(Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Page {
    /// What the admin listener of `larder` shows now.
    pub(crate) fn of(larder: &Larder) -> Self {
        let (status, text) = admin(larder, "/metrics");
        assert_eq!(status, 200, "{text}");
        Self::read(&text)
    }

    /// Reads a page and checks it: every sample belongs to the family announced last, no family
    /// and no sample comes twice, counters end in `_total`, buckets rise to `_count`, and the
    /// page ends with its end.
    pub(crate) fn read(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").expect("the page ends with # EOF");
        let mut page = Self { text: text.to_owned(), samples: Vec::new(), kinds: HashMap::new() };
        let mut family = String::new();
        let mut helped = HashSet::new();
        let mut seen = HashSet::new();
        for line in body.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                let (what, name, rest) =
                    (words.next().unwrap(), words.next().unwrap(), words.next().unwrap_or(""));
                match what {
                    "HELP" => {
                        assert!(!rest.is_empty() && helped.insert(name.to_owned()), "{line}");
                    }
                    "TYPE" => {
                        let known = ["counter", "gauge", "histogram"].contains(&rest);
                        let first = page.kinds.insert(name.to_owned(), rest.to_owned()).is_none();
                        assert!(known && first, "{line}");
                        name.clone_into(&mut family);
                    }
                    "UNIT" => {}
                    _ => panic!("not OpenMetrics: {line}"),
                }
                continue;
            }
            let sample = Sample::read(line);
            let suffix = sample
                .name
                .strip_prefix(&family)
                .unwrap_or_else(|| panic!("{} stands among the samples of {family}", sample.name));
            let allowed: &[&str] = match page.kinds[&family].as_str() {
                "counter" => &["_total"],
                "gauge" => &[""],
                _ => &["_bucket", "_sum", "_count"],
            };
            assert!(allowed.contains(&suffix), "{line}");
            assert!(seen.insert(format!("{}{:?}", sample.name, sample.labels)), "twice: {line}");
            page.samples.push(sample);
        }
        assert!(page.kinds.keys().all(|name| helped.contains(name)), "a family without help");
        page.check_histograms();
        page
    }

    /// The page itself.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The names of all families with their kinds.
    pub(crate) fn families(&self) -> BTreeMap<&str, &str> {
        self.kinds.iter().map(|(name, kind)| (name.as_str(), kind.as_str())).collect()
    }

    /// The sum of all samples of this name with these labels, which must be whole.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let sum = self.value(name, labels);
        assert!(sum >= 0.0 && sum.fract() == 0.0, "{name} is {sum}");
        sum as u64
    }

    /// The sum of all samples of this name with these labels.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |sample: &&Sample| sample.fits(name, labels);
        let found: Vec<&Sample> = self.samples.iter().filter(fits).collect();
        assert!(!found.is_empty(), "no {name} with {labels:?} in\n{}", self.text);
        found.iter().map(|sample| sample.value).sum()
    }

    /// Whether there is a sample of this name with these labels.
    pub(crate) fn has(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.samples.iter().any(|sample| sample.fits(name, labels))
    }

    fn check_histograms(&self) {
        let histograms = self.kinds.iter().filter(|(_, kind)| *kind == "histogram");
        for (name, _) in histograms {
            let mut last: BTreeMap<String, (f64, f64)> = BTreeMap::new();
            for sample in self.samples.iter().filter(|one| one.name == format!("{name}_bucket")) {
                let mut labels = sample.labels.clone();
                let bound = match labels.remove("le").expect("a bucket has a bound").as_str() {
                    "+Inf" => f64::INFINITY,
                    bound => bound.parse().expect("a bound is a number"),
                };
                let before = last.insert(format!("{labels:?}"), (bound, sample.value));
                let (bound_before, count_before) = before.unwrap_or((f64::NEG_INFINITY, 0.0));
                assert!(bound > bound_before && sample.value >= count_before, "{sample:?}");
            }
            for count in self.samples.iter().filter(|one| one.name == format!("{name}_count")) {
                let all = last.remove(&format!("{:?}", count.labels)).expect("it has buckets");
                assert_eq!(all, (f64::INFINITY, count.value), "{count:?}");
            }
            assert!(last.is_empty(), "{name} has buckets without a count");
        }
    }
}

impl Sample {
    fn fits(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        let has = |(label, value): &(&str, &str)| {
            self.labels.get(*label).is_some_and(|given| given == value)
        };
        self.name == name && labels.iter().all(has)
    }

    /// `name{label="value",…} number`.
    fn read(line: &str) -> Self {
        let fault = || -> ! { panic!("not OpenMetrics: {line:?}") };
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| fault());
        let value = value.parse().unwrap_or_else(|_| fault());
        let (name, labels) = match series.split_once('{') {
            None => (series, ""),
            Some((name, labels)) => (name, labels.strip_suffix('}').unwrap_or_else(|| fault())),
        };
        let word = |text: &str| {
            !text.is_empty()
                && !text.starts_with(|first: char| first.is_ascii_digit())
                && text.chars().all(|one| one.is_ascii_alphanumeric() || one == '_')
        };
        if !word(name) {
            fault();
        }
        let mut sample = Self { name: name.to_owned(), labels: BTreeMap::new(), value };
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (name, value) = label.split_once('=').unwrap_or_else(|| fault());
            let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            let value = value.unwrap_or_else(|| fault());
            // Names of caches and sources need no escapes.
            if !word(name) || value.contains(['"', '\\', '\n']) {
                fault();
            }
            if sample.labels.insert(name.to_owned(), value.to_owned()).is_some() {
                fault();
            }
        }
        sample
    }
}
