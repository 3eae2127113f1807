//! Detection of vector instructions.

use std::fmt;
use std::sync::OnceLock;

pub use proofs::{Avx2, Avx512};

/// A set of vector instructions that hot loops are compiled for. One that not every processor has is there only with the
/// proof that this one does, which nothing but the detection makes:
///
/// ```compile_fail,E0423
/// let unproved = upbeat_svm::Simd::Avx512(upbeat_svm::Avx512(()));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Simd {
    /// What every processor of the target has.
    Portable,
    /// x86-64 with AVX2 and FMA: 256 bits.
    Avx2(Avx2),
    /// x86-64 with AVX-512 F, VL, DQ and BW, AVX2 and FMA: 512 bits.
    Avx512(Avx512),
}

/// Without the proof, which says nothing more.
impl fmt::Debug for Simd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Portable => "Portable",
            Self::Avx2(_) => "Avx2",
            Self::Avx512(_) => "Avx512",
        })
    }
}

impl Simd {
    /// The widest that this processor has. The answer is kept; a call is a load.
    pub fn detect() -> Self {
        *Self::available().last().unwrap_or(&Self::Portable)
    }

    /// All that this processor has, narrowest first; tests run each.
    pub fn available() -> &'static [Self] {
        static AVAILABLE: OnceLock<Vec<Simd>> = OnceLock::new();
        AVAILABLE.get_or_init(|| {
            let wider = [Avx2::detect().map(Self::Avx2), Avx512::detect().map(Self::Avx512)];
            [Self::Portable].into_iter().chain(wider.into_iter().flatten()).collect()
        })
    }
}

/// In a module of their own, outside of which nothing can make one but `detect`.
mod proofs {
    /// The proof that this processor has AVX2 and FMA.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Avx2(());

    /// The proof that this processor has AVX-512 F, VL, DQ and BW, AVX2 and FMA.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Avx512(());

    impl Avx2 {
        /// The proof, where the processor has the instructions.
        #[cfg(target_arch = "x86_64")]
        #[must_use]
        pub fn detect() -> Option<Self> {
            (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
        }

        /// There is none on other processors.
        #[cfg(not(target_arch = "x86_64"))]
        #[must_use]
        pub fn detect() -> Option<Self> {
            None
        }
    }

    impl Avx512 {
        /// The proof, where the processor has the instructions.
        #[cfg(target_arch = "x86_64")]
        #[must_use]
        pub fn detect() -> Option<Self> {
            let has_all = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw");
            (has_all && Avx2::detect().is_some()).then_some(Self(()))
        }

        /// There is none on other processors.
        #[cfg(not(target_arch = "x86_64"))]
        #[must_use]
        pub fn detect() -> Option<Self> {
            None
        }
    }
}
