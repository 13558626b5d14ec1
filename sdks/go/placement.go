package thornback

import (
	"context"
	"fmt"

	"thornback.dev/go/internal/pb"
)

// Strategy says where the bundles of a placement group go.
type Strategy string

// The strategies.
const (
	// Pack puts bundles on as few nodes as it can.
	Pack Strategy = "PACK"
	// SpreadOut puts them on as many as it can.
	SpreadOut Strategy = "SPREAD"
	// StrictPack puts all on one node.
	StrictPack Strategy = "STRICT_PACK"
	// StrictSpread puts no two on one node.
	StrictSpread Strategy = "STRICT_SPREAD"
)

// Bundle is resources that are reserved together: "CPU", "GPU", "memory" (bytes) or a name of the user's own, in steps of 0.0001.
type Bundle map[string]float64

// PlacementGroup reserves bundles of resources, all or none. InPlacementGroup has tasks and actors run in one. It ends with Remove or the session.
type PlacementGroup struct {
	id    ID
	link  *link
	ready Ref[any]
}

// CreatePlacementGroup asks for a group. It returns once the group is known; Ready waits for the resources.
func (c *Client) CreatePlacementGroup(ctx context.Context, strategy Strategy, bundles ...Bundle) (*PlacementGroup, error) {
	if len(bundles) == 0 {
		return nil, invalid("a placement group has at least one bundle")
	}
	request := &pb.CreatePlacementGroup{Strategy: string(strategy)}
	for _, bundle := range bundles {
		o := options{scope: scopeTask}
		for name, amount := range bundle {
			o.amount("Bundle", name, amount)
		}
		if o.err == nil && len(o.amounts) == 0 {
			o.refuse("a bundle reserves nothing")
		}
		if o.err != nil {
			return nil, o.err
		}
		request.Bundles = append(request.Bundles, &pb.Resources{Amounts: o.amounts})
	}
	id := c.link.ids.next()
	request.Group = id[:]
	if _, err := c.link.request(ctx, &pb.Request{Request: &pb.Request_CreatePlacementGroup{CreatePlacementGroup: request}}); err != nil {
		return nil, err
	}
	h := new(handle)
	c.link.adopt([]foundRef{{id.WithIndex(1), h}})
	return &PlacementGroup{id: id, link: c.link, ready: Ref[any]{h: h}}, nil
}

// ID names the group.
func (g *PlacementGroup) ID() ID { return g.id }

// Ready is a ref that becomes ready once all bundles are reserved.
func (g *PlacementGroup) Ready() Ref[any] { return g.ready }

// Remove ends the group's tasks and actors with CodePlacementGroupRemoved and gives its resources back. Doing it again does nothing.
func (g *PlacementGroup) Remove(ctx context.Context) error {
	_, err := g.link.request(ctx, &pb.Request{Request: &pb.Request_RemovePlacementGroup{RemovePlacementGroup: &pb.RemovePlacementGroup{Group: g.id[:]}}})
	return err
}

func (g *PlacementGroup) String() string { return fmt.Sprintf("PlacementGroup(%v)", g.id) }
