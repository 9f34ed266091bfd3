//! Metric families as values, and how they are written in OpenMetrics text.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder},
    metrics::{MetricType, exemplar::Exemplar},
};

/// Bounds of the task duration histogram, in seconds.
pub(super) const BOUNDS: [f64; 12] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];

pub(super) type Labels = Vec<(&'static str, String)>;

/// One metric with all its samples.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) samples: Samples,
}

#[derive(Debug)]
pub(super) enum Samples {
    Gauge(Vec<(Labels, f64)>),
    Counter(Vec<(Labels, u64)>),
    Histogram(Vec<(Labels, Histogram)>),
}

/// Counts of each slot between [`BOUNDS`], the last one beyond them.
#[derive(Debug, Default, Clone)]
pub(super) struct Histogram {
    pub(super) slots: [u64; BOUNDS.len() + 1],
    pub(super) seconds: f64,
}

impl Histogram {
    fn buckets(&self) -> Vec<(f64, u64)> {
        BOUNDS.into_iter().chain([f64::INFINITY]).zip(self.slots).collect()
    }
}

#[derive(Debug)]
pub(super) struct Families(pub(super) Vec<Family>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        for Family { name, help, samples } in &self.0 {
            match samples {
                Samples::Gauge(samples) => {
                    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
                    each(&mut metric, samples, |metric, &value| metric.encode_gauge(&value))?;
                }
                Samples::Counter(samples) => {
                    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
                    each(&mut metric, samples, |metric, value| metric.encode_counter(value, NO_EXEMPLAR))?;
                }
                Samples::Histogram(samples) => {
                    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
                    each(&mut metric, samples, |metric, value| {
                        let count = value.slots.iter().sum();
                        metric.encode_histogram::<Labels>(value.seconds, count, &value.buckets(), None)
                    })?;
                }
            }
        }
        Ok(())
    }
}

const NO_EXEMPLAR: Option<&Exemplar<Labels, f64>> = None;

fn each<V>(
    metric: &mut MetricEncoder,
    samples: &[(Labels, V)],
    encode: impl Fn(&mut MetricEncoder, &V) -> Result<(), std::fmt::Error>,
) -> Result<(), std::fmt::Error> {
    for (labels, value) in samples {
        if labels.is_empty() {
            encode(metric, value)?;
        } else {
            encode(&mut metric.encode_family(labels)?, value)?;
        }
    }
    Ok(())
}

pub(super) fn gauge(
    name: &'static str,
    help: &'static str,
    samples: impl IntoIterator<Item = (Labels, f64)>,
) -> Family {
    Family { name, help, samples: Samples::Gauge(samples.into_iter().collect()) }
}

pub(super) fn counter(
    name: &'static str,
    help: &'static str,
    samples: impl IntoIterator<Item = (Labels, i64)>,
) -> Family {
    let samples = samples.into_iter().map(|(labels, value)| (labels, u64::try_from(value).unwrap_or(0))).collect();
    Family { name, help, samples: Samples::Counter(samples) }
}

pub(super) fn labels<const N: usize>(pairs: [(&'static str, &str); N]) -> Labels {
    pairs.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}
