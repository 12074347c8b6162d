//! Reads counters and gauges back, for the status page: it shows what is measured, and cannot disagree with `/metrics`.

use super::Metrics;
use prometheus::proto::MetricType;
use std::collections::HashMap;

/// One value of a counter or gauge.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    labels: Vec<(String, String)>,
    /// What it stands at.
    pub value: f64,
}

impl Sample {
    /// The value of a label, empty if it has no such label.
    pub fn label(&self, name: &str) -> &str {
        let found = self.labels.iter().find(|(label, _)| label == name);
        found.map_or("", |(_, value)| value)
    }
}

impl Metrics {
    /// Every counter and gauge as it stands, by the name of its family. Histograms are left out.
    pub fn read(&self) -> HashMap<String, Vec<Sample>> {
        let mut families = HashMap::new();
        for family in self.registry.gather() {
            let value: fn(&prometheus::proto::Metric) -> f64 = match family.get_field_type() {
                MetricType::COUNTER => |metric| metric.get_counter().get_value(),
                MetricType::GAUGE => |metric| metric.get_gauge().get_value(),
                MetricType::SUMMARY | MetricType::UNTYPED | MetricType::HISTOGRAM => continue,
            };
            let sample = |metric: &prometheus::proto::Metric| Sample {
                labels: metric
                    .get_label()
                    .iter()
                    .map(|label| (label.name().to_owned(), label.value().to_owned()))
                    .collect(),
                value: value(metric),
            };
            let samples = family.get_metric().iter().map(sample).collect();
            families.insert(family.name().to_owned(), samples);
        }
        families
    }
}
