//! What comes in: numbers without gaps, each taken once, and no more bytes than the peer was given credit for.

/// The counted frames of one direction.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// Number of the last frame that was taken.
    last: u64,
    window: u64,
    /// Bytes that the peer may still send. Below zero once a frame has overdrawn it.
    credit: i64,
    /// Bytes taken and not yet given back as credit.
    owed: u64,
    /// Give nothing back for now.
    held: bool,
    /// But once, as soon as enough is owed.
    spared: bool,
}

/// What to do with a counted frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the next one.
    Take,
    /// It was taken before.
    Duplicate,
    /// The one before it is missing.
    Gap {
        /// The number that was due.
        due: u64,
    },
    /// It came without credit.
    Overdrawn,
}

impl Inbox {
    pub(crate) fn new(window: u64) -> Self {
        let mut inbox = Self { last: 0, window, credit: 0, owed: 0, held: false, spared: false };
        inbox.restart();
        inbox
    }

    /// Judges the frame numbered `seq`.
    pub(crate) fn take(&mut self, seq: u64, bytes: usize) -> Verdict {
        if self.credit <= 0 {
            return Verdict::Overdrawn;
        }
        self.credit = self.credit.saturating_sub_unsigned(bytes as u64);
        self.owed = self.owed.saturating_add(bytes as u64);
        match self.last.checked_add(1) {
            Some(due) if seq == due => {
                self.last = due;
                Verdict::Take
            }
            Some(due) if seq > due => Verdict::Gap { due },
            _ => Verdict::Duplicate,
        }
    }

    /// Credit that is worth a frame of its own: a quarter of the window or more.
    pub(crate) fn credit_due(&mut self) -> Option<u64> {
        if !self.credit_is_due() {
            return None;
        }
        self.spared = false;
        let bytes = std::mem::take(&mut self.owed);
        self.credit = self.credit.saturating_add_unsigned(bytes);
        Some(bytes)
    }

    /// Whether [`credit_due`](Inbox::credit_due) would give some.
    pub(crate) fn credit_is_due(&self) -> bool {
        (!self.held || self.spared) && self.owed > 0 && self.owed >= self.window / 4
    }

    /// Stops, or goes on, giving credit back.
    pub(crate) fn hold(&mut self, held: bool) {
        self.held = held;
        self.spared = false;
    }

    /// Gives back what is owed, once, although it is held.
    pub(crate) fn spare(&mut self) {
        self.spared = true;
    }

    /// Number of the last frame that was taken.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// The window of a new connection.
    pub(crate) fn window(&self) -> u64 {
        self.window
    }

    /// A new connection with a new window.
    pub(crate) fn restart(&mut self) {
        self.credit = i64::try_from(self.window).unwrap_or(i64::MAX);
        self.owed = 0;
    }
}
