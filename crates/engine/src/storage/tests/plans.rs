//! Campaigns in a random history: several at once, that come, go and change while decisions are made.

use upbeat_core::decision::Reason;
use upbeat_core::event::{DAY_MS, Id};

use super::campaign;
use super::histories::History;
use super::model::{Change, Model};
use crate::campaigns::{NewCampaigns, NotSet, parse};
use crate::ledger::AccountState;
use crate::log::kind;
use crate::{Ask, Decision, Engine, RequestId};

/// What a show costs, and the largest budget of all days, in micro-units; the first campaign has none.
const COST_MICRO: u64 = 10_000;
const MOST_MICRO: u64 = 400_000;

impl History {
    /// A campaign that may run, or one that never does.
    pub fn any_campaign(&mut self) -> Id {
        let names = ["of-budgets", "of-tosses", "of-ghosts", "of-nobody"];
        match self.dice.below(5) {
            0 => campaign().id,
            number => Id::Text(names[number as usize - 1].into()),
        }
    }

    /// A document of up to four campaigns, in any order. Their ads have the ids of the campaigns.
    fn document(&mut self) -> String {
        let dice = &mut self.dice;
        let mut toml = String::new();
        if dice.one_in(3) {
            toml += "holdout_all = 0.1\n";
        }
        if dice.one_in(3) {
            toml += &format!("[[cap]]\nimpressions = {}\nhours = 24\n", 3 + dice.below(30));
        }
        let mut names = vec![campaign().id.to_string()];
        names.extend(["of-budgets", "of-tosses", "of-ghosts"].map(str::to_owned));
        for _ in 0..dice.below(5) {
            let id = names.remove(dice.below(names.len() as u64) as usize);
            let (priority, impressions, paused) = (dice.below(3), 1 + dice.below(20), dice.one_in(6));
            let threshold = if id == "of-tosses" { "1e9" } else { "-1e9" };
            toml += &format!(
                "[[campaign]]\nid = \"{id}\"\nad = \"{id}\"\nmin_plays = 1\npriority = {priority}\npaused = {paused}\n"
            );
            toml += &format!(
                "threshold = {{ score = {threshold} }}\ncaps = [{{ impressions = {impressions}, hours = 24 }}]\n"
            );
            match &*id {
                "of-tosses" => toml += "exploration = 0.5\nholdout = 0.2\n",
                "of-ghosts" => toml += &format!("holdout = 0.{}\n", 1 + dice.below(9)),
                "of-budgets" => {
                    let bill = ["show", "impression"][dice.below(2) as usize];
                    let shows = dice.below(MOST_MICRO / COST_MICRO) + 1;
                    toml += &format!("impression_cost = 0.01\nbill = \"{bill}\"\nreserve = \"5m\"\n");
                    toml += &format!("total_budget = {:.2}\n", shows as f64 / 100.0);
                    if dice.one_in(2) {
                        toml += &format!("daily_budget = {:.2}\n", (shows / 2 + 1) as f64 / 100.0);
                    }
                }
                _ => {}
            }
        }
        if toml.is_empty() { "campaign = []".to_owned() } else { toml }
    }

    /// Runs other campaigns from now on, unless the log is full or has failed.
    pub fn change_campaigns(&mut self) {
        let (toml, from) = (self.document(), self.next());
        let document = parse(&toml).unwrap_or_else(|error| panic!("seed {}: {error}\n{toml}", self.seed));
        let before = self.engine.campaigns();
        let new = NewCampaigns { toml: toml.clone(), document, who: "test".to_owned(), models: Vec::new() };
        match self.engine.set_campaigns(new, self.wall_ms) {
            Ok(version) if version > before.version => {
                let mut slots = before.slots.ids().to_vec();
                let running = self.engine.campaigns();
                for campaign in &running.document.campaign {
                    if !slots.contains(&campaign.id) {
                        slots.push(campaign.id.clone());
                    }
                }
                assert_eq!(version, before.version + 1, "seed {}", self.seed);
                self.note(from, vec![Change::Campaigns(version, Some(toml), slots)]);
            }
            Ok(_) | Err(NotSet::LogUnavailable) => self.note(from, Vec::new()),
            Err(error) => panic!("seed {}: {error}\n{toml}", self.seed),
        }
    }

