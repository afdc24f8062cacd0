//! How far apart two vectors are, as a user hears it.

/// The measure of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Straight-line distance, rooted.
    Euclidean,
    /// `1 - cos`; 0 for the same direction, 2 for opposite ones.
    Cosine,
    /// The negated inner product, so that smaller is nearer as with the others.
    InnerProduct,
}

impl Metric {
    /// The distance to tell, from the one that searches order by: the square of the straight-line
    /// distance for [`Metric::Euclidean`], itself for the others.
    pub fn told(self, ordering: f32) -> f32 {
        match self {
            Self::Euclidean => ordering.max(0.0).sqrt(),
            Self::Cosine | Self::InnerProduct => ordering,
        }
    }

    /// The byte that stands for it on the device.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Euclidean => 0,
            Self::Cosine => 1,
            Self::InnerProduct => 2,
        }
    }

    /// The metric that a byte stands for.
    pub(crate) fn of_code(code: u8) -> Option<Self> {
        [Self::Euclidean, Self::Cosine, Self::InnerProduct].into_iter().find(|m| m.code() == code)
    }
}
