//! What is known of the ads that a customer was shown and clicked.

use super::{Click, Digest, Impression, Profile};
use crate::event::{DecisionId, Id};

impl Profile {
    /// The digest of the ad history; `None` where there is none, and no membership change but one.
    #[inline]
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.extras.as_deref().map(|extras| &extras.digest)
    }

    /// The newest time of an impression, a click or a rise of the customer's level that rules of campaigns ask for, in Unix
    /// milliseconds; `None` if there is none.
    #[must_use]
    pub fn history_ms(&self) -> Option<i64> {
        let digest_ms = self.digest().map(Digest::newest_ms).filter(|newest_ms| *newest_ms > i64::MIN);
        digest_ms.max(self.upgraded_ms())
    }

    /// Makes the digest that of what is kept now.
    pub(super) fn renew_digest(&mut self) {
        let upgraded_ms = self.listed_upgrade_ms();
        if let Some(extras) = &mut self.extras {
            let (impressions, clicks) = (extras.impressions.as_slice(), extras.clicks.as_slice());
            extras.digest = Digest::new(impressions, clicks, upgraded_ms);
        }
    }

    /// The last impressions, oldest first: at least the last [`AD_HISTORY_LIMIT`](super::AD_HISTORY_LIMIT) of each known
    /// campaign, and of all others together, if there were that many. An event that reports an impression and confirms a
    /// decision is one; what was given back is none.
    pub fn impressions(&self) -> impl DoubleEndedIterator<Item = &Impression> {
        self.extras.iter().flat_map(|extras| extras.impressions.counted())
    }

    /// Those impressions and the ones that were given back, oldest first: all of which something is known.
    pub fn held_impressions(&self) -> impl DoubleEndedIterator<Item = &Impression> {
        self.kept_impressions().iter().filter(|impression| impression.counts() || impression.is_voided())
    }

    /// How many of a campaign's impressions are later than `after_ms` (Unix milliseconds), of those kept: exact below
    /// [`AD_HISTORY_LIMIT`](super::AD_HISTORY_LIMIT). Those that were given back do not count, unless the decisions of that
    /// time are that many with them: the history may have dropped one that counts then.
    #[must_use]
    pub fn impressions_after(&self, campaign: &Id, after_ms: i64) -> usize {
        self.ad_history().map_or(0, |history| history.count_after(after_ms, |of| of.campaign == *campaign))
    }

    /// How many impressions of all campaigns are later than `after_ms` (Unix milliseconds), as
    /// [`Profile::impressions_after`] counts them.
    #[must_use]
    pub fn all_impressions_after(&self, after_ms: i64) -> usize {
        self.ad_history().map_or(0, |history| history.count_after(after_ms, |_| true))
    }

    /// The impression of a decision, voided or not; `None` if it is not kept.
    #[must_use]
    pub fn impression_of(&self, decision: DecisionId) -> Option<&Impression> {
        self.ad_history()?.of_decision(decision)
    }

    /// The last clicks, oldest first; at most [`AD_HISTORY_LIMIT`](super::AD_HISTORY_LIMIT).
    #[must_use]
    pub fn clicks(&self) -> &[Click] {
        self.extras.as_deref().map_or(&[], |extras| extras.clicks.as_slice())
    }
}

#[cfg(test)]
mod tests;
