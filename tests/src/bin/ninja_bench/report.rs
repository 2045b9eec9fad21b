//! What was found: a table for people, ratios first, and everything as JSON.

use serde_json::{Value, json};

/// The same figure of several rounds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// Makes samples of one figure that was measured once.
    pub(crate) fn one(value: f64) -> Self {
        Self(vec![value])
    }

    /// Adds a round's figure.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// Returns the median; 0 where there is none.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        match sorted.len() {
            0 => 0.0,
            len if len % 2 == 1 => at(len / 2),
            len => f64::midpoint(at(len / 2 - 1), at(len / 2)),
        }
    }

    fn text(&self) -> String {
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match self.0.len() {
            0 => "–".to_owned(),
            1 => number(self.median()),
            _ => format!("{} ({}–{})", number(self.median()), number(least), number(most)),
        }
    }
}

/// What a figure is held against.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bar {
    /// Ninja's share of the floor's figure.
    RatioAtLeast(f64),
    /// Ninja's own figure.
    AtMost(f64),
}

/// One line.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    name: String,
    unit: &'static str,
    ninja: Samples,
    floor: Samples,
    bar: Option<Bar>,
}

impl Figure {
    /// Makes a line that compares with the floor, round by round.
    pub(crate) fn ratio(name: String, unit: &'static str, ninja: &Samples, floor: &Samples) -> Self {
        Self { name, unit, ninja: ninja.clone(), floor: floor.clone(), bar: None }
    }

    /// Makes a line that has no floor.
    pub(crate) fn alone(name: impl Into<String>, unit: &'static str, ninja: Samples) -> Self {
        Self { name: name.into(), unit, ninja, floor: Samples::default(), bar: None }
    }

    /// Holds it against a bar.
    pub(crate) fn with_bar(mut self, bar: Bar) -> Self {
        self.bar = Some(bar);
        self
    }

    fn share(&self) -> Option<f64> {
        let rounds = self.ninja.0.iter().zip(&self.floor.0).filter(|(_, floor)| **floor > 0.0);
        let shares = Samples(rounds.map(|(ninja, floor)| ninja / floor).collect());
        (!shares.0.is_empty()).then(|| shares.median())
    }

    fn is_met(&self) -> Option<bool> {
        Some(match self.bar? {
            Bar::RatioAtLeast(least) => self.share()? >= least,
            Bar::AtMost(most) => self.ninja.median() <= most,
        })
    }

    fn row(&self) -> String {
        let share = self.share().map_or("–".to_owned(), |share| format!("{share:.2}"));
        let verdict = match self.is_met() {
            Some(true) => "met: ",
            Some(false) => "missed: ",
            None => "",
        };
        let bar = match self.bar {
            Some(Bar::RatioAtLeast(least)) => format!("ratio ≥ {least:.2}"),
            Some(Bar::AtMost(most)) => format!("≤ {} {}", number(most), self.unit),
            None => "–".to_owned(),
        };
        format!(
            "| {} | {share} | {verdict}{bar} | {} | {} | {} |\n",
            self.name,
            self.ninja.text(),
            self.floor.text(),
            self.unit
        )
    }

    fn json(&self) -> Value {
        let bar = self.bar.map(|bar| match bar {
            Bar::RatioAtLeast(least) => json!({ "ratio_at_least": least }),
            Bar::AtMost(most) => json!({ "at_most": most }),
        });
        json!({
            "name": self.name, "unit": self.unit, "ratio": self.share(), "bar": bar, "met": self.is_met(),
            "ninja": { "median": self.ninja.median(), "rounds": self.ninja.0 },
            "floor": { "median": self.floor.median(), "rounds": self.floor.0 },
        })
    }
}

fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Every line, and what it was measured on.
pub(crate) struct Report {
    machine: Value,
    quick: bool,
    figures: Vec<Figure>,
}

impl Report {
    /// Begins a report.
    pub(crate) fn new(machine: Value, quick: bool) -> Self {
        Self { machine, quick, figures: Vec::new() }
    }

    /// Adds a line.
    pub(crate) fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// Returns the table.
    pub(crate) fn markdown(&self) -> String {
        let mut out = "| what | Ninja / floor | bar | Ninja | floor | unit |\n|---|---|---|---|---|---|\n".to_owned();
        out.extend(self.figures.iter().map(Figure::row));
        let fact =
            |name: &str| self.machine.get(name).map(|value| value.to_string().replace('"', "")).unwrap_or_default();
        out.push_str(&format!(
            "\nMedians over rounds in turns (least–most). {}, {} cores, Linux {}, {}, load {} at start, {}{}.\n",
            fact("cpu"),
            fact("cores"),
            fact("kernel"),
            fact("file_system"),
            fact("load_at_start"),
            fact("date"),
            if self.quick { ", the quick form" } else { "" },
        ));
        out
    }

    /// Returns everything.
    pub(crate) fn json(&self) -> Value {
        let figures: Vec<Value> = self.figures.iter().map(Figure::json).collect();
        json!({ "machine": self.machine, "quick": self.quick, "figures": figures })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_rounds_and_bars_say_how_they_were_met() {
        let (ninja, floor) = (Samples(vec![50.0, 10.0, 60.0]), Samples(vec![100.0, 100.0, 100.0]));
        let figure =
            |least| Figure::ratio("steps/s".to_owned(), "1/s", &ninja, &floor).with_bar(Bar::RatioAtLeast(least));
        assert_eq!(
            figure(0.5).row(),
            "| steps/s | 0.50 | met: ratio ≥ 0.50 | 50.0 (10.0–60.0) | 100 (100–100) | 1/s |\n"
        );
        assert_eq!(figure(0.6).is_met(), Some(false));
        let alone = Figure::alone("idle memory", "MB", Samples::one(41.0)).with_bar(Bar::AtMost(40.0));
        assert_eq!(alone.row(), "| idle memory | – | missed: ≤ 40.0 MB | 41.0 | – | MB |\n");
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(Samples(vec![4.0, 1.0, 3.0, 2.0]).median().to_string(), "2.5");
        assert_eq!(Samples::default().median().to_string(), "0");
    }
}
