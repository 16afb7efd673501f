//! Chance that can be repeated.

/// A list that starts again when it is used up.
#[derive(Clone, Debug)]
pub(super) struct Dice<T> {
    values: Vec<T>,
    at: usize,
}

impl<T: Copy + Default> Dice<T> {
    pub(super) fn new(values: &[T]) -> Self {
        Self { values: values.to_vec(), at: 0 }
    }

    pub(super) fn next(&mut self) -> T {
        self.at += 1;
        self.values.get(self.at % self.values.len().max(1)).copied().unwrap_or_default()
    }
}
