//! How calls are run: what a declaration says besides the function's name.

use std::borrow::Cow;
use std::time::Duration;

use thornback_types::{NodeId, PlacementGroupId, Resources, UNITS_PER_WHOLE};
use thornback_wire::convert::WireId;
use thornback_wire::v1;

use crate::{Error, Result};

/// What is declared once per session: the function and how to run it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    pub(crate) function: Cow<'static, str>,
    /// Empty where no interface says it.
    pub(crate) signature: &'static str,
    /// Objects that a call gives; -1 for a stream.
    pub(crate) returns: i32,
    pub(crate) options: Options,
}

/// What the function is, which decides the defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Task,
    Class,
    Method,
}

/// The options that somebody set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Options {
    pub(crate) resources: Resources,
    /// CPUs were mentioned, if only to say that none are needed.
    pub(crate) cpus_given: bool,
    pub(crate) max_retries: Option<i32>,
    pub(crate) retry_exceptions: bool,
    pub(crate) retry_types: Vec<String>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) name: String,
    pub(crate) pool: String,
    pub(crate) stream_window: Option<u32>,
    pub(crate) placement: Option<(PlacementGroupId, Option<u32>)>,
    pub(crate) node: Option<(NodeId, bool)>,
    pub(crate) spread: bool,
    /// An option that has no meaning: told by the first use, because builders do not fail.
    pub(crate) invalid: Option<String>,
}

/// Retries of a lost worker's task where nothing else is said.
const MAX_RETRIES_DEFAULT: i32 = 3;

/// Items that a stream's producer may be ahead where nothing else is said: enough to hide the round trip, little enough to hold.
const STREAM_WINDOW_DEFAULT: u32 = 64;

impl Options {
    pub(crate) fn set_resource(&mut self, name: &str, amount: f64) {
        let units = amount * UNITS_PER_WHOLE as f64;
        // Above 2⁵³ a float no longer tells units apart; no machine has that much of anything.
        if !(0.0..=9.0e15).contains(&units) {
            self.invalid =
                Some(format!("{amount} of the resource {name:?} cannot be asked for; give a number from 0"));
        } else if units.round() == 0.0 && amount != 0.0 {
            self.invalid = Some(format!(
                "{amount} of the resource {name:?} is less than can be counted, which is 0.0001"
            ));
        } else {
            self.resources.set(name, units.round() as u64);
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        self.invalid.as_ref().map_or(Ok(()), |reason| Err(Error::invalid(reason.clone())))
    }
}

impl Spec {
    pub(crate) fn to_wire(&self, number: u32) -> Box<v1::Declare> {
        let options = &self.options;
        let mut resources = options.resources.clone();
        // A task takes one CPU unless it says otherwise, and an actor one to be placed; a method runs on what its actor holds.
        if !options.cpus_given && self.kind != Kind::Method {
            resources.set(Resources::CPU, UNITS_PER_WHOLE);
        }
        Box::new(v1::Declare {
            number,
            function: self.function.to_string(),
            pool: options.pool.clone(),
            resources: Some((&resources).into()),
            returns: self.returns,
            max_retries: options.max_retries.unwrap_or(if self.kind == Kind::Task {
                MAX_RETRIES_DEFAULT
            } else {
                0
            }),
            retry_exceptions: options.retry_exceptions,
            retry_types: options.retry_types.clone(),
            name: options.name.clone(),
            stream_window: options.stream_window.unwrap_or(STREAM_WINDOW_DEFAULT),
            deadline_ms: options
                .deadline
                .map_or(0, |after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX).max(1)),
            placement_group: PlacementGroupId::write_optional(options.placement.map(|(group, _)| group)),
            bundle: options
                .placement
                .and_then(|(_, bundle)| bundle)
                .map_or(-1, |bundle| i32::try_from(bundle).unwrap_or(i32::MAX)),
            node: NodeId::write_optional(options.node.map(|(node, _)| node)),
            soft: options.node.is_some_and(|(_, soft)| soft),
            spread: options.spread,
            code: bytes::Bytes::new(),
            accepts: Vec::new(),
            signature: self.signature.to_owned(),
        })
    }
}

