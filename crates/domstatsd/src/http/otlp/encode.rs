//! Metrics in the form of OTLP: gauges, and sums that only grow.
//!
//! The library walks the model, and has [`Attributes`] encode the labels as it goes: a data point is its value, and
//! a copy of the attributes of its section.

use std::{
    io::Write,
    ops::Range,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::body::Bytes;
use domstats::{
    format::{Labels, MetricFamily, MetricSample, Metrics, Number, push_label_value},
    stats::{Kind, Value},
};
use flate2::{Compression, write::GzEncoder};
use prost::Message;

use super::messages::{
    self, CUMULATIVE, Data, ExportRequest, Gauge, KeyValue, Metric, Point, PointValue, Resource,
    ResourceMetrics, Scope, ScopeMetrics, Sum,
};

/// The most points of one request: collectors accept no more than some megabytes.
const MOST_POINTS: usize = 10_000;

const NAME: &str = env!("CARGO_PKG_NAME");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A request: its body, in gzip, and the number of its data points.
pub(super) struct Export {
    pub(super) body: Bytes,
    pub(super) points: u64,
}

/// The time and the labels of samples, as encoded fields of a data point.
#[derive(Clone, Default)]
pub(super) struct Attributes(Vec<u8>);

impl Attributes {
    fn encode(&mut self, fields: &messages::Attributes) {
        // A vector grows as needed.
        let _ = fields.encode(&mut self.0);
    }
}

impl Labels for Attributes {
    type Part = [u8];

    const WITH_UUID: bool = true;

    fn begin(&mut self, taken_at: SystemTime) {
        let time_unix_nano = nanoseconds(taken_at);
        self.encode(&messages::Attributes { time_unix_nano, attributes: Vec::new() });
    }

    fn push(&mut self, name: &str, value: &Value<'_>) {
        let mut text = String::new();
        push_label_value(&mut text, value);
        let attributes = vec![KeyValue::new(name, text)];
        self.encode(&messages::Attributes { time_unix_nano: 0, attributes });
    }

    fn length(&self) -> usize {
        self.0.len()
    }

    fn truncate(&mut self, length: usize) {
        self.0.truncate(length);
    }

    fn part(&self, range: Range<usize>) -> &[u8] {
        &self.0[range]
    }

    fn append(&mut self, labels: &Self) {
        self.0.extend_from_slice(&labels.0);
    }
}

/// Encodes the metrics of the domains, with the times of their records, and the metrics of this answer, whose
/// counters count since the daemon started.
pub(super) fn exports(
    taken_at: SystemTime,
    domains: &Metrics<Attributes>,
    ours: &Metrics<Attributes>,
    started: SystemTime,
) -> Vec<Export> {
    let mut writer = Writer::new();
    let taken_at = nanoseconds(taken_at);
    for family in domains.families() {
        // The start of a domain's counters is unknown. The time is the first of the attributes, if there are any.
        writer.push(family, |sample| {
            point(0, if sample.labels.is_empty() { taken_at } else { 0 }, sample)
        });
    }
    let (started, now) = (nanoseconds(started), nanoseconds(SystemTime::now()));
    for family in ours.families() {
        let start = if family.kind() == Kind::Counter { started } else { 0 };
        writer.push(family, |sample| point(start, now, sample));
    }
    writer.end()
}

fn point(start: u64, time: u64, sample: MetricSample<'_, [u8]>) -> Vec<u8> {
    let value = match sample.value {
        Number::Integer(whole) => PointValue::Integer(whole),
        Number::Double(number) => PointValue::Double(number),
    };
    let point = Point { start_time_unix_nano: start, time_unix_nano: time, value: Some(value) };
    let mut bytes = Vec::with_capacity(point.encoded_len() + sample.labels.len());
    let _ = point.encode(&mut bytes);
    bytes.extend_from_slice(sample.labels);
    bytes
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Builds requests.
struct Writer {
    resource: Resource,
    metrics: Vec<Metric>,
    points: usize,
    done: Vec<Export>,
}

impl Writer {
    fn new() -> Self {
        let uname = rustix::system::uname();
        let host = uname.nodename().to_string_lossy();
        let attributes = [
            ("service.name", NAME),
            ("service.version", VERSION),
            // One daemon serves a host.
            ("service.instance.id", &host),
            ("host.name", &host),
        ];
        let attributes = attributes.into_iter().map(|(name, value)| KeyValue::new(name, value));
        let resource = Resource { attributes: attributes.collect() };
        Self { resource, metrics: Vec::new(), points: 0, done: Vec::new() }
    }

    /// Adds a family.
    fn push(
        &mut self,
        family: MetricFamily<'_, Attributes>,
        point: impl Fn(MetricSample<'_, [u8]>) -> Vec<u8>,
    ) {
        let mut samples = family.samples();
        while samples.len() > 0 {
            let data_points: Vec<_> =
                samples.by_ref().take(MOST_POINTS - self.points).map(&point).collect();
            self.points += data_points.len();
            self.metrics.push(metric(family, data_points));
            if self.points >= MOST_POINTS {
                self.finish();
            }
        }
    }

    /// Finishes a request.
    fn finish(&mut self) {
        let scope = Scope { name: NAME.to_owned(), version: VERSION.to_owned() };
        let metrics = std::mem::take(&mut self.metrics);
        let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics }];
        let resource_metrics =
            vec![ResourceMetrics { resource: Some(self.resource.clone()), scope_metrics }];
        let request = ExportRequest { resource_metrics };
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        // Writing to memory cannot fail.
        let _ = gzip.write_all(&request.encode_to_vec());
        let body = gzip.finish().unwrap_or_default().into();
        let points = std::mem::take(&mut self.points) as u64;
        self.done.push(Export { body, points });
    }

    fn end(mut self) -> Vec<Export> {
        if self.points > 0 {
            self.finish();
        }
        self.done
    }
}

/// Returns a metric of a family with some of its points. Names are those of `/metrics`, counters without `_total`:
/// translators to Prometheus append that, and find the unit in the name.
fn metric(family: MetricFamily<'_, Attributes>, data_points: Vec<Vec<u8>>) -> Metric {
    let unit = match family.unit() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        Some("joules") => "J",
        Some("farads") => "F",
        _ => "",
    };
    let data = match family.kind() {
        Kind::Counter => {
            Data::Sum(Sum { data_points, aggregation_temporality: CUMULATIVE, is_monotonic: true })
        }
        Kind::Gauge | Kind::Info => Data::Gauge(Gauge { data_points }),
    };
    Metric {
        name: family.name().to_owned(),
        description: family.help().to_owned(),
        unit: unit.to_owned(),
        data: Some(data),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use domstats::{Connect, Format, StatsRequest};
    use flate2::read::GzDecoder;

    use super::*;

    fn decoded(export: &Export) -> ExportRequest {
        let mut bytes = Vec::new();
        GzDecoder::new(export.body.as_ref()).read_to_end(&mut bytes).unwrap();
        ExportRequest::decode(bytes.as_slice()).unwrap()
    }

    #[test]
    fn points_are_the_samples_of_the_text_with_time_and_uuid() {
        let connect = Connect::open("test:///default?clock=fixed").unwrap();
        let report = connect.all_domain_stats(&StatsRequest::new()).unwrap();
        let mut domains = Metrics::default();
        domains.push_report(&report);
        let mut ours = Metrics::default();
        ours.push_age(&report, std::time::Duration::from_secs(1));
        let started = SystemTime::now();
        let exports = exports(report.taken_at, &domains, &ours, started);
        let [export] = exports.as_slice() else { panic!("one request") };
        let request = decoded(export);
        let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
        let mut points = 0;
        for metric in metrics {
            let data_points = match metric.data.as_ref().unwrap() {
                Data::Gauge(gauge) => &gauge.data_points,
                Data::Sum(sum) => &sum.data_points,
            };
            for bytes in data_points {
                // A data point has the fields of both.
                let point = Point::decode(bytes.as_slice()).unwrap();
                let attributes = messages::Attributes::decode(bytes.as_slice()).unwrap().attributes;
                assert!(point.value.is_some(), "{}", metric.name);
                let has = |name: &str| attributes.iter().filter(|one| one.key == name).count();
                assert_eq!(has("domain"), has("uuid"), "{}: {attributes:?}", metric.name);
                let time = match metric.name.as_str() {
                    "libvirt_domain_sample_age_seconds" => point.time_unix_nano,
                    _ => nanoseconds(report.taken_at),
                };
                assert_eq!(point.time_unix_nano, time, "{}", metric.name);
                assert!(time > 0 && point.start_time_unix_nano == 0);
                points += 1;
            }
        }
        let mut text = Metrics::new();
        text.push_report(&report);
        let samples = text.to_text(Format::Prometheus);
        let samples = samples.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(points, samples + report.domains.len());
        assert_eq!(export.points, points as u64);
    }
}
