//! The state of a domain. Bit 1, flat keys `state.*`.

use crate::model::{
    catalogue::{
        FieldSlot, Slot,
        value::{Leaf, words},
    },
    stats::{Cell, Extra, Field, Kind, Place, Row, Schema, Section, Unit, Value, ValueType},
};

words!(
    /// The state of a domain (`virDomainState`).
    #[doc(alias = "virDomainState")]
    pub enum DomainState {
        /// No state is known.
        #[word("nostate")]
        NoState = 0,
        /// The guest runs.
        #[word("running")]
        Running = 1,
        /// The guest waits for a resource.
        #[word("blocked")]
        Blocked = 2,
        /// The guest is paused by its host.
        #[word("paused")]
        Paused = 3,
        /// The guest is shutting down.
        #[word("shutdown")]
        Shutdown = 4,
        /// The guest is off: there is no process.
        #[word("shutoff")]
        Shutoff = 5,
        /// The guest crashed.
        #[word("crashed")]
        Crashed = 6,
        /// The guest sleeps: suspended by its own power management.
        #[word("pmsuspended")]
        PmSuspended = 7,
    }
);

/// Why a domain is in its state. The numbers mean different things in different states, so a
/// reason carries its state (`virDomainRunningReason`, `virDomainPausedReason`, ...).
///
/// ```
/// use domstats::{DomainState, StateReason};
/// let reason = StateReason::new(DomainState::Paused, 5);
/// assert_eq!(reason.word(), Some("ioerror"));
/// assert_eq!(StateReason::from_word(DomainState::Paused, "ioerror"), Some(reason));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StateReason {
    state: DomainState,
    code: i32,
}

impl StateReason {
    /// Returns the reason with libvirt's number for the state; 0 is always "unknown".
    #[must_use]
    pub fn new(state: DomainState, code: i32) -> Self {
        Self { state, code }
    }

    /// Returns the reason that documents call by this word, if the state has it.
    #[must_use]
    pub fn from_word(state: DomainState, word: &str) -> Option<Self> {
        let code = words_of(state).iter().position(|known| *known == word)?;
        Some(Self { state, code: code.try_into().ok()? })
    }

    /// Returns libvirt's number.
    #[must_use]
    pub fn code(self) -> i32 {
        self.code
    }

    /// Returns the word that documents use, or `None` for a number without one.
    #[must_use]
    pub fn word(self) -> Option<&'static str> {
        words_of(self.state).get(usize::try_from(self.code).ok()?).copied()
    }
}

/// The words of a state's reasons; the position is libvirt's number.
fn words_of(state: DomainState) -> &'static [&'static str] {
    match state {
        DomainState::Running => &[
            "unknown",
            "booted",
            "migrated",
            "restored",
            "from-snapshot",
            "unpaused",
            "migration-canceled",
            "save-canceled",
            "wakeup",
            "crashed",
            "postcopy",
            "postcopy-failed",
        ],
        DomainState::Paused => &[
            "unknown",
            "user",
            "migration",
            "save",
            "dump",
            "ioerror",
            "watchdog",
            "from-snapshot",
            "shutting-down",
            "snapshot",
            "crashed",
            "starting-up",
            "postcopy",
            "postcopy-failed",
            "api-error",
        ],
        DomainState::Shutdown => &["unknown", "user"],
        DomainState::Shutoff => &[
            "unknown",
            "shutdown",
            "destroyed",
            "crashed",
            "migrated",
            "saved",
            "failed",
            "from-snapshot",
            "daemon",
        ],
        DomainState::Crashed => &["unknown", "panicked"],
        _ => &["unknown"],
    }
}

/// The state of a domain and the reason for it.
///
/// Written by hand and not by the table macro: the meaning of `reason` depends on `state`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// The state. QMP `query-status`; libvirt `state.state`.
    pub state: Option<DomainState>,
    /// Why it is in this state. Derived from QMP `query-status`; libvirt `state.reason`.
    pub reason: Option<StateReason>,
    /// What no row describes: the words of a newer peer, kept as they came.
    pub extra: Extra,
}

impl State {
    /// Returns the state with libvirt's number for the reason.
    #[must_use]
    pub fn new(state: DomainState, reason: i32) -> Self {
        Self {
            state: Some(state),
            reason: Some(StateReason::new(state, reason)),
            extra: Extra::default(),
        }
    }

    /// The rows of the catalogue that describe this struct.
    pub const SCHEMA: &'static Schema = &Schema {
        name: "State",
        rows: &[
            Row::Field(Field {
                name: "state",
                path: "state",
                doc_path: "state",
                value_type: ValueType::Int,
                kind: Kind::Gauge,
                unit: Unit::None,
                place: Place::Text,
                metric: Some("info_state"),
                words: DomainState::WORDS,
                docs: &[
                    "State of the domain: 0 none, 1 running, 2 blocked, 3 paused, 4 shutting down, \
                     5 shut off, 6 crashed, 7 suspended.",
                    "QMP `query-status`; libvirt `state.state`.",
                ],
            }),
            Row::Field(Field {
                name: "reason",
                path: "reason",
                doc_path: "reason",
                value_type: ValueType::Int,
                kind: Kind::Gauge,
                unit: Unit::None,
                place: Place::Attribute,
                metric: Some("state_reason"),
                // Free: the words depend on the state.
                words: &[],
                docs: &[
                    "Why the domain is in its state: the number of that state's reason.",
                    "Derived from QMP `query-status`; libvirt `state.reason`.",
                ],
            }),
        ],
    };
}

impl Section for State {
    fn schema(&self) -> &'static Schema {
        Self::SCHEMA
    }

    fn cell(&self, row: usize) -> Cell<'_> {
        Cell::Field(match row {
            0 => self.state.as_ref().map(Leaf::value),
            _ => self.reason.map(|reason| Value::Word { code: reason.code, word: reason.word() }),
        })
    }

    fn extra(&self) -> &Extra {
        &self.extra
    }

    fn extra_mut(&mut self) -> &mut Extra {
        &mut self.extra
    }

    fn slot(&mut self, row: usize) -> Slot<'_> {
        Slot::Field(match row {
            0 => &mut self.state,
            _ => self,
        })
    }
}

/// The slot of `reason`, which needs the state beside it.
impl FieldSlot for State {
    fn set(&mut self, value: &Value<'_>) -> bool {
        let state = self.state.unwrap_or(DomainState::NoState);
        self.reason = match value.as_str().and_then(|word| StateReason::from_word(state, word)) {
            Some(reason) => Some(reason),
            None => i32::from_value(value).map(|code| StateReason::new(state, code)),
        };
        self.reason.is_some()
    }
}
