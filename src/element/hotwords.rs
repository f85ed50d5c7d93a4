//! The property `hotwords`: words, or a file of them.

use std::fs::File;
use std::io::Read;

use crate::engine::refine::hotwords::Hotwords;
use crate::engine::{Error, Result};

/// No file of hotwords is read further.
const MOST_BYTES: u64 = 64 << 20;

/// The words of a setting: a list, or `@` and the name of a file. Errors: [`Error::Setting`].
pub fn read(setting: &str) -> Result<Hotwords> {
    let Some(file) = setting.strip_prefix('@') else { return Hotwords::parse_list(setting) };
    let read = File::open(file).and_then(|opened| {
        let mut contents = Vec::new();
        // What is too large is told by its size; a device has none.
        opened.take(MOST_BYTES).read_to_end(&mut contents)?;
        Ok(contents)
    });
    let contents = read.map_err(|error| Error::Setting {
        name: "hotwords",
        value: setting.into(),
        expected: format!("words, or @ and a file with one a line ({error})"),
    })?;
    Hotwords::parse_file(file, &contents)
}
