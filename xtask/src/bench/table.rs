//! The table of a bench run: rows, what each system measured in each round, medians and ratios.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::{LIMITS, OURS};
use crate::repo::Result;

/// One row, as `bench/main.py --list` describes it.
struct Row {
    name: String,
    unit: String,
    noun: String,
    /// Whether a larger figure is better (a rate) or a smaller one (a time, an amount of memory).
    more_is_better: bool,
    /// Takes long with a peer; runs only when named.
    slow: bool,
    /// The limit that bounds it: the name of a limit row, and what to multiply its figure by to get this row's unit.
    limit: Option<(String, f64)>,
}

/// Rows and figures.
pub struct Table {
    rows: Vec<Row>,
    figures: BTreeMap<(String, String), Vec<f64>>,
}

impl Table {
    /// Reads the list of rows.
    pub fn read(list: &str) -> Result<Self> {
        let list: Value =
            serde_json::from_str(list).map_err(|e| format!("bench/main.py --list is not JSON: {e}"))?;
        let rows = list.as_array().into_iter().flatten().map(|row| {
            let text = |key: &str| {
                row[key].as_str().map(str::to_owned).ok_or_else(|| format!("a row has no `{key}`: {row}"))
            };
            Ok(Row {
                name: text("name")?,
                unit: text("unit")?,
                noun: text("noun")?,
                more_is_better: row["better"] == "more",
                slow: row["slow"] == true,
                limit: row["limit"]
                    .as_str()
                    .map(|name| (name.to_owned(), row["limit_factor"].as_f64().unwrap_or(1.0))),
            })
        });
        Ok(Self { rows: rows.collect::<Result<_>>()?, figures: BTreeMap::new() })
    }

    /// Keeps the rows whose names contain one of `only`; without any, all that are not slow. Limit rows always stay.
    pub fn keep(&mut self, only: &[String]) -> Result {
        self.rows.retain(|row| {
            row.noun == LIMITS
                || if only.is_empty() {
                    !row.slow
                } else {
                    only.iter().any(|part| row.name.contains(part.as_str()))
                }
        });
        match self.nouns().is_empty() {
            false => Ok(()),
            true => Err("no row has such a name; `cargo xtask bench --list` prints them".to_owned()),
        }
    }

    /// The nouns that have rows, in the order of the list, without the limits.
    pub fn nouns(&self) -> Vec<String> {
        let mut nouns: Vec<String> = Vec::new();
        for row in self.rows.iter().filter(|row| row.noun != LIMITS) {
            if !nouns.contains(&row.noun) {
                nouns.push(row.noun.clone());
            }
        }
        nouns
    }

    /// The names of one noun's rows.
    pub fn rows_of(&self, noun: &str) -> Vec<String> {
        self.rows.iter().filter(|row| row.noun == noun).map(|row| row.name.clone()).collect()
    }

    /// Takes one figure of one round.
    pub fn record(&mut self, system: &str, row: &str, value: f64) {
        self.figures.entry((system.to_owned(), row.to_owned())).or_default().push(value);
    }

    /// The rows for which a system gave no figure.
    pub fn lacking(&self, system: &str) -> Vec<String> {
        let rows =
            self.rows.iter().filter(|row| row.noun != LIMITS && self.median(system, &row.name).is_none());
        rows.map(|row| row.name.clone()).collect()
    }

    pub fn print_names(&self) {
        for row in &self.rows {
            let slow = if row.slow { "  (slow: runs only when named)" } else { "" };
            println!("{:13} {}  [{}]{slow}", row.noun, row.name, row.unit);
        }
    }

