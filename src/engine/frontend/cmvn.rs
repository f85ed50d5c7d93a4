//! Mean and variance normalisation: y = (x + neg_mean) * inv_stddev, from Kaldi's nnet1 text format (`am.mvn`).

use std::path::Path;

use crate::engine::{Error, Result};

/// The shift and the scale of every feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Cmvn {
    neg_mean: Vec<f32>,
    inv_stddev: Vec<f32>,
}

impl Cmvn {
    /// From the two vectors. Errors: [`Error::Model`] naming `file`, where a length is not `dim` or a value is no
    /// finite number.
    pub fn new(file: &Path, dim: usize, neg_mean: Vec<f32>, inv_stddev: Vec<f32>) -> Result<Self> {
        for (name, values) in [("shift (AddShift, neg_mean)", &neg_mean), ("scale (Rescale, inv_stddev)", &inv_stddev)]
        {
            if values.len() != dim {
                let expected = format!("{dim} values of the CMVN's {name}");
                return Err(Error::model(file, expected, values.len().to_string()));
            }
            if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
                return Err(Error::model(file, format!("finite numbers in the CMVN's {name}"), bad.to_string()));
            }
        }
        Ok(Self { neg_mean, inv_stddev })
    }

    /// Reads `am.mvn`: the line after `<AddShift>` is the shift, the line after `<Rescale>` the scale, each as
    /// `<LearnRateCoef> 0 [ v v ... ]`. Blank lines and other components are passed over.
    pub fn parse(file: &Path, dim: usize, text: &str) -> Result<Self> {
        let shift = component(file, text, "<AddShift>")?;
        let scale = component(file, text, "<Rescale>")?;
        Self::new(file, dim, shift, scale)
    }

    /// Normalises one row in place, and multiplies it by `scale`.
    pub fn apply(&self, row: &mut [f32], scale: f32) {
        for ((x, shift), stddev) in row.iter_mut().zip(&self.neg_mean).zip(&self.inv_stddev) {
            *x = (*x + shift) * stddev * scale;
        }
    }
}

fn component(file: &Path, text: &str, tag: &str) -> Result<Vec<f32>> {
    let mut words = text.split_whitespace().skip_while(|word| *word != tag);
    if words.next().is_none() {
        return Err(Error::model(file, format!("a component {tag}"), "none"));
    }
    // A component that is cut short must not borrow the vector of the next one.
    let mut own = words.take_while(|word| !(word.starts_with('<') && *word != "<LearnRateCoef>"));
    if !own.any(|word| word == "[") {
        return Err(Error::model(file, format!("values in brackets after {tag}"), "none"));
    }
    let mut values = Vec::new();
    for word in own {
        if word == "]" {
            return Ok(values);
        }
        let value =
            word.parse().map_err(|_| Error::model(file, format!("numbers after {tag}"), format!("\"{word}\"")))?;
        values.push(value);
    }
    Err(Error::model(file, format!("a closing ] after the values of {tag}"), "the end of the component"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "<Nnet>\n<Splice> 2 2\n[ 0 ]\n\n<AddShift> 2 2\n<LearnRateCoef> 0 [ -1 -2.5 ]\n<Rescale> 2 2\n<LearnRateCoef> 0 [ 0.5 2 ]\n</Nnet>\n";

    fn parse(text: &str) -> Result<Cmvn> {
        Cmvn::parse(Path::new("am.mvn"), 2, text)
    }

    #[test]
    fn shifts_then_scales() {
        let mut row = [3.0, 3.0];
        parse(GOOD).unwrap().apply(&mut row, 10.0);
        assert_eq!(row, [10.0, 10.0]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |text: &str| parse(text).unwrap_err().to_string();
        assert_eq!(message(""), "am.mvn: expected a component <AddShift>, found none");
        assert_eq!(
            message(&GOOD.replace("0.5 2 ]", "0.5 2")),
            "am.mvn: expected a closing ] after the values of <Rescale>, found the end of the component"
        );
        assert_eq!(
            message(&GOOD.replace("-2.5", "-2.5 7")),
            "am.mvn: expected 2 values of the CMVN's shift (AddShift, neg_mean), found 3"
        );
        assert_eq!(message(&GOOD.replace("-2.5", "x")), "am.mvn: expected numbers after <AddShift>, found \"x\"");
        assert_eq!(
            message(&GOOD.replace("-2.5", "nan")),
            "am.mvn: expected finite numbers in the CMVN's shift (AddShift, neg_mean), found NaN"
        );
        assert_eq!(
            message(&GOOD.replace("<LearnRateCoef> 0 [ -1 -2.5 ]", "")),
            "am.mvn: expected values in brackets after <AddShift>, found none"
        );
    }
}
