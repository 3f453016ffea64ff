//! Each disk of a domain. Bit 32, flat keys `block.*`.

use crate::model::{catalogue::section::section, name::Name, stats::Pressure};

section! {
    /// The disks of the domain.
    pub struct Blocks[] {
        /// Number of entries: disks, or images when the backing chain was asked for.
        /// libvirt `block.count`.
        count: u32 = ("count", Gauge, Count, metric "blocks", place Attribute);
        /// The disks, or their images.
        /// QMP `query-blockstats`; libvirt `block.<n>`.
        blocks: [Block] = ("", "block", label "target_device", info "block_stats");
        /// How long threads waited for storage of the host.
        /// cgroup v2 `io.pressure` of the domain's own cgroup; not in libvirt.
        pressure: {Pressure} = ("pressure", label "resource" "io");
        /// Number of devices of the host that the domain used.
        /// cgroup v2 `io.stat`, v1 `blkio.throttle.io_serviced`; not in libvirt.
        device_count: u32 = ("device.count", Gauge, Count, metric "block_devices", doc "devices.count");
        /// Devices of the host, as the domain used them: without what the host's page cache took.
        /// cgroup v2 `io.stat`, v1 `blkio.throttle.*`, of the domain's own cgroup; not in libvirt.
        devices: [BlockDevice] = ("device", "devices.device", label "device", info "block_device");
    }
}

section! {
    /// One device of the host, as a domain used it.
    pub struct BlockDevice[Index] {
        /// Number of the device, major and minor, as in `lsblk`.
        /// cgroup v2 `io.stat`, v1 `blkio.throttle.*`; not in libvirt.
        number: String = ("number", Info, None, metric "number", place Attribute);
        /// Reads from the host's device.
        /// cgroup v2 `io.stat` `rios`, v1 `blkio.throttle.io_serviced` `Read`; not in libvirt.
        rd_reqs: u64 = ("rd.reqs", Counter, Count, metric "block_device_read_requests");
        /// Bytes read from the host's device.
        /// cgroup v2 `io.stat` `rbytes`, v1 `blkio.throttle.io_service_bytes` `Read`; not in libvirt.
        rd_bytes: u64 = ("rd.bytes", Counter, Bytes, metric "block_device_read_bytes");
        /// Writes to the host's device.
        /// cgroup v2 `io.stat` `wios`, v1 `blkio.throttle.io_serviced` `Write`; not in libvirt.
        wr_reqs: u64 = ("wr.reqs", Counter, Count, metric "block_device_write_requests");
        /// Bytes written to the host's device.
        /// cgroup v2 `io.stat` `wbytes`, v1 `blkio.throttle.io_service_bytes` `Write`; not in libvirt.
        wr_bytes: u64 = ("wr.bytes", Counter, Bytes, metric "block_device_write_bytes");
        /// Unmaps on the host's device.
        /// cgroup v2 `io.stat` `dios`, v1 `blkio.throttle.io_serviced` `Discard`; not in libvirt.
        unmap_reqs: u64 = ("unmap.reqs", Counter, Count, metric "block_device_unmap_requests");
        /// Bytes unmapped on the host's device.
        /// cgroup v2 `io.stat` `dbytes`, v1 `blkio.throttle.io_service_bytes` `Discard`; not in libvirt.
        unmap_bytes: u64 = ("unmap.bytes", Counter, Bytes, metric "block_device_unmap_bytes");
    }
}

