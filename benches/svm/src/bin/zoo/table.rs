//! The page: what came of each set and of each machine, and every case that failed; and all cases as CSV.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::case::{Case, Reply};
use crate::peers::Peer;
use crate::run::{folder, kept_of};
use crate::sets::{SETS, Set};
use crate::verdict::{Judged, Verdict};

const COUNTS: &str =
    "cases | within 1e-3 | lower | alone | refused | neither | failed | highest objective | time";

/// Writes the page to this file, and all cases to target/zoo/cases.csv.
pub fn write(file: &str) -> Result<(), String> {
    let mut all = Vec::new();
    for set in SETS {
        all.push((set, kept_of(set)?));
    }
    let flat: Vec<&Judged> = all.iter().flat_map(|(_, judged)| judged).collect();
    if flat.is_empty() {
        return Err(format!("nothing is kept in {}; run zoo first", folder().display()));
    }
    let put = |path: &Path, text: &str| fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()));
    put(&folder().join("cases.csv"), &list(&flat))?;
    put(Path::new(file), &page(&all, &flat))
}

fn page(all: &[(&Set, Vec<Judged>)], flat: &[&Judged]) -> String {
    let mut page = include_str!("page.md").to_owned();
    let versions: Vec<String> = [("libSVM", Peer::Libsvm), ("LIBLINEAR", Peer::Liblinear(1))]
        .into_iter()
        .map(|(name, peer)| {
            format!("{name} {}", peer.version().map_or_else(|error| error, |v| v.to_string()))
        })
        .collect();
    let limits: BTreeSet<u64> = flat.iter().flat_map(|judged| limits(judged)).collect();
    let stopped = match (limits.first(), limits.last()) {
        (Some(least), Some(most)) if least < most => {
            format!(", stopped after {least} to {most} s of CPU time")
        }
        (Some(limit), _) => format!(", stopped after {limit} s of CPU time"),
        _ => String::new(),
    };
    let runs = all.iter().filter(|(_, judged)| !judged.is_empty()).count();
    writeln!(page, "{} cases of {runs} sets; {}{stopped}.\n", flat.len(), versions.join(", ")).unwrap();

    page.push_str("## By set\n\n");
    header(&mut page, "set | rows × features, positives");
    for (set, judged) in all.iter().filter(|(_, judged)| !judged.is_empty()) {
        let data = set.data(judged[0].case.seed);
        let positives = data.positive.iter().filter(|&&positive| positive).count();
        let shape = format!("{} × {}, {positives}", data.rows.len(), data.columns);
        let name = format!("`{}`: {} | {shape}", set.name, set.about);
        counts(&mut page, &name, &judged.iter().collect::<Vec<_>>());
    }
    page.push_str("\n## By machine\n\n");
    header(&mut page, "machine");
    let mut machines: Vec<(String, Vec<&Judged>)> = Vec::new();
    for judged in flat {
        let name = judged.case.machine_name();
        match machines.iter_mut().find(|(known, _)| *known == name) {
            Some((_, list)) => list.push(judged),
            None => machines.push((name, vec![judged])),
        }
    }
    machines.iter().for_each(|(name, judged)| counts(&mut page, name, judged));
    failures(&mut page, flat);
    refusals(&mut page, flat);
    page
}

fn header(page: &mut String, first: &str) {
    let columns = first.split('|').count();
    writeln!(page, "| {first} | {COUNTS} |").unwrap();
    writeln!(page, "|{}{}", "---|".repeat(columns), "--:|".repeat(COUNTS.split('|').count())).unwrap();
}

