//! Whether a shared library's file is whole.
//!
//! The system's loader maps what the file's header promises; where the file was cut short, touching the missing part
//! kills the process (SIGBUS). So the promise is checked first. Format: System V ABI, ELF-64.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// The type of a segment that is mapped.
const PT_LOAD: u32 = 1;

/// Nothing where `path` is a whole library or is no ELF file, which the loader refuses by itself; else what is wrong.
pub fn damage(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let mut header = [0; 64];
    file.read_exact(&mut header).ok()?;
    // 64 bits, little-endian: what the loader of any machine we run on takes.
    if header[..6] != [0x7f, b'E', b'L', b'F', 2, 1] {
        return None;
    }
    let (table, size, count) = (number(&header[32..40]), number(&header[54..56]), number(&header[56..58]));
    let sections_end = number(&header[40..48]) + number(&header[58..60]) * number(&header[60..62]);
    let mut needed = sections_end.max(table + size * count);
    for index in 0..count {
        let mut entry = [0; 56];
        if file.seek(SeekFrom::Start(table + index * size)).and_then(|_| file.read_exact(&mut entry)).is_err() {
            break;
        }
        if number(&entry[..4]) == u64::from(PT_LOAD) {
            needed = needed.max(number(&entry[8..16]).saturating_add(number(&entry[32..40])));
        }
    }
    (length < needed).then(|| format!("the file is cut short: {length} of {needed} bytes"))
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_is_noticed() {
        let whole = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let damage_at = |length: usize| {
            std::fs::write(file.path(), &whole[..length]).unwrap();
            damage(file.path())
        };
        assert_eq!(damage_at(whole.len()), None);
        for length in [64, 1000, whole.len() / 2, whole.len() - 1] {
            let found = damage_at(length).unwrap();
            assert!(found.starts_with(&format!("the file is cut short: {length} of ")), "{found}");
        }
        // Too short for a header: the loader says so.
        assert_eq!(damage_at(63), None);
        assert_eq!(damage(Path::new("/etc/passwd")), None);
    }
}
