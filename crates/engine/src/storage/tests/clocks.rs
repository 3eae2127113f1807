//! Directories whose servers take different clocks for *now*.

use upbeat_core::event::{DAY_MS, Id};
use upbeat_journal::disk::simulated::SimulatedDisk;

use super::{WALL_MS, campaign, memories, opened, play, settings, showing_with};
use crate::{Clock, Engine};

/// An engine with this clock on what is left of the disk, with a snapshot that is written after `change`.
fn life(disk: &SimulatedDisk, clock: Clock, seed: u64, change: impl FnOnce(&Engine)) -> Engine {
    let mut campaign = campaign();
    campaign.cap.impressions = 1;
    let engine = showing_with(settings(clock), &campaign);
    let opened = opened(&engine, disk, memories(1, 32 << 10), 1, seed);
    let (mut writer, mut snapshotter) = (opened.writer, opened.snapshotter);
    change(&engine);
    let written = snapshotter.write(&engine, &mut |_| writer.step().is_ok());
    assert!(matches!(written, Ok(Some(_))), "{written:?}");
    disk.kill();
    engine
}

#[test]
fn kept_clock_of_events_is_no_now_for_the_wall_clock() {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let newest_ms = WALL_MS - 2 * DAY_MS;
    life(&disk, Clock::Event, 1, |engine| {
        for customer in [1, 2] {
            engine.apply(play(customer, 1, newest_ms), WALL_MS).expect("it is taken");
        }
    });
    let customer = Id::Number(1);
    life(&disk, Clock::Wall, 2, |engine| {
        assert_eq!((engine.now_ms(WALL_MS), engine.event_clock().now_ms), (WALL_MS, None));
        assert!(engine.decide_once(&customer, false, WALL_MS).reason.shows());
        let shown = engine.profile(&customer).expect("a profile");
        let times: Vec<_> = shown.impressions().map(|impression| impression.time.unix_ms).collect();
        assert_eq!(times, [WALL_MS]);
    });
    // A directory is compacted by an engine with the clock of events, whatever its server has.
    let compacting = life(&disk, Clock::Event, 3, |_| {});
    assert_eq!(compacting.now_ms(WALL_MS), newest_ms, "it is kept meanwhile");
    life(&disk, Clock::Wall, 4, |engine| {
        let later_ms = WALL_MS + DAY_MS / 2;
        assert!(!engine.decide_once(&customer, false, later_ms).reason.shows(), "the cap holds for a day");
        assert!(engine.decide_once(&customer, false, later_ms + DAY_MS).reason.shows(), "and no longer");
    });
}
