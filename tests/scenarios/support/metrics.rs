//! The metrics page, read.

use super::Gateway;
use std::collections::BTreeMap;

/// What `/metrics` says.
pub(crate) struct Page {
    pub(crate) kinds: BTreeMap<String, String>,
    pub(crate) helps: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

impl Page {
    pub(crate) async fn of(gateway: &Gateway) -> Self {
        let (status, text) = gateway.admin("/metrics").await;
        assert_eq!(status, 200);
        let (mut kinds, mut helps) = (BTreeMap::new(), BTreeMap::new());
        let mut samples = BTreeMap::new();
        for line in text.lines() {
            let (name, rest) = match line.strip_prefix("# ") {
                Some(comment) => comment.split_once(' ').unwrap(),
                None => line.rsplit_once(' ').unwrap(),
            };
            match name {
                "TYPE" | "HELP" => {
                    let (metric, rest) = rest.split_once(' ').unwrap();
                    let table = if name == "TYPE" {
                        &mut kinds
                    } else {
                        &mut helps
                    };
                    table.insert(metric.to_owned(), rest.to_owned());
                }
                sample => {
                    let value = rest.parse().unwrap();
                    let earlier = samples.insert(sample.to_owned(), value);
                    assert_eq!(earlier, None, "{sample} is there twice");
                }
            }
        }
        Self {
            kinds,
            helps,
            samples,
        }
    }

    pub(crate) fn has(&self, metric: &str) -> bool {
        self.samples.keys().any(|sample| sample.starts_with(metric))
    }

    pub(crate) fn value(&self, sample: &str) -> f64 {
        let value = self.samples.get(sample);
        *value.unwrap_or_else(|| panic!("{sample} is not among {:#?}", self.samples))
    }

    pub(crate) fn family(&self, metric: &str) -> BTreeMap<String, f64> {
        let of_it = |sample: &str| {
            let rest = sample.strip_prefix(metric);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
        };
        let samples = self.samples.iter().filter(|(sample, _)| of_it(sample));
        samples
            .map(|(name, value)| (name.clone(), *value))
            .collect()
    }
}
