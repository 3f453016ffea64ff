//! Each disk of a domain. Bit 32, flat keys `block.*`.

use crate::model::{
    catalogue::section::section,
    name::Name,
    stats::{LatencyHistogram, Pressure, TimedGroup},
};

section!(
    /// The disks of the domain.
    pub struct Blocks {
        /// Number of entries: disks, or images when the backing chain was asked for.
        /// libvirt `block.count`.
        #[gauge(unit = "count", metric = "blocks", place = "attribute")]
        pub count: Option<u32>,
        /// The disks, or their images.
        /// QMP `query-blockstats`; libvirt `block.<n>`.
        #[list(doc_path = "block", label = "target_device", info = "block_stats")]
        pub blocks: Vec<Block>,
        /// How long threads waited for storage of the host.
        /// cgroup v2 `io.pressure` of the domain's own cgroup; not in libvirt.
        #[part(label = "resource", value = "io")]
        pub pressure: Option<Pressure>,
        /// Number of devices of the host that the domain used.
        /// cgroup v2 `io.stat`, v1 `blkio.throttle.io_serviced`; not in libvirt.
        #[gauge(
            path = "device.count",
            doc_path = "devices.count",
            unit = "count",
            metric = "block_devices"
        )]
        pub device_count: Option<u32>,
        /// Devices of the host, as the domain used them: without what the host's page cache took.
        /// cgroup v2 `io.stat`, v1 `blkio.throttle.*`, of the domain's own cgroup; not in libvirt.
        #[list(
            path = "device",
            doc_path = "devices.device",
            label = "device",
            info = "block_device"
        )]
        pub devices: Vec<BlockDevice>,
    }
);

section!(
    /// One device of the host, as a domain used it.
    #[item(index)]
    pub struct BlockDevice {
        /// Number of the device, major and minor, as in `lsblk`.
        /// cgroup v2 `io.stat`, v1 `blkio.throttle.*`; not in libvirt.
        #[info(label = "number", place = "attribute")]
        pub number: Option<String>,
        /// Reads from the host's device.
        /// cgroup v2 `io.stat` `rios`, v1 `blkio.throttle.io_serviced` `Read`; not in libvirt.
        #[counter(path = "rd.reqs", unit = "count", metric = "block_device_read_requests")]
        pub rd_reqs: Option<u64>,
        /// Bytes read from the host's device.
        /// cgroup v2 `io.stat` `rbytes`, v1 `blkio.throttle.io_service_bytes` `Read`; not in libvirt.
        #[counter(path = "rd.bytes", unit = "B", metric = "block_device_read_bytes")]
        pub rd_bytes: Option<u64>,
        /// Writes to the host's device.
        /// cgroup v2 `io.stat` `wios`, v1 `blkio.throttle.io_serviced` `Write`; not in libvirt.
        #[counter(path = "wr.reqs", unit = "count", metric = "block_device_write_requests")]
        pub wr_reqs: Option<u64>,
        /// Bytes written to the host's device.
        /// cgroup v2 `io.stat` `wbytes`, v1 `blkio.throttle.io_service_bytes` `Write`; not in libvirt.
        #[counter(path = "wr.bytes", unit = "B", metric = "block_device_write_bytes")]
        pub wr_bytes: Option<u64>,
        /// Unmaps on the host's device.
        /// cgroup v2 `io.stat` `dios`, v1 `blkio.throttle.io_serviced` `Discard`; not in libvirt.
        #[counter(path = "unmap.reqs", unit = "count", metric = "block_device_unmap_requests")]
        pub unmap_reqs: Option<u64>,
        /// Bytes unmapped on the host's device.
        /// cgroup v2 `io.stat` `dbytes`, v1 `blkio.throttle.io_service_bytes` `Discard`; not in libvirt.
        #[counter(path = "unmap.bytes", unit = "B", metric = "block_device_unmap_bytes")]
        pub unmap_bytes: Option<u64>,
    }
);

