//! Plots lines on logarithmic axes, as an SVG that is legible on light and dark pages.

use std::fmt::Write;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 520.0;
/// The margins: left, right (for the labels), top, bottom.
const MARGIN: [f64; 4] = [72.0, 262.0, 56.0, 56.0];
/// The least distance between labels.
const SPACING: f64 = 18.0;

/// Colours that people with any colour vision can distinguish, on light and dark backgrounds.
const COLOURS: [[&str; 2]; 6] = [
    ["#b3440a", "#ff9e64"],
    ["#0b62a8", "#6cb6ff"],
    ["#5b3ea8", "#b9a1ff"],
    ["#55606b", "#a9b4bf"],
    ["#1a7f5a", "#5fd3a6"],
    ["#8a6d00", "#e0c34a"],
];

const STYLE: &str = "
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  text { stroke: #ffffff; stroke-width: 4; stroke-linejoin: round; paint-order: stroke }
  .title { font-size: 16px; font-weight: 600 }
  .ground { fill: #ffffff }
  .grid { stroke: #d8dee4; stroke-width: 1 }
  .line { fill: none; stroke-width: 2.5 }
  .dashed { stroke-dasharray: 6 4 }
";

const DARK: &str = "
    text { fill: #e6edf3; stroke: #0d1117 }
    .ground { fill: #0d1117 }
    .grid { stroke: #30363d }
";

/// A line with its name at its end.
pub(crate) struct Line {
    pub(crate) label: String,
    /// A number below 6; related lines share a colour.
    pub(crate) colour: usize,
    pub(crate) dashed: bool,
    /// With increasing x; all above 0.
    pub(crate) points: Vec<(f64, f64)>,
}

/// A picture of lines.
pub(crate) struct Plot {
    pub(crate) title: &'static str,
    pub(crate) x: &'static str,
    pub(crate) y: &'static str,
    pub(crate) lines: Vec<Line>,
}

/// An axis: whole decades, and where they start and end in the picture.
struct Axis {
    decades: [i32; 2],
    pixels: [f64; 2],
}

impl Axis {
    fn new(values: impl Iterator<Item = f64> + Clone, pixels: [f64; 2]) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min).log10().floor() as i32;
        let high = values.fold(0.0, f64::max).log10().ceil() as i32;
        Self { decades: [low, high.max(low + 1)], pixels }
    }

    fn at(&self, value: f64) -> f64 {
        let [low, high] = self.decades.map(f64::from);
        let [from, to] = self.pixels;
        from + (value.log10() - low) / (high - low) * (to - from)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        (self.decades[0]..=self.decades[1]).map(|decade| 10_f64.powi(decade))
    }
}

impl Plot {
    /// Returns the picture.
    pub(crate) fn svg(&self) -> String {
        let [left, right, top, bottom] =
            [MARGIN[0], WIDTH - MARGIN[1], MARGIN[2], HEIGHT - MARGIN[3]];
        let points = self.lines.iter().flat_map(|line| &line.points);
        let x = Axis::new(points.clone().map(|point| point.0), [left, right]);
        let y = Axis::new(points.map(|point| point.1), [bottom, top]);
        let mut svg = format!(
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{}'>\n<style>{STYLE}",
            self.title
        );
        let colours = |which: usize| {
            let rule = |(number, pair): (usize, &[&str; 2])| {
                format!(
                    "  path.c{number} {{ stroke: {0} }} text.c{number} {{ fill: {0} }}\n",
                    pair[which]
                )
            };
            COLOURS.iter().enumerate().map(rule).collect::<String>()
        };
        let (light, dark) = (colours(0), colours(1));
        let _ = write!(
            svg,
            "{light}  @media (prefers-color-scheme: dark) {{{DARK}{dark}  }}\n</style>\n"
        );
        let _ = writeln!(svg, "<rect class='ground' width='{WIDTH}' height='{HEIGHT}' rx='6'/>");
        let _ = writeln!(svg, "<text class='title' x='{left}' y='30'>{}</text>", self.title);
        for tick in x.ticks() {
            let at = x.at(tick);
            let _ = writeln!(
                svg,
                "<path class='grid' d='M{at:.1} {top}V{bottom}'/><text x='{at:.1}' y='{:.1}' text-anchor='middle'>{}</text>",
                bottom + 20.0,
                number(tick)
            );
        }
        for tick in y.ticks() {
            let at = y.at(tick);
            let _ = writeln!(
                svg,
                "<path class='grid' d='M{left} {at:.1}H{right}'/><text x='{:.1}' y='{:.1}' text-anchor='end'>{}</text>",
                left - 8.0,
                at + 4.0,
                number(tick)
            );
        }
        let _ = writeln!(
            svg,
            "<text x='{:.1}' y='{:.1}' text-anchor='middle'>{}</text>",
            (left + right) / 2.0,
            HEIGHT - 14.0,
            self.x
        );
        let _ = writeln!(
            svg,
            "<text transform='translate(20 {:.1}) rotate(-90)' text-anchor='middle'>{}</text>",
            (top + bottom) / 2.0,
            self.y
        );
        for line in self.lines.iter().filter(|line| !line.points.is_empty()) {
            let path: Vec<_> = line
                .points
                .iter()
                .map(|point| format!("{:.1} {:.1}", x.at(point.0), y.at(point.1)))
                .collect();
            let dashed = if line.dashed { " dashed" } else { "" };
            let _ = writeln!(
                svg,
                "<path class='line c{}{dashed}' d='M{}'/>",
                line.colour,
                path.join("L")
            );
        }
        self.labels(&mut svg, &x, &y);
        svg.push_str("</svg>\n");
        svg
    }

    /// Writes each line's name at its end, moved down where two would overlap.
    fn labels(&self, svg: &mut String, x: &Axis, y: &Axis) {
        let ends = self.lines.iter().filter_map(|line| {
            let end = line.points.last()?;
            Some((x.at(end.0) + 8.0, y.at(end.1) + 4.0, line))
        });
        let mut ends: Vec<_> = ends.collect();
        ends.sort_unstable_by(|one, other| one.1.total_cmp(&other.1));
        let mut last: Option<(f64, f64)> = None;
        for (x, mut y, line) in ends {
            if let Some((_, above)) = last.filter(|(before, _)| *before == x) {
                y = y.max(above + SPACING);
            }
            last = Some((x, y));
            let _ = writeln!(
                svg,
                "<text class='c{}' x='{x:.1}' y='{y:.1}'>{}</text>",
                line.colour, line.label
            );
        }
    }
}

/// Writes a tick: `10,000`, `0.1`.
fn number(value: f64) -> String {
    let text = value.to_string();
    if value >= 1000.0 {
        format!("{},{}", &text[..text.len() - 3], &text[text.len() - 3..])
    } else {
        text
    }
}
