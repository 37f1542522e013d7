//! Health: whether a node could do the work that it would lead for.

/// Who finds a node not healthy. Each speaks for itself, and the node is healthy while nobody
/// complains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Complainant {
    /// The check of `--health`, or the program that the node is part of.
    Check,
    /// Whoever keeps the work of `gaggle exec`: it has failed, and rests for a while.
    Work,
    /// Whoever runs hooks: the one on-goose has failed, and rests for a while.
    Hook,
}

impl Complainant {
    /// Whether it speaks of the work itself. A node whose work has failed just now is of no use as
    /// Goose, whoever else there may be.
    pub fn speaks_of_work(self) -> bool {
        matches!(self, Self::Work | Self::Hook)
    }
}

/// What becomes of the cluster when no node that may lead is healthy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IfNoneHealthy {
    /// Nobody leads.
    #[default]
    Nobody,
    /// One leads whose check fails, until a healthy one is there. Where
    /// the work itself has failed nobody leads all the same.
    LeadAnyway,
}

/// The longest reason that is kept, in bytes.
pub const REASON_SIZE_MAX: usize = 200;

/// `text` as a reason: on one line, and no longer than [`REASON_SIZE_MAX`].
pub fn reason(text: &str) -> String {
    let text: String = text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    let text = text.trim();
    let mut end = text.len().min(REASON_SIZE_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_short_line() {
        assert_eq!(reason(" the check\nfailed\t"), "the check failed");
        let long = reason(&"é".repeat(REASON_SIZE_MAX));
        assert_eq!(long.len(), REASON_SIZE_MAX);
        assert_eq!(reason(&format!("x{}", "é".repeat(REASON_SIZE_MAX))).len(), REASON_SIZE_MAX - 1);
    }
}
