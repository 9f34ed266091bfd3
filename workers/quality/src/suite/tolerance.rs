//! How many bad rows a check bears.

/// A share of the rows, a number of rows, or both; where neither is given, none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tolerance {
    /// The least fraction of the rows considered that must be good, from 0 to 1.
    pub mostly: Option<f64>,
    /// The greatest number of rows that may be bad.
    pub at_most: Option<u64>,
}

impl Tolerance {
    /// Whether so many bad rows are borne. Where both limits are given, both must hold.
    pub fn bears(self, considered: u64, unexpected: u64) -> bool {
        if unexpected == 0 {
            return true;
        }
        let good = considered.saturating_sub(unexpected) as f64 / considered as f64;
        self.is_given()
            && self.mostly.is_none_or(|mostly| good >= mostly)
            && self.at_most.is_none_or(|most| unexpected <= most)
    }

    /// How many of so many rows may be bad; nothing where no limit was given.
    pub fn allowed(self, considered: u64) -> Option<u64> {
        if !self.is_given() {
            return None;
        }
        // By the rule itself and not by a formula that could round otherwise.
        let (mut borne, mut refused) = (0, considered.saturating_add(1));
        while refused - borne > 1 {
            let middle = borne.midpoint(refused);
            if self.bears(considered, middle) {
                borne = middle;
            } else {
                refused = middle;
            }
        }
        Some(borne)
    }

    pub(crate) fn is_given(self) -> bool {
        self.mostly.is_some() || self.at_most.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stricter_of_both_limits_holds() {
        let of = |mostly, at_most| Tolerance { mostly, at_most };
        assert_eq!(of(None, None).allowed(1000), None);
        assert!(!of(None, None).bears(1000, 1) && of(None, None).bears(1000, 0));
        assert_eq!(of(Some(0.99), None).allowed(1000), Some(10));
        assert_eq!(of(None, Some(5)).allowed(1000), Some(5));
        assert_eq!(of(None, Some(5)).allowed(3), Some(3));
        assert_eq!(of(Some(0.99), Some(5)).allowed(1000), Some(5));
        assert_eq!(of(Some(0.99), Some(5)).allowed(100), Some(1));
        assert_eq!(of(Some(1.0), Some(5)).allowed(100), Some(0));
        assert!(of(Some(0.99), Some(5)).bears(100, 1) && !of(Some(0.99), Some(5)).bears(100, 2));
    }
}
