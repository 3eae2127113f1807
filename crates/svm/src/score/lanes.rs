//! Eight numbers at once: as an array, in two registers of AVX2, in one of AVX-512.

/// How many numbers go side by side: one AVX-512 register, or one line of the cache.
pub(super) const LANES: usize = 8;

/// Eight numbers in memory, on a line of the cache of their own.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Block(pub [f64; LANES]);

/// Eight numbers in registers, and what can be done with each.
///
/// A value can only be made with a proof that the processor has the instructions, so whoever holds one may use them. To be
/// fast, the functions must end up inside of a function with these `#[target_feature]`s: hence `inline(always)` here and
/// in all callers between.
pub(super) trait Lanes: Copy {
    /// The proof that the processor has the instructions; see [`Simd`](crate::Simd).
    type Proof: Copy;

    /// The same number eight times.
    fn splat(proof: Self::Proof, value: f64) -> Self;
    fn load(proof: Self::Proof, block: &Block) -> Self;
    /// Another number eight times; that `self` is there is the proof.
    fn constant(self, value: f64) -> Self;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    fn over(self, other: Self) -> Self;
    /// `self · factor + addend`, rounded once where the processor can.
    fn times_plus(self, factor: Self, addend: Self) -> Self;
    /// The greater one; where `self` is not a number, `self`.
    fn at_least(self, least: Self) -> Self;
    /// The lesser one; where `self` is not a number, `self`.
    fn at_most(self, most: Self) -> Self;
    fn absolute(self) -> Self;
    /// The absolute value of `self` with the sign of `sign`; `self` is not negative.
    fn with_sign_of(self, sign: Self) -> Self;
    /// The table's number at the last three bits of each of `self`.
    fn pick(self, table: &Block) -> Self;
    /// `self · 2^n`, `n` being the last bits of `whole`; `self` and the product are normal numbers.
    fn times_power(self, whole: Self) -> Self;
    /// `self · 2^(n/8)` for an `n` that is a multiple of 8; for others [`Lanes::pick`] and its table have the
    /// correction.
    fn times_eighths(self, eighths: Self) -> Self;
    /// The sum of the eight, by halves.
    fn sum(self) -> f64;
}

/// Without vector instructions of its own; the compiler uses those that every processor of the target has.
#[derive(Clone, Copy)]
pub(super) struct Portable(pub [f64; LANES]);

impl Portable {
    #[inline(always)]
    fn zip(mut self, other: Self, function: impl Fn(f64, f64) -> f64) -> Self {
        for lane in 0..LANES {
            self.0[lane] = function(self.0[lane], other.0[lane]);
        }
        self
    }
}

impl Lanes for Portable {
    type Proof = ();

    #[inline(always)]
    fn splat(_proof: (), value: f64) -> Self {
        Self([value; LANES])
    }

    #[inline(always)]
    fn load(_proof: (), block: &Block) -> Self {
        Self(block.0)
    }