section! {
    /// One disk as the guest uses it, or one image of its backing chain.
    pub struct Block[Index] {
        /// Name of the disk; images of one disk share it.
        /// Derived from QMP `query-blockstats` `qdev`; libvirt `block.<n>.name`.
        name: Name = ("name", Info, None, place Attribute);
        /// File or device that holds the image.
        /// QMP `query-named-block-nodes` `image.filename`; libvirt `block.<n>.path`.
        path: String = ("path", Info, None, metric "source_file");
        /// Number of the image in the backing chain.
        /// Position in the chain, or libvirt's image id; libvirt `block.<n>.backingIndex`.
        backing_index: u32 = ("backingIndex", Info, None, metric "backing_index", place Attribute);
        /// Reads completed.
        /// QMP `query-blockstats` `stats.rd_operations`; libvirt `block.<n>.rd.reqs`.
        rd_reqs: u64 = ("rd.reqs", Counter, Count, metric "block_stats_read_requests");
        /// Bytes read.
        /// QMP `query-blockstats` `stats.rd_bytes`; libvirt `block.<n>.rd.bytes`.
        rd_bytes: u64 = ("rd.bytes", Counter, Bytes, metric "block_stats_read_bytes");
        /// Time spent in reads.
        /// QMP `query-blockstats` `stats.rd_total_time_ns`; libvirt `block.<n>.rd.times`.
        rd_times: u64 = ("rd.times", Counter, Nanoseconds, metric "block_stats_read_time_seconds");
        /// Reads that failed.
        /// QMP `query-blockstats` `stats.failed_rd_operations`; libvirt throws it away.
        rd_failed: u64 = ("rd.failed", Counter, Count, metric "block_stats_read_failed_requests");
        /// Reads that were invalid.
        /// QMP `query-blockstats` `stats.invalid_rd_operations`; libvirt throws it away.
        rd_invalid: u64 = ("rd.invalid", Counter, Count, metric "block_stats_read_invalid_requests");
        /// Reads merged into others.
        /// QMP `query-blockstats` `stats.rd_merged`; libvirt throws it away.
        rd_merged: u64 = ("rd.merged", Counter, Count, metric "block_stats_read_merged_requests");
        /// Writes completed.
        /// QMP `query-blockstats` `stats.wr_operations`; libvirt `block.<n>.wr.reqs`.
        wr_reqs: u64 = ("wr.reqs", Counter, Count, metric "block_stats_write_requests");
        /// Bytes written.
        /// QMP `query-blockstats` `stats.wr_bytes`; libvirt `block.<n>.wr.bytes`.
        wr_bytes: u64 = ("wr.bytes", Counter, Bytes, metric "block_stats_write_bytes");
        /// Time spent in writes.
        /// QMP `query-blockstats` `stats.wr_total_time_ns`; libvirt `block.<n>.wr.times`.
        wr_times: u64 = ("wr.times", Counter, Nanoseconds, metric "block_stats_write_time_seconds");
        /// Writes that failed.
        /// QMP `query-blockstats` `stats.failed_wr_operations`; libvirt throws it away.
        wr_failed: u64 = ("wr.failed", Counter, Count, metric "block_stats_write_failed_requests");
        /// Writes that were invalid.
        /// QMP `query-blockstats` `stats.invalid_wr_operations`; libvirt throws it away.
        wr_invalid: u64 = ("wr.invalid", Counter, Count, metric "block_stats_write_invalid_requests");
        /// Writes merged into others.
        /// QMP `query-blockstats` `stats.wr_merged`; libvirt throws it away.
        wr_merged: u64 = ("wr.merged", Counter, Count, metric "block_stats_write_merged_requests");
        /// Flushes completed.
        /// QMP `query-blockstats` `stats.flush_operations`; libvirt `block.<n>.fl.reqs`.
        fl_reqs: u64 = ("fl.reqs", Counter, Count, metric "block_stats_flush_requests");
        /// Time spent in flushes.
        /// QMP `query-blockstats` `stats.flush_total_time_ns`; libvirt `block.<n>.fl.times`.
        fl_times: u64 = ("fl.times", Counter, Nanoseconds, metric "block_stats_flush_time_seconds");
        /// Flushes that failed.
        /// QMP `query-blockstats` `stats.failed_flush_operations`; libvirt throws it away.
        fl_failed: u64 = ("fl.failed", Counter, Count, metric "block_stats_flush_failed_requests");
        /// Flushes that were invalid.
        /// QMP `query-blockstats` `stats.invalid_flush_operations`; libvirt throws it away.
        fl_invalid: u64 = ("fl.invalid", Counter, Count, metric "block_stats_flush_invalid_requests");
        /// Errors; Xen only.
        /// libvirt `block.<n>.errors`, which no driver of libvirt fills.
        errors: u64 = ("errors", Counter, Count, metric "block_stats_errors");
        /// Number of measuring intervals.
        /// QMP `query-blockstats` `stats.timed_stats`; libvirt `block.<n>.timed_group.count`.
        timed_group_count: u64 = ("timed_group.count", Gauge, Count, metric "block_stats_timed_groups", doc "timed_group_count");
        /// Latencies over measuring intervals, where the disk was told to measure.
        /// QMP `query-blockstats` `stats.timed_stats`; libvirt `block.<n>.timed_group.<g>`.
        timed_groups: [TimedGroup] = ("timed_group", "timed_group", label "group");
        /// How long read requests took, as a histogram.
        /// QMP `query-blockstats` `stats.rd_latency_histogram`; libvirt `block.<n>.latency_histogram.read`.
        read_histogram: {LatencyHistogram} = ("latency_histogram.read", label "operation" "read");
        /// How long write requests took, as a histogram.
        /// QMP `query-blockstats` `stats.wr_latency_histogram`; libvirt `block.<n>.latency_histogram.write`.
        write_histogram: {LatencyHistogram} = ("latency_histogram.write", label "operation" "write");
        /// How long zone append requests took, as a histogram.
        /// QMP `query-blockstats` `stats.zone_append_latency_histogram`; libvirt `block.<n>.latency_histogram.zone_append`.
        zone_append_histogram: {LatencyHistogram} = ("latency_histogram.zone_append", label "operation" "zone_append");
        /// How long flush requests took, as a histogram.
        /// QMP `query-blockstats` `stats.flush_latency_histogram`; libvirt `block.<n>.latency_histogram.flush`.
        flush_histogram: {LatencyHistogram} = ("latency_histogram.flush", label "operation" "flush");
        /// Highest offset written, in bytes.
        /// QMP `query-blockstats` `parent.stats.wr_highest_offset`; libvirt `block.<n>.allocation`.
        allocation: u64 = ("allocation", Gauge, Bytes, metric "block_stats_allocation_bytes");
        /// Size that the guest sees.
        /// QMP `query-named-block-nodes` `image.virtual-size`; libvirt `block.<n>.capacity`.
        capacity: u64 = ("capacity", Gauge, Bytes, metric "block_stats_capacity_bytes");
        /// Space that the image takes on the host.
        /// QMP `query-named-block-nodes` `image.actual-size`; libvirt `block.<n>.physical`.
        physical: u64 = ("physical", Gauge, Bytes, metric "block_stats_physicalsize_bytes");
        /// Offset whose writing raises an event.
        /// QMP `query-named-block-nodes` `write_threshold`; libvirt `block.<n>.threshold`.
        threshold: u64 = ("threshold", Gauge, Bytes, metric "block_stats_threshold_bytes");
        /// Alignment that requests need.
        /// QMP `query-named-block-nodes` `image.limits.request-alignment`; libvirt `block.<n>.limits.request_alignment`.
        limits_request_alignment: u64 = ("limits.request_alignment", Gauge, Bytes, metric "block_stats_limits_request_alignment_bytes");
        /// Largest discard.
        /// QMP `query-named-block-nodes` `image.limits.max-discard`; libvirt `block.<n>.limits.discard_max`.
        limits_discard_max: u64 = ("limits.discard_max", Gauge, Bytes, metric "block_stats_limits_discard_max_bytes");
        /// Alignment that discards should have.
        /// QMP `query-named-block-nodes` `image.limits.discard-alignment`; libvirt `block.<n>.limits.discard_alignment`.
        limits_discard_alignment: u64 = ("limits.discard_alignment", Gauge, Bytes, metric "block_stats_limits_discard_alignment_bytes");
        /// Largest write of zeroes.
        /// QMP `query-named-block-nodes` `image.limits.max-write-zeroes`; libvirt `block.<n>.limits.write_zeroes_max`.
        limits_write_zeroes_max: u64 = ("limits.write_zeroes_max", Gauge, Bytes, metric "block_stats_limits_write_zeroes_max_bytes");
        /// Alignment that writes of zeroes should have.
        /// QMP `query-named-block-nodes` `image.limits.write-zeroes-alignment`; libvirt `block.<n>.limits.write_zeroes_alignment`.
        limits_write_zeroes_alignment: u64 = ("limits.write_zeroes_alignment", Gauge, Bytes, metric "block_stats_limits_write_zeroes_alignment_bytes");
        /// Best size of a transfer.
        /// QMP `query-named-block-nodes` `image.limits.opt-transfer`; libvirt `block.<n>.limits.transfer_optimal`.
        limits_transfer_optimal: u64 = ("limits.transfer_optimal", Gauge, Bytes, metric "block_stats_limits_transfer_optimal_bytes");
        /// Largest transfer.
        /// QMP `query-named-block-nodes` `image.limits.max-transfer`; libvirt `block.<n>.limits.transfer_max`.
        limits_transfer_max: u64 = ("limits.transfer_max", Gauge, Bytes, metric "block_stats_limits_transfer_max_bytes");
        /// Largest transfer of the hardware.
        /// QMP `query-named-block-nodes` `image.limits.max-hw-transfer`; libvirt `block.<n>.limits.transfer_hw_max`.
        limits_transfer_hw_max: u64 = ("limits.transfer_hw_max", Gauge, Bytes, metric "block_stats_limits_transfer_hw_max_bytes");
        /// Most scatter-gather elements.
        /// QMP `query-named-block-nodes` `image.limits.max-iov`; libvirt `block.<n>.limits.iov_max`.
        limits_iov_max: u64 = ("limits.iov_max", Gauge, Count, metric "block_stats_limits_iov_max");
        /// Most scatter-gather elements of the hardware.
        /// QMP `query-named-block-nodes` `image.limits.max-hw-iov`; libvirt `block.<n>.limits.iov_hw_max`.
        limits_iov_hw_max: u64 = ("limits.iov_hw_max", Gauge, Count, metric "block_stats_limits_iov_hw_max");
        /// Least alignment of buffers in memory.
        /// QMP `query-named-block-nodes` `image.limits.min-mem-alignment`; libvirt `block.<n>.limits.memory_alignment_minimal`.
        limits_memory_alignment_minimal: u64 = ("limits.memory_alignment_minimal", Gauge, Bytes, metric "block_stats_limits_memory_alignment_minimal_bytes");
        /// Best alignment of buffers in memory.
        /// QMP `query-named-block-nodes` `image.limits.opt-mem-alignment`; libvirt `block.<n>.limits.memory_alignment_optimal`.
        limits_memory_alignment_optimal: u64 = ("limits.memory_alignment_optimal", Gauge, Bytes, metric "block_stats_limits_memory_alignment_optimal_bytes");
        /// Unmaps completed.
        /// QMP `query-blockstats` `stats.unmap_operations`; libvirt throws it away.
        unmap_reqs: u64 = ("unmap.reqs", Counter, Count, metric "block_stats_unmap_requests");
        /// Bytes unmapped.
        /// QMP `query-blockstats` `stats.unmap_bytes`; libvirt throws it away.
        unmap_bytes: u64 = ("unmap.bytes", Counter, Bytes, metric "block_stats_unmap_bytes");
        /// Time spent in unmaps.
        /// QMP `query-blockstats` `stats.unmap_total_time_ns`; libvirt throws it away.
        unmap_times: u64 = ("unmap.times", Counter, Nanoseconds, metric "block_stats_unmap_time_seconds");
        /// Unmaps that failed.
        /// QMP `query-blockstats` `stats.failed_unmap_operations`; libvirt throws it away.
        unmap_failed: u64 = ("unmap.failed", Counter, Count, metric "block_stats_unmap_failed_requests");
        /// Unmaps that were invalid.
        /// QMP `query-blockstats` `stats.invalid_unmap_operations`; libvirt throws it away.
        unmap_invalid: u64 = ("unmap.invalid", Counter, Count, metric "block_stats_unmap_invalid_requests");
        /// Unmaps merged into others.
        /// QMP `query-blockstats` `stats.unmap_merged`; libvirt throws it away.
        unmap_merged: u64 = ("unmap.merged", Counter, Count, metric "block_stats_unmap_merged_requests");
        /// Zone appends completed.
        /// QMP `query-blockstats` `stats.zone_append_operations`; libvirt throws it away.
        zone_append_reqs: u64 = ("zone_append.reqs", Counter, Count, metric "block_stats_zone_append_requests");
        /// Bytes appended to zones.
        /// QMP `query-blockstats` `stats.zone_append_bytes`; libvirt throws it away.
        zone_append_bytes: u64 = ("zone_append.bytes", Counter, Bytes, metric "block_stats_zone_append_bytes");
        /// Time spent in zone appends.
        /// QMP `query-blockstats` `stats.zone_append_total_time_ns`; libvirt throws it away.
        zone_append_times: u64 = ("zone_append.times", Counter, Nanoseconds, metric "block_stats_zone_append_time_seconds");
        /// Zone appends that failed.
        /// QMP `query-blockstats` `stats.failed_zone_append_operations`; libvirt throws it away.
        zone_append_failed: u64 = ("zone_append.failed", Counter, Count, metric "block_stats_zone_append_failed_requests");
        /// Zone appends that were invalid.
        /// QMP `query-blockstats` `stats.invalid_zone_append_operations`; libvirt throws it away.
        zone_append_invalid: u64 = ("zone_append.invalid", Counter, Count, metric "block_stats_zone_append_invalid_requests");
        /// Zone appends merged into others.
        /// QMP `query-blockstats` `stats.zone_append_merged`; libvirt throws it away.
        zone_append_merged: u64 = ("zone_append.merged", Counter, Count, metric "block_stats_zone_append_merged_requests");
        /// Time since the last request; absent before the first.
        /// QMP `query-blockstats` `stats.idle_time_ns`; libvirt throws it away.
        idle_time: u64 = ("idle_time", Gauge, Nanoseconds, metric "block_stats_idle_time_seconds");
        /// Discards that the host's file or device did.
        /// QMP `query-blockstats` `driver-specific.discard-nb-ok`; libvirt throws it away.
        discard_reqs: u64 = ("discard.reqs", Counter, Count, metric "block_stats_discard_requests");
        /// Bytes discarded in the host's file or device.
        /// QMP `query-blockstats` `driver-specific.discard-bytes-ok`; libvirt throws it away.
        discard_bytes: u64 = ("discard.bytes", Counter, Bytes, metric "block_stats_discard_bytes");
        /// Discards that the host's file or device refused.
        /// QMP `query-blockstats` `driver-specific.discard-nb-failed`; libvirt throws it away.
        discard_failed: u64 = ("discard.failed", Counter, Count, metric "block_stats_discard_failed_requests");
    }
}

