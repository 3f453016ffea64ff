//! A decoder allocates no more than a small multiple of the bytes that a peer sends.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    hint::black_box,
};

use domstats_rpc::{
    Xdr,
    message::*,
    xdr::{Decoder, Encoder, List},
};
use proptest::{collection::vec, prelude::*};

/// How many bytes may be allocated for each byte sent. A list reserves room for all announced items
/// if enough bytes follow for them: 2.25 bytes per byte of the smallest records, 4 per byte of the
/// smallest params. Text that is not UTF-8 takes up to 6: 3 for the replacement, in a buffer that
/// doubles and is copied. In the worst case, lists announce many items, and text follows.
const MULTIPLE: usize = 13;

thread_local! {
    static TAKEN: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, which also counts how much the thread has allocated at a time.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: both functions pass their arguments unchanged to the system's allocator.
#[expect(unsafe_code, reason = "only an allocator sees what a decoder allocates and frees")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.set(TAKEN.get().wrapping_add(layout.size()));
        MOST.set(MOST.get().max(TAKEN.get()));
        // SAFETY: the caller upholds the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        TAKEN.set(TAKEN.get().wrapping_sub(layout.size()));
        // SAFETY: the caller upholds the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Returns the peak memory of decoding.
fn taken_by<'a, T: Xdr<'a>>(bytes: &'a [u8]) -> usize {
    let before = TAKEN.get();
    MOST.set(before);
    drop(black_box(T::decode(&mut Decoder::new(bytes))));
    MOST.get() - before
}

/// Asserts that decoding these bytes as any message stays within [`MULTIPLE`].
fn modest(bytes: &[u8]) {
    for taken in [
        taken_by::<StatsRecords<'_>>(bytes),
        taken_by::<DomainStatsArgs<'_>>(bytes),
        taken_by::<ListedDomains<'_>>(bytes),
        taken_by::<AuthTypes>(bytes),
        taken_by::<SaslReply>(bytes),
        taken_by::<SaslStartArgs<'_>>(bytes),
        taken_by::<RemoteError<'_>>(bytes),
        // Items without a size: the announced count reserves nothing.
        taken_by::<List<(), 16_384>>(bytes),
    ] {
        assert!(taken <= MULTIPLE * bytes.len(), "{taken} for {} bytes", bytes.len());
    }
}

fn encoded<'a>(value: &impl Xdr<'a>) -> Vec<u8> {
    let mut out = Encoder::default();
    value.encode(&mut out);
    out.finish().unwrap()
}

#[test]
fn the_allocator_counts_correctly() {
    let records = List::<_, 16_384>(vec![1_u64; 100]);
    assert_eq!(taken_by::<List<u64, 16_384>>(&encoded(&records)), 800);
    assert_eq!(taken_by::<StatsRecords<'_>>(&[0; 4]), 0);
}

#[test]
fn the_smallest_items_take_little() {
    let domain = Domain { name: "".into(), uuid: [0; 16], id: 0 };
    let param = TypedParam { field: "".into(), value: ParamValue::Int(0) };
    let record =
        |count| StatsRecord { domain: domain.clone(), params: List(vec![param.clone(); count]) };
    for records in [vec![record(262_144)], vec![record(0); 16_384], vec![record(15); 16_384]] {
        let records: StatsRecords<'_> = List(records);
        let bytes = encoded(&records);
        modest(&bytes);
        // The last item is cut short, after all the others were decoded.
        modest(&bytes[..bytes.len() - 1]);
    }
}

#[test]
fn announced_items_that_are_not_sent_take_no_memory() {
    for length in 0..64 {
        modest(&vec![0xff; length]);
        modest(&[&[0, 0, 0x3f, 0xff], vec![0; length].as_slice()].concat());
    }
    // The most records; then the most params in the first; then a long name in its first param.
    let mut bytes = 16_384_u32.to_be_bytes().to_vec();
    bytes.resize(4 + 16_384 * 32, 0);
    modest(&bytes);
    bytes[28..32].copy_from_slice(&262_144_u32.to_be_bytes());
    modest(&bytes);
    bytes.resize(32 + 262_144 * 12, 0xff);
    modest(&bytes);
    bytes[32..36].copy_from_slice(&(262_144_u32 * 12 - 4).to_be_bytes());
    modest(&bytes);
    assert!(taken_by::<StatsRecords<'_>>(&bytes) > 10 * bytes.len(), "this is the worst case");
}

#[test]
fn text_that_is_not_utf8_takes_little() {
    for length in [1_usize, 4, 9, 1_000, 4_194_304] {
        let mut name = (length as u32).to_be_bytes().to_vec();
        name.resize(4 + length.next_multiple_of(4), 0xff);
        // An error with that message, and a param with that name and that value.
        let error = [&[0; 11][..], &[1], &name, &[0; 32]].concat();
        modest(&error);
        let record =
            [&[0, 0, 0, 1][..], &[0; 24], &[0, 0, 0, 1], &name, &[0, 0, 0, 7], &name].concat();
        modest(&record);
    }
}

proptest! {
    #[test]
    fn any_bytes_take_little(bytes in vec(prop_oneof![9 => 0_u8..4, 1 => any::<u8>()], 0..400)) {
        modest(&bytes);
    }
}