/// A row of a table.
fn counts(page: &mut String, name: &str, judged: &[&Judged]) {
    let of = |verdict: Verdict| judged.iter().filter(|one| one.verdict == verdict).count();
    let failed = judged.iter().filter(|one| one.failed()).count();
    let worst = judged.iter().filter_map(|one| one.excess).reduce(f64::max);
    let mut ratios: Vec<f64> = judged.iter().filter_map(|one| one.time_ratio).collect();
    ratios.sort_by(f64::total_cmp);
    let times = match ratios.as_slice() {
        [] => "–".to_owned(),
        [first, .., last] => {
            format!("{} {} {}", short(*first), short(ratios[ratios.len() / 2]), short(*last))
        }
        [one] => short(*one),
    };
    let failed = if failed > 0 { format!("**{failed}**") } else { "0".to_owned() };
    let worst = worst.map_or_else(|| "–".to_owned(), |worst| format!("{worst:+.0e}"));
    let total = judged.len();
    let [ok, better, alone] = [Verdict::Ok, Verdict::Better, Verdict::Alone].map(of);
    let [refused, neither] = [Verdict::Refused, Verdict::Neither].map(of);
    writeln!(
        page,
        "| {name} | {total} | {ok} | {better} | {alone} | {refused} | {neither} | {failed} | {worst} | {times} |"
    )
    .unwrap();
}

fn failures(page: &mut String, flat: &[&Judged]) {
    let failed: Vec<&&Judged> = flat.iter().filter(|judged| judged.failed()).collect();
    writeln!(page, "\n## Failures\n").unwrap();
    if failed.is_empty() {
        page.push_str("None.\n");
        return;
    }
    page.push_str("| set | machine | C | verdict | objective | gap | time | of the peer's |\n|---|---|--:|---|--:|--:|--:|--:|\n");
    for one in failed {
        let number =
            |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.1e}"));
        let Case { set, c, .. } = &one.case;
        let time = one.seconds().map_or_else(|| "–".to_owned(), |seconds| format!("{seconds:.3} s"));
        writeln!(
            page,
            "| `{set}` | {} | {c:.0e} | {} | {} | {} | {time} | {} |",
            one.case.machine_name(),
            one.verdict.name(),
            number(one.excess),
            number(one.gap),
            one.time_ratio.map_or_else(|| "–".to_owned(), short),
        )
        .unwrap();
    }
}

fn refusals(page: &mut String, flat: &[&Judged]) {
    let mut messages: BTreeMap<&str, (usize, Vec<&str>)> = BTreeMap::new();
    for judged in flat {
        if let Reply::Refused { message } = &judged.ours {
            let entry = messages.entry(message).or_default();
            entry.0 += 1;
            if !entry.1.contains(&judged.case.set.as_str()) {
                entry.1.push(&judged.case.set);
            }
        }
    }
    page.push_str("\n## Refusals\n\n");
    if messages.is_empty() {
        page.push_str("None.\n");
        return;
    }
    page.push_str("| cases | sets | the error |\n|--:|---|---|\n");
    for (message, (count, sets)) in messages {
        writeln!(page, "| {count} | {} | {} |", sets.join(", "), message.replace('|', "\\|")).unwrap();
    }
}

/// Every case as a line of CSV.
fn list(flat: &[&Judged]) -> String {
    let mut text =
        "set,seed,machine,loss,bias,c,verdict,excess,gap,seconds,time_ratio,primal,dual\n".to_owned();
    for one in flat {
        let Case { set, seed, machine, penalty, regularised, c } = &one.case;
        let bias = if *regularised { "regularised" } else { "free" };
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:e}"));
        let (primal, dual) = match &one.ours {
            Reply::Solved { objective, .. } => (Some(objective.primal), objective.dual),
            _ => (None, None),
        };
        writeln!(
            text,
            "{set},{seed},{machine:?},{penalty:?},{bias},{c:e},{},{},{},{},{},{},{}",
            one.verdict.name(),
            number(one.excess),
            number(one.gap),
            number(one.seconds()),
            number(one.time_ratio),
            number(primal),
            number(dual),
        )
        .unwrap();
    }
    text
}

/// The limits of those that were stopped; a peer's result may be kept from a run with another one.
fn limits(judged: &Judged) -> impl Iterator<Item = u64> {
    let replies = judged.peers.iter().map(|(_, reply)| reply).chain([&judged.ours]);
    replies.filter_map(|reply| if let Reply::Unfinished { limit_s } = reply { Some(*limit_s) } else { None })
}

/// Two digits.
fn short(ratio: f64) -> String {
    if ratio >= 10.0 {
        format!("{ratio:.0}")
    } else if ratio >= 1.0 {
        format!("{ratio:.1}")
    } else {
        format!("{ratio:.2}")
    }
}
