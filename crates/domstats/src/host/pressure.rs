//! What the kernel counts for a cgroup beyond CPU time: how long its tasks waited for CPU, memory
//! and storage, and what they read and wrote.

/// How long tasks waited for a resource, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waits {
    /// At least one task waited, while others may have worked.
    pub(crate) some_ns: Option<u64>,
    /// All tasks that could have worked waited.
    pub(crate) full_ns: Option<u64>,
}

/// What was read from and written to one of the host's devices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct DeviceIo {
    /// The device number: `8:0`.
    pub(crate) number: String,
    pub(crate) rd_bytes: Option<u64>,
    pub(crate) rd_reqs: Option<u64>,
    pub(crate) wr_bytes: Option<u64>,
    pub(crate) wr_reqs: Option<u64>,
    pub(crate) unmap_bytes: Option<u64>,
    pub(crate) unmap_reqs: Option<u64>,
}

/// More devices than any machine uses.
const DEVICES: usize = 1024;

/// Parses `cpu.pressure`, `memory.pressure` or `io.pressure`; `None` if it has no totals.
pub(super) fn parse_pressure(text: &str) -> Option<Waits> {
    let total = |kind: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(' '))?;
        let microseconds = line.split(' ').find_map(|word| word.strip_prefix("total="))?;
        microseconds.parse::<u64>().ok()?.checked_mul(1000)
    };
    let waits = Waits { some_ns: total("some"), full_ns: total("full") };
    (waits.some_ns.is_some() || waits.full_ns.is_some()).then_some(waits)
}

/// Parses `io.stat` of cgroup version 2: one line per device.
pub(super) fn parse_io_stat(text: &str) -> Vec<DeviceIo> {
    let device = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let number = words.next().filter(|word| is_number(word))?;
        let mut device = DeviceIo { number: number.to_owned(), ..DeviceIo::default() };
        let mut any = false;
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let slot = match key {
                "rbytes" => &mut device.rd_bytes,
                "rios" => &mut device.rd_reqs,
                "wbytes" => &mut device.wr_bytes,
                "wios" => &mut device.wr_reqs,
                "dbytes" => &mut device.unmap_bytes,
                "dios" => &mut device.unmap_reqs,
                _ => continue,
            };
            *slot = value.parse().ok();
            any |= slot.is_some();
        }
        any.then_some(device)
    };
    text.lines().filter_map(device).take(DEVICES).collect()
}

/// Parses `blkio.throttle.io_service_bytes` and `blkio.throttle.io_serviced` of cgroup version 1:
/// one line per device and direction.
pub(super) fn parse_blkio(bytes: &str, requests: &str) -> Vec<DeviceIo> {
    let mut devices: Vec<DeviceIo> = Vec::new();
    for (text, is_bytes) in [(bytes, true), (requests, false)] {
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some(number), Some(direction), Some(Ok(value))) =
                (words.next(), words.next(), words.next().map(str::parse::<u64>))
            else {
                continue;
            };
            let slot: fn(&mut DeviceIo) -> &mut Option<u64> = match (direction, is_bytes) {
                _ if !is_number(number) => continue,
                ("Read", true) => |device| &mut device.rd_bytes,
                ("Read", false) => |device| &mut device.rd_reqs,
                ("Write", true) => |device| &mut device.wr_bytes,
                ("Write", false) => |device| &mut device.wr_reqs,
                ("Discard", true) => |device| &mut device.unmap_bytes,
                ("Discard", false) => |device| &mut device.unmap_reqs,
                // Other sums of the same requests: Sync, Async, Total.
                _ => continue,
            };
            // The lines of one device are adjacent.
            let position = match devices.iter().rposition(|device| device.number == number) {
                Some(position) => position,
                None if devices.len() == DEVICES => continue,
                None => {
                    devices.push(DeviceIo { number: number.to_owned(), ..DeviceIo::default() });
                    devices.len() - 1
                }
            };
            *slot(&mut devices[position]) = Some(value);
        }
    }
    devices
}

/// Returns whether a word is a device number: `259:1`.
fn is_number(word: &str) -> bool {
    let digits = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    word.split_once(':').is_some_and(|(major, minor)| digits(major) && digits(minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_totals() {
        let some = "some avg10=0.00 avg60=1.50 avg300=0.36 total=7001\n";
        let full = "full avg10=0.00 avg60=0.00 avg300=0.00 total=2\n";
        let waits = |some_ns, full_ns| Some(Waits { some_ns, full_ns });
        assert_eq!(parse_pressure(&format!("{some}{full}")), waits(Some(7_001_000), Some(2_000)));
        assert_eq!(parse_pressure(some), waits(Some(7_001_000), None), "cpu before Linux 5.13");
        for text in [
            "",
            "some",
            "some total=",
            "some total=-1\nfull total=x\n",
            "something total=1\n",
            "some avg10=0.00 total=18446744073709551615\n",
        ] {
            assert_eq!(parse_pressure(text), None, "{text}");
        }
    }

    #[test]
    fn storage_counters_of_cgroup_version_2() {
        let text = "8:0\n\
            253:1 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n\
            259:0 rbytes=10 wbytes= wios=40 cost.usage=7\n\
            8:16 cost.usage=7\nx:1 rbytes=1\n8:x rbytes=1\n(unknown) rbytes=1\n";
        let whole = DeviceIo {
            number: "253:1".to_owned(),
            rd_bytes: Some(1),
            rd_reqs: Some(3),
            wr_bytes: Some(2),
            wr_reqs: Some(4),
            unmap_bytes: Some(5),
            unmap_reqs: Some(6),
        };
        let part = DeviceIo {
            number: "259:0".to_owned(),
            rd_bytes: Some(10),
            wr_reqs: Some(40),
            ..DeviceIo::default()
        };
        assert_eq!(parse_io_stat(text), [whole, part]);
        assert_eq!(parse_io_stat(&"8:0 rios=1\n".repeat(DEVICES + 1)).len(), DEVICES);
    }

    #[test]
    fn storage_counters_of_cgroup_version_1() {
        let bytes = "8:0 Read 100\n8:0 Write 200\n8:0 Sync 250\n8:0 Async 50\n8:0 Discard 9\n\
            8:0 Total 300\n253:1 Read 7\n253:1 Write x\nTotal 307\n";
        let requests =
            "253:1 Read 2\n8:0 Read 1\n8:0 Write 3\n8:0 Total 4\nTotal 6\n9:9 Write\n9:8 Sync 4\n";
        let first = DeviceIo {
            number: "8:0".to_owned(),
            rd_bytes: Some(100),
            rd_reqs: Some(1),
            wr_bytes: Some(200),
            wr_reqs: Some(3),
            unmap_bytes: Some(9),
            unmap_reqs: None,
        };
        let second = DeviceIo {
            number: "253:1".to_owned(),
            rd_bytes: Some(7),
            rd_reqs: Some(2),
            ..DeviceIo::default()
        };
        assert_eq!(parse_blkio(bytes, requests), [first, second]);
        assert_eq!(parse_blkio("Total 0\n", ""), []);
        let many: String = (0..=DEVICES).map(|minor| format!("8:{minor} Read 1\n")).collect();
        assert_eq!(parse_blkio(&many, &many).len(), DEVICES);
    }
}
