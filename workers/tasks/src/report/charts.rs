//! The report's charts as PNG, each once for light and once for dark mail clients. Drawn at twice the size at
//! which they are shown, so that they are sharp on every screen.

use std::sync::LazyLock;

use chrono::Datelike;
use plotters::{
    prelude::*,
    style::{
        FontStyle, register_font,
        text_anchor::{HPos, Pos, VPos},
    },
};
use rust_decimal::{Decimal, prelude::ToPrimitive};

use super::data::{Day, Department};

/// Size of a chart in pixels; mails show it at half of that.
pub(crate) const WIDTH: u32 = 1184;
/// Height of the trend.
pub(crate) const TREND_HEIGHT: u32 = 400;
/// Height that one department takes.
const ROW: u32 = 62;

/// The family name that the fonts are registered under.
const FONT: &str = "report";

static FONTS: LazyLock<bool> =
    LazyLock::new(|| register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT).is_ok());

/// Why a chart could not be drawn.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChartError {
    #[error("the font cannot be read")]
    Font,
    #[error("cannot draw: {0}")]
    Draw(String),
    #[error("cannot write PNG")]
    Png(#[from] png::EncodingError),
}

/// Colours of a chart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Theme {
    ground: RGBColor,
    text: RGBColor,
    quiet: RGBColor,
    line: RGBColor,
    accent: RGBColor,
    soft: RGBColor,
}

/// For light cards.
pub(crate) const LIGHT: Theme = Theme {
    ground: RGBColor(0xff, 0xff, 0xff),
    text: RGBColor(0x14, 0x19, 0x1b),
    quiet: RGBColor(0x5a, 0x66, 0x6a),
    line: RGBColor(0xe3, 0xe7, 0xe8),
    accent: RGBColor(0x0b, 0x72, 0x85),
    soft: RGBColor(0xb5, 0xd6, 0xdc),
};

/// For dark cards.
pub(crate) const DARK: Theme = Theme {
    ground: RGBColor(0x14, 0x1a, 0x1c),
    text: RGBColor(0xe9, 0xee, 0xef),
    quiet: RGBColor(0xa7, 0xb3, 0xb7),
    line: RGBColor(0x25, 0x2e, 0x31),
    accent: RGBColor(0x3f, 0xb6, 0xc9),
    soft: RGBColor(0x25, 0x52, 0x5b),
};

fn drawing<E: std::fmt::Display>(error: E) -> ChartError {
    ChartError::Draw(error.to_string())
}

fn number(value: Decimal) -> f64 {
    value.to_f64().unwrap_or_default()
}

/// `9.8k`, `980`.
fn short(value: f64) -> String {
    if value >= 9_950.0 {
        format!("{:.0}k", value / 1_000.0)
    } else if value >= 1_000.0 {
        format!("{:.1}k", value / 1_000.0)
    } else {
        format!("{value:.0}")
    }
}

/// The least of 1, 2, 2.5 and 5 times a power of ten that reaches `value` in at most four steps.
fn step(value: f64) -> f64 {
    let rough = (value / 4.0).max(1.0);
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= rough).unwrap_or(power)
}

