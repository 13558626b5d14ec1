//! Amounts of CPU, GPU, memory and custom resources, exact to 1/10000.

use std::collections::BTreeMap;
use std::fmt;

/// Units of one whole: resources are counted to 0.0001, as Ray does.
pub const UNITS_PER_WHOLE: u64 = 10_000;

/// An amount in units of 1/10000.
pub type Amount = u64;

/// A set of amounts by name. Zero amounts are not kept, so equal sets compare equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Resources(BTreeMap<Box<str>, Amount>);

/// A subtraction would have gone below zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceError {
    /// The resource that is short.
    pub name: Box<str>,
}

impl Resources {
    /// The name of processor time.
    pub const CPU: &'static str = "CPU";
    /// The name of accelerators.
    pub const GPU: &'static str = "GPU";
    /// The name of main memory, in bytes.
    pub const MEMORY: &'static str = "memory";

    /// An empty set.
    #[must_use]
    pub fn new() -> Resources {
        Resources::default()
    }

    /// So many whole CPUs.
    #[must_use]
    pub fn cpus(whole: u64) -> Resources {
        Resources::new().with(Self::CPU, whole.saturating_mul(UNITS_PER_WHOLE))
    }

    /// This set with the amount of one resource replaced.
    #[must_use]
    pub fn with(mut self, name: &str, amount: Amount) -> Resources {
        self.set(name, amount);
        self
    }

    /// Replaces the amount of one resource.
    pub fn set(&mut self, name: &str, amount: Amount) {
        if amount == 0 {
            self.0.remove(name);
        } else {
            self.0.insert(name.into(), amount);
        }
    }

    /// The amount of one resource; 0 if it is absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Amount {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and amounts, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Amount)> {
        self.0.iter().map(|(name, amount)| (&**name, *amount))
    }

    /// Whether `demand` could be taken from this.
    #[must_use]
    pub fn fits(&self, demand: &Resources) -> bool {
        demand.0.iter().all(|(name, amount)| self.get(name) >= *amount)
    }

    /// Adds every amount of `other`; saturates.
    pub fn add(&mut self, other: &Resources) {
        for (name, amount) in &other.0 {
            match self.0.get_mut(name) {
                Some(have) => *have = have.saturating_add(*amount),
                None => self.set(name, *amount),
            }
        }
    }

    /// Takes every amount of `other`, or nothing if one of them is short.
    ///
    /// # Errors
    /// Names the first resource that is short.
    pub fn take(&mut self, other: &Resources) -> Result<(), ResourceError> {
        if let Some(name) =
            other.0.iter().find(|(name, amount)| self.get(name) < **amount).map(|(name, _)| name)
        {
            return Err(ResourceError { name: name.clone() });
        }
        self.take_down_to_zero(other);
        Ok(())
    }

    /// Takes every amount of `other`, stopping at zero where one is short.
    pub fn take_down_to_zero(&mut self, other: &Resources) {
        for (name, amount) in &other.0 {
            if let Some(have) = self.0.get_mut(name) {
                *have = have.saturating_sub(*amount);
                if *have == 0 {
                    self.0.remove(name);
                }
            }
        }
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        for (i, (name, amount)) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            let (whole, rest) = (amount / UNITS_PER_WHOLE, amount % UNITS_PER_WHOLE);
            if rest == 0 {
                write!(f, "{whole} {name}")?;
            } else {
                write!(f, "{} {name}", format!("{whole}.{rest:04}").trim_end_matches('0'))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for ResourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "too little {}", self.name)
    }
}

impl std::error::Error for ResourceError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_exact() {
        let mut have = Resources::cpus(1);
        let tenth = Resources::new().with("CPU", 1_000);
        for _ in 0..10 {
            have.take(&tenth).unwrap();
        }
        assert!(have.is_empty());
        assert_eq!(have.take(&tenth).unwrap_err().name, "CPU".into());
        for _ in 0..10 {
            have.add(&tenth);
        }
        assert_eq!(have, Resources::cpus(1));
    }

    #[test]
    fn a_short_resource_takes_nothing() {
        let mut have = Resources::cpus(2).with("GPU", 5_000);
        let before = have.clone();
        assert!(have.take(&Resources::cpus(1).with("GPU", 6_000)).is_err());
        assert_eq!(have, before);
    }

    #[test]
    fn display_is_for_people() {
        assert_eq!(Resources::cpus(2).with("GPU", 2_500).to_string(), "2 CPU, 0.25 GPU");
        assert_eq!(Resources::new().to_string(), "nothing");
    }
}
