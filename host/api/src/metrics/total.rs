//! Counters as the text format 0.0.4 wants them: with `_total` in `# TYPE`, too. OpenMetrics, which the library writes, leaves it
//! out there, and readers of the older format would then not know the type.

use std::fmt;

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder},
    metrics::{MetricType, TypedMetric, counter::Counter},
};

/// A counter. To be registered under its full name, which ends in `_total`.
#[derive(Clone, Debug, Default)]
pub struct Total(Counter);

impl Total {
    /// One that stands at this number.
    pub fn at(number: u64) -> Total {
        let total = Total::default();
        total.0.inc_by(number);
        total
    }

    /// Counts one more.
    pub fn count(&self) {
        self.0.inc();
    }

    /// How many there were.
    pub fn number(&self) -> u64 {
        self.0.get()
    }
}

impl TypedMetric for Total {
    const TYPE: MetricType = MetricType::Counter;
}

impl EncodeMetric for Total {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        // As a counter it would get `_total` a second time.
        encoder.encode_gauge(&self.0.get())
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}
