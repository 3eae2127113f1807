//! What may be odd about an event that says what became of a show.

macro_rules! feedback_kinds {
    ($($(#[$doc:meta])* $kind:ident, $field:ident;)*) => {
        /// What is odd about an event that says what became of a show. Each is counted by itself.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum FeedbackKind {
            $($(#[$doc])* $kind,)*
        }

        impl FeedbackKind {
            /// Every kind, in the order of answers.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The kind in answers and metric labels.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => stringify!($field),)* }
            }
        }

        /// How many events of a body had what is odd about them.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub struct FeedbackCounts {
            $($(#[$doc])* pub $field: u32,)*
        }

        impl FeedbackCounts {
            /// Counts what is odd about one event.
            pub fn add(&mut self, kinds: FeedbackKinds) {
                $(self.$field += u32::from(kinds.contains(FeedbackKind::$kind));)*
            }
        }
    };
}

feedback_kinds! {
    /// It came after the reservation of its show had ended, or is a click later than belongs to it. It is kept.
    Late, late;
    /// It is of a time before its decision. It is kept.
    Early, early;
    /// Another event has said the same of the show.
    Repeated, repeated;
    /// Its decision was never given. It is refused.
    Unknown, unknown;
    /// Its decision was given, and is no longer kept.
    Expired, expired;
    /// Its decision was given for another customer. It is refused.
    Foreign, foreign;
}

/// Several of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FeedbackKinds(u8);

impl FeedbackKinds {
    /// Adds one.
    pub fn insert(&mut self, kind: FeedbackKind) {
        self.0 |= 1 << kind as u8;
    }

    /// Whether it is among them.
    #[must_use]
    pub fn contains(self, kind: FeedbackKind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }

    /// Those that are among them, in the order of [`FeedbackKind::ALL`].
    pub fn iter(self) -> impl Iterator<Item = FeedbackKind> {
        FeedbackKind::ALL.iter().copied().filter(move |kind| self.contains(*kind))
    }
}

impl From<FeedbackKind> for FeedbackKinds {
    fn from(kind: FeedbackKind) -> Self {
        let mut kinds = Self::default();
        kinds.insert(kind);
        kinds
    }
}
