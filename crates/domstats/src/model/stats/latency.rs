//! How long the requests of a disk took: part of the group `block`.

use crate::model::catalogue::section::section;

section!(
    /// Latencies of a disk over one measuring interval.
    #[item(index)]
    pub struct TimedGroup {
        /// Length of the interval.
        /// QMP `timed_stats` `interval_length`; libvirt `timed_group.<g>.interval`.
        #[info(unit = "s", label = "interval_seconds", place = "attribute")]
        pub interval: Option<u64>,
        /// Shortest read.
        /// QMP `timed_stats` `min_rd_latency_ns`; libvirt `timed_group.<g>.rd_latency_min`.
        #[gauge(unit = "ns", metric = "block_stats_timed_read_latency_min_seconds")]
        pub rd_latency_min: Option<u64>,
        /// Longest read.
        /// QMP `timed_stats` `max_rd_latency_ns`; libvirt `timed_group.<g>.rd_latency_max`.
        #[gauge(unit = "ns", metric = "block_stats_timed_read_latency_max_seconds")]
        pub rd_latency_max: Option<u64>,
        /// Average read.
        /// QMP `timed_stats` `avg_rd_latency_ns`; libvirt `timed_group.<g>.rd_latency_avg`.
        #[gauge(unit = "ns", metric = "block_stats_timed_read_latency_avg_seconds")]
        pub rd_latency_avg: Option<u64>,
        /// Shortest write.
        /// QMP `timed_stats` `min_wr_latency_ns`; libvirt `timed_group.<g>.wr_latency_min`.
        #[gauge(unit = "ns", metric = "block_stats_timed_write_latency_min_seconds")]
        pub wr_latency_min: Option<u64>,
        /// Longest write.
        /// QMP `timed_stats` `max_wr_latency_ns`; libvirt `timed_group.<g>.wr_latency_max`.
        #[gauge(unit = "ns", metric = "block_stats_timed_write_latency_max_seconds")]
        pub wr_latency_max: Option<u64>,
        /// Average write.
        /// QMP `timed_stats` `avg_wr_latency_ns`; libvirt `timed_group.<g>.wr_latency_avg`.
        #[gauge(unit = "ns", metric = "block_stats_timed_write_latency_avg_seconds")]
        pub wr_latency_avg: Option<u64>,
        /// Shortest zone append.
        /// QMP `timed_stats` `min_zone_append_latency_ns`; libvirt `timed_group.<g>.zone_append_latency_min`.
        #[gauge(unit = "ns", metric = "block_stats_timed_zone_append_latency_min_seconds")]
        pub zone_append_latency_min: Option<u64>,
        /// Longest zone append.
        /// QMP `timed_stats` `max_zone_append_latency_ns`; libvirt `timed_group.<g>.zone_append_latency_max`.
        #[gauge(unit = "ns", metric = "block_stats_timed_zone_append_latency_max_seconds")]
        pub zone_append_latency_max: Option<u64>,
        /// Average zone append.
        /// QMP `timed_stats` `avg_zone_append_latency_ns`; libvirt `timed_group.<g>.zone_append_latency_avg`.
        #[gauge(unit = "ns", metric = "block_stats_timed_zone_append_latency_avg_seconds")]
        pub zone_append_latency_avg: Option<u64>,
        /// Shortest flush.
        /// QMP `timed_stats` `min_flush_latency_ns`; libvirt `timed_group.<g>.flush_latency_min`.
        #[gauge(unit = "ns", metric = "block_stats_timed_flush_latency_min_seconds")]
        pub flush_latency_min: Option<u64>,
        /// Longest flush.
        /// QMP `timed_stats` `max_flush_latency_ns`; libvirt `timed_group.<g>.flush_latency_max`.
        #[gauge(unit = "ns", metric = "block_stats_timed_flush_latency_max_seconds")]
        pub flush_latency_max: Option<u64>,
        /// Average flush.
        /// QMP `timed_stats` `avg_flush_latency_ns`; libvirt `timed_group.<g>.flush_latency_avg`.
        #[gauge(unit = "ns", metric = "block_stats_timed_flush_latency_avg_seconds")]
        pub flush_latency_avg: Option<u64>,
        /// Average number of reads waiting.
        /// QMP `timed_stats` `avg_rd_queue_depth`; libvirt `timed_group.<g>.rd_queue_depth_avg`.
        #[gauge(unit = "count", metric = "block_stats_timed_reads_queue_depth_avg")]
        pub rd_queue_depth_avg: Option<f64>,
        /// Average number of writes waiting.
        /// QMP `timed_stats` `avg_wr_queue_depth`; libvirt `timed_group.<g>.wr_queue_depth_avg`.
        #[gauge(unit = "count", metric = "block_stats_timed_writes_queue_depth_avg")]
        pub wr_queue_depth_avg: Option<f64>,
        /// Average number of zone appends waiting.
        /// QMP `timed_stats` `avg_zone_append_queue_depth`; libvirt `timed_group.<g>.zone_append_queue_depth_avg`.
        #[gauge(unit = "count", metric = "block_stats_timed_zone_appends_queue_depth_avg")]
        pub zone_append_queue_depth_avg: Option<f64>,
    }
);

section!(
    /// How many requests took how long.
    pub struct LatencyHistogram {
        /// Number of bins.
        /// QMP `latency_histogram` `bins`; libvirt `bin.count`.
        #[gauge(
            path = "bin.count",
            doc_path = "count",
            unit = "count",
            metric = "block_stats_latency_bins"
        )]
        pub bin_count: Option<u64>,
        /// The bins, from short to long.
        /// QMP `latency_histogram` `bins`; libvirt `bin.<b>`.
        #[list(path = "bin", doc_path = "bin", label = "bin")]
        pub bins: Vec<LatencyBin>,
    }
);

section!(
    /// One bin of a latency histogram.
    #[item(index)]
    pub struct LatencyBin {
        /// Shortest time that counts here; the next bin's start is the end.
        /// QMP `latency_histogram` `boundaries`; libvirt `bin.<b>.start`.
        #[info(unit = "ns", label = "start_ns", place = "attribute")]
        pub start: Option<u64>,
        /// Number of requests.
        /// QMP `latency_histogram` `bins`; libvirt `bin.<b>.value`.
        #[counter(unit = "count", metric = "block_stats_latency_bin")]
        pub value: Option<u64>,
    }
);