    /// Prints ours, theirs, the ratio and the limit.
    pub fn print(&self, peer: &str) {
        println!("\n{:58} {:>12} {:>12} {:>8} {:>12}  unit", "row", OURS, peer, "ratio", "limit");
        for line in self.lines(peer) {
            println!(
                "{:58} {:>12} {:>12} {:>8} {:>12}  {}",
                line.row.name,
                figure(line.ours),
                figure(line.peer),
                line.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}×")),
                figure(line.limit),
                line.row.unit,
            );
        }
        println!("\nMedians. A ratio above 1 is where Thornback is better.");
    }

    /// Writes `[{"name","unit","ours","peer","ratio","limit","rounds"}]`.
    pub fn write_json(&self, path: &Path, peer: &str) -> Result {
        let rows: Vec<Value> = self
            .lines(peer)
            .map(|line| {
                json!({
                    "name": line.row.name,
                    "unit": line.row.unit,
                    "ours": line.ours,
                    "peer": line.peer,
                    "ratio": line.ratio,
                    "limit": line.limit,
                    "rounds": line.rounds,
                })
            })
            .collect();
        std::fs::write(path, format!("{:#}\n", Value::from(rows)))
            .map_err(|e| format!("{} cannot be written: {e}", path.display()))
    }

    /// Writes the table as Markdown, below a line that says where and with what it was measured.
    pub fn write_markdown(&self, path: &Path, peer: &str, circumstances: &str) -> Result {
        let mut text = format!(
            "{circumstances}\n\n| row | unit | Thornback | {peer} | ratio | limit | rounds |\n|---|---|--:|--:|--:|--:|--:|\n"
        );
        for line in self.lines(peer) {
            let ratio = line.ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2} ×"));
            let [ours, peer, limit] =
                [line.ours, line.peer, line.limit].map(|value| figure(value).replace('-', "–"));
            let (name, unit, rounds) = (&line.row.name, &line.row.unit, line.rounds);
            let _ = writeln!(text, "| {name} | {unit} | {ours} | {peer} | {ratio} | {limit} | {rounds} |");
        }
        std::fs::write(path, text).map_err(|e| format!("{} cannot be written: {e}", path.display()))
    }

    fn lines(&self, peer: &str) -> impl Iterator<Item = Line<'_>> {
        self.rows.iter().map(move |row| {
            let (system, ours) =
                if row.noun == LIMITS { (LIMITS, None) } else { (OURS, self.median(OURS, &row.name)) };
            let peer = self.median(peer, &row.name);
            let limit = match &row.limit {
                Some((name, factor)) => self.median(LIMITS, name).map(|limit| limit * factor),
                None if row.noun == LIMITS => self.median(LIMITS, &row.name),
                None => None,
            };
            let ratio = match (ours, peer) {
                (Some(ours), Some(peer)) if ours > 0.0 && peer > 0.0 => {
                    Some(if row.more_is_better { ours / peer } else { peer / ours })
                }
                _ => None,
            };
            let rounds = self.figures.get(&(system.to_owned(), row.name.clone())).map_or(0, Vec::len);
            Line { row, ours, peer, ratio, limit, rounds }
        })
    }

    fn median(&self, system: &str, row: &str) -> Option<f64> {
        let mut figures = self.figures.get(&(system.to_owned(), row.to_owned()))?.clone();
        figures.sort_by(f64::total_cmp);
        let upper = *figures.get(figures.len() / 2)?;
        Some(if figures.len() % 2 == 1 {
            upper
        } else {
            f64::midpoint(figures[figures.len() / 2 - 1], upper)
        })
    }
}

/// One row as it is shown.
struct Line<'a> {
    row: &'a Row,
    ours: Option<f64>,
    peer: Option<f64>,
    ratio: Option<f64>,
    limit: Option<f64>,
    rounds: usize,
}

/// Four digits that count, whatever the size.
fn figure(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value.abs() >= 1000.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"[
        {"name": "tasks sync", "unit": "tasks/s", "noun": "tasks", "better": "more", "slow": false, "limit": "echo", "limit_factor": 1.0},
        {"name": "start", "unit": "s", "noun": "runtime", "better": "less", "slow": true, "limit": null, "limit_factor": 1.0},
        {"name": "echo", "unit": "calls/s", "noun": "limits", "better": "more", "slow": false, "limit": null, "limit_factor": 1.0}
    ]"#;

    #[test]
    fn ratios_are_above_one_where_ours_is_better() {
        let mut table = Table::read(LIST).expect("the list above is well-formed");
        for (ours, peer) in [(10.0, 1.0), (30.0, 2.0), (20.0, 4.0)] {
            table.record(OURS, "tasks sync", ours);
            table.record("ray", "tasks sync", peer);
        }
        table.record(OURS, "start", 0.5);
        table.record("ray", "start", 5.0);
        table.record(LIMITS, "echo", 100.0);
        let lines: Vec<Line<'_>> = table.lines("ray").collect();
        assert_eq!((lines[0].ours, lines[0].peer, lines[0].ratio), (Some(20.0), Some(2.0), Some(10.0)));
        assert_eq!((lines[0].limit, lines[0].rounds), (Some(100.0), 3));
        assert_eq!(lines[1].ratio, Some(10.0));
        assert_eq!((lines[2].ours, lines[2].limit), (None, Some(100.0)));
    }

    #[test]
    fn a_row_without_a_peer_has_no_ratio() {
        let mut table = Table::read(LIST).expect("the list above is well-formed");
        table.record(OURS, "tasks sync", 10.0);
        assert!(table.lines("ray").next().is_some_and(|line| line.peer.is_none() && line.ratio.is_none()));
        assert_eq!(table.lacking(OURS), ["start"]);
    }

    #[test]
    fn slow_rows_run_only_when_named() {
        let mut table = Table::read(LIST).expect("the list above is well-formed");
        table.keep(&[]).expect("a row is left");
        assert_eq!(table.nouns(), ["tasks"]);
        let mut table = Table::read(LIST).expect("the list above is well-formed");
        table.keep(&["start".to_owned()]).expect("a row is left");
        assert_eq!(table.nouns(), ["runtime"]);
        assert!(table.keep(&["nonsense".to_owned()]).is_err());
    }
}
