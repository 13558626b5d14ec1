// Package inside lets packages of this module open sessions over carriers of their own. It holds no code: package thornback fills it in.
package inside

import (
	"context"

	"thornback.dev/go/internal/session"
)

// Dial makes connections to a node.
type Dial = func(context.Context) (session.Carrier, error)

// Client opens a driver's session and gives a *thornback.Client.
var Client func(ctx context.Context, dial Dial) (any, error)

// Serve has a *thornback.Worker serve over a session, as Worker.Serve does.
var Serve func(ctx context.Context, worker any, dial Dial) error