/// The builder methods that tasks and actor classes share.
macro_rules! resource_options {
    () => {
        /// CPUs that it takes, in steps of 0.0001. Without this a task takes one; an actor takes one to be placed and none to live.
        #[must_use]
        pub fn num_cpus(self, cpus: f64) -> Self {
            self.with(|options| {
                options.cpus_given = true;
                options.set_resource(thornback_types::Resources::CPU, cpus);
            })
        }

        /// GPUs that it takes, in steps of 0.0001.
        #[must_use]
        pub fn num_gpus(self, gpus: f64) -> Self {
            self.with(|options| options.set_resource(thornback_types::Resources::GPU, gpus))
        }

        /// Main memory that it takes, in bytes: for placing it, not a limit.
        #[must_use]
        pub fn memory(self, bytes: u64) -> Self {
            self.with(|options| options.set_resource(thornback_types::Resources::MEMORY, bytes as f64))
        }

        /// An amount of a custom resource that it takes, in steps of 0.0001.
        #[must_use]
        pub fn resource(self, name: &str, amount: f64) -> Self {
            self.with(|options| options.set_resource(name, amount))
        }

        /// What people see in logs, status and errors. Defaults to the function's name.
        #[must_use]
        pub fn label(self, label: impl Into<String>) -> Self {
            self.with(|options| options.name = label.into())
        }

        /// The pool to run in, where several serve the function.
        #[must_use]
        pub fn pool(self, pool: impl Into<String>) -> Self {
            self.with(|options| options.pool = pool.into())
        }

        /// Run in a placement group, in the bundle at this position or in any.
        #[must_use]
        pub fn placement(self, group: &crate::PlacementGroup, bundle: Option<u32>) -> Self {
            self.with(|options| options.placement = Some((group.id(), bundle)))
        }

        /// Run on this node; `soft` lets it run elsewhere where that node is gone or cannot.
        #[must_use]
        pub fn node(self, node: thornback_types::NodeId, soft: bool) -> Self {
            self.with(|options| options.node = Some((node, soft)))
        }

        /// Spread over nodes rather than filling one after the other.
        #[must_use]
        pub fn spread(self) -> Self {
            self.with(|options| options.spread = true)
        }
    };
}

/// The builder methods that tasks and methods share.
macro_rules! call_options {
    () => {
        /// Attempts after the first when its worker is lost; -1 without end.
        #[must_use]
        pub fn max_retries(self, retries: i32) -> Self {
            self.with(|options| options.max_retries = Some(retries.max(-1)))
        }

        /// Retry also when the code itself fails.
        #[must_use]
        pub fn retry_exceptions(self) -> Self {
            self.with(|options| options.retry_exceptions = true)
        }

        /// Retry when the code fails with an error of one of these types (see [`Error::types`](crate::Error::types)).
        #[must_use]
        pub fn retry_types(self, types: impl IntoIterator<Item = impl Into<String>>) -> Self {
            self.with(|options| options.retry_types = types.into_iter().map(Into::into).collect())
        }

        /// How long after its submission it fails with [`Code::DeadlineExceeded`](crate::Code::DeadlineExceeded), to the millisecond.
        #[must_use]
        pub fn deadline(self, after: std::time::Duration) -> Self {
            self.with(|options| options.deadline = Some(after))
        }

        /// How many items a stream's producer may be ahead of its consumer; 0 for no bound. The default is 64.
        #[must_use]
        pub fn stream_window(self, items: u32) -> Self {
            self.with(|options| options.stream_window = Some(items))
        }
    };
}

pub(crate) use {call_options, resource_options};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_exact_to_a_ten_thousandth() {
        let mut options = Options::default();
        options.set_resource("GPU", 0.0001);
        options.set_resource("memory", 1e11);
        assert_eq!(
            (options.resources.get("GPU"), options.resources.get("memory")),
            (1, 1_000_000_000_000_000)
        );
        assert!(options.check().is_ok());
        for amount in [-1.0, f64::NAN, f64::INFINITY, 0.00001] {
            let mut options = Options::default();
            options.set_resource("CPU", amount);
            assert!(options.check().is_err(), "{amount}");
        }
    }

    #[test]
    fn no_cpus_is_not_the_same_as_unsaid() {
        let spec =
            |options| Spec { kind: Kind::Task, function: "f".into(), signature: "", returns: 1, options };
        let cpus = |spec: Spec| Resources::from(spec.to_wire(1).resources.unwrap_or_default()).get("CPU");
        assert_eq!(cpus(spec(Options::default())), 10_000);
        assert_eq!(cpus(spec(Options { cpus_given: true, ..Options::default() })), 0);
    }
}
