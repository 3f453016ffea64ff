//! The disks of the simulated domains: two each, the first on top of a base image.

use super::{
    guests::{Guest, Profile},
    numbers::Numbers,
    values::pressure,
};
use crate::model::stats::{Block, BlockDevice, Blocks, LatencyBin, LatencyHistogram, TimedGroup};

const GIB: u64 = 1 << 30;

/// An image of a disk, and its place in the backing chain.
struct Image {
    disk: &'static str,
    path: String,
    backing_index: u32,
    is_top: bool,
}

impl Guest {
    pub(super) fn blocks(&self, numbers: Numbers, backing: bool) -> Blocks {
        let blocks: Vec<_> = self
            .images()
            .into_iter()
            .filter(|image| image.is_top || backing)
            .zip(0..)
            .map(|(image, index)| Block { index, ..self.block(image, numbers) })
            .collect();
        let mut blocks = Blocks { count: Some(blocks.len() as u32), blocks, ..Blocks::default() };
        if self.profile == Profile::Full {
            blocks.pressure = Some(pressure(numbers, "io"));
            blocks.devices = vec![device(numbers)];
            blocks.device_count = Some(1);
        }
        blocks
    }

    fn images(&self) -> [Image; 3] {
        let image = |disk, file: String, backing_index, is_top| Image {
            disk,
            path: format!("/var/lib/libvirt/images/{file}"),
            backing_index,
            is_top,
        };
        let name = self.name();
        [
            image("vda", format!("{name}.qcow2"), 1, true),
            image("vda", "base.qcow2".to_owned(), 3, false),
            image("vdb", format!("{name}-data.qcow2"), 2, true),
        ]
    }

    fn block(&self, image: Image, numbers: Numbers) -> Block {
        let part = numbers.part("image", image.backing_index);
        // The images of a chain have one size.
        let capacity = numbers.part(image.disk, 0).setting("capacity", 8..=200) * GIB;
        let percent = |field, range| Some(capacity / 100 * part.setting(field, range));
        let mut block = Block {
            name: Some(image.disk.into()),
            path: Some(image.path),
            allocation: percent("allocation", 40..=90),
            capacity: Some(capacity),
            physical: percent("physical", 5..=40),
            ..Block::default()
        };
        if self.is_active() {
            block.backing_index = Some(image.backing_index);
        }
        if self.profile == Profile::Full {
            block.threshold = percent("threshold", 91..=99);
            limits(&mut block);
        }
        if self.is_active() && image.is_top {
            usual_counters(&mut block, part);
            if self.profile == Profile::Full {
                special_counters(&mut block, part);
                block.timed_groups = [(0, 10), (1, 60)]
                    .map(|(index, interval)| timed_group(part, index, interval))
                    .into();
                block.timed_group_count = Some(2);
                block.read_histogram = Some(histogram(part.part("read", 0)));
                block.write_histogram = Some(histogram(part.part("write", 0)));
                block.zone_append_histogram = Some(histogram(part.part("zone_append", 0)));
                block.flush_histogram = Some(histogram(part.part("flush", 0)));
            }
        }
        block
    }
}

/// The host device that holds all disks.
fn device(numbers: Numbers) -> BlockDevice {
    let part = numbers.part("device", 0);
    let reqs = |field| part.counter(field, 1..=400);
    let bytes = |field, reqs| Some(reqs * part.setting(field, 1..=64) * 4_096);
    let (rd_reqs, wr_reqs, unmap_reqs) = (reqs("rd.reqs"), reqs("wr.reqs"), reqs("unmap.reqs"));
    BlockDevice {
        index: 0,
        number: Some("8:0".to_owned()),
        rd_reqs: Some(rd_reqs),
        rd_bytes: bytes("rd.bytes", rd_reqs),
        wr_reqs: Some(wr_reqs),
        wr_bytes: bytes("wr.bytes", wr_reqs),
        unmap_reqs: Some(unmap_reqs),
        unmap_bytes: bytes("unmap.bytes", unmap_reqs),
        ..BlockDevice::default()
    }
}

