//! The loss of a run as a picture: training loss with its smoothed course, and validation loss. The picture is SVG
//! with real text, on white, in two colours that also differ in brightness.

use super::ReportError;
use crate::file::atomic::write_bytes;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use std::path::Path;

const SIZE: (u32, u32) = (900, 540);
const TRAINING: RGBColor = RGBColor(31, 119, 180);
const VALIDATION: RGBColor = RGBColor(192, 57, 43);
/// More points than the picture has columns are averaged.
const MOST_POINTS: usize = 800;
/// Losses that span more than this factor are drawn on a logarithmic axis.
const LOGARITHMIC_FROM: f64 = 50.0;

/// The course of a loss.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// What is written above.
    pub title: String,
    /// Step and training loss.
    pub train: Vec<(u64, f64)>,
    /// Step and validation loss.
    pub validation: Vec<(u64, f64)>,
}

type Points = Vec<(f64, f64)>;

impl Curve {
    /// The picture as SVG. Losses that are not finite are left out.
    pub fn to_svg(&self) -> Result<String, ReportError> {
        let (train, validation) = (thinned(&self.train), thinned(&self.validation));
        let all = || train.iter().chain(&validation);
        let steps = spread(all().map(|point| point.0)).unwrap_or((0.0, 1.0));
        let losses = spread(all().map(|point| point.1)).unwrap_or((0.0, 1.0));
        let mut svg = String::new();
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let drawn = if losses.0 > 0.0 && losses.1 / losses.0 > LOGARITHMIC_FROM {
            let axis = (losses.0 * 0.9..losses.1 * 1.1).log_scale();
            self.draw(&root, steps, axis, &train, &validation)
        } else {
            let margin = ((losses.1 - losses.0) * 0.05).max(losses.1.abs() * 1e-6).max(1e-9);
            self.draw(&root, steps, losses.0 - margin..losses.1 + margin, &train, &validation)
        };
        drawn.map_err(|error| {
            ReportError::in_options("report::curve", format!("the loss curve cannot be drawn: {error}"))
        })?;
        drop(root);
        Ok(svg)
    }

    /// Writes the picture; the file appears whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), ReportError> {
        write_bytes(path, self.to_svg()?.as_bytes())
    }

    fn draw<'a, Axis>(
        &self,
        root: &DrawingArea<SVGBackend<'a>, plotters::coord::Shift>,
        steps: (f64, f64),
        losses: Axis,
        train: &Points,
        validation: &Points,
    ) -> Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>
    where
        Axis: AsRangedCoord<Value = f64>,
        Axis::CoordDescType: ValueFormatter<f64>,
    {
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(root)
            .caption(&self.title, ("sans-serif", 22))
            .margin(12)
            .margin_right(24)
            .x_label_area_size(46)
            .y_label_area_size(72)
            .build_cartesian_2d(steps.0..steps.1.max(steps.0 + 1.0), losses)?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc("step").y_desc("loss").axis_desc_style(("sans-serif", 18));
        mesh.label_style(("sans-serif", 16)).max_light_lines(0).bold_line_style(BLACK.mix(0.12));
        mesh.x_label_formatter(&|step| format!("{step:.0}"))
            .y_label_formatter(&|loss| short(*loss))
            .draw()?;
        if !train.is_empty() {
            chart.draw_series(LineSeries::new(train.iter().copied(), TRAINING.mix(0.3)))?;
            let line = LineSeries::new(smoothed(train), TRAINING.stroke_width(2));
            chart.draw_series(line)?.label("training").legend(|at| key(at, TRAINING));
        }
        if !validation.is_empty() {
            let line = LineSeries::new(validation.iter().copied(), VALIDATION.stroke_width(2)).point_size(3);
            chart.draw_series(line)?.label("validation").legend(|at| key(at, VALIDATION));
        }
        if !(train.is_empty() && validation.is_empty()) {
            let mut labels = chart.configure_series_labels();
            labels.position(SeriesLabelPosition::UpperRight).label_font(("sans-serif", 16));
            labels.background_style(WHITE.mix(0.85)).border_style(BLACK.mix(0.3)).draw()?;
        }
        root.present()
    }
}

/// The line in the legend.
fn key((x, y): (i32, i32), color: RGBColor) -> PathElement<(i32, i32)> {
    PathElement::new([(x, y), (x + 18, y)], color.stroke_width(3))
}

/// Three digits that matter, without trailing zeros.
fn short(loss: f64) -> String {
    if loss != 0.0 && !(1e-3..1e5).contains(&loss.abs()) {
        return format!("{loss:.1e}");
    }
    let text = format!("{loss:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// Smallest and largest value.
fn spread(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |spread, value| {
        let (low, high) = spread.unwrap_or((value, value));
        Some((value.min(low), value.max(high)))
    })
}

/// The finite points, averaged in groups where there are too many.
fn thinned(points: &[(u64, f64)]) -> Points {
    let finite: Points = points
        .iter()
        .filter(|(_, loss)| loss.is_finite())
        .map(|(step, loss)| (*step as f64, *loss))
        .collect();
    let group = finite.len().div_ceil(MOST_POINTS).max(1);
    finite.chunks(group).map(mean).collect()
}

fn mean(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len() as f64;
    let sum = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
    (sum.0 / count, sum.1 / count)
}

/// Averages over a window of a twentieth of the course, centred, so that the line does not lag.
fn smoothed(points: &Points) -> Points {
    let reach = points.len() / 40;
    let window = |at: usize| {
        let reach = reach.min(at).min(points.len() - 1 - at);
        (points[at].0, mean(&points[at - reach..=at + reach]).1)
    };
    (0..points.len()).map(window).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(count: u64, loss: impl Fn(u64) -> f64) -> Vec<(u64, f64)> {
        (0..count).map(|step| (step, loss(step))).collect()
    }

    #[test]
    fn both_curves_axes_and_legend_are_drawn() {
        let curve = Curve {
            title: "Gpt <small>".into(),
            train: course(5000, |step| 4.0 / (1.0 + step as f64 / 100.0)),
            validation: course(5, |step| 3.0 - step as f64 / 2.0),
        };
        let svg = curve.to_svg().unwrap();
        for text in ["step", "loss", "training", "validation", "Gpt &lt;small&gt;", "#1F77B4", "#C0392B"] {
            assert!(svg.contains(text), "the picture has {text}");
        }
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert!(svg.len() < 100_000, "a long run makes no long file: {}", svg.len());
    }

    #[test]
    fn odd_courses_are_drawn_too() {
        let courses = [
            vec![],
            vec![(3, 1.0)],
            course(4, |_| f64::NAN),
            course(9, |_| 0.0),
            course(9, |step| 10f64.powi(-(step as i32))),
            course(9, |step| -1e300 * step as f64),
            vec![(u64::MAX, 1.0), (0, f64::INFINITY)],
        ];
        for train in courses {
            let curve = Curve { train: train.clone(), ..Curve::default() };
            assert!(curve.to_svg().unwrap().ends_with("</svg>\n"), "{train:?}");
        }
    }

    #[test]
    fn smoothing_keeps_straight_lines_and_ends() {
        let line: Points = (0..200).map(|x| (f64::from(x), 2.0 * f64::from(x))).collect();
        let largest = smoothed(&line).iter().zip(&line).map(|(a, b)| (a.1 - b.1).abs()).fold(0.0, f64::max);
        assert!(largest < 1e-9);
    }

    #[test]
    fn numbers_on_the_axis_are_short() {
        assert_eq!([0.0, 1.25, 2e-5, 3e7, 400.0].map(short), ["0", "1.25", "2.0e-5", "3.0e7", "400"]);
    }
}
