//! Measurements, and how they are printed.

use std::time::Duration;

/// The times of one row.
pub(crate) struct Row {
    name: &'static str,
    times: Vec<Duration>,
}

impl Row {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, times: Vec::new() }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn add(&mut self, time: Duration) {
        self.times.push(time);
    }

    fn sorted(&self) -> Vec<f64> {
        let mut times: Vec<_> = self.times.iter().map(Duration::as_secs_f64).collect();
        times.sort_unstable_by(f64::total_cmp);
        times
    }

    /// Returns the shortest time: what the work costs when nothing disturbs it.
    pub(crate) fn min(&self) -> f64 {
        self.sorted()[0]
    }

    pub(crate) fn median(&self) -> f64 {
        let times = self.sorted();
        times[times.len() / 2]
    }
}

/// A unit, and how many of it make a second.
pub(crate) type Unit = (&'static str, f64);

pub(crate) const MILLISECONDS: Unit = ("ms", 1e3);
pub(crate) const MICROSECONDS: Unit = ("µs", 1e6);

/// Prints rows as a Markdown table. A reference is a row by whose median the others are divided,
/// since calls were made in turn; its text is the head of that column.
pub(crate) fn print(head: &str, (unit, second): Unit, rows: &[&Row], references: &[(&str, &Row)]) {
    print!("| {head} | min {unit} | median {unit} |");
    references.iter().for_each(|(head, _)| print!(" {head} |"));
    print!("\n|---|---:|---:|");
    references.iter().for_each(|_| print!("---:|"));
    println!();
    for row in rows {
        print!("| {} | {:.2} | {:.2} |", row.name, row.min() * second, row.median() * second);
        for (_, reference) in references {
            print!(" {:.2} |", row.median() / reference.median());
        }
        println!();
    }
    println!();
}
