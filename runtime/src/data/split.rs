//! Which samples train and which validate. The parts never overlap: for text, no window reaches into the other part.

use super::DataError;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How much is held out, always at the end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum HeldOut {
    /// A share below 1, rounded up to whole samples.
    Share(f64),
    /// A number of samples (of tokens for text).
    Count(u64),
}

/// What is held out where neither the program nor the data say.
pub const DEFAULT_HELD_OUT: HeldOut = HeldOut::Share(nnc_ir::training::DEFAULT_HELD_OUT);

/// A set of samples of one data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Samples {
    /// Separate samples, by number.
    Items(Range<u64>),
    /// Windows of `context` tokens and their right neighbours, wholly inside a range of tokens.
    Windows {
        /// The tokens.
        tokens: Range<u64>,
        /// Tokens per window.
        context: u64,
    },
}

impl Samples {
    /// Number of samples that can be drawn: items, or window positions.
    pub fn positions(&self) -> u64 {
        match self {
            Samples::Items(range) => range.end.saturating_sub(range.start),
            Samples::Windows { tokens, context } => {
                tokens.end.saturating_sub(tokens.start).saturating_sub(*context)
            }
        }
    }

    /// The sample at a position below [`Samples::positions`].
    pub fn at(&self, position: u64) -> u64 {
        match self {
            Samples::Items(range) => range.start + position,
            Samples::Windows { tokens, .. } => tokens.start + position,
        }
    }

    /// Number of samples of one pass: every item once, or consecutive windows that do not overlap. A last window that
    /// is not full is left out.
    pub fn pass_len(&self) -> u64 {
        match self {
            Samples::Items(_) => self.positions(),
            Samples::Windows { context, .. } => self.positions().div_ceil(*context),
        }
    }

    /// The `k`-th sample of a pass.
    pub fn in_pass(&self, k: u64) -> u64 {
        match self {
            Samples::Items(_) => self.at(k),
            Samples::Windows { context, .. } => self.at(k * context),
        }
    }
}

/// The two parts of a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// For training.
    pub train: Samples,
    /// For validation; may be empty.
    pub held_out: Samples,
}

impl Split {
    /// Holds out the last of `count` items.
    pub fn items(count: u64, held_out: HeldOut) -> Result<Split, DataError> {
        let border = border(count, held_out, "samples")?;
        Ok(Split { train: Samples::Items(0..border), held_out: Samples::Items(border..count) })
    }

    /// Holds out the last of `count` tokens. A part that is not empty has at least one full window.
    pub fn windows(count: u64, context: u64, held_out: HeldOut) -> Result<Split, DataError> {
        let border = border(count, held_out, "tokens")?;
        let (train, held_out) = (0..border, border..count);
        for (part, tokens) in [("training", &train), ("held-out", &held_out)] {
            window_fits(part, tokens.end - tokens.start, context)?;
        }
        Ok(Split {
            train: Samples::Windows { tokens: train, context },
            held_out: Samples::Windows { tokens: held_out, context },
        })
    }
}

fn window_fits(part: &str, tokens: u64, context: u64) -> Result<(), DataError> {
    if tokens > context || (tokens == 0 && part != "training") {
        return Ok(());
    }
    let message =
        format!("the {part} part has {tokens} tokens; a window of context {context} needs {}", context + 1);
    let help = "lower `context`, change `held_out`, or give a longer text";
    Err(DataError::in_options("data::small", message).help(help))
}

/// Where the held-out part starts.
fn border(count: u64, held_out: HeldOut, unit: &str) -> Result<u64, DataError> {
    let border = match held_out {
        HeldOut::Count(held) => count.checked_sub(held),
        // The small term undoes rounding such as 10 * (1 - 0.9) = 0.9999999999999998.
        HeldOut::Share(share) => Some((count as f64 * (1.0 - share) + 1e-9).floor() as u64),
    };
    border.filter(|border| (1..=count).contains(border)).ok_or_else(|| {
        let held = match held_out {
            HeldOut::Count(held) => held.to_string(),
            HeldOut::Share(share) => format!("{}%", share * 100.0),
        };
        let message = format!("of {count} {unit}, holding out {held} leaves none for training");
        DataError::in_options("data::small", message)
            .help("give more data, or lower `held_out`; 0 holds out nothing")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_taken_from_the_end_and_rounded_up() {
        let split = Split::items(10_005, HeldOut::Share(0.1)).unwrap();
        assert_eq!((split.train.positions(), split.held_out.in_pass(0)), (9004, 9004));
        assert_eq!(Split::items(10, HeldOut::Share(0.9)).unwrap().train.positions(), 1);
        assert_eq!(Split::items(10, HeldOut::Count(3)).unwrap().held_out, Samples::Items(7..10));
    }

    #[test]
    fn a_split_without_training_samples_is_an_error() {
        assert!(Split::items(0, HeldOut::Share(0.1)).is_err());
        assert!(Split::items(5, HeldOut::Count(5)).is_err());
        assert!(Split::items(5, HeldOut::Count(9)).is_err());
        assert!(Split::windows(100, 64, HeldOut::Share(0.1)).is_err());
    }

    #[test]
    fn windows_stay_in_their_part_with_their_neighbours() {
        let split = Split::windows(100, 4, HeldOut::Count(14)).unwrap();
        let last_training = split.train.at(split.train.positions() - 1);
        assert_eq!(last_training + 4, 85, "the last target is the last training token");
        let held = &split.held_out;
        let starts: Vec<u64> = (0..held.pass_len()).map(|k| held.in_pass(k)).collect();
        assert_eq!(starts, [86, 90, 94]);
    }

    #[test]
    fn a_pass_covers_every_full_window() {
        for tokens in 5..40 {
            let windows = Samples::Windows { tokens: 0..tokens, context: 4 };
            assert_eq!(windows.pass_len(), (tokens - 1) / 4, "{tokens} tokens have that many full windows");
        }
    }
}