    /// Asks for a decision, and notes what its records say.
    pub fn decide(&mut self) {
        let (customer, from) = (self.customer(), self.next());
        let request = self.dice.one_in(2).then(|| format!("request {}", self.dice.below(20)));
        let dry_run = self.dice.one_in(5);
        let request_id = request.as_deref().map(|text| RequestId::parse(text).expect("it may be one"));
        let (now_ms, made_ms) = (self.engine.now_ms(self.wall_ms), self.wall_ms);
        let tossed_before = self.tossed(&customer);
        let ask = Ask { dry_run, request_id, preview: None };
        let decision = self.engine.decide(&customer, &ask, made_ms).expect("it is kept");
        let is_new = self.decisions.insert(decision.id);
        let counts = (decision.reason.shows() || decision.reason == Reason::HeldOut) && !dry_run;
        let positions = self.positions_from(from);
        if positions.is_empty() {
            return assert!(!counts || !is_new, "seed {}: an impression without a record", self.seed);
        }
        assert!(is_new, "seed {}: decision {} was given before", self.seed, decision.id);
        assert!(!dry_run, "seed {}: {decision:?} has a record", self.seed);
        let kinds = self.kinds_at(&positions);
        let day = now_ms.div_euclid(DAY_MS).clamp(1, i64::from(u16::MAX)) as u16;
        let changes: Vec<Change> = kinds
            .iter()
            .map(|of| match *of {
                kind::TOSSED => Change::Tossed(customer.clone(), day),
                kind::SHOWN_IN_PLAN | kind::DECIDED_STATE => {
                    let request = request.clone().filter(|_| decision.reason.shows());
                    let (campaign, request) =
                        (self.campaign_of(&decision), request.map(|text| (text, made_ms)));
                    let slot = decision.campaign.map(|slot| slot.0);
                    let (customer, decision) = (customer.clone(), decision.id);
                    Change::Shown { customer, decision, campaign, slot, time_ms: now_ms, request }
                }
                _ => Change::Decided,
            })
            .collect();
        let tossed = changes.iter().filter(|change| matches!(change, Change::Tossed(..))).count();
        let shown = changes.iter().filter(|change| matches!(change, Change::Shown { .. })).count();
        let seed = self.seed;
        assert_eq!(shown, usize::from(counts), "seed {seed}: {decision:?} has {kinds:?}");
        assert!(tossed == 0 || (tossed == 1 && tossed_before != day), "seed {seed}: tossed twice on {day}");
        let explores = decision.reason == Reason::Exploring;
        assert!(!explores || tossed == 1, "seed {seed}: {decision:?} without a toss");
        // Of an ad that was held back nobody says anything.
        if decision.reason.shows() {
            let campaign = self.campaign_of(&decision);
            self.shown.insert((customer, decision.id), campaign);
        }
        self.note(from, changes);
    }

    fn campaign_of(&self, decision: &Decision) -> Id {
        let slot = decision.campaign.expect("it is of one");
        self.engine.campaigns().campaign(slot).expect("it runs").clone()
    }

    /// The day of a customer's last toss, 0 if there was none.
    pub fn tossed(&self, customer: &Id) -> u16 {
        self.engine.customers.with(customer, |held| held.explored_day()).unwrap_or(0)
    }

    /// What the accounts say in money of each day, by the numbers of campaigns. Refusals are left out: those of customers of whom
    /// nothing is known have no record.
    pub fn money(&self) -> Vec<(usize, i32, [i64; 8])> {
        let slots = 0..self.engine.campaigns().slots.ids().len();
        let of = |slot: usize| Some((slot, self.engine.accounts.copy(slot as u16, self.engine.log())?.state));
        let days = |(slot, state): (usize, AccountState)| {
            state.days().iter().map(|day| (slot, day.day, day.sums.amounts())).collect::<Vec<_>>()
        };
        slots.filter_map(of).flat_map(days).filter(|(.., amounts)| *amounts != [0; 8]).collect()
    }

    /// What of the campaigns a recovered engine holds is what the records say.
    pub fn compare_plan(&self, engine: &Engine, model: &Model) {
        let (seed, running) = (self.seed, engine.campaigns());
        assert_eq!((running.version, running.slots.ids()), (model.campaigns.0, &*model.slots), "seed {seed}");
        if let Some(text) = &model.campaigns.1 {
            assert_eq!(&*running.toml, text, "seed {seed}");
        }
        let newest = engine.campaign_history().pop().map(|version| (version.version, version.digest));
        assert_eq!(newest, Some((running.version, running.digest)), "seed {seed}");
        for id in model.customers.keys() {
            let day = engine.customers.with(id, |held| held.explored_day()).unwrap_or(0);
            assert_eq!(day, model.tossed.get(id).copied().unwrap_or(0), "seed {seed}: the toss of {id}");
        }
        // Whatever was lost: nothing is negative, and no more is held, spent and forfeited than the largest budget.
        for (slot, id) in model.slots.iter().enumerate() {
            let Some(account) = engine.accounts.copy(slot as u16, engine.log()) else { continue };
            let days = account.state.days();
            let amounts = days.iter().flat_map(|day| day.sums.amounts());
            assert!(amounts.into_iter().all(|amount| amount >= 0), "seed {seed}: {days:?}");
            let committed = account.state.committed_of_flight();
            let is_bounded = id.to_string() == "of-budgets";
            assert!(!is_bounded || committed <= MOST_MICRO as i64, "seed {seed}: {committed} of {days:?}");
        }
    }
}
