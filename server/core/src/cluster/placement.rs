//! Where things fit: pure functions from what the nodes have and what is asked for to a choice.

use std::cmp::Reverse;

use thornback_types::{NodeId, Resources};

use crate::input::Strategy;
use crate::message::NodeView;

/// A node for one demand: the one with most free processors among those where it fits now.
#[must_use]
pub fn one(nodes: &[NodeView], demand: &Resources) -> Option<NodeId> {
    let fitting = nodes.iter().filter(|n| n.available.fits(demand));
    fitting.max_by_key(|n| (n.available.get(Resources::CPU), Reverse(n.node))).map(|n| n.node)
}

/// Whether any node could ever serve the demand.
#[must_use]
pub fn feasible(nodes: &[NodeView], demand: &Resources) -> bool {
    nodes.iter().any(|n| n.total.fits(demand))
}

/// A node for each bundle, or nothing if they do not all fit now.
///
/// Greedy, the largest bundle first; ties go to the lowest node id, so that the same view gives the same choice.
#[must_use]
pub fn group(nodes: &[NodeView], bundles: &[Resources], strategy: Strategy) -> Option<Vec<NodeId>> {
    match strategy {
        Strategy::StrictPack => strict_pack(nodes, bundles),
        Strategy::Pack => strict_pack(nodes, bundles).or_else(|| greedy(nodes, bundles, Prefer::Used)),
        Strategy::Spread => greedy(nodes, bundles, Prefer::Unused),
        Strategy::StrictSpread => greedy(nodes, bundles, Prefer::OnlyUnused),
    }
}

/// Nodes that the group uses already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Prefer {
    Used,
    Unused,
    OnlyUnused,
}

fn greedy(nodes: &[NodeView], bundles: &[Resources], prefer: Prefer) -> Option<Vec<NodeId>> {
    let mut free: Vec<Resources> = nodes.iter().map(|n| n.available.clone()).collect();
    let mut used = vec![0_u32; nodes.len()];
    let mut chosen: Vec<Option<NodeId>> = vec![None; bundles.len()];
    for i in by_size(bundles) {
        let fitting = (0..nodes.len())
            .filter(|n| free[*n].fits(&bundles[i]) && (prefer != Prefer::OnlyUnused || used[*n] == 0));
        let n = match prefer {
            Prefer::Used => fitting.max_by_key(|n| (used[*n], Reverse(*n))),
            Prefer::Unused | Prefer::OnlyUnused => fitting.min_by_key(|n| (used[*n], *n)),
        }?;
        free[n].take_down_to_zero(&bundles[i]);
        used[n] += 1;
        chosen[i] = Some(nodes[n].node);
    }
    chosen.into_iter().collect()
}

fn strict_pack(nodes: &[NodeView], bundles: &[Resources]) -> Option<Vec<NodeId>> {
    let mut all = Resources::new();
    bundles.iter().for_each(|bundle| all.add(bundle));
    one(nodes, &all).map(|node| vec![node; bundles.len()])
}

fn by_size(bundles: &[Resources]) -> Vec<usize> {
    let size = |r: &Resources| {
        (
            r.get(Resources::GPU),
            r.get(Resources::CPU),
            r.iter().map(|(_, amount)| u128::from(amount)).sum::<u128>(),
        )
    };
    let mut order: Vec<usize> = (0..bundles.len()).collect();
    order.sort_by_key(|i| Reverse(size(&bundles[*i])));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use thornback_types::Id;

    fn nodes(cpus: &[u64]) -> Vec<NodeView> {
        let view = |(i, cpus): (usize, &u64)| NodeView {
            node: NodeId(Id([i as u8; 16])),
            total: Resources::cpus(*cpus),
            available: Resources::cpus(*cpus),
        };
        cpus.iter().enumerate().map(view).collect()
    }

    #[test]
    fn strict_spread_never_puts_two_bundles_on_one_node() {
        let one = Resources::cpus(1);
        let placed =
            group(&nodes(&[4, 4, 4]), &[one.clone(), one.clone(), one.clone()], Strategy::StrictSpread)
                .unwrap();
        let mut distinct = placed.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), 3);
        assert_eq!(group(&nodes(&[9, 9]), &[one.clone(), one.clone(), one], Strategy::StrictSpread), None);
    }

    #[test]
    fn strict_pack_wants_one_node_for_all() {
        let bundles = [Resources::cpus(3), Resources::cpus(2)];
        assert_eq!(group(&nodes(&[4, 4]), &bundles, Strategy::StrictPack), None);
        assert!(group(&nodes(&[4, 4]), &bundles, Strategy::Pack).is_some());
        assert_eq!(
            group(&nodes(&[4, 5]), &bundles, Strategy::StrictPack),
            Some(vec![NodeId(Id([1; 16])); 2])
        );
    }

    #[test]
    fn spread_uses_other_nodes_while_it_can() {
        let one = Resources::cpus(1);
        let placed = group(&nodes(&[4, 4]), &[one.clone(), one.clone(), one], Strategy::Spread).unwrap();
        assert!(placed.contains(&NodeId(Id([0; 16]))) && placed.contains(&NodeId(Id([1; 16]))));
    }
}
