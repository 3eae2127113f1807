//! Caps where shows were given back.

use super::*;
use crate::campaign::CapRule;

/// A player that gives every ad back pushes those that were heard out of the history.
#[test]
fn cap_holds_although_voided_shows_have_pushed_out_those_that_were_heard() {
    let plan = plan_of(&of(vec![Campaign {
        caps: vec![CapRule { impressions: 2, hours: Some(24), days: None }],
        ..campaign("a")
    }]));
    let known = [id("a")];
    let mut profile = Profile::default();
    let mut show = |decision: u64, before_ms: i64| {
        let time = Time::from_unix_ms(NOW_MS - before_ms);
        profile.count_decided_impression(DecisionId(decision), id("a"), time, &bounds(&known));
        if decision >= 2 {
            let kind = EventKind::Void { decision: DecisionId(decision) };
            let (customer, event_id) = (Id::Number(48), Id::Number(decision));
            profile.apply(crate::event::Event { customer, id: event_id, time, kind }, &bounds(&known));
        }
        decided(&plan, &profile).reason
    };
    assert_eq!(show(0, 100 * MINUTE_MS), Reason::LikelyToClick);
    assert_eq!(show(1, 99 * MINUTE_MS), Reason::Capped);
    for decision in 2..70 {
        assert_eq!(show(decision, (90 - decision as i64) * MINUTE_MS), Reason::Capped, "{decision}");
    }
    assert_eq!(profile.impressions().count(), 0, "nothing that was heard is kept");
    let traces = explained::explained(&plan, &profile, &[Live::UNBOUNDED]);
    let cap = traces[0].rules.iter().find(|rule| rule.rule == Rule::Cap).expect("it has a cap");
    assert!(!cap.passed && cap.until_ms.is_some(), "it is explained as it is decided: {cap:?}");
}
