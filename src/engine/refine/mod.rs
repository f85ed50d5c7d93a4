//! What happens to a final result: the offline pass, hotwords, punctuation, inverse text normalisation. Each stage takes
//! display tokens and gives display tokens; the times of what was said are kept.

pub mod align;
pub mod chain;
pub mod hotwords;
pub mod numbers;
pub mod offline;
pub mod punctuation;
