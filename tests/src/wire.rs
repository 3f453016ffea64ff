//! libvirt's wire format, written and parsed simply.

/// Program number of libvirt's calls.
pub const REMOTE: u32 = 0x2000_8086;
/// Program number of its pings, and the procedures of a ping and its reply.
pub const KEEPALIVE: u32 = 0x6b65_6570;
#[expect(missing_docs, reason = "see above")]
pub const PING: u32 = 1;
#[expect(missing_docs, reason = "see above")]
pub const PONG: u32 = 2;

/// Kinds of packets.
#[expect(missing_docs, reason = "their names are libvirt's")]
pub mod kind {
    pub const CALL: u32 = 0;
    pub const REPLY: u32 = 1;
    pub const MESSAGE: u32 = 2;
    pub const CALL_WITH_FDS: u32 = 4;
}

/// Length word and header.
pub const HEADER: usize = 28;

/// Bytes to send.
#[derive(Debug, Clone, Default)]
pub struct Bytes(
    /// The bytes so far.
    pub Vec<u8>,
);

/// A typed parameter's value.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "their names are libvirt's")]
pub enum Value<'a> {
    Int(i32),
    UInt(u32),
    LLong(i64),
    ULLong(u64),
    Double(f64),
    Boolean(bool),
    String(&'a str),
}

impl Bytes {
    /// Appends these bytes as they are.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Appends a number of four bytes.
    #[must_use]
    pub fn u32(self, number: u32) -> Self {
        self.raw(&number.to_be_bytes())
    }

    /// Appends a number of eight bytes.
    #[must_use]
    pub fn u64(self, number: u64) -> Self {
        self.raw(&number.to_be_bytes())
    }

    /// Appends a string.
    #[must_use]
    pub fn string(self, text: &str) -> Self {
        let padding = text.len().next_multiple_of(4) - text.len();
        self.u32(length(text.len())).raw(text.as_bytes()).raw(&[0; 3][..padding])
    }

    /// Appends an optional string that is present.
    #[must_use]
    pub fn some_string(self, text: &str) -> Self {
        self.u32(1).string(text)
    }

    /// Appends a typed parameter.
    #[must_use]
    pub fn param(self, field: &str, value: Value<'_>) -> Self {
        let field = self.string(field);
        match value {
            Value::Int(number) => field.u32(1).raw(&number.to_be_bytes()),
            Value::UInt(number) => field.u32(2).u32(number),
            Value::LLong(number) => field.u32(3).raw(&number.to_be_bytes()),
            Value::ULLong(number) => field.u32(4).u64(number),
            Value::Double(number) => field.u32(5).raw(&number.to_be_bytes()),
            Value::Boolean(truth) => field.u32(6).u32(truth.into()),
            Value::String(text) => field.u32(7).string(text),
        }
    }

    /// The payload of an error reply.
    #[must_use]
    pub fn error(self, code: u32, domain: u32, text: &str) -> Self {
        const LEVEL: u32 = 2;
        let start = self.u32(code).u32(domain).some_string(text).u32(LEVEL);
        // No domain; the format, the text again, nothing; two unused numbers; no network.
        start.u32(0).some_string("%s").some_string(text).u32(0).u32(!0).u32(!0).u32(0)
    }
}

/// Returns a length as on the wire.
#[must_use]
pub fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap()
}

/// A packet's header and payload.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names are libvirt's")]
pub struct Packet {
    pub program: u32,
    pub version: u32,
    pub procedure: u32,
    pub kind: u32,
    pub serial: u32,
    pub status: u32,
    pub payload: Vec<u8>,
}

impl Packet {
    /// Returns its bytes, the length word first.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        Bytes::default()
            .u32(length(HEADER + self.payload.len()))
            .u32(self.program)
            .u32(self.version)
            .u32(self.procedure)
            .u32(self.kind)
            .u32(self.serial)
            .u32(self.status)
            .raw(&self.payload)
            .0
    }

    /// Parses what follows the length word.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let mut word = || reader.u32();
        let [program, version, procedure] = [word()?, word()?, word()?];
        let [kind, serial, status] = [word()?, word()?, word()?];
        Some(Self { program, version, procedure, kind, serial, status, payload: reader.0.to_vec() })
    }
}

/// Received bytes.
#[derive(Debug)]
pub struct Reader<'a>(
    /// The bytes that were not parsed yet.
    pub &'a [u8],
);

impl<'a> Reader<'a> {
    /// Takes this many bytes.
    pub fn raw(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// Takes a number of four bytes.
    pub fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.raw(4)?.try_into().ok()?))
    }

    /// Takes a string.
    pub fn string(&mut self) -> Option<&'a str> {
        let length = self.u32()? as usize;
        let text = self.raw(length.next_multiple_of(4))?.get(..length)?;
        std::str::from_utf8(text).ok()
    }
}
