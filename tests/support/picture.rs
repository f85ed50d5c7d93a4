//! Text on pictures: what is lit, and how like another drawing of it.
#![allow(dead_code, reason = "each test binary uses a part of it")]

/// Brighter than this is text.
const LIT: u8 = 128;
/// How far two drawings are moved against each other, pixels.
const SHIFT: i64 = 3;

/// A picture in shades of grey.
#[derive(Debug, Clone)]
pub struct Picture {
    width: usize,
    levels: Vec<u8>,
}

impl Picture {
    /// From one byte for each pixel.
    pub fn gray(width: usize, levels: &[u8]) -> Self {
        assert!(!levels.is_empty() && levels.len().is_multiple_of(width), "{} bytes", levels.len());
        Self { width, levels: levels.to_vec() }
    }

    /// From ARGB, on black.
    pub fn argb(width: usize, bytes: &[u8]) -> Self {
        let level = |pixel: &[u8]| (u16::from(pixel[0]) * u16::from(pixel[2]) / 255) as u8;
        Self::gray(width, &bytes.chunks_exact(4).map(level).collect::<Vec<_>>())
    }

    fn is_lit(&self, x: i64, y: i64) -> bool {
        let inside = x >= 0 && y >= 0 && (x as usize) < self.width;
        inside && self.levels.get(y as usize * self.width + x as usize).is_some_and(|&level| level > LIT)
    }

    /// The lit pixels, by their distance from the leftmost and from the uppermost.
    fn lit(&self) -> Vec<(i64, i64)> {
        let places = (0..self.levels.len()).map(|at| ((at % self.width) as i64, (at / self.width) as i64));
        let lit: Vec<_> = places.filter(|&(x, y)| self.is_lit(x, y)).collect();
        let left = lit.iter().map(|at| at.0).min().unwrap_or(0);
        let top = lit.iter().map(|at| at.1).min().unwrap_or(0);
        lit.into_iter().map(|(x, y)| (x - left, y - top)).collect()
    }

    /// How like the texts of two pictures are, wherever they stand: of all pixels that are lit in either, those that are lit in
    /// both, from 0 to 1, where they fit best. 0 where there is no text.
    pub fn likeness(&self, other: &Self) -> f64 {
        let (own, others) = (self.lit(), other.lit());
        let others: std::collections::HashSet<_> = others.into_iter().collect();
        let shifts = (-SHIFT..=SHIFT).flat_map(|x| (-SHIFT..=SHIFT).map(move |y| (x, y)));
        let both = shifts.map(|(dx, dy)| own.iter().filter(|(x, y)| others.contains(&(x + dx, y + dy))).count());
        let both = both.max().unwrap_or(0);
        both as f64 / ((own.len() + others.len() - both) as f64).max(1.0)
    }

    /// Whether there is any text.
    pub fn has_text(&self) -> bool {
        self.levels.iter().filter(|&&level| level > LIT).count() > 100
    }
}
