//! Placement groups: resources reserved together.

use std::fmt;
use std::sync::Arc;

use thornback_types::{PlacementGroupId, Resources};
use thornback_wire::convert::WireId;
use thornback_wire::v1;

use super::Client;
use crate::Result;
use crate::link::Item;
use crate::object::{Ref, Slot};
use crate::options::Options;

/// How the bundles of a placement group lie over nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// On as few nodes as possible.
    #[default]
    Pack,
    /// On as many nodes as possible.
    Spread,
    /// On one node, or not at all.
    StrictPack,
    /// Each on a node of its own, or not at all.
    StrictSpread,
}

impl Strategy {
    fn name(self) -> &'static str {
        match self {
            Strategy::Pack => "PACK",
            Strategy::Spread => "SPREAD",
            Strategy::StrictPack => "STRICT_PACK",
            Strategy::StrictSpread => "STRICT_SPREAD",
        }
    }
}

/// Resources reserved together, for tasks and actors to run in; see [`Client::create_placement_group`].
#[derive(Clone)]
pub struct PlacementGroup {
    id: PlacementGroupId,
    client: Client,
    ready: Ref<()>,
}

impl PlacementGroup {
    /// The group's id, for logs.
    #[must_use]
    pub fn id(&self) -> PlacementGroupId {
        self.id
    }

    /// An object that is ready once all bundles are reserved.
    pub fn ready(&self) -> &Ref<()> {
        &self.ready
    }

    /// Ends its tasks and actors and gives its resources back. Removing it again does nothing.
    ///
    /// # Errors
    /// If the session is over.
    pub async fn remove(&self) -> Result<()> {
        self.client
            .request_done(v1::request::Request::RemovePlacementGroup(v1::RemovePlacementGroup {
                group: self.id.write(),
            }))
            .await
    }
}

impl fmt::Debug for PlacementGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlacementGroup({})", self.id)
    }
}

impl Client {
    /// Reserves bundles of resources together; each bundle is a list of names (`"CPU"`, `"GPU"`, `"memory"`, or custom ones) and amounts.
    ///
    /// It does not wait for the resources: await [`PlacementGroup::ready`] for that.
    ///
    /// # Errors
    /// If an amount has no meaning, or the session is over.
    ///
    /// ```no_run
    /// # async fn example(client: thornback::Client) -> thornback::Result<()> {
    /// use thornback::Strategy;
    ///
    /// let group = client.create_placement_group([[("CPU", 1.0)], [("CPU", 2.0)]], Strategy::Pack).await?;
    /// group.ready().await?;
    /// # Ok(()) }
    /// ```
    pub async fn create_placement_group<'a, B>(
        &self,
        bundles: impl IntoIterator<Item = B>,
        strategy: Strategy,
    ) -> Result<PlacementGroup>
    where
        B: IntoIterator<Item = (&'a str, f64)>,
    {
        let bundles: Vec<Resources> = bundles.into_iter().map(bundle).collect::<Result<_>>()?;
        let id = self.link.next_group();
        let slot = Slot::expected(self, id.ready(), "");
        self.link.push(Item::Expect(id.ready(), Arc::downgrade(&slot)));
        let request = v1::CreatePlacementGroup {
            group: id.write(),
            bundles: bundles.iter().map(v1::Resources::from).collect(),
            strategy: strategy.name().into(),
            name: String::new(),
        };
        self.request_done(v1::request::Request::CreatePlacementGroup(request)).await?;
        Ok(PlacementGroup { id, client: self.clone(), ready: Ref::from_slot(slot) })
    }
}

fn bundle<'a>(amounts: impl IntoIterator<Item = (&'a str, f64)>) -> Result<Resources> {
    let mut options = Options::default();
    for (name, amount) in amounts {
        options.set_resource(name, amount);
    }
    options.check()?;
    Ok(options.resources)
}
