//! Curves over time as an SVG: one panel above the other, each with its own scale.

use std::fmt::Write;

/// One curve.
pub struct Curve<'a> {
    /// What it shows, with its unit.
    pub title: &'a str,
    /// Its values, each with its time in seconds.
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 130.0;
const LEFT: f64 = 70.0;
const GAP: f64 = 40.0;

/// The curves, and `marks`: moments that something happened at, as vertical lines with a word.
pub fn svg(curves: &[Curve<'_>], marks: &[(f64, &str)]) -> String {
    let end = curves.iter().flat_map(|curve| &curve.points).map(|(time, _)| *time).fold(1.0, f64::max);
    let x = |time: f64| LEFT + time / end * (WIDTH - LEFT - 20.0);
    let total = GAP + curves.len() as f64 * (HEIGHT + GAP);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {total}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{total}\" fill=\"white\"/>\n"
    );
    for (number, curve) in curves.iter().enumerate() {
        let top = GAP + number as f64 * (HEIGHT + GAP);
        let most = curve.points.iter().map(|(_, value)| *value).fold(0.0, f64::max).max(1e-9) * 1.1;
        let y = |value: f64| top + HEIGHT - value / most * HEIGHT;
        let _ = writeln!(text, "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"bold\">{}</text>", top - 8.0, curve.title);
        for part in [0.0, 0.5, 1.0] {
            let value = most / 1.1 * part;
            let (at, right) = (y(value), WIDTH - 20.0);
            let _ = writeln!(text, "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>");
            let _ = writeln!(text, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value:.0}</text>", LEFT - 6.0, at + 4.0);
        }
        for (time, word) in marks {
            let at = x(*time);
            let _ = writeln!(text, "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{}\" stroke=\"#e99\"/>", top + HEIGHT);
            if number == 0 {
                let _ = writeln!(text, "<text x=\"{:.1}\" y=\"{}\" fill=\"#c44\" font-size=\"9\">{word}</text>", at + 2.0, top + 9.0);
            }
        }
        let points: Vec<String> = curve.points.iter().map(|(time, value)| format!("{:.1},{:.1}", x(*time), y(*value))).collect();
        let _ = writeln!(text, "<polyline fill=\"none\" stroke=\"#247\" stroke-width=\"1.5\" points=\"{}\"/>", points.join(" "));
        let (bottom, right) = (top + HEIGHT + 14.0, WIDTH - 20.0);
        let _ = writeln!(
            text,
            "<text x=\"{LEFT}\" y=\"{bottom}\">0 s</text><text x=\"{right}\" y=\"{bottom}\" text-anchor=\"end\">{end:.0} s</text>"
        );
    }
    text.push_str("</svg>\n");
    text
}
