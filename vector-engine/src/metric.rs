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
}
