//! What a disk did: requests, bytes, times and latencies, from `query-blockstats`.

use crate::{
    driver::qemu::monitor::query::{BlockStats, Histogram, TimedStats},
    model::stats::{Block, LatencyBin, LatencyHistogram, TimedGroup},
};

/// Fills the counters of a disk.
pub(super) fn count(block: &mut Block, disk: &BlockStats) {
    let stats = &disk.stats;
    block.rd_reqs = stats.rd_operations;
    block.rd_bytes = stats.rd_bytes;
    block.rd_times = stats.rd_total_time_ns;
    block.rd_failed = stats.failed_rd_operations;
    block.rd_invalid = stats.invalid_rd_operations;
    block.rd_merged = stats.rd_merged;
    block.wr_reqs = stats.wr_operations;
    block.wr_bytes = stats.wr_bytes;
    block.wr_times = stats.wr_total_time_ns;
    block.wr_failed = stats.failed_wr_operations;
    block.wr_invalid = stats.invalid_wr_operations;
    block.wr_merged = stats.wr_merged;
    block.fl_reqs = stats.flush_operations;
    block.fl_times = stats.flush_total_time_ns;
    block.fl_failed = stats.failed_flush_operations;
    block.fl_invalid = stats.invalid_flush_operations;
    block.unmap_reqs = stats.unmap_operations;
    block.unmap_bytes = stats.unmap_bytes;
    block.unmap_times = stats.unmap_total_time_ns;
    block.unmap_failed = stats.failed_unmap_operations;
    block.unmap_invalid = stats.invalid_unmap_operations;
    block.unmap_merged = stats.unmap_merged;
    block.zone_append_reqs = stats.zone_append_operations;
    block.zone_append_bytes = stats.zone_append_bytes;
    block.zone_append_times = stats.zone_append_total_time_ns;
    block.zone_append_failed = stats.failed_zone_append_operations;
    block.zone_append_invalid = stats.invalid_zone_append_operations;
    block.zone_append_merged = stats.zone_append_merged;
    block.idle_time = stats.idle_time_ns;
    let timed = &stats.timed_stats;
    block.timed_group_count = (!timed.is_empty()).then_some(timed.len() as u64);
    block.timed_groups = timed.iter().zip(0..).map(timed_group).collect();
    block.read_histogram = stats.rd_latency_histogram.as_ref().map(histogram);
    block.write_histogram = stats.wr_latency_histogram.as_ref().map(histogram);
    block.zone_append_histogram = stats.zone_append_latency_histogram.as_ref().map(histogram);
    block.flush_histogram = stats.flush_latency_histogram.as_ref().map(histogram);
}

fn timed_group((stats, index): (&TimedStats, u32)) -> TimedGroup {
    TimedGroup {
        index,
        interval: Some(stats.interval_length),
        rd_latency_min: stats.min_rd_latency_ns,
        rd_latency_max: stats.max_rd_latency_ns,
        rd_latency_avg: stats.avg_rd_latency_ns,
        wr_latency_min: stats.min_wr_latency_ns,
        wr_latency_max: stats.max_wr_latency_ns,
        wr_latency_avg: stats.avg_wr_latency_ns,
        zone_append_latency_min: stats.min_zone_append_latency_ns,
        zone_append_latency_max: stats.max_zone_append_latency_ns,
        zone_append_latency_avg: stats.avg_zone_append_latency_ns,
        flush_latency_min: stats.min_flush_latency_ns,
        flush_latency_max: stats.max_flush_latency_ns,
        flush_latency_avg: stats.avg_flush_latency_ns,
        rd_queue_depth_avg: stats.avg_rd_queue_depth,
        wr_queue_depth_avg: stats.avg_wr_queue_depth,
        zone_append_queue_depth_avg: stats.avg_zone_append_queue_depth,
        ..TimedGroup::default()
    }
}

fn histogram(reply: &Histogram) -> LatencyHistogram {
    let starts = std::iter::once(0).chain(reply.boundaries.iter().copied());
    let bins = reply.bins.iter().zip(starts).zip(0..).map(|((value, start), index)| LatencyBin {
        index,
        start: Some(start),
        value: Some(*value),
        ..LatencyBin::default()
    });
    LatencyHistogram {
        bin_count: Some(reply.bins.len() as u64),
        bins: bins.collect(),
        ..LatencyHistogram::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_starts_at_zero() {
        let reply: Histogram =
            serde_json::from_str(r#"{"boundaries": [10, 50], "bins": [3, 2, 1]}"#).unwrap();
        let starts: Vec<_> = histogram(&reply).bins.iter().map(|bin| bin.start).collect();
        assert_eq!(starts, [Some(0), Some(10), Some(50)]);
    }
}
