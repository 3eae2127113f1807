//! Detection of vector instructions.

/// A set of vector instructions that hot loops are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Simd {
    /// What every processor of the target has.
    Portable,
    /// x86-64 with AVX2 and FMA: 256 bits.
    Avx2,
    /// x86-64 with AVX-512 F, VL, DQ and BW: 512 bits.
    Avx512,
}

impl Simd {
    /// The widest that this processor has. The answer is cached by the standard library; a call is a load.
    pub fn detect() -> Self {
        *Self::available().last().unwrap_or(&Self::Portable)
    }

    /// All that this processor has, narrowest first; tests run each.
    pub fn available() -> &'static [Self] {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw");
            if avx2 && avx512 {
                return &[Self::Portable, Self::Avx2, Self::Avx512];
            }
            if avx2 {
                return &[Self::Portable, Self::Avx2];
            }
        }
        &[Self::Portable]
    }
}