/// Revenue by day: the report's day and the same weekday before it stand out.
#[expect(clippy::cast_possible_truncation, reason = "pixels")]
pub(crate) fn trend(days: &[Day], theme: &Theme) -> Result<Vec<u8>, ChartError> {
    render(TREND_HEIGHT, theme, |area| {
        let most = days.iter().map(|day| number(day.revenue)).fold(1.0, f64::max);
        let step = step(most);
        let top = (most / step).ceil() * step;
        let (left, right, foot, head) = (84, WIDTH.cast_signed() - 4, TREND_HEIGHT.cast_signed() - 76, 44);
        let y = |value: f64| foot - (value / top * f64::from(foot - head)) as i32;
        let axis = font(26.0, &theme.quiet).pos(Pos::new(HPos::Right, VPos::Center));
        let mut tick = 0.0;
        while tick <= top + step / 2.0 {
            area.draw(&PathElement::new([(left, y(tick)), (right, y(tick))], theme.line)).map_err(drawing)?;
            area.draw(&Text::new(short(tick), (left - 14, y(tick)), axis.clone())).map_err(drawing)?;
            tick += step;
        }
        let slot = f64::from(right - left) / days.len().max(1) as f64;
        let last = days.len().saturating_sub(1);
        for (place, day) in days.iter().enumerate() {
            let x = |share: f64| left + ((place as f64 + share) * slot) as i32;
            let shown = place == last || place + 7 == last;
            let colour = if shown { theme.accent } else { theme.soft };
            let value = number(day.revenue);
            bar(area, (x(0.16), y(value)), (x(0.84), foot), colour)?;
            let under =
                font(25.0, if shown { &theme.text } else { &theme.quiet }).pos(Pos::new(HPos::Center, VPos::Top));
            let weekday = day.date.format("%a").to_string();
            area.draw(&Text::new(weekday, (x(0.5), foot + 10), under.clone())).map_err(drawing)?;
            area.draw(&Text::new(day.date.day().to_string(), (x(0.5), foot + 40), under)).map_err(drawing)?;
            if shown {
                let over = font(27.0, &theme.text).pos(Pos::new(HPos::Center, VPos::Bottom));
                area.draw(&Text::new(short(value), (x(0.5), y(value) - 6), over)).map_err(drawing)?;
            }
        }
        Ok(())
    })
}

/// Height of the chart of this many departments.
pub(crate) fn departments_height(count: usize) -> u32 {
    ROW * u32::try_from(count.max(1)).unwrap_or(1) + 12
}

/// Revenue by department: a bar for the day, and a thin one below it for the week before.
#[expect(clippy::cast_possible_truncation, reason = "pixels")]
pub(crate) fn departments(departments: &[Department], theme: &Theme) -> Result<Vec<u8>, ChartError> {
    render(departments_height(departments.len()), theme, |area| {
        let most = departments.iter().map(|d| number(d.revenue).max(number(d.revenue_before))).fold(1.0, f64::max);
        let (left, right) = (186, WIDTH.cast_signed() - 96);
        let x = |value: f64| left + (value / most * f64::from(right - left)) as i32;
        for (place, department) in departments.iter().enumerate() {
            let top = i32::try_from(place).unwrap_or_default() * ROW.cast_signed() + 10;
            let label = font(29.0, &theme.text).pos(Pos::new(HPos::Right, VPos::Center));
            area.draw(&Text::new(department.name.clone(), (left - 18, top + 22), label)).map_err(drawing)?;
            let value = number(department.revenue);
            bar(area, (left, top + 2), (x(value).max(left + 3), top + 28), theme.accent)?;
            let before = x(number(department.revenue_before));
            bar(area, (left, top + 33), (before.max(left + 3), top + 42), theme.soft)?;
            let figure = font(27.0, &theme.text).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw(&Text::new(short(value), (x(value) + 14, top + 15), figure)).map_err(drawing)?;
        }
        Ok(())
    })
}

type Area<'a> = DrawingArea<BitMapBackend<'a>, plotters::coord::Shift>;

fn font(size: f64, colour: &RGBColor) -> TextStyle<'_> {
    TextStyle::from((FONT, size).into_font()).color(colour)
}

fn bar(area: &Area<'_>, from: (i32, i32), to: (i32, i32), colour: RGBColor) -> Result<(), ChartError> {
    area.draw(&Rectangle::new([from, to], colour.filled())).map_err(drawing)
}

fn render(
    height: u32,
    theme: &Theme,
    draw: impl FnOnce(&Area<'_>) -> Result<(), ChartError>,
) -> Result<Vec<u8>, ChartError> {
    if !*FONTS {
        return Err(ChartError::Font);
    }
    let mut pixels = vec![0; WIDTH as usize * height as usize * 3];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (WIDTH, height)).into_drawing_area();
        area.fill(&theme.ground).map_err(drawing)?;
        draw(&area)?;
        area.present().map_err(drawing)?;
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, WIDTH, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_at_most_five_round_steps() {
        for value in [1.0, 7.0, 999.0, 1_000.0, 12_345.0, 99_999.0] {
            let step = step(value);
            assert!(value / step <= 4.0 + 1e-9, "{value} in steps of {step}");
        }
    }

    #[test]
    fn a_shop_without_sales_still_has_charts() {
        assert!(trend(&[], &LIGHT).is_ok());
        assert!(departments(&[], &DARK).is_ok());
    }
}
