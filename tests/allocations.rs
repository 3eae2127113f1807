//! Scoring allocates nothing: the allocator counts the requests of each thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use upbeat_svm::{Kernel, Machine, Matrix, Scaling, Scorer, Simd};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: all is done by the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations_of(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn score_allocates_nothing_for_any_kernel_width_and_instruction_set() {
    assert_eq!(allocations_of(|| drop(std::hint::black_box(Box::new(1)))), 1, "the allocator counts");
    for kernel in [
        Kernel::Linear,
        Kernel::Rbf { gamma: 0.1 },
        Kernel::Poly { gamma: 0.1, coef0: 1.0, degree: 3 },
        Kernel::Sigmoid { gamma: 0.1, coef0: 0.0 },
    ] {
        for features in [1, 6, 64, 65, 1000] {
            let mut vectors = Matrix::new(features);
            (1..=20).for_each(|i| vectors.push(&vec![f64::from(i) / 20.0; features]));
            // The coefficients cancel out, so that some rows have scores next to 0, which are computed again.
            let coefficients = (0..20).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
            let machine = Machine::from_expansion(kernel, vectors.clone(), coefficients, 0.0);
            let scaling = Scaling { mean: vec![0.5; features], scale: vec![0.3; features] };
            for simd in Simd::available() {
                let scorer = Scorer::compile(&machine, Some(&scaling), None).with_simd(*simd);
                let mut scores = vec![0.0; vectors.len()];
                let near_0 = vec![0.5; features];
                let count = allocations_of(|| {
                    scores[0] = scorer.score(vectors.row(3)) + scorer.score(&near_0);
                    scorer.score_batch(&vectors, &mut scores);
                });
                assert_eq!(count, 0, "{kernel} over {features} features, {simd:?}");
            }
        }
    }
}