    #[inline(always)]
    fn constant(self, value: f64) -> Self {
        Self([value; LANES])
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    fn over(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }

    // Not `f64::mul_add`, which is a slow call on processors that have no such instruction.
    #[inline(always)]
    fn times_plus(self, factor: Self, addend: Self) -> Self {
        self.times(factor).plus(addend)
    }

    #[inline(always)]
    fn at_least(self, least: Self) -> Self {
        self.zip(least, |value, least| if value < least { least } else { value })
    }

    #[inline(always)]
    fn at_most(self, most: Self) -> Self {
        self.zip(most, |value, most| if value > most { most } else { value })
    }

    #[inline(always)]
    fn absolute(self) -> Self {
        self.zip(self, |value, _| value.abs())
    }

    #[inline(always)]
    fn with_sign_of(self, sign: Self) -> Self {
        self.zip(sign, f64::copysign)
    }

    #[inline(always)]
    fn pick(self, table: &Block) -> Self {
        self.zip(self, |value, _| table.0[value.to_bits() as usize % LANES])
    }

    #[inline(always)]
    fn times_power(self, whole: Self) -> Self {
        self.zip(whole, |value, whole| f64::from_bits(value.to_bits().wrapping_add(whole.to_bits() << 52)))
    }

    #[inline(always)]
    fn times_eighths(self, eighths: Self) -> Self {
        self.zip(eighths, |value, n| f64::from_bits(value.to_bits().wrapping_add(n.to_bits() << 49)))
    }

    #[inline(always)]
    fn sum(self) -> f64 {
        let [a, b, c, d, e, f, g, h] = self.0;
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::array::from_fn;

    use super::{Block, LANES, Lanes};
    use crate::score::simd;

    /// Implements [`Lanes`] for registers of one width.
    // SAFETY, for all that is unsafe in it: the instructions are there, by the proof that is passed or with which `self`
    // was made, and a block is as long as the registers together and aligned for the widest.
    macro_rules! lanes {
        ($name:ident, $register:ty, $splat:ident, $load:ident, $add:ident, $sub:ident, $mul:ident, $div:ident,
         $fmadd:ident, $max:ident, $min:ident, $and:ident, $andnot:ident, $or:ident, $to_bits:ident,
         $from_bits:ident, $shift:ident, $add_bits:ident, $pick:ident, $sum:ident) => {
            #[derive(Clone, Copy)]
            pub(in super::super) struct $name([$register; LANES * 8 / size_of::<$register>()]);

            impl Lanes for $name {
                type Proof = simd::$name;

                #[inline(always)]
                fn splat(_proof: Self::Proof, value: f64) -> Self {
                    Self(from_fn(|_| unsafe { $splat(value) }))
                }

                #[inline(always)]
                fn constant(self, value: f64) -> Self {
                    Self(from_fn(|_| unsafe { $splat(value) }))
                }

                #[inline(always)]
                fn load(_proof: Self::Proof, block: &Block) -> Self {
                    let start = block.0.as_ptr();
                    Self(from_fn(|i| unsafe { $load(start.add(i * size_of::<$register>() / 8)) }))
                }

                #[inline(always)]
                fn plus(self, other: Self) -> Self {
                    Self(from_fn(|i| unsafe { $add(self.0[i], other.0[i]) }))
                }

                #[inline(always)]
                fn minus(self, other: Self) -> Self {
                    Self(from_fn(|i| unsafe { $sub(self.0[i], other.0[i]) }))
                }

                #[inline(always)]
                fn times(self, other: Self) -> Self {
                    Self(from_fn(|i| unsafe { $mul(self.0[i], other.0[i]) }))
                }

                #[inline(always)]
                fn over(self, other: Self) -> Self {
                    Self(from_fn(|i| unsafe { $div(self.0[i], other.0[i]) }))
                }

                #[inline(always)]
                fn times_plus(self, factor: Self, addend: Self) -> Self {
                    Self(from_fn(|i| unsafe { $fmadd(self.0[i], factor.0[i], addend.0[i]) }))
                }

                // The instruction gives its second operand where one is not a number.
                #[inline(always)]
                fn at_least(self, least: Self) -> Self {
                    Self(from_fn(|i| unsafe { $max(least.0[i], self.0[i]) }))
                }

                #[inline(always)]
                fn at_most(self, most: Self) -> Self {
                    Self(from_fn(|i| unsafe { $min(most.0[i], self.0[i]) }))
                }

                #[inline(always)]
                fn absolute(self) -> Self {
                    Self(from_fn(|i| unsafe { $andnot($splat(-0.0), self.0[i]) }))
                }

                #[inline(always)]
                fn with_sign_of(self, sign: Self) -> Self {
                    Self(from_fn(|i| unsafe { $or(self.0[i], $and($splat(-0.0), sign.0[i])) }))
                }

                #[inline(always)]
                fn pick(self, table: &Block) -> Self {
                    Self(from_fn(|i| unsafe { $pick(table, $to_bits(self.0[i])) }))
                }

                #[inline(always)]
                fn times_power(self, whole: Self) -> Self {
                    Self(from_fn(|i| unsafe {
                        $from_bits($add_bits($to_bits(self.0[i]), $shift::<52>($to_bits(whole.0[i]))))
                    }))
                }

                #[inline(always)]
                fn times_eighths(self, eighths: Self) -> Self {
                    Self(from_fn(|i| unsafe {
                        $from_bits($add_bits($to_bits(self.0[i]), $shift::<49>($to_bits(eighths.0[i]))))
                    }))
                }

                #[inline(always)]
                fn sum(self) -> f64 {
                    unsafe { $sum(self.0) }
                }
            }
        };
    }

    lanes!(
        Avx2,
        __m256d,
        _mm256_set1_pd,
        _mm256_load_pd,
        _mm256_add_pd,
        _mm256_sub_pd,
        _mm256_mul_pd,
        _mm256_div_pd,
        _mm256_fmadd_pd,
        _mm256_max_pd,
        _mm256_min_pd,
        _mm256_and_pd,
        _mm256_andnot_pd,
        _mm256_or_pd,
        _mm256_castpd_si256,
        _mm256_castsi256_pd,
        _mm256_slli_epi64,
        _mm256_add_epi64,
        pick_of_four,
        sum_of_two
    );
    lanes!(
        Avx512,
        __m512d,
        _mm512_set1_pd,
        _mm512_load_pd,
        _mm512_add_pd,
        _mm512_sub_pd,
        _mm512_mul_pd,
        _mm512_div_pd,
        _mm512_fmadd_pd,
        _mm512_max_pd,
        _mm512_min_pd,
        _mm512_and_pd,
        _mm512_andnot_pd,
        _mm512_or_pd,
        _mm512_castpd_si512,
        _mm512_castsi512_pd,
        _mm512_slli_epi64,
        _mm512_add_epi64,
        pick_of_eight,
        sum_of_one
    );

    #[inline]
    #[target_feature(enable = "avx2")]
    fn pick_of_four(table: &Block, numbers: __m256i) -> __m256d {
        let places = _mm256_and_si256(numbers, _mm256_set1_epi64x(LANES as i64 - 1));
        // SAFETY: the places are those of the table.
        unsafe { _mm256_i64gather_pd::<8>(table.0.as_ptr(), places) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn pick_of_eight(table: &Block, numbers: __m512i) -> __m512d {
        // SAFETY: a block is aligned for the widest registers.
        _mm512_permutexvar_pd(numbers, unsafe { _mm512_load_pd(table.0.as_ptr()) })
    }

    #[inline]
    #[target_feature(enable = "avx")]
    fn sum_of_two([low, high]: [__m256d; 2]) -> f64 {
        let four = _mm256_add_pd(low, high);
        let two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd::<1>(four));
        _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
    }

    #[inline]
    #[target_feature(enable = "avx,avx512f")]
    fn sum_of_one([all]: [__m512d; 1]) -> f64 {
        sum_of_two([_mm512_castpd512_pd256(all), _mm512_extractf64x4_pd::<1>(all)])
    }
}
