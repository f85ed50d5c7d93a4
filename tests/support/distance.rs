//! How far one text is from another.

/// Edit distance, in characters.
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, c) in a.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, d) in b.iter().enumerate() {
            let least = (row[j] + 1).min(row[j + 1] + 1).min(corner + usize::from(c != *d));
            corner = std::mem::replace(&mut row[j + 1], least);
        }
    }
    row[b.len()]
}