section!(
    /// One disk as the guest uses it, or one image of its backing chain.
    #[item(index)]
    pub struct Block {
        /// Name of the disk; images of one disk share it.
        /// Derived from QMP `query-blockstats` `qdev`; libvirt `block.<n>.name`.
        #[info(place = "attribute")]
        pub name: Option<Name>,
        /// File or device that holds the image.
        /// QMP `query-named-block-nodes` `image.filename`; libvirt `block.<n>.path`.
        #[info(label = "source_file")]
        pub path: Option<String>,
        /// Number of the image in the backing chain.
        /// Position in the chain, or libvirt's image id; libvirt `block.<n>.backingIndex`.
        #[info(path = "backingIndex", label = "backing_index", place = "attribute")]
        pub backing_index: Option<u32>,
        /// Reads completed.
        /// QMP `query-blockstats` `stats.rd_operations`; libvirt `block.<n>.rd.reqs`.
        #[counter(path = "rd.reqs", unit = "count", metric = "block_stats_read_requests")]
        pub rd_reqs: Option<u64>,
        /// Bytes read.
        /// QMP `query-blockstats` `stats.rd_bytes`; libvirt `block.<n>.rd.bytes`.
        #[counter(path = "rd.bytes", unit = "B", metric = "block_stats_read_bytes")]
        pub rd_bytes: Option<u64>,
        /// Time spent in reads.
        /// QMP `query-blockstats` `stats.rd_total_time_ns`; libvirt `block.<n>.rd.times`.
        #[counter(path = "rd.times", unit = "ns", metric = "block_stats_read_time_seconds")]
        pub rd_times: Option<u64>,
        /// Reads that failed.
        /// QMP `query-blockstats` `stats.failed_rd_operations`; libvirt discards it.
        #[counter(path = "rd.failed", unit = "count", metric = "block_stats_read_failed_requests")]
        pub rd_failed: Option<u64>,
        /// Reads that were invalid.
        /// QMP `query-blockstats` `stats.invalid_rd_operations`; libvirt discards it.
        #[counter(
            path = "rd.invalid",
            unit = "count",
            metric = "block_stats_read_invalid_requests"
        )]
        pub rd_invalid: Option<u64>,
        /// Reads merged into others.
        /// QMP `query-blockstats` `stats.rd_merged`; libvirt discards it.
        #[counter(path = "rd.merged", unit = "count", metric = "block_stats_read_merged_requests")]
        pub rd_merged: Option<u64>,
        /// Writes completed.
        /// QMP `query-blockstats` `stats.wr_operations`; libvirt `block.<n>.wr.reqs`.
        #[counter(path = "wr.reqs", unit = "count", metric = "block_stats_write_requests")]
        pub wr_reqs: Option<u64>,
        /// Bytes written.
        /// QMP `query-blockstats` `stats.wr_bytes`; libvirt `block.<n>.wr.bytes`.
        #[counter(path = "wr.bytes", unit = "B", metric = "block_stats_write_bytes")]
        pub wr_bytes: Option<u64>,
        /// Time spent in writes.
        /// QMP `query-blockstats` `stats.wr_total_time_ns`; libvirt `block.<n>.wr.times`.
        #[counter(path = "wr.times", unit = "ns", metric = "block_stats_write_time_seconds")]
        pub wr_times: Option<u64>,
        /// Writes that failed.
        /// QMP `query-blockstats` `stats.failed_wr_operations`; libvirt discards it.
        #[counter(
            path = "wr.failed",
            unit = "count",
            metric = "block_stats_write_failed_requests"
        )]
        pub wr_failed: Option<u64>,
        /// Writes that were invalid.
        /// QMP `query-blockstats` `stats.invalid_wr_operations`; libvirt discards it.
        #[counter(
            path = "wr.invalid",
            unit = "count",
            metric = "block_stats_write_invalid_requests"
        )]
        pub wr_invalid: Option<u64>,
        /// Writes merged into others.
        /// QMP `query-blockstats` `stats.wr_merged`; libvirt discards it.
        #[counter(
            path = "wr.merged",
            unit = "count",
            metric = "block_stats_write_merged_requests"
        )]
        pub wr_merged: Option<u64>,
        /// Flushes completed.
        /// QMP `query-blockstats` `stats.flush_operations`; libvirt `block.<n>.fl.reqs`.
        #[counter(path = "fl.reqs", unit = "count", metric = "block_stats_flush_requests")]
        pub fl_reqs: Option<u64>,
        /// Time spent in flushes.
        /// QMP `query-blockstats` `stats.flush_total_time_ns`; libvirt `block.<n>.fl.times`.
        #[counter(path = "fl.times", unit = "ns", metric = "block_stats_flush_time_seconds")]
        pub fl_times: Option<u64>,
        /// Flushes that failed.
        /// QMP `query-blockstats` `stats.failed_flush_operations`; libvirt discards it.
        #[counter(
            path = "fl.failed",
            unit = "count",
            metric = "block_stats_flush_failed_requests"
        )]
        pub fl_failed: Option<u64>,
        /// Flushes that were invalid.
        /// QMP `query-blockstats` `stats.invalid_flush_operations`; libvirt discards it.
        #[counter(
            path = "fl.invalid",
            unit = "count",
            metric = "block_stats_flush_invalid_requests"
        )]
        pub fl_invalid: Option<u64>,
        /// Errors; Xen only.
        /// libvirt `block.<n>.errors`, which no driver of libvirt fills.
        #[counter(unit = "count", metric = "block_stats_errors")]
        pub errors: Option<u64>,
        /// Number of measuring intervals.
        /// QMP `query-blockstats` `stats.timed_stats`; libvirt `block.<n>.timed_group.count`.
        #[gauge(
            path = "timed_group.count",
            doc_path = "timed_group_count",
            unit = "count",
            metric = "block_stats_timed_groups"
        )]
        pub timed_group_count: Option<u64>,
        /// Latencies over measuring intervals, where the disk was told to measure.
        /// QMP `query-blockstats` `stats.timed_stats`; libvirt `block.<n>.timed_group.<g>`.
        #[list(path = "timed_group", doc_path = "timed_group", label = "group")]
        pub timed_groups: Vec<TimedGroup>,
        /// How long read requests took, as a histogram.
        /// QMP `query-blockstats` `stats.rd_latency_histogram`; libvirt `block.<n>.latency_histogram.read`.
        #[part(path = "latency_histogram.read", label = "operation", value = "read")]
        pub read_histogram: Option<LatencyHistogram>,
        /// How long write requests took, as a histogram.
        /// QMP `query-blockstats` `stats.wr_latency_histogram`; libvirt `block.<n>.latency_histogram.write`.
        #[part(path = "latency_histogram.write", label = "operation", value = "write")]
        pub write_histogram: Option<LatencyHistogram>,
        /// How long zone append requests took, as a histogram.
        /// QMP `query-blockstats` `stats.zone_append_latency_histogram`; libvirt `block.<n>.latency_histogram.zone_append`.
        #[part(path = "latency_histogram.zone_append", label = "operation", value = "zone_append")]
        pub zone_append_histogram: Option<LatencyHistogram>,
        /// How long flush requests took, as a histogram.
        /// QMP `query-blockstats` `stats.flush_latency_histogram`; libvirt `block.<n>.latency_histogram.flush`.
        #[part(path = "latency_histogram.flush", label = "operation", value = "flush")]
        pub flush_histogram: Option<LatencyHistogram>,
        /// Highest offset written, in bytes.
        /// QMP `query-blockstats` `parent.stats.wr_highest_offset`; libvirt `block.<n>.allocation`.
        #[gauge(unit = "B", metric = "block_stats_allocation_bytes")]
        pub allocation: Option<u64>,
        /// Size that the guest sees.
        /// QMP `query-named-block-nodes` `image.virtual-size`; libvirt `block.<n>.capacity`.
        #[gauge(unit = "B", metric = "block_stats_capacity_bytes")]
        pub capacity: Option<u64>,
        /// Space that the image takes on the host.
        /// QMP `query-named-block-nodes` `image.actual-size`; libvirt `block.<n>.physical`.
        #[gauge(unit = "B", metric = "block_stats_physicalsize_bytes")]
        pub physical: Option<u64>,
        /// Offset whose writing raises an event.
        /// QMP `query-named-block-nodes` `write_threshold`; libvirt `block.<n>.threshold`.
        #[gauge(unit = "B", metric = "block_stats_threshold_bytes")]
        pub threshold: Option<u64>,
        /// Alignment that requests need.
        /// QMP `query-named-block-nodes` `image.limits.request-alignment`; libvirt `block.<n>.limits.request_alignment`.
        #[gauge(
            path = "limits.request_alignment",
            unit = "B",
            metric = "block_stats_limits_request_alignment_bytes"
        )]
        pub limits_request_alignment: Option<u64>,
        /// Largest discard.
        /// QMP `query-named-block-nodes` `image.limits.max-discard`; libvirt `block.<n>.limits.discard_max`.
        #[gauge(
            path = "limits.discard_max",
            unit = "B",
            metric = "block_stats_limits_discard_max_bytes"
        )]
        pub limits_discard_max: Option<u64>,
        /// Alignment that discards should have.
        /// QMP `query-named-block-nodes` `image.limits.discard-alignment`; libvirt `block.<n>.limits.discard_alignment`.
        #[gauge(
            path = "limits.discard_alignment",
            unit = "B",
            metric = "block_stats_limits_discard_alignment_bytes"
        )]
        pub limits_discard_alignment: Option<u64>,
        /// Largest write of zeroes.
        /// QMP `query-named-block-nodes` `image.limits.max-write-zeroes`; libvirt `block.<n>.limits.write_zeroes_max`.
        #[gauge(
            path = "limits.write_zeroes_max",
            unit = "B",
            metric = "block_stats_limits_write_zeroes_max_bytes"
        )]
        pub limits_write_zeroes_max: Option<u64>,
        /// Alignment that writes of zeroes should have.
        /// QMP `query-named-block-nodes` `image.limits.write-zeroes-alignment`; libvirt `block.<n>.limits.write_zeroes_alignment`.
        #[gauge(
            path = "limits.write_zeroes_alignment",
            unit = "B",
            metric = "block_stats_limits_write_zeroes_alignment_bytes"
        )]
        pub limits_write_zeroes_alignment: Option<u64>,
        /// Best size of a transfer.
        /// QMP `query-named-block-nodes` `image.limits.opt-transfer`; libvirt `block.<n>.limits.transfer_optimal`.
        #[gauge(
            path = "limits.transfer_optimal",
            unit = "B",
            metric = "block_stats_limits_transfer_optimal_bytes"
        )]
        pub limits_transfer_optimal: Option<u64>,
        /// Largest transfer.
        /// QMP `query-named-block-nodes` `image.limits.max-transfer`; libvirt `block.<n>.limits.transfer_max`.
        #[gauge(
            path = "limits.transfer_max",
            unit = "B",
            metric = "block_stats_limits_transfer_max_bytes"
        )]
        pub limits_transfer_max: Option<u64>,
        /// Largest transfer of the hardware.
        /// QMP `query-named-block-nodes` `image.limits.max-hw-transfer`; libvirt `block.<n>.limits.transfer_hw_max`.
        #[gauge(
            path = "limits.transfer_hw_max",
            unit = "B",
            metric = "block_stats_limits_transfer_hw_max_bytes"
        )]
        pub limits_transfer_hw_max: Option<u64>,
        /// Most scatter-gather elements.
        /// QMP `query-named-block-nodes` `image.limits.max-iov`; libvirt `block.<n>.limits.iov_max`.
        #[gauge(path = "limits.iov_max", unit = "count", metric = "block_stats_limits_iov_max")]
        pub limits_iov_max: Option<u64>,
        /// Most scatter-gather elements of the hardware.
        /// QMP `query-named-block-nodes` `image.limits.max-hw-iov`; libvirt `block.<n>.limits.iov_hw_max`.
        #[gauge(
            path = "limits.iov_hw_max",
            unit = "count",
            metric = "block_stats_limits_iov_hw_max"
        )]
        pub limits_iov_hw_max: Option<u64>,
        /// Least alignment of buffers in memory.
        /// QMP `query-named-block-nodes` `image.limits.min-mem-alignment`; libvirt `block.<n>.limits.memory_alignment_minimal`.
        #[gauge(
            path = "limits.memory_alignment_minimal",
            unit = "B",
            metric = "block_stats_limits_memory_alignment_minimal_bytes"
        )]
        pub limits_memory_alignment_minimal: Option<u64>,
        /// Best alignment of buffers in memory.
        /// QMP `query-named-block-nodes` `image.limits.opt-mem-alignment`; libvirt `block.<n>.limits.memory_alignment_optimal`.
        #[gauge(
            path = "limits.memory_alignment_optimal",
            unit = "B",
            metric = "block_stats_limits_memory_alignment_optimal_bytes"
        )]
        pub limits_memory_alignment_optimal: Option<u64>,
        /// Unmaps completed.
        /// QMP `query-blockstats` `stats.unmap_operations`; libvirt discards it.
        #[counter(path = "unmap.reqs", unit = "count", metric = "block_stats_unmap_requests")]
        pub unmap_reqs: Option<u64>,
        /// Bytes unmapped.
        /// QMP `query-blockstats` `stats.unmap_bytes`; libvirt discards it.
        #[counter(path = "unmap.bytes", unit = "B", metric = "block_stats_unmap_bytes")]
        pub unmap_bytes: Option<u64>,
        /// Time spent in unmaps.
        /// QMP `query-blockstats` `stats.unmap_total_time_ns`; libvirt discards it.
        #[counter(path = "unmap.times", unit = "ns", metric = "block_stats_unmap_time_seconds")]
        pub unmap_times: Option<u64>,
        /// Unmaps that failed.
        /// QMP `query-blockstats` `stats.failed_unmap_operations`; libvirt discards it.
        #[counter(
            path = "unmap.failed",
            unit = "count",
            metric = "block_stats_unmap_failed_requests"
        )]
        pub unmap_failed: Option<u64>,
        /// Unmaps that were invalid.
        /// QMP `query-blockstats` `stats.invalid_unmap_operations`; libvirt discards it.
        #[counter(
            path = "unmap.invalid",
            unit = "count",
            metric = "block_stats_unmap_invalid_requests"
        )]
        pub unmap_invalid: Option<u64>,
        /// Unmaps merged into others.
        /// QMP `query-blockstats` `stats.unmap_merged`; libvirt discards it.
        #[counter(
            path = "unmap.merged",
            unit = "count",
            metric = "block_stats_unmap_merged_requests"
        )]
        pub unmap_merged: Option<u64>,
        /// Zone appends completed.
        /// QMP `query-blockstats` `stats.zone_append_operations`; libvirt discards it.
        #[counter(
            path = "zone_append.reqs",
            unit = "count",
            metric = "block_stats_zone_append_requests"
        )]
        pub zone_append_reqs: Option<u64>,
        /// Bytes appended to zones.
        /// QMP `query-blockstats` `stats.zone_append_bytes`; libvirt discards it.
        #[counter(
            path = "zone_append.bytes",
            unit = "B",
            metric = "block_stats_zone_append_bytes"
        )]
        pub zone_append_bytes: Option<u64>,
        /// Time spent in zone appends.
        /// QMP `query-blockstats` `stats.zone_append_total_time_ns`; libvirt discards it.
        #[counter(
            path = "zone_append.times",
            unit = "ns",
            metric = "block_stats_zone_append_time_seconds"
        )]
        pub zone_append_times: Option<u64>,
        /// Zone appends that failed.
        /// QMP `query-blockstats` `stats.failed_zone_append_operations`; libvirt discards it.
        #[counter(
            path = "zone_append.failed",
            unit = "count",
            metric = "block_stats_zone_append_failed_requests"
        )]
        pub zone_append_failed: Option<u64>,
        /// Zone appends that were invalid.
        /// QMP `query-blockstats` `stats.invalid_zone_append_operations`; libvirt discards it.
        #[counter(
            path = "zone_append.invalid",
            unit = "count",
            metric = "block_stats_zone_append_invalid_requests"
        )]
        pub zone_append_invalid: Option<u64>,
        /// Zone appends merged into others.
        /// QMP `query-blockstats` `stats.zone_append_merged`; libvirt discards it.
        #[counter(
            path = "zone_append.merged",
            unit = "count",
            metric = "block_stats_zone_append_merged_requests"
        )]
        pub zone_append_merged: Option<u64>,
        /// Time since the last request; absent before the first.
        /// QMP `query-blockstats` `stats.idle_time_ns`; libvirt discards it.
        #[gauge(unit = "ns", metric = "block_stats_idle_time_seconds")]
        pub idle_time: Option<u64>,
        /// Discards that the host's file or device did.
        /// QMP `query-blockstats` `driver-specific.discard-nb-ok`; libvirt discards it.
        #[counter(path = "discard.reqs", unit = "count", metric = "block_stats_discard_requests")]
        pub discard_reqs: Option<u64>,
        /// Bytes discarded in the host's file or device.
        /// QMP `query-blockstats` `driver-specific.discard-bytes-ok`; libvirt discards it.
        #[counter(path = "discard.bytes", unit = "B", metric = "block_stats_discard_bytes")]
        pub discard_bytes: Option<u64>,
        /// Discards that the host's file or device refused.
        /// QMP `query-blockstats` `driver-specific.discard-nb-failed`; libvirt discards it.
        #[counter(
            path = "discard.failed",
            unit = "count",
            metric = "block_stats_discard_failed_requests"
        )]
        pub discard_failed: Option<u64>,
    }
);