section! {
    /// Latencies of a disk over one measuring interval.
    pub struct TimedGroup[Index] {
        /// Length of the interval.
        /// QMP `timed_stats` `interval_length`; libvirt `timed_group.<g>.interval`.
        interval: u64 = ("interval", Info, Seconds, metric "interval_seconds", place Attribute);
        /// Shortest read.
        /// QMP `timed_stats` `min_rd_latency_ns`; libvirt `timed_group.<g>.rd_latency_min`.
        rd_latency_min: u64 = ("rd_latency_min", Gauge, Nanoseconds, metric "block_stats_timed_read_latency_min_seconds");
        /// Longest read.
        /// QMP `timed_stats` `max_rd_latency_ns`; libvirt `timed_group.<g>.rd_latency_max`.
        rd_latency_max: u64 = ("rd_latency_max", Gauge, Nanoseconds, metric "block_stats_timed_read_latency_max_seconds");
        /// Average read.
        /// QMP `timed_stats` `avg_rd_latency_ns`; libvirt `timed_group.<g>.rd_latency_avg`.
        rd_latency_avg: u64 = ("rd_latency_avg", Gauge, Nanoseconds, metric "block_stats_timed_read_latency_avg_seconds");
        /// Shortest write.
        /// QMP `timed_stats` `min_wr_latency_ns`; libvirt `timed_group.<g>.wr_latency_min`.
        wr_latency_min: u64 = ("wr_latency_min", Gauge, Nanoseconds, metric "block_stats_timed_write_latency_min_seconds");
        /// Longest write.
        /// QMP `timed_stats` `max_wr_latency_ns`; libvirt `timed_group.<g>.wr_latency_max`.
        wr_latency_max: u64 = ("wr_latency_max", Gauge, Nanoseconds, metric "block_stats_timed_write_latency_max_seconds");
        /// Average write.
        /// QMP `timed_stats` `avg_wr_latency_ns`; libvirt `timed_group.<g>.wr_latency_avg`.
        wr_latency_avg: u64 = ("wr_latency_avg", Gauge, Nanoseconds, metric "block_stats_timed_write_latency_avg_seconds");
        /// Shortest zone append.
        /// QMP `timed_stats` `min_zone_append_latency_ns`; libvirt `timed_group.<g>.zone_append_latency_min`.
        zone_append_latency_min: u64 = ("zone_append_latency_min", Gauge, Nanoseconds, metric "block_stats_timed_zone_append_latency_min_seconds");
        /// Longest zone append.
        /// QMP `timed_stats` `max_zone_append_latency_ns`; libvirt `timed_group.<g>.zone_append_latency_max`.
        zone_append_latency_max: u64 = ("zone_append_latency_max", Gauge, Nanoseconds, metric "block_stats_timed_zone_append_latency_max_seconds");
        /// Average zone append.
        /// QMP `timed_stats` `avg_zone_append_latency_ns`; libvirt `timed_group.<g>.zone_append_latency_avg`.
        zone_append_latency_avg: u64 = ("zone_append_latency_avg", Gauge, Nanoseconds, metric "block_stats_timed_zone_append_latency_avg_seconds");
        /// Shortest flush.
        /// QMP `timed_stats` `min_flush_latency_ns`; libvirt `timed_group.<g>.flush_latency_min`.
        flush_latency_min: u64 = ("flush_latency_min", Gauge, Nanoseconds, metric "block_stats_timed_flush_latency_min_seconds");
        /// Longest flush.
        /// QMP `timed_stats` `max_flush_latency_ns`; libvirt `timed_group.<g>.flush_latency_max`.
        flush_latency_max: u64 = ("flush_latency_max", Gauge, Nanoseconds, metric "block_stats_timed_flush_latency_max_seconds");
        /// Average flush.
        /// QMP `timed_stats` `avg_flush_latency_ns`; libvirt `timed_group.<g>.flush_latency_avg`.
        flush_latency_avg: u64 = ("flush_latency_avg", Gauge, Nanoseconds, metric "block_stats_timed_flush_latency_avg_seconds");
        /// Average number of reads waiting.
        /// QMP `timed_stats` `avg_rd_queue_depth`; libvirt `timed_group.<g>.rd_queue_depth_avg`.
        rd_queue_depth_avg: f64 = ("rd_queue_depth_avg", Gauge, Count, metric "block_stats_timed_reads_queue_depth_avg");
        /// Average number of writes waiting.
        /// QMP `timed_stats` `avg_wr_queue_depth`; libvirt `timed_group.<g>.wr_queue_depth_avg`.
        wr_queue_depth_avg: f64 = ("wr_queue_depth_avg", Gauge, Count, metric "block_stats_timed_writes_queue_depth_avg");
        /// Average number of zone appends waiting.
        /// QMP `timed_stats` `avg_zone_append_queue_depth`; libvirt `timed_group.<g>.zone_append_queue_depth_avg`.
        zone_append_queue_depth_avg: f64 = ("zone_append_queue_depth_avg", Gauge, Count, metric "block_stats_timed_zone_appends_queue_depth_avg");
    }
}

section! {
    /// How many requests took how long.
    pub struct LatencyHistogram[] {
        /// Number of bins.
        /// QMP `latency_histogram` `bins`; libvirt `bin.count`.
        bin_count: u64 = ("bin.count", Gauge, Count, metric "block_stats_latency_bins", doc "count");
        /// The bins, from short to long.
        /// QMP `latency_histogram` `bins`; libvirt `bin.<b>`.
        bins: [LatencyBin] = ("bin", "bin", label "bin");
    }
}

section! {
    /// One bin of a latency histogram.
    pub struct LatencyBin[Index] {
        /// Shortest time that counts here; the next bin's start is the end.
        /// QMP `latency_histogram` `boundaries`; libvirt `bin.<b>.start`.
        start: u64 = ("start", Info, Nanoseconds, metric "start_ns", place Attribute);
        /// Number of requests.
        /// QMP `latency_histogram` `bins`; libvirt `bin.<b>.value`.
        value: u64 = ("value", Counter, Count, metric "block_stats_latency_bin");
    }
}
