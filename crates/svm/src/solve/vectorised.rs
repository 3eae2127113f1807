//! One loop, compiled once for each set of vector instructions and chosen at run time.

/// Makes `fn name(simd, …)` that calls `body::<FMA>(…)`, an `#[inline(always)]` function, compiled for `simd`.
///
/// `FMA` says whether a fused multiply-add is one instruction: elsewhere `mul_add` is a slow call.
macro_rules! vectorised {
    ($(#[$doc:meta])* fn $name:ident($($argument:ident: $kind:ty),* $(,)?) $(-> $result:ty)? = $body:ident) => {
        $(#[$doc])*
        pub(crate) fn $name(simd: crate::score::simd::Simd, $($argument: $kind),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($argument: $kind),*) $(-> $result)? {
                    $body::<true>($($argument),*)
                }
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                fn avx512($($argument: $kind),*) $(-> $result)? {
                    $body::<true>($($argument),*)
                }
                match simd {
                    // SAFETY: the variant holds the proof that the processor has AVX2 and FMA.
                    crate::score::simd::Simd::Avx2(_) => return unsafe { avx2($($argument),*) },
                    // SAFETY: the variant holds the proof that the processor has all of these.
                    crate::score::simd::Simd::Avx512(_) => return unsafe { avx512($($argument),*) },
                    crate::score::simd::Simd::Portable => {}
                }
            }
            let _ = simd;
            $body::<false>($($argument),*)
        }
    };
}
pub(crate) use vectorised;
