//! A thread's sign of life, asked for now and then: the thread looks in each round of its work whether one is wanted, and
//! answers. That costs it a load where none is.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// How often somebody has asked, and up to which of these the thread has answered.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    asked: AtomicU64,
    answered: AtomicU64,
    progress: Notify,
}

/// The thread has ended in order: it need not answer any more.
const ENDED: u64 = u64::MAX;

impl Pulse {
    /// Answers whoever asks; for the thread, in each round.
    pub(super) fn answer(&self) {
        let asked = self.asked.load(Ordering::Acquire);
        if asked != self.answered.load(Ordering::Relaxed) {
            self.answered.store(asked, Ordering::Release);
            self.progress.notify_one();
        }
    }

    /// The thread ends in order.
    pub(super) fn end(&self) {
        self.answered.store(ENDED, Ordering::Release);
        self.progress.notify_one();
    }

    /// Resolves when the thread, which `wake` wakes, has done a round that began after this. One at a time may ask.
    pub(super) async fn ask(&self, wake: impl FnOnce()) {
        let number = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        wake();
        while self.answered.load(Ordering::Acquire) < number {
            self.progress.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn answer_of_a_round_before_the_question_is_none_to_it() {
        let pulse = Pulse::default();
        let mut context = Context::from_waker(Waker::noop());
        pulse.answer();
        {
            let mut given_up = pin!(pulse.ask(|| ()));
            assert_eq!(given_up.as_mut().poll(&mut context), Poll::Pending);
        }
        // It comes late, and leaves word for whoever asks next.
        pulse.answer();
        let mut asked = pin!(pulse.ask(|| ()));
        assert_eq!(asked.as_mut().poll(&mut context), Poll::Pending);
        pulse.answer();
        assert_eq!(asked.as_mut().poll(&mut context), Poll::Ready(()));
        pulse.end();
        assert_eq!(pin!(pulse.ask(|| ())).as_mut().poll(&mut context), Poll::Ready(()));
    }
}
