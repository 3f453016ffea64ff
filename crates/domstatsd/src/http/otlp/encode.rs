//! Metrics as OTLP has them: gauges, and sums that only grow.

use std::{
    borrow::Cow,
    collections::HashMap,
    io::Write,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::body::Bytes;
use domstats::{
    StatsReport,
    format::{Labelled, MetricFamily, MetricSample, Metrics, Number, labelled},
    stats::Kind,
};
use flate2::{Compression, write::GzEncoder};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
        metric::Data, number_data_point,
    },
    resource::v1::Resource,
};
use prost::Message;

/// The points of one request, at most: collectors take no more than some megabytes.
const MOST_POINTS: usize = 10_000;

const NAME: &str = env!("CARGO_PKG_NAME");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A request: its body, in gzip, and the data points in it.
pub(super) struct Export {
    pub(super) body: Bytes,
    pub(super) points: u64,
}

/// What is known of a domain beside its samples.
struct Known {
    uuid: Option<String>,
    taken_at: SystemTime,
}

/// Writes the metrics of the domains, as old as they are, and those of a daemon that counts since it
/// started.
pub(super) fn exports(
    report: &StatsReport,
    domains: &Metrics,
    ours: &Metrics,
    started: SystemTime,
) -> Vec<Export> {
    let mut known: HashMap<Cow<'_, str>, Known> = HashMap::with_capacity(report.domains.len());
    for Labelled { name, uuid, stats, .. } in labelled(report) {
        let taken_at = stats.taken_at.unwrap_or(report.taken_at);
        let known = known.entry(name);
        // Domains of one name have their UUIDs as labels.
        known
            .and_modify(|known| known.taken_at = known.taken_at.min(taken_at))
            .or_insert(Known { uuid, taken_at });
    }
    let mut writer = Writer::new();
    let (taken_at, now) = (nanoseconds(report.taken_at), nanoseconds(SystemTime::now()));
    for family in domains.families() {
        // Since when something of a domain is counted is not known, which 0 says.
        writer.push(family, |sample| {
            let (attributes, known) = attributes(&sample, &known);
            let time = known.map_or(taken_at, |known| nanoseconds(known.taken_at));
            point(attributes, 0, time, sample.value)
        });
    }
    let started = nanoseconds(started);
    for family in ours.families() {
        writer.push(family, |sample| {
            let (attributes, _) = attributes(&sample, &known);
            let start = if family.kind() == Kind::Counter { started } else { 0 };
            point(attributes, start, now, sample.value)
        });
    }
    writer.end()
}

/// Returns the labels of a sample, the UUID of its domain among them, and what is known of that.
fn attributes<'a>(
    sample: &MetricSample<'_>,
    known: &'a HashMap<Cow<'_, str>, Known>,
) -> (Vec<KeyValue>, Option<&'a Known>) {
    let mut domain = None;
    let mut attributes: Vec<KeyValue> = Vec::with_capacity(3);
    for (name, value) in sample.labels.clone() {
        if name == "domain" {
            domain = known.get(value.as_ref());
        }
        attributes.push(attribute(name, value));
    }
    if let Some(uuid) = domain.and_then(|domain| domain.uuid.as_ref())
        && attributes.iter().all(|attribute| attribute.key != "uuid")
    {
        attributes.push(attribute("uuid", uuid));
    }
    (attributes, domain)
}

fn attribute(name: &str, value: impl Into<String>) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.into())) };
    KeyValue { key: name.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn point(attributes: Vec<KeyValue>, start: u64, time: u64, value: Number) -> NumberDataPoint {
    NumberDataPoint {
        attributes,
        start_time_unix_nano: start,
        time_unix_nano: time,
        value: Some(match value {
            Number::Integer(whole) => number_data_point::Value::AsInt(whole),
            Number::Double(number) => number_data_point::Value::AsDouble(number),
        }),
        ..NumberDataPoint::default()
    }
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Fills requests.
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
        let attributes = attributes.into_iter().map(|(name, value)| attribute(name, value));
        let resource = Resource { attributes: attributes.collect(), ..Resource::default() };
        Self { resource, metrics: Vec::new(), points: 0, done: Vec::new() }
    }

    /// Adds a family.
    fn push(
        &mut self,
        family: MetricFamily<'_>,
        point: impl Fn(MetricSample<'_>) -> NumberDataPoint,
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

    /// Ends a request.
    fn finish(&mut self) {
        let scope = InstrumentationScope {
            name: NAME.to_owned(),
            version: VERSION.to_owned(),
            ..InstrumentationScope::default()
        };
        let scope_metrics = ScopeMetrics {
            scope: Some(scope),
            metrics: std::mem::take(&mut self.metrics),
            ..ScopeMetrics::default()
        };
        let resource_metrics = ResourceMetrics {
            resource: Some(self.resource.clone()),
            scope_metrics: vec![scope_metrics],
            ..ResourceMetrics::default()
        };
        let request = ExportMetricsServiceRequest { resource_metrics: vec![resource_metrics] };
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

/// Returns a metric of a family with some of its points. Names are those of `/metrics`, counters
/// without `_total`: what translates to Prometheus appends that, and finds the unit in the name.
fn metric(family: MetricFamily<'_>, data_points: Vec<NumberDataPoint>) -> Metric {
    let unit = match family.unit() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        Some("joules") => "J",
        Some("farads") => "F",
        _ => "",
    };
    let data = match family.kind() {
        Kind::Counter => Data::Sum(Sum {
            data_points,
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
            is_monotonic: true,
        }),
        Kind::Gauge | Kind::Info => Data::Gauge(Gauge { data_points }),
    };
    Metric {
        name: family.name().to_owned(),
        description: family.help().to_owned(),
        unit: unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}