/// Bytes and times follow the number of requests, so that sizes and latencies make sense.
fn usual_counters(block: &mut Block, part: Numbers) {
    let reqs = |field| part.counter(field, 1..=400);
    let bytes = |field, reqs| Some(reqs * part.setting(field, 1..=64) * 4_096);
    let times = |field, reqs| Some(reqs * part.setting(field, 50_000..=2_000_000));
    let seldom = |field| Some(part.rare(field, 0..=20));

    let rd_reqs = reqs("rd.reqs");
    block.rd_reqs = Some(rd_reqs);
    block.rd_bytes = bytes("rd.bytes", rd_reqs);
    block.rd_times = times("rd.times", rd_reqs);
    block.rd_failed = seldom("rd.failed");
    block.rd_invalid = seldom("rd.invalid");
    block.rd_merged = seldom("rd.merged");

    let wr_reqs = reqs("wr.reqs");
    block.wr_reqs = Some(wr_reqs);
    block.wr_bytes = bytes("wr.bytes", wr_reqs);
    block.wr_times = times("wr.times", wr_reqs);
    block.wr_failed = seldom("wr.failed");
    block.wr_invalid = seldom("wr.invalid");
    block.wr_merged = seldom("wr.merged");

    let fl_reqs = reqs("fl.reqs");
    block.fl_reqs = Some(fl_reqs);
    block.fl_times = times("fl.times", fl_reqs);
    block.fl_failed = seldom("fl.failed");
    block.fl_invalid = seldom("fl.invalid");

    let unmap_reqs = reqs("unmap.reqs");
    block.unmap_reqs = Some(unmap_reqs);
    block.unmap_bytes = bytes("unmap.bytes", unmap_reqs);
    block.unmap_times = times("unmap.times", unmap_reqs);
    block.unmap_failed = seldom("unmap.failed");
    block.unmap_invalid = seldom("unmap.invalid");
    block.unmap_merged = seldom("unmap.merged");

    block.idle_time = Some(part.gauge("idle_time", 1_000..=9_000_000_000));
}

fn special_counters(block: &mut Block, part: Numbers) {
    let seldom = |field| Some(part.rare(field, 0..=20));
    let reqs = part.counter("zone_append.reqs", 1..=50);
    block.zone_append_reqs = Some(reqs);
    block.zone_append_bytes = Some(reqs * 4_096);
    block.zone_append_times = Some(reqs * 80_000);
    block.zone_append_failed = seldom("zone_append.failed");
    block.zone_append_invalid = seldom("zone_append.invalid");
    block.zone_append_merged = seldom("zone_append.merged");
    block.errors = seldom("errors");
    let discards = part.counter("discard.reqs", 1..=50);
    block.discard_reqs = Some(discards);
    block.discard_bytes = Some(discards * 65_536);
    block.discard_failed = seldom("discard.failed");
}

fn limits(block: &mut Block) {
    block.limits_request_alignment = Some(512);
    block.limits_discard_max = Some(2 * GIB);
    block.limits_discard_alignment = Some(65_536);
    block.limits_write_zeroes_max = Some(2 * GIB);
    block.limits_write_zeroes_alignment = Some(65_536);
    block.limits_transfer_optimal = Some(65_536);
    block.limits_transfer_max = Some(1 << 24);
    block.limits_transfer_hw_max = Some(1 << 24);
    block.limits_iov_max = Some(1_024);
    block.limits_iov_hw_max = Some(1_024);
    block.limits_memory_alignment_minimal = Some(512);
    block.limits_memory_alignment_optimal = Some(4_096);
}

fn timed_group(numbers: Numbers, index: u32, interval: u64) -> TimedGroup {
    let part = numbers.part("timed_group", index);
    // Minimum, average, maximum: each a step above the last.
    let latencies = |operation: &str| {
        let step = |of| part.part(operation, of).gauge("latency", 50_000..=1_500_000);
        let (least, average) = (step(0), step(0) + step(1));
        (Some(least), Some(average + step(2)), Some(average))
    };
    let depth = |field| Some(part.gauge(field, 0..=3_200) as f64 / 100.0);
    let (rd_latency_min, rd_latency_max, rd_latency_avg) = latencies("rd");
    let (wr_latency_min, wr_latency_max, wr_latency_avg) = latencies("wr");
    let (flush_latency_min, flush_latency_max, flush_latency_avg) = latencies("flush");
    let (zone_append_latency_min, zone_append_latency_max, zone_append_latency_avg) =
        latencies("zone_append");
    TimedGroup {
        index,
        interval: Some(interval),
        rd_latency_min,
        rd_latency_max,
        rd_latency_avg,
        wr_latency_min,
        wr_latency_max,
        wr_latency_avg,
        zone_append_latency_min,
        zone_append_latency_max,
        zone_append_latency_avg,
        flush_latency_min,
        flush_latency_max,
        flush_latency_avg,
        rd_queue_depth_avg: depth("rd_queue_depth"),
        wr_queue_depth_avg: depth("wr_queue_depth"),
        zone_append_queue_depth_avg: depth("zone_append_queue_depth"),
        ..TimedGroup::default()
    }
}

fn histogram(numbers: Numbers) -> LatencyHistogram {
    let bins: Vec<_> = [0, 100_000, 1_000_000, 10_000_000]
        .into_iter()
        .zip(0..)
        .map(|(start, index)| LatencyBin {
            index,
            start: Some(start),
            value: Some(numbers.part("bin", index).counter("value", 0..=100)),
            ..LatencyBin::default()
        })
        .collect();
    LatencyHistogram { bin_count: Some(bins.len() as u64), bins, ..LatencyHistogram::default() }
}
